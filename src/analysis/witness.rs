//! What a shard's nodes tell around a window beside its stream: which replies they logged as large, and what they sent to each client.
//!
//! Both are counted by the servers, on every node, also where no window looks. Of a logged command its name, its first key and its shape
//! are kept, never another argument. It refuses to know how nodes are asked.
//!
//! ```
//! use std::time::Duration;
//!
//! use hotshard::analysis::keyspec::Commands;
//! use hotshard::analysis::pattern::{Normaliser, PatternSettings};
//! use hotshard::analysis::witness::{LoggedReply, ReplyLog, Words};
//! use hotshard::model::{Bytes, Timestamp};
//!
//! let now = Timestamp(1_795_219_200_000_000);
//! let call = [&b"lrange"[..], b"queue:4711", b"0", b"-1"];
//! let reply = LoggedReply::of(now, Bytes(6_000_000), &call, &Commands::builtin()).expect("a command");
//! let words = Words { logs: vec![ReplyLog::of(vec![reply], now, 128)], ..Words::default() };
//! let testimony = words.by_pattern(&mut Normaliser::new(&PatternSettings::default(), 7));
//! assert_eq!(&*testimony.large_replies[0].signature, "LRANGE | queue:{ID} | 0 -1");
//! assert_eq!(testimony.large_replies[0].bytes_per_second, 100_000.0);
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::keyspec::Commands;
use super::pattern::{Normaliser, PatternId};
use super::signature::{Shape, ShapeRule, signature};
use crate::model::{Bytes, Timestamp};

/// Logged replies count for so long.
const LOOKED_BACK: Duration = Duration::from_secs(60);

/// So many kinds of replies, and so many clients, are kept: the largest.
const KEPT_MAX: usize = 32;

/// What nodes call an argument that they cut: its beginning, and how much is missing.
const CUT: &[u8] = b"... (";

/// What the nodes of one shard told; empty lists where they tell nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Testimony {
    /// Replies that were logged as large, by signature, those with the most bytes first.
    pub large_replies: Vec<LargeReplies>,
    /// Clients by what was sent to them while the window was open, those with the most bytes first.
    pub clients: Vec<ClientTraffic>,
    /// Somebody else reads MONITOR on the shard's primary.
    pub other_monitor: bool,
}

/// Large replies to commands of one signature.
#[derive(Clone, Debug, PartialEq)]
pub struct LargeReplies {
    /// Such as `ZREVRANGE | leaderboard:{DATE} | 0 -1`.
    pub signature: Arc<str>,
    /// The pattern of the key; `None` for a command without one.
    pub pattern: Option<Arc<str>>,
    /// One of the keys.
    pub example_key: Option<Arc<str>>,
    /// Whether such a command reads a whole collection or keyspace.
    pub full_scan: bool,
    /// Replies a second.
    pub per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// What the nodes did for the connections of one address.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTraffic {
    /// Without the port.
    pub client: Arc<str>,
    /// Bytes sent to it a second.
    pub bytes_per_second: f64,
    /// Its commands a second; `None` where servers don't count them.
    pub commands_per_second: Option<f64>,
}

/// One reply in a server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedReply {
    at: Timestamp,
    size: Bytes,
    command: Arc<str>,
    key: Option<Vec<u8>>,
    shape: Shape,
}

/// What one node's log tells of the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyLog {
    span: Duration,
    replies: Vec<LoggedReply>,
}

/// One connection, by its node's counters since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// The server's number for the connection.
    pub id: u64,
    /// Where it comes from, `host:port`.
    pub address: String,
    /// Bytes sent to it.
    pub output: Bytes,
    /// Its commands, where the server counts them.
    pub commands: Option<u64>,
}

/// Everything that was told, before keys become patterns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words {
    /// The log of each node that has one.
    pub logs: Vec<ReplyLog>,
    /// What all nodes did for clients.
    pub clients: Vec<ClientTraffic>,
    /// Somebody else reads MONITOR on the shard's primary.
    pub other_monitor: bool,
}

impl LoggedReply {
    /// Takes from a logged command what may be kept; `None` if it is none.
    pub fn of(at: Timestamp, size: Bytes, arguments: &[&[u8]], commands: &Commands) -> Option<Self> {
        let command = match commands.resolve(arguments.iter().copied()) {
            Some(id) => Arc::clone(&commands.get(id).name),
            None => printed(&arguments.first()?.to_ascii_uppercase()),
        };
        let after_name = &arguments[1..];
        let shape = ShapeRule::of(&command).map(|rule| {
            let looked_at = after_name.len().min(rule.arguments_max());
            rule.shape(&after_name[..looked_at], argument_count(after_name))
        });
        Some(Self {
            at,
            size,
            key: commands.keys(arguments).into_iter().next().map(beginning),
            shape: shape.unwrap_or_default(),
            command,
        })
    }
}

impl ReplyLog {
    /// Of what a node answered at `now`, by its own clock, when it was asked for the last `asked` replies. A log that is full of younger
    /// ones reaches back no further than they do.
    pub fn of(replies: Vec<LoggedReply>, now: Timestamp, asked: usize) -> Self {
        let oldest = replies
            .iter()
            .map(|reply| reply.at)
            .min()
            .filter(|_| replies.len() >= asked);
        let span = oldest.map_or(LOOKED_BACK, |oldest| now.since(oldest).min(LOOKED_BACK));
        let since = now - span;
        Self {
            // The log's clock has whole seconds.
            span: span.max(Duration::from_secs(1)),
            replies: replies.into_iter().filter(|reply| reply.at >= since).collect(),
        }
    }
}

/// What each address was sent, from what one node's connections had got `before` and `after`, so long apart. A connection that is new
/// got all it has in between.
pub fn client_traffic(before: &[ClientCounters], after: &[ClientCounters], span: Duration) -> Vec<ClientTraffic> {
    if span.is_zero() {
        return Vec::new();
    }
    let known: HashMap<u64, &ClientCounters> = before.iter().map(|client| (client.id, client)).collect();
    let traffic = after.iter().map(|client| {
        let earlier = known.get(&client.id);
        let output = client
            .output
            .0
            .saturating_sub(earlier.map_or(0, |earlier| earlier.output.0));
        let commands = client.commands.map(|commands| {
            let earlier = earlier.and_then(|earlier| earlier.commands).unwrap_or_default();
            commands.saturating_sub(earlier) as f64 / span.as_secs_f64()
        });
        let host = client
            .address
            .rsplit_once(':')
            .map_or(&*client.address, |(host, _)| host);
        ClientTraffic {
            client: host.into(),
            bytes_per_second: output as f64 / span.as_secs_f64(),
            commands_per_second: commands,
        }
    });
    together(traffic)
}

/// One entry for each address.
pub fn together(clients: impl IntoIterator<Item = ClientTraffic>) -> Vec<ClientTraffic> {
    let mut sums: BTreeMap<Arc<str>, ClientTraffic> = BTreeMap::new();
    for client in clients {
        match sums.get_mut(&client.client) {
            Some(sum) => {
                sum.bytes_per_second += client.bytes_per_second;
                let both = sum.commands_per_second.zip(client.commands_per_second);
                sum.commands_per_second = both.map(|(one, other)| one + other);
            }
            None => {
                sums.insert(Arc::clone(&client.client), client);
            }
        }
    }
    sums.into_values().collect()
}

impl Words {
    /// The same by pattern.
    pub fn by_pattern(mut self, normaliser: &mut Normaliser) -> Testimony {
        let mut kinds: Vec<Kind> = Vec::new();
        for log in &self.logs {
            for reply in &log.replies {
                add(&mut kinds, reply, log.span, normaliser);
            }
        }
        let mut large_replies: Vec<LargeReplies> = kinds.into_iter().map(|kind| kind.named(normaliser)).collect();
        large_replies.sort_by(|one, other| other.bytes_per_second.total_cmp(&one.bytes_per_second));
        large_replies.truncate(KEPT_MAX);
        self.clients
            .sort_by(|one, other| other.bytes_per_second.total_cmp(&one.bytes_per_second));
        self.clients.truncate(KEPT_MAX);
        Testimony {
            large_replies,
            clients: self.clients,
            other_monitor: self.other_monitor,
        }
    }
}

/// Replies of one signature.
struct Kind {
    command: Arc<str>,
    pattern: Option<PatternId>,
    shape: Shape,
    example: Option<Vec<u8>>,
    per_second: f64,
    bytes_per_second: f64,
}

fn add(kinds: &mut Vec<Kind>, reply: &LoggedReply, span: Duration, normaliser: &mut Normaliser) {
    let pattern = reply.key.as_ref().map(|key| normaliser.classify(key, reply.at));
    let is_same =
        |kind: &&mut Kind| kind.command == reply.command && kind.pattern == pattern && kind.shape == reply.shape;
    let (each, bytes) = (1.0 / span.as_secs_f64(), reply.size.0 as f64 / span.as_secs_f64());
    match kinds.iter_mut().find(is_same) {
        Some(kind) => {
            kind.per_second += each;
            kind.bytes_per_second += bytes;
        }
        None => kinds.push(Kind {
            command: Arc::clone(&reply.command),
            pattern,
            shape: reply.shape,
            example: reply.key.clone(),
            per_second: each,
            bytes_per_second: bytes,
        }),
    }
}

impl Kind {
    fn named(self, normaliser: &Normaliser) -> LargeReplies {
        let pattern = self.pattern.map(|pattern| normaliser.name(normaliser.resolve(pattern)));
        let shown = |key: &[u8]| {
            normaliser
                .veil()
                .key(&printed(key), pattern.as_deref().unwrap_or_default())
        };
        LargeReplies {
            signature: signature(&self.command, pattern.as_deref(), self.shape.text()).into(),
            example_key: self.example.as_deref().map(shown),
            pattern: pattern.as_deref().map(Arc::from),
            full_scan: self.shape.full_scan(),
            per_second: self.per_second,
            bytes_per_second: self.bytes_per_second,
        }
    }
}

/// How many arguments there were: a server logs so many, and how many are missing.
fn argument_count(arguments: &[&[u8]]) -> usize {
    let missing = arguments.last().and_then(|last| {
        let rest = last.strip_prefix(CUT)?.strip_suffix(b" more arguments)")?;
        std::str::from_utf8(rest).ok()?.parse::<usize>().ok()
    });
    missing.map_or(arguments.len(), |missing| arguments.len() - 1 + missing)
}

/// What a server logged of a long argument, without the word on how much is missing.
fn beginning(mut argument: Vec<u8>) -> Vec<u8> {
    if argument.ends_with(b" more bytes)")
        && let Some(end) = memchr::memmem::rfind(&argument, CUT)
    {
        argument.truncate(end);
    }
    argument
}

/// As MONITOR prints what isn't a printable character.
fn printed(text: &[u8]) -> Arc<str> {
    text.escape_ascii().to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::veil::{KeyNames, Veil};

    #[test]
    fn a_logged_key_is_veiled_as_all_others() {
        let now = Timestamp(1_795_219_200_000_000);
        let call = [&b"lrange"[..], b"vip:alice", b"0", b"-1"];
        let reply = LoggedReply::of(now, Bytes(6_000_000), &call, &Commands::builtin()).expect("a command");
        let words = Words {
            logs: vec![ReplyLog::of(vec![reply], now, 128)],
            ..Words::default()
        };
        let veil = Veil::new(KeyNames::Hash, b"one");
        let mut normaliser = Normaliser::new(&PatternSettings::default(), 7).veiled(veil);
        let told = format!("{:?}", words.by_pattern(&mut normaliser));
        assert!(told.contains("LRANGE | #") && !told.contains("alice"), "{told}");
    }
    use crate::analysis::pattern::PatternSettings;

    /// `seconds ago, bytes, command`, asked for so many; by signature how many a minute, and bytes a second.
    fn check(log: &[(u64, u64, &str)], asked: usize, expected: &[&str]) {
        let now = Timestamp(1_795_219_200_000_000);
        let replies = log.iter().map(|(ago, size, command)| {
            let arguments: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            let at = now - Duration::from_secs(*ago);
            LoggedReply::of(at, Bytes(*size), &arguments, &Commands::builtin()).expect("a command")
        });
        let words = Words {
            logs: vec![ReplyLog::of(replies.collect(), now, asked)],
            ..Words::default()
        };
        let testimony = words.by_pattern(&mut Normaliser::new(&PatternSettings::default(), 7));
        let shown: Vec<String> = testimony
            .large_replies
            .iter()
            .map(|kind| {
                let scan = if kind.full_scan { " (full)" } else { "" };
                format!(
                    "{}{scan}: {:.0} {:.0}",
                    kind.signature,
                    kind.per_second * 60.0,
                    kind.bytes_per_second
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn large_replies_of_the_last_minute_are_told_by_signature() {
        check(
            &[
                (5, 6_000_000, "zrevrange leaderboard:2026-11-20 0 -1"),
                (50, 6_000_000, "ZREVRANGE leaderboard:2026-11-19 0 -1"),
                (7, 3_000_000, "get blob:17171"),
                (61, 9_000_000, "get blob:17172"),
            ],
            128,
            &[
                "ZREVRANGE | leaderboard:{DATE} | 0 -1 (full): 2 200000",
                "GET | blob:{ID}: 1 50000",
            ],
        );
    }

    #[test]
    fn a_full_log_reaches_back_as_far_as_its_oldest_reply() {
        check(
            &[(1, 2_000_000, "GET a"), (10, 2_000_000, "GET a")],
            2,
            &["GET | a: 12 400000"],
        );
        check(&[(0, 2_000_000, "GET a")], 1, &["GET | a: 60 2000000"]);
    }

    #[test]
    fn no_argument_but_the_key_is_kept() {
        let arguments = [&b"SET"[..], b"session:1", b"secret", b"GET"];
        let reply = LoggedReply::of(Timestamp(0), Bytes(1), &arguments, &Commands::builtin()).expect("a command");
        assert!(!format!("{reply:?}").contains("secret"));
        assert_eq!(reply.key.as_deref(), Some(&b"session:1"[..]));
        check(
            &[(1, 60, "EVALSHA abc 1 cart:1234 secret")],
            128,
            &["EVALSHA | cart:{ID}: 1 1"],
        );
        let long = LoggedReply::of(
            Timestamp(0),
            Bytes(1),
            &[b"GET", b"k:long... (872 more bytes)"],
            &Commands::builtin(),
        );
        assert_eq!(long.and_then(|reply| reply.key).as_deref(), Some(&b"k:long"[..]));
        check(&[(1, 60, "FT.SEARCH secret")], 128, &["FT.SEARCH | -: 1 1"]);
    }

    #[test]
    fn arguments_that_a_server_left_out_are_counted() {
        let cut: Vec<&[u8]> = vec![b"MGET", b"a:1", b"a:2", b"... (400 more arguments)"];
        let reply = LoggedReply::of(Timestamp(0), Bytes(1), &cut, &Commands::builtin()).expect("a command");
        assert_eq!(reply.shape.text(), "101-1000 keys");
    }

    #[test]
    fn clients_are_told_by_what_they_were_sent_in_between() {
        let client = |id, address: &str, output, commands| ClientCounters {
            id,
            address: address.to_owned(),
            output: Bytes(output),
            commands,
        };
        let before = [
            client(1, "10.0.0.1:5000", 1_000, Some(10)),
            client(2, "10.0.0.1:5001", 0, Some(0)),
        ];
        let after = [
            client(1, "10.0.0.1:5000", 11_000, Some(20)),
            client(2, "10.0.0.1:5001", 10_000, Some(30)),
            client(3, "[::1]:7", 5_000, None),
        ];
        let traffic = client_traffic(&before, &after, Duration::from_secs(10));
        let shown: Vec<String> = traffic
            .iter()
            .map(|client| {
                format!(
                    "{} {} {:?}",
                    client.client, client.bytes_per_second, client.commands_per_second
                )
            })
            .collect();
        assert_eq!(shown, ["10.0.0.1 2000 Some(4.0)", "[::1] 500 None"]);
        assert_eq!(client_traffic(&before, &after, Duration::ZERO), []);
    }
}
