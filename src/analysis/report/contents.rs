//! The report's fields, in the order in which they are written. `None` is written as null: not known, which is never zero.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::bandwidth::Probing;
use crate::analysis::diagnosis::Finding as Diagnosis;
use crate::analysis::status::Status;
use crate::analysis::window::WindowEnd;
use crate::model::{GroupId, NodeId, Region, Role, ShardId};

/// One round of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form; a reader refuses a newer one.
    pub version: u32,
    /// The replication group; for captured logs the name they were given.
    pub group: GroupId,
    /// Its region; empty without AWS.
    pub region: Region,
    /// RFC 3339; `None` when nothing was seen.
    pub started_at: Option<String>,
    /// RFC 3339; `None` when nothing was seen.
    pub ended_at: Option<String>,
    /// Which command made it.
    pub source: Source,
    /// All shards together.
    pub totals: Totals,
    /// Hottest first.
    pub shards: Vec<ShardReport>,
    /// Shards that could not be looked at.
    pub missing: Vec<Missing>,
    /// What makes shards hot, and what would help.
    pub diagnosis: Vec<Diagnosis>,
}

/// Which command made a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// One round, now.
    Monitor,
    /// Captured logs.
    Analyze,
    /// The daemon.
    Serve,
}

/// All shards together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Commands seen.
    pub commands: u64,
    /// Lines understood.
    pub lines: u64,
    /// Lines not understood.
    pub rejected_lines: u64,
    /// Bytes of the streams.
    pub bytes_read: u64,
    /// The longest window.
    pub duration_seconds: f64,
    /// The sum of the shards' rates; `None` when no shard has one.
    pub commands_per_second: Option<f64>,
}

/// A figure for each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerSignal<Figure> {
    /// Commands executed.
    pub commands: Figure,
    /// Client bytes out.
    pub bytes_out: Figure,
    /// Engine CPU.
    pub cpu: Figure,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardReport {
    /// Which one.
    pub shard: ShardId,
    /// The node that was looked at; for captured logs the file.
    pub node: NodeId,
    /// That node's role, where it is known.
    pub role: Option<Role>,
    /// How it compares with its siblings, by signal.
    pub status: PerSignal<Status>,
    /// Why the window ended; `None` offline.
    pub window_end: Option<WindowEnd>,
    /// How long the window was.
    pub duration_seconds: f64,
    /// Commands in it.
    pub commands: u64,
    /// Their rate; `None` when the window has no length.
    pub commands_per_second: Option<f64>,
    /// How far the rate of commands is from the mean of the shards.
    pub deviation_ratio: Option<f64>,
    /// The rate of commands over the median of the other shards.
    pub skew_ratio: Option<f64>,
    /// Lines seen over lines there were.
    pub completeness_ratio: Option<f64>,
    /// What part of the shard's traffic the node could show.
    pub coverage: Option<CoverageReport>,
    /// What would show more, where that was little.
    #[serde(default)]
    pub coverage_hint: Option<String>,
    /// The shard's signals; `None` offline.
    pub signals: Option<SignalsReport>,
    /// Bytes out of the node that was looked at; `None` unless estimated.
    pub bytes_out: Option<BytesOut>,
    /// By command.
    pub commands_by_name: Vec<CommandShare>,
    /// By key pattern.
    pub patterns: Vec<PatternShare>,
    /// By command signature.
    pub signatures: Vec<SignatureShare>,
    /// By key.
    pub keys: Vec<KeyShare>,
    /// By hash tag.
    pub hash_tags: Vec<HashTagShare>,
    /// By slot.
    pub slots: Vec<SlotShare>,
    /// By client address.
    pub clients: Vec<ClientShare>,
    /// The slots that the shard owns, as ranges from the first to the last; `None` where they aren't known.
    #[serde(default)]
    pub slot_ranges: Option<Vec<(u16, u16)>>,
    /// The commands over the time of the window.
    #[serde(default)]
    pub timeline: Vec<TimelinePoint>,
    /// How many different keys, estimated.
    pub distinct_keys: u64,
    /// How many different clients.
    pub distinct_clients: u64,
}

/// What part of a shard's traffic a window could see.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoverageReport {
    /// Of its reads.
    pub reads: Option<f64>,
    /// Of its writes.
    pub writes: Option<f64>,
}

/// What the nodes' own counters say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalsReport {
    /// Commands executed a second.
    pub commands_per_second: Option<f64>,
    /// Client bytes out a second.
    pub bytes_out_per_second: Option<f64>,
    /// Cores of the busiest node.
    pub cpu_ratio: Option<f64>,
    /// How far each is from the mean of the shards.
    pub deviation_ratio: PerSignal<Option<f64>>,
    /// Each over the median of the other shards.
    pub skew_ratio: PerSignal<Option<f64>>,
}

/// Bytes out of the node that was looked at, estimated and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BytesOut {
    /// By sizes and reply arithmetic, before anything was rescaled.
    pub estimated: u64,
    /// By the node's counter.
    pub measured: Option<u64>,
    /// What the estimate leaves unexplained.
    pub unattributed: Option<i64>,
    /// How far the estimate is off: 0.1 is a tenth too much.
    pub error_ratio: Option<f64>,
    /// What uncertain replies were rescaled by, so that the sum comes near what was measured.
    pub scale_ratio: f64,
    /// Most first.
    pub by_pattern: Vec<OutputShare>,
    /// Most first.
    pub by_command: Vec<OutputShare>,
    /// By command, pattern and shape; most first.
    pub by_signature: Vec<OutputShare>,
    /// Keys of which enough calls were looked at; most first.
    pub by_key: Vec<OutputShare>,
    /// What can't be estimated; most frequent first.
    pub not_estimable: Vec<CommandShare>,
    /// How keys were asked for their sizes.
    pub sizes: Probing,
}

/// What something sent out, estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputShare {
    /// The pattern, the command, the signature or the key.
    pub name: Arc<str>,
    /// Bytes in the window.
    pub bytes: u64,
    /// Of the measured bytes; of all that is attributed where nothing was measured.
    pub share: f64,
}

/// A command's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandShare {
    /// In upper case; `other` past the limit.
    pub command: Arc<str>,
    /// How often.
    pub count: u64,
    /// Of the commands.
    pub share: f64,
}

/// A pattern's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatternShare {
    /// Such as `user:{ID}`.
    pub pattern: Arc<str>,
    /// Touches, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// Of the touches.
    pub share: f64,
    /// Bytes it sent out, estimated; `None` unless estimated.
    pub bytes_out: Option<u64>,
    /// A key that has this pattern.
    pub example_key: Arc<str>,
}

/// A signature's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignatureShare {
    /// Such as `ZREVRANGE | leaderboard:{DATE} | 0 -1`.
    pub signature: Arc<str>,
    /// How often, at most.
    pub count: u64,
    /// Of the commands.
    pub share: f64,
    /// Whether it reads a whole collection or keyspace.
    pub full_scan: bool,
}

/// A key's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyShare {
    /// As MONITOR printed it.
    pub key: Arc<str>,
    /// Touches, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// Of the touches.
    pub share: f64,
    /// The slot it falls into.
    pub slot: u16,
}

/// A hash tag's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HashTagShare {
    /// With its braces.
    pub hash_tag: Arc<str>,
    /// Touches, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// Of the touches.
    pub share: f64,
}

/// A slot's part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotShare {
    /// Its number.
    pub slot: u16,
    /// Touches.
    pub count: u64,
    /// Of the touches.
    pub share: f64,
}

/// A client's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientShare {
    /// Its address without the port.
    pub client: Arc<str>,
    /// Commands.
    pub count: u64,
    /// Of the commands.
    pub share: f64,
}

/// The rate of commands from one moment to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// When it began (RFC 3339).
    pub at: String,
    /// Commands a second until the next, or until the end.
    pub commands_per_second: f64,
}

/// A shard that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which one.
    pub shard: ShardId,
    /// Why.
    pub reason: String,
}
