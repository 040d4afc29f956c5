//! What the counters of INFO commandstats count: commands that read, commands that write, others.
//!
//! What a replica executes for its own clients is what the servers flag `readonly`; everything else may have come by replication,
//! without any mark (PUBLISH, MULTI, EXEC, ping). It refuses to know how often anything was called.

use super::keyspec::{Command, Commands};

/// What a command does to keys, by its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Flagged `readonly`.
    Read,
    /// Flagged `write`.
    Write,
    /// Neither, or not known.
    Other,
}

impl CommandKind {
    /// The kind of `name` (upper case), as `commands` has it. Servers before 7.0 count a container's subcommands under the container's
    /// name: that reads if some of them do and none of them writes.
    pub fn of(name: &str, commands: &Commands) -> Self {
        let Some(command) = commands.find(name.as_bytes()).map(|id| commands.get(id)) else {
            return Self::Other;
        };
        if !command.container {
            return Self::of_flags(command.reads, command.writes);
        }
        let is_part = |part: &&Command| {
            part.name
                .split_once('|')
                .is_some_and(|(container, _)| container == name)
        };
        let parts = || commands.all().iter().filter(is_part);
        Self::of_flags(parts().any(|part| part.reads), parts().any(|part| part.writes))
    }

    fn of_flags(reads: bool, writes: bool) -> Self {
        match (reads, writes) {
            (_, true) => Self::Write,
            (true, false) => Self::Read,
            (false, false) => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], expected: CommandKind) {
        for name in names {
            assert_eq!(CommandKind::of(name, &Commands::builtin()), expected, "{name}");
        }
    }

    #[test]
    fn reads_are_told_from_writes_and_from_what_replication_brings() {
        check(
            &["GET", "OBJECT|FREQ", "EVAL_RO", "SORT_RO", "ZUNION"],
            CommandKind::Read,
        );
        check(&["SET", "SORT", "XREADGROUP"], CommandKind::Write);
        check(
            &["PUBLISH", "MULTI", "EXEC", "PING", "EVAL", "INFO", "SOMETHING.ELSE"],
            CommandKind::Other,
        );
    }

    #[test]
    fn a_container_without_its_subcommands_is_told_by_them() {
        check(&["OBJECT", "MEMORY", "XINFO"], CommandKind::Read);
        check(&["XGROUP"], CommandKind::Write);
        check(&["CONFIG", "CLIENT"], CommandKind::Other);
    }
}
