//! The least rights of our user on a server, and which of them it lacks: each is tried by a command that changes nothing.
//!
//! ```
//! use hotshard::node::rights::{GENERATIONS, rule};
//!
//! assert!(rule(&GENERATIONS[0]).starts_with("on ~* resetchannels -@all +monitor +info"));
//! ```

use redis::Value;

use super::greeting::{Greeted, greet};
use super::link::Link;
use super::raw::{Command, accepted};
use super::survey::Reach;
use super::{LinkError, sources};
use crate::analysis::info::Engine;
use crate::model::Role;

/// A version as far as rules differ.
type Version = (u16, u16);

/// Servers that take the same rule: a server refuses a whole rule for one command that it doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    /// Which servers they are.
    pub name: &'static str,
    redis: Option<Version>,
    valkey: Option<Version>,
}

/// Every generation, the oldest first.
pub const GENERATIONS: [Generation; 7] = [
    generation("Redis 6.0", Some((6, 0)), None),
    generation("Redis 6.2", Some((6, 2)), None),
    generation("Redis 7.0, 7.1", Some((7, 0)), None),
    generation("Redis 7.2 to 8.0, Valkey 7.2", Some((7, 2)), Some((7, 2))),
    generation("Redis 8.2 and later", Some((8, 2)), None),
    generation("Valkey 8.0", None, Some((8, 0))),
    generation("Valkey 8.1 and later", None, Some((8, 1))),
];

const fn generation(name: &'static str, redis: Option<Version>, valkey: Option<Version>) -> Generation {
    Generation { name, redis, valkey }
}

impl Generation {
    /// The one whose rule everything since Redis 7.0 takes.
    pub const COMMON: Self = GENERATIONS[2];

    /// That of a server; `None` of one without ACL (before 6.0).
    pub fn of(engine: &Engine) -> Option<Self> {
        let mut parts = engine.version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let begins = |generation: &Self| match engine.name {
            "valkey" => generation.valkey,
            _ => generation.redis,
        };
        let fitting = GENERATIONS
            .into_iter()
            .filter(|one| begins(one).is_some_and(|since| since <= version));
        fitting.max_by_key(begins)
    }

    fn knows(&self, right: &Right) -> bool {
        let reached = |since: Option<Version>, version: Version| since.is_some_and(|since| since <= version);
        match (self.redis, self.valkey) {
            (Some(version), _) => reached(right.redis, version),
            (None, Some(version)) => reached(right.valkey, version),
            (None, None) => false,
        }
    }

    /// Key permissions tell reading from writing since 7.0.
    fn keys(&self) -> &'static str {
        match self.redis {
            Some(version) if version < (7, 0) => "~*",
            _ => "%R~*",
        }
    }

    fn rights(&self) -> impl Iterator<Item = &'static Right> {
        RIGHTS.iter().filter(|right| self.knows(right))
    }
}

/// One right, and how it is tried.
struct Right {
    /// As ACL writes it, without the `+`.
    name: &'static str,
    /// A command and its arguments; empty where trying is no use: without a right to log in nothing else can be tried.
    trial: &'static str,
    redis: Option<Version>,
    valkey: Option<Version>,
}

const fn right(name: &'static str, trial: &'static str) -> Right {
    since(name, trial, (6, 0))
}

const fn since(name: &'static str, trial: &'static str, redis: Version) -> Right {
    Right {
        name,
        trial,
        redis: Some(redis),
        valkey: Some((7, 2)),
    }
}

/// Everything hotshard may ask for. Nobody has the key of trials, and if somebody does it is only looked at.
const RIGHTS: [Right; 35] = [
    // It is tried in a way of its own.
    right("monitor", ""),
    right("info", "INFO server"),
    right("role", "ROLE"),
    right("ping", "PING"),
    right("hello", ""),
    right("auth", ""),
    right("select", "SELECT 0"),
    right("readonly", "READONLY"),
    right("command", "COMMAND|COUNT"),
    right("client|id", "CLIENT|ID"),
    right("client|list", "CLIENT|LIST TYPE master"),
    // No client has this number.
    right("client|kill", "CLIENT|KILL ID 9223372036854775807"),
    right("client|setname", "CLIENT|SETNAME hotshard"),
    right("cluster|slots", "CLUSTER|SLOTS"),
    right("memory|usage", "MEMORY|USAGE hotshard:rights SAMPLES 1"),
    right("type", "TYPE hotshard:rights"),
    right("strlen", "STRLEN hotshard:rights"),
    right("hlen", "HLEN hotshard:rights"),
    right("hstrlen", "HSTRLEN hotshard:rights field"),
    right("llen", "LLEN hotshard:rights"),
    right("scard", "SCARD hotshard:rights"),
    right("zcard", "ZCARD hotshard:rights"),
    right("xlen", "XLEN hotshard:rights"),
    right("lindex", "LINDEX hotshard:rights 0"),
    right("zcount", "ZCOUNT hotshard:rights 0 0"),
    right("object|encoding", "OBJECT|ENCODING hotshard:rights"),
    right("object|freq", "OBJECT|FREQ hotshard:rights"),
    since("hrandfield", "HRANDFIELD hotshard:rights", (6, 2)),
    since("srandmember", "SRANDMEMBER hotshard:rights", (6, 2)),
    since("zrandmember", "ZRANDMEMBER hotshard:rights", (6, 2)),
    since("cluster|shards", "CLUSTER|SHARDS", (7, 0)),
    since("client|no-touch", "CLIENT|NO-TOUCH OFF", (7, 2)),
    since("cluster|myshardid", "CLUSTER|MYSHARDID", (7, 2)),
    Right {
        valkey: Some((8, 0)),
        ..since("cluster|slot-stats", "CLUSTER|SLOT-STATS SLOTSRANGE 0 0", (8, 2))
    },
    Right {
        redis: None,
        valkey: Some((8, 1)),
        ..right("commandlog|get", "COMMANDLOG|GET 1 large-reply")
    },
];

/// The ACL rule of a generation.
pub fn rule(generation: &Generation) -> String {
    let mut text = format!("on {} resetchannels -@all", generation.keys());
    for right in generation.rights() {
        text.push_str(" +");
        text.push_str(right.name);
    }
    text
}

/// What came of trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// What the user lacks, as ACL writes it: `+monitor`, `%R~*`.
    pub lacking: Vec<String>,
    /// Commands of its version that the server doesn't know all the same: renamed, or taken away by whoever runs it.
    pub unknown: Vec<&'static str>,
    /// Whether MONITOR is allowed; `None` where it could only be found out by running it on a primary.
    pub monitor: Option<bool>,
}

/// Tries every right that the server's generation has.
pub async fn try_all(reach: &Reach, link: &Link, generation: &Generation, role: Role) -> Result<Tried, LinkError> {
    let mut tried = Tried::default();
    let rights: Vec<&Right> = generation.rights().filter(|right| !right.trial.is_empty()).collect();
    let trials = rights.iter().map(|right| trial(right.trial)).collect();
    for (right, answer) in rights.iter().zip(link.pipeline(trials).await?) {
        tried.judge(right.name, generation, answer)?;
    }
    let monitor = match sources::queue_monitor(link).await? {
        Some(answer) => Some(answer),
        None if role == Role::Replica && generation.redis.is_none_or(|version| version >= (6, 2)) => {
            Some(run_monitor(reach, link).await?)
        }
        None => None,
    };
    if let Some(answer) = monitor {
        let allowed = answer.is_ok();
        tried.judge("monitor", generation, answer)?;
        tried.monitor = Some(allowed);
    }
    Ok(tried)
}

impl Tried {
    fn judge(
        &mut self,
        name: &'static str,
        generation: &Generation,
        answer: Result<Value, LinkError>,
    ) -> Result<(), LinkError> {
        match answer {
            Ok(_) => {}
            Err(LinkError::NoPermission { right, .. }) => {
                // A command that may be used, but not on the key.
                let lacking = match right.starts_with('+') {
                    true => format!("+{name}"),
                    false => generation.keys().to_owned(),
                };
                if !self.lacking.contains(&lacking) {
                    self.lacking.push(lacking);
                }
            }
            Err(LinkError::Rejected { message, .. }) => {
                if message.to_ascii_lowercase().contains("unknown") {
                    self.unknown.push(name);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn trial(text: &'static str) -> Command {
    let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
    let arguments = arguments.split(' ').filter(|argument| !argument.is_empty());
    arguments.fold(Command::new(name), Command::arg)
}

/// Where no transaction may take MONITOR in, a connection of its own runs it and leaves it in the same packet: the server does both
/// before it hears anybody else.
async fn run_monitor(reach: &Reach, link: &Link) -> Result<Result<Value, LinkError>, LinkError> {
    let (endpoint, patience) = (link.endpoint(), reach.settings.answer_timeout);
    let account = reach.accounts.of(endpoint);
    let Greeted {
        mut raw,
        client: _client,
    } = greet(&reach.dialer, endpoint, &reach.credentials, &account, patience).await?;
    let commands = [Command::new("MONITOR"), Command::new("RESET")];
    let answers = raw.exchange(&commands).await?;
    let answer = answers.into_iter().next().unwrap_or_default();
    Ok(accepted(endpoint, "MONITOR", answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, version: &str, has: &[&str], lacks: &[&str]) {
        let engine = Engine {
            name,
            version: version.into(),
        };
        let generation = Generation::of(&engine).expect("it has ACL");
        let rule = rule(&generation);
        let words: Vec<&str> = rule.split(' ').collect();
        for right in has {
            assert!(words.contains(right), "{engine}: {rule} lacks {right}");
        }
        for right in lacks {
            assert!(!words.contains(right), "{engine}: {rule} has {right}");
        }
    }

    #[test]
    fn a_rule_holds_only_what_its_version_knows() {
        check(
            "redis",
            "6.0.16",
            &["~*", "+monitor"],
            &["+hrandfield", "+cluster|shards"],
        );
        check("redis", "6.2.14", &["~*", "+hrandfield"], &["+cluster|shards"]);
        let new = ["+cluster|slot-stats", "+client|no-touch"];
        check("redis", "7.1.0", &["%R~*", "+cluster|shards"], &new);
        check("redis", "8.0.2", &["+client|no-touch"], &["+cluster|slot-stats"]);
        check("redis", "8.10.0", &new, &["+commandlog|get"]);
        check(
            "valkey",
            "7.2.6",
            &["%R~*", "+client|no-touch"],
            &["+cluster|slot-stats"],
        );
        check("valkey", "8.0.1", &new, &["+commandlog|get"]);
        check("valkey", "10.0.0", &["+commandlog|get", "+cluster|slot-stats"], &[]);
    }

    #[test]
    fn a_server_before_acl_has_no_rule() {
        let engine = Engine {
            name: "redis",
            version: "5.0.6".into(),
        };
        assert_eq!(Generation::of(&engine), None);
    }
}
