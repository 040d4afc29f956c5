//! What one MONITOR window saw, and how it ended: the value that tally, report, ledger and archive share.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bandwidth::OutputEstimate;
use super::timeline::Timeline;
use super::witness::Testimony;
use crate::model::{Bytes, GroupKey, NodeId, Ratio, Role, ShardId, Slot, Timestamp};

/// A name with its count: `count` is an upper bound, `count − error` a lower one; `error` is 0 where the count is exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What was counted.
    pub name: Arc<str>,
    /// At most so often.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
}

/// A key pattern with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternCount {
    /// The pattern, such as `user:{ID}:profile`.
    pub pattern: Arc<str>,
    /// Touches of keys of this pattern, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// One key that has this pattern, as MONITOR printed it.
    pub example_key: Arc<str>,
}

/// A key with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// The key as MONITOR printed it, its escapes kept.
    pub key: Arc<str>,
    /// Touches of this key, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// The slot it falls into.
    pub slot: Slot,
}

/// A command signature with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureCount {
    /// Such as `ZREVRANGE | leaderboard:{DATE} | 0 -1`.
    pub signature: Arc<str>,
    /// Commands of this shape, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// Whether a command of this shape reads a whole collection or keyspace.
    pub full_scan: bool,
}

/// Why something in the stream was not understood as a line of MONITOR output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The time stamp is missing or malformed.
    Timestamp,
    /// The `[db source]` part is missing or malformed.
    Source,
    /// There is no command, or an argument isn't quoted as MONITOR quotes.
    Arguments,
    /// The stream ended within a line.
    CutOff,
    /// The server sent an error instead of a line.
    ServerError,
}

impl Rejection {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Timestamp,
        Self::Source,
        Self::Arguments,
        Self::CutOff,
        Self::ServerError,
    ];

    /// The metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Source => "source",
            Self::Arguments => "arguments",
            Self::CutOff => "cut_off",
            Self::ServerError => "server_error",
        }
    }
}

/// What a tally found in the stream of one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowStats {
    /// Bytes that came from the stream.
    pub bytes_read: Bytes,
    /// Lines that were understood.
    pub lines: u64,
    /// Lines that are commands of clients or of replication; the server's own `ping` and `SELECT` on a replica's stream aren't.
    pub commands: u64,
    /// Of the commands, those that came by replication: they belong to no client and send nothing to one.
    pub replicated: u64,
    /// Of the commands, those that read and came from a client or a script.
    pub reads: u64,
    /// Of the commands, those that write, replicated or not.
    pub writes: u64,
    /// Lines that were not understood, by reason; only reasons that occurred.
    pub rejected: Vec<(Rejection, u64)>,
    /// The server's time stamp on the first line.
    pub first: Option<Timestamp>,
    /// The server's time stamp on the last line.
    pub last: Option<Timestamp>,
    /// The commands over time.
    pub timeline: Timeline,
    /// Commands in upper case (`CONFIG|GET` for containers), most frequent first; what passed the limit is `other`.
    pub commands_by_name: Vec<Counted>,
    /// Key patterns, most frequent first.
    pub patterns: Vec<PatternCount>,
    /// Command signatures, most frequent first.
    pub signatures: Vec<SignatureCount>,
    /// Keys, most frequent first.
    pub keys: Vec<KeyCount>,
    /// Hash tags with their braces, most frequent first.
    pub hash_tags: Vec<Counted>,
    /// Touches of keys by slot, exact, most frequent first.
    pub slots: Vec<(Slot, u64)>,
    /// Clients' addresses without the port, most frequent first; what passed the limit is `other`.
    pub clients: Vec<Counted>,
    /// Touches of keys: a command with three keys touches three.
    pub key_touches: u64,
    /// Of the touches, those of keys so long that only their beginning was looked at.
    pub cut_keys: u64,
    /// How many different keys, estimated.
    pub distinct_keys: u64,
    /// How many different clients, estimated past the limit.
    pub distinct_clients: u64,
    /// What was sent to clients, if that was estimated.
    pub output: Option<OutputEstimate>,
    /// What the nodes themselves told of large replies and of clients; empty for a captured log.
    pub testimony: Testimony,
}

impl WindowStats {
    /// All lines that were not understood.
    pub fn rejected_lines(&self) -> u64 {
        self.rejected.iter().map(|(_, count)| count).sum()
    }

    /// From the first line to the last by the server's clock.
    pub fn span(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.since(first),
            _ => Duration::ZERO,
        }
    }
}

/// Why a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowEnd {
    /// Its time was over.
    Duration,
    /// It had seen as many commands as it may.
    Commands,
    /// It had read as many bytes as it may.
    Bytes,
    /// A guard was crossed: the server's own buffer for us grew too large.
    ServerBuffer,
    /// A guard was crossed: the stream came faster than it may.
    ReadRate,
    /// A guard was crossed: memory too near to its limit.
    Memory,
    /// A guard was crossed: keys were evicted.
    Evictions,
    /// A guard was crossed: the engine's CPU.
    Cpu,
    /// A guard was crossed: replication fell behind.
    ReplicationLag,
    /// The guard's own connection failed or was silent.
    GuardLost,
    /// Analysis or the stream fell behind.
    Overloaded,
    /// hotshard itself stood still.
    Frozen,
    /// The node's role changed.
    RoleChanged,
    /// The server closed the stream.
    ServerClosed,
    /// The connection failed.
    ConnectionFailed,
    /// Windows were paused.
    Paused,
    /// hotshard is stopping.
    Shutdown,
}

impl WindowEnd {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Duration,
        Self::Commands,
        Self::Bytes,
        Self::ServerBuffer,
        Self::ReadRate,
        Self::Memory,
        Self::Evictions,
        Self::Cpu,
        Self::ReplicationLag,
        Self::GuardLost,
        Self::Overloaded,
        Self::Frozen,
        Self::RoleChanged,
        Self::ServerClosed,
        Self::ConnectionFailed,
        Self::Paused,
        Self::Shutdown,
    ];

    /// The metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Commands => "commands",
            Self::Bytes => "bytes",
            Self::ServerBuffer => "server_buffer",
            Self::ReadRate => "read_rate",
            Self::Memory => "memory",
            Self::Evictions => "evictions",
            Self::Cpu => "cpu",
            Self::ReplicationLag => "replication_lag",
            Self::GuardLost => "guard_lost",
            Self::Overloaded => "overloaded",
            Self::Frozen => "frozen",
            Self::RoleChanged => "role_changed",
            Self::ServerClosed => "server_closed",
            Self::ConnectionFailed => "connection_failed",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What part of a shard's traffic one window could see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Of its reads.
    pub reads: Option<Ratio>,
    /// Of its writes.
    pub writes: Option<Ratio>,
    /// What part of its reads its primary served, whichever node was looked at.
    pub primary_reads: Option<Ratio>,
}

/// One window, closed: where, when, what it saw, and how far it can be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedWindow {
    /// The group.
    pub group: GroupKey,
    /// The shard it stands for.
    pub shard: ShardId,
    /// The node whose stream was read.
    pub node: NodeId,
    /// That node's role, by its own word.
    pub role: Role,
    /// When the stream began, by our clock.
    pub opened: Timestamp,
    /// When it ended, by our clock.
    pub closed: Timestamp,
    /// Why it ended.
    pub end: WindowEnd,
    /// What was in it.
    pub stats: WindowStats,
    /// Lines seen over lines the server's counters say there were; `None` if it couldn't be told.
    pub completeness: Option<Ratio>,
    /// What part of the shard's traffic it could see.
    pub coverage: Coverage,
    /// The most the server buffered for us; `None` if it was never seen.
    pub server_buffer_peak: Option<Bytes>,
}

impl ClosedWindow {
    /// How long the stream was open.
    pub fn duration(&self) -> Duration {
        self.closed.since(self.opened)
    }
}
