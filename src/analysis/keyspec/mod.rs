//! Every command a server knows: its name, whether it reads or writes, and which of its arguments are keys.
//!
//! The table of `commands.tsv` holds facts read off the command descriptions of Valkey 8.0.1 (BSD-3-Clause); what a server adds to it
//! (modules, newer commands) comes from its own answer to COMMAND. It refuses to know how a command is counted.
//!
//! ```
//! use hotshard::analysis::keyspec::Commands;
//!
//! let commands = Commands::builtin();
//! let keys = commands.keys(["xread", "COUNT", "2", "STREAMS", "orders", "bills", "0", "0"]);
//! assert_eq!(keys, [b"orders", &b"bills"[..]]);
//! ```

mod spec;
mod walk;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

pub use spec::{Begin, Find, Spec};
pub use walk::Walk;
pub(crate) use walk::number;

/// A command's place in [`Commands`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(u16);

impl CommandId {
    pub(crate) const FIRST: Self = Self(0);

    /// Its place, from 0 without gaps.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The command at that place; `None` past what a place can be.
    pub(crate) fn new(index: usize) -> Option<Self> {
        u16::try_from(index).ok().map(Self)
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// In upper case; a container's subcommand is `CONFIG|GET`.
    pub name: Arc<str>,
    /// Whether it only reads keys.
    pub reads: bool,
    /// Whether it may change keys.
    pub writes: bool,
    /// Whether it is never shown by MONITOR.
    pub admin: bool,
    /// Whether it runs a script or function, whose own commands follow it in the stream.
    pub script: bool,
    /// Whether its first argument names a subcommand.
    pub container: bool,
    /// Where its keys are.
    pub keys: Keys,
}

/// Where a command's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// As its specifications say.
    Specs(Box<[Spec]>),
    /// As SORT has them.
    Sort,
    /// As MIGRATE has them.
    Migrate,
}

impl Keys {
    /// The place of the first key among the arguments, where that hangs on nothing.
    pub fn first_place(&self) -> Option<u32> {
        let Self::Specs(specs) = self else { return None };
        match &**specs {
            [
                Spec {
                    begin: Begin::Index(place),
                    find:
                        Find::Range {
                            last: -1..,
                            limit: ..=1,
                            ..
                        },
                },
            ] => Some(*place),
            _ => None,
        }
    }
}

/// What a server's COMMAND says of one command, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerCommand {
    /// Its name, a subcommand's with its container: `config|get`.
    pub name: String,
    /// Its flags, such as `readonly`, `write`, `admin`.
    pub flags: BTreeSet<String>,
    /// The first key's place, 0 where there is none.
    pub first_key: i64,
    /// The last key's place, from the end if below zero.
    pub last_key: i64,
    /// From one key to the next.
    pub step: i64,
    /// Its key specifications, from 7.0 on, less those that aren't keys or that the server itself calls unknown.
    pub specs: Vec<Spec>,
    /// Its subcommands.
    pub subcommands: Vec<ServerCommand>,
}

/// The commands by name.
#[derive(Clone, Debug)]
pub struct Commands {
    rows: Vec<Command>,
    places: HashMap<Box<[u8]>, CommandId>,
}

impl Commands {
    /// Those of the table.
    pub fn builtin() -> Arc<Self> {
        static BUILTIN: LazyLock<Arc<Commands>> = LazyLock::new(|| Arc::new(Commands::read_table()));
        Arc::clone(&BUILTIN)
    }

    /// Those of the table and those that a server has beyond it; the table itself if there are none.
    pub fn of_server(server: &[ServerCommand]) -> Arc<Self> {
        let builtin = Self::builtin();
        let mut commands = Self::clone(&builtin);
        for command in server {
            commands.add_server(command);
        }
        if commands.rows.len() == builtin.rows.len() {
            return builtin;
        }
        Arc::new(commands)
    }

    /// The command of that name in upper case, a subcommand's as `CONFIG|GET`.
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        self.places.get(name).copied()
    }

    /// The command at its place.
    pub fn get(&self, id: CommandId) -> &Command {
        &self.rows[id.index()]
    }

    /// All, each at its place.
    pub fn all(&self) -> &[Command] {
        &self.rows
    }

    /// The command that these arguments are, the first being its name in any case.
    pub fn resolve<'line>(&self, mut arguments: impl Iterator<Item = &'line [u8]>) -> Option<CommandId> {
        let name = arguments.next()?.to_ascii_uppercase();
        let id = self.find(&name);
        if id.is_some_and(|id| !self.get(id).container) {
            return id;
        }
        let whole = arguments
            .next()
            .map(|sub| [&name, &b"|"[..], &sub.to_ascii_uppercase()].concat());
        whole.and_then(|whole| self.find(&whole)).or(id)
    }

    /// The keys among these arguments, the first being the command's name: for whoever has a few; the tally doesn't ask so.
    pub fn keys<Text: AsRef<[u8]>>(&self, arguments: impl IntoIterator<Item = Text>) -> Vec<Vec<u8>> {
        let arguments: Vec<Text> = arguments.into_iter().collect();
        let mut keys = Vec::new();
        let Some(id) = self.resolve(arguments.iter().map(AsRef::as_ref)) else {
            return keys;
        };
        let mut walk = Walk::new(&self.get(id).keys);
        for argument in &arguments[1..] {
            let text = argument.as_ref();
            walk.argument(text, || text.to_vec(), |key| keys.push(key));
        }
        walk.end(|key| keys.push(key));
        keys
    }

    fn read_table() -> Self {
        let mut commands = Self {
            rows: Vec::new(),
            places: HashMap::default(),
        };
        let table = include_str!("commands.tsv").lines();
        for row in table.filter(|row| !row.starts_with('#')) {
            commands.add(read_row(row).expect("the table is checked by a test"));
        }
        commands
    }

    fn add_server(&mut self, command: &ServerCommand) {
        for subcommand in &command.subcommands {
            self.add_server(subcommand);
        }
        let mut row = command.row();
        if self.find(row.name.as_bytes()).is_none() {
            row.container = !command.subcommands.is_empty();
            self.add(row);
        }
    }

    fn add(&mut self, command: Command) {
        if let Some((container, _)) = command.name.split_once('|') {
            match self.find(container.as_bytes()) {
                Some(id) => self.rows[id.index()].container = true,
                None => self.add(Command::container(container)),
            }
        }
        if let Some(id) = CommandId::new(self.rows.len()) {
            self.places.insert(command.name.as_bytes().into(), id);
            self.rows.push(command);
        }
    }
}

impl Command {
    fn container(name: &str) -> Self {
        Self {
            name: name.into(),
            reads: false,
            writes: false,
            admin: false,
            script: false,
            container: true,
            keys: Keys::None,
        }
    }
}

impl ServerCommand {
    fn row(&self) -> Command {
        let has = |flag: &str| self.flags.contains(flag);
        Command {
            reads: has("readonly"),
            writes: has("write"),
            admin: has("admin"),
            keys: self.keys(),
            ..Command::container(&self.name.to_ascii_uppercase())
        }
    }

    fn keys(&self) -> Keys {
        if !self.specs.is_empty() {
            return Keys::Specs(self.specs.clone().into());
        }
        // The older form of the same, which modules still have.
        let (Ok(first), Ok(last), Ok(step)) = (
            u32::try_from(self.first_key),
            i32::try_from(self.last_key),
            u32::try_from(self.step),
        ) else {
            return Keys::None;
        };
        if first == 0 || step == 0 {
            return Keys::None;
        }
        let last = if last < 0 {
            last
        } else {
            last.saturating_sub_unsigned(first).max(0)
        };
        let find = Find::Range { last, step, limit: 0 };
        Keys::Specs(
            [Spec {
                begin: Begin::Index(first),
                find,
            }]
            .into(),
        )
    }
}

/// One line of the table: name, version, flags, group and specifications between tabs; `None` if it isn't.
fn read_row(row: &str) -> Option<Command> {
    let [name, _since, flags, _group, specs] = row.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let specs = spec::read(specs).ok()?;
    let keys = match name {
        "SORT" => Keys::Sort,
        "MIGRATE" => Keys::Migrate,
        _ if specs.is_empty() => Keys::None,
        _ => Keys::Specs(specs.into()),
    };
    Some(Command {
        reads: flags.contains('R'),
        writes: flags.contains('W'),
        admin: flags.contains('A'),
        script: flags.contains('M') && keys != Keys::None,
        container: false,
        keys,
        ..Command::container(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, keys: &str) {
        let found = Commands::builtin().keys(command.split(' '));
        let found: Vec<_> = found.iter().map(|key| String::from_utf8_lossy(key)).collect();
        assert_eq!(found.join(" "), keys, "{command}");
    }

    #[test]
    fn every_row_of_the_table_is_read() {
        let rows = include_str!("commands.tsv").lines().filter(|row| !row.starts_with('#'));
        for row in rows {
            assert!(read_row(row).is_some(), "{row}");
        }
        let with_keys = Commands::builtin()
            .all()
            .iter()
            .filter(|row| row.keys != Keys::None)
            .count();
        assert_eq!(with_keys, 190);
    }

    #[test]
    fn keys_are_found_wherever_a_command_has_them() {
        check("GET k", "k");
        check("PING", "");
        check("mset a 1 b 2", "a b");
        check("BLPOP a b 0", "a b");
        check("BITOP AND d a b", "d a b");
        check("RENAME a b", "a b");
        check("EVAL script 2 a b c", "a b");
        check("EVAL script 0 a", "");
        check("EVAL script -1 a", "");
        check("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b");
        check("XREAD COUNT 1 STREAMS a b 0 0", "a b");
        check("XREADGROUP GROUP g c streams a >", "a");
        check("OBJECT encoding k", "k");
        check("GEORADIUS k 1 1 1 m STORE d", "k d");
        check("SSUBSCRIBE channel", "");
        check("NOSUCH k", "");
    }

    #[test]
    fn a_first_key_that_hangs_on_nothing_is_where_a_walk_finds_it() {
        let arguments = ["1", "2", "3", "4", "5", "6"];
        let mut with_place = 0;
        for command in Commands::builtin().all() {
            let Some(place) = command.keys.first_place() else {
                continue;
            };
            with_place += 1;
            for many in 0..arguments.len() {
                let mut walk = Walk::new(&command.keys);
                let mut keys = Vec::new();
                for argument in &arguments[..many] {
                    walk.argument(argument.as_bytes(), || *argument, |key| keys.push(key));
                }
                walk.end(|key| keys.push(key));
                let first = arguments[..many].get(place as usize - 1);
                assert_eq!(keys.first(), first, "{} with {many} arguments", command.name);
            }
        }
        assert!(with_place > 100, "{with_place}");
    }

    #[test]
    fn sort_and_migrate_are_read_by_code() {
        check("SORT k BY STORE LIMIT 0 1 GET STORE ASC STORE x store d", "k d");
        check("SORT k", "k");
        check("MIGRATE h 1 k 0 5 COPY AUTH KEYS", "k");
        check("MIGRATE h 1  0 5 AUTH2 KEYS KEYS KEYS a b", "a b");
    }

    #[test]
    fn a_server_adds_commands_and_changes_none() {
        let module = |name: &str, first_key, last_key, step| ServerCommand {
            name: name.into(),
            flags: ["readonly".into()].into(),
            first_key,
            last_key,
            step,
            ..ServerCommand::default()
        };
        let commands = Commands::of_server(&[
            module("json.mget", 1, -2, 1),
            module("get", 2, 2, 1),
            module("m|sub", 2, 2, 1),
        ]);
        assert_eq!(commands.keys(["JSON.MGET", "a", "b", "$"]), [b"a", b"b"]);
        assert_eq!(commands.keys(["get", "k"]), [b"k"]);
        assert_eq!(commands.keys(["m", "SUB", "k"]), [b"k"]);
    }
}
