//! What hotshard knows at one moment. Exporters, page and API read this and never talk to a server.
//!
//! An `Option` is `None` when the figure is unknown: the server doesn't give it, or it isn't known yet. Unknown is never zero.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::analysis::report::Report;
use crate::analysis::slot_stats::SlotLoad;
pub use crate::analysis::status::Status;
use crate::analysis::window::{ClosedWindow, Rejection, WindowEnd};
use crate::model::{
    Bytes, Endpoint, GroupKey, NodeId, PerSecond, Ratio, Role, Seconds, ShardId, Slot, SlotSet, Timestamp,
};

/// Everything, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken; the engine's heartbeat.
    pub at: Timestamp,
    /// The groups, in the order of their keys.
    pub groups: Vec<GroupSnapshot>,
    /// How many groups and selections of groups nobody has finished looking for since the start.
    pub untried: usize,
    /// Whether windows are paused by the operator.
    pub paused: bool,
    /// Whether the last reload of the configuration was taken.
    pub last_reload_successful: bool,
    /// The archive; `None` where there is none.
    pub archive: Option<ArchiveSnapshot>,
    /// Lines of the log that were dropped since hotshard began.
    pub log_dropped: u64,
}

/// The archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSnapshot {
    /// Rows written since hotshard began.
    pub rows: u64,
    /// Rows lost since hotshard began, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// The file with its log; `None` while there is none.
    pub size: Option<Bytes>,
    /// When the oldest window that is kept ended.
    pub oldest: Option<Timestamp>,
}

/// One group.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    /// Which one.
    pub key: GroupKey,
    /// Its shards, in the order of their names.
    pub shards: Vec<ShardSnapshot>,
    /// What the last round found; `None` before the first is over.
    pub report: Option<Arc<Report>>,
    /// When discovery last succeeded.
    pub discovered: Option<Timestamp>,
    /// Failed discoveries by reason.
    pub discovery_failures: BTreeMap<&'static str, u64>,
}

/// One shard.
#[derive(Clone, Debug)]
pub struct ShardSnapshot {
    /// Which one.
    pub id: ShardId,
    /// How many slots it owns.
    pub slots: Option<u32>,
    /// Which ones.
    pub owned: Option<SlotSet>,
    /// Commands executed a second.
    pub commands: SignalSnapshot<PerSecond>,
    /// Client bytes out a second.
    pub bytes_out: SignalSnapshot<PerSecond>,
    /// Engine CPU of its busiest node, in cores.
    pub cpu: SignalSnapshot<Ratio>,
    /// Whether a node of it isn't heard, so that its rates miss that node's part.
    pub incomplete: bool,
    /// Commands executed for clients since hotshard began, by command, all nodes, up to the cap; the rest is `other`.
    pub commands_total: BTreeMap<Arc<str>, u64>,
    /// Main-thread CPU seconds by command since hotshard began, all nodes, replicated commands among them.
    pub command_cpu_seconds_total: BTreeMap<Arc<str>, Seconds>,
    /// What part of the commands scripts and functions are.
    pub script_share: Option<Ratio>,
    /// Its hottest slots, by CPU and by bytes out, where the servers count by slot.
    pub slot_loads: Vec<SlotLoad>,
    /// Its nodes, in the order of their names.
    pub nodes: Vec<NodeSnapshot>,
    /// Its windows.
    pub windows: WindowTotals,
}

/// One signal of a shard and what it means beside its siblings.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalSnapshot<Unit> {
    /// The rate.
    pub rate: Option<Unit>,
    /// How far it is from the mean of the group's shards: 0.5 is half as much again.
    pub deviation: Option<Ratio>,
    /// The rate over the median of the other shards.
    pub skew: Option<Ratio>,
    /// The verdict.
    pub status: Status,
}

/// One node, from its last poll.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// Which one.
    pub id: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Availability zone.
    pub zone: Option<String>,
    /// Instance type.
    pub instance_type: Option<String>,
    /// Whether the last poll was answered.
    pub up: bool,
    /// Its role by its own word at the last answered poll.
    pub role: Option<Role>,
    /// `redis` or `valkey`, with its version.
    pub engine: Option<(String, String)>,
    /// Which sources serve it, where that is known.
    pub sources: Sources,
    /// Whether it is left alone because windows on it failed or did harm several times running.
    pub circuit_open: bool,
    /// Gauges of the last answered poll.
    pub gauges: NodeGauges,
    /// Our own monotone sums of the server's counters.
    pub totals: NodeTotals,
    /// How long the last poll took.
    pub poll_duration: Option<Duration>,
    /// Failed polls by reason.
    pub poll_failures: BTreeMap<&'static str, u64>,
}

/// Which optional sources a node serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// MONITOR windows.
    pub monitor: Option<bool>,
    /// CLUSTER SLOT-STATS.
    pub slot_stats: Option<bool>,
    /// COMMANDLOG.
    pub commandlog: Option<bool>,
    /// CLIENT LIST with byte counts.
    pub client_list: Option<bool>,
}

/// Figures of a node that go up and down.
#[derive(Clone, Debug, Default)]
pub struct NodeGauges {
    /// When the server process began.
    pub start_time: Option<Timestamp>,
    /// Memory in use.
    pub memory_used: Option<Bytes>,
    /// The memory limit; `None` where there is none.
    pub memory_max: Option<Bytes>,
    /// Resident over used memory.
    pub memory_fragmentation: Option<Ratio>,
    /// Clients connected.
    pub connected_clients: Option<u64>,
    /// Clients waiting in a blocking command.
    pub blocked_clients: Option<u64>,
    /// How many clients may connect.
    pub clients_max: Option<u64>,
    /// Whether a replica's link to its primary is up.
    pub link_up: Option<bool>,
    /// How many bytes a replica is behind its primary.
    pub replication_lag: Option<Bytes>,
    /// How long a replica is behind its primary, derived from offsets.
    pub replication_lag_seconds: Option<Seconds>,
    /// Keys by database.
    pub keys: BTreeMap<u32, u64>,
    /// Mean time to live by database.
    pub average_ttl: BTreeMap<u32, Seconds>,
}

/// Monotone sums of a node's counters since hotshard began; a restart of the server never lowers or raises them.
#[derive(Clone, Debug, Default)]
pub struct NodeTotals {
    /// Commands executed for clients, less ours: on a primary all but replication's own, on a replica those that only read.
    pub commands: Option<u64>,
    /// Bytes sent to clients, less replication and ours.
    pub output_bytes: Option<Bytes>,
    /// Bytes sent to replicas.
    pub replication_output_bytes: Option<Bytes>,
    /// Bytes received.
    pub input_bytes: Option<Bytes>,
    /// CPU of the main thread.
    pub cpu_seconds: Option<Seconds>,
    /// Connections accepted.
    pub connections_received: Option<u64>,
    /// Connections refused for the client limit.
    pub connections_rejected: Option<u64>,
    /// Reads that found their key.
    pub keyspace_hits: Option<u64>,
    /// Reads that did not.
    pub keyspace_misses: Option<u64>,
    /// Keys evicted for memory.
    pub evicted_keys: Option<u64>,
    /// Keys expired.
    pub expired_keys: Option<u64>,
    /// Error replies by error name.
    pub errors: BTreeMap<Arc<str>, u64>,
    /// Full resynchronisations served.
    pub full_syncs: Option<u64>,
}

/// Sums over a shard's windows since hotshard began, and its last one.
#[derive(Clone, Debug, Default)]
pub struct WindowTotals {
    /// Windows by how they ended.
    pub ended: BTreeMap<WindowEnd, u64>,
    /// Windows that weren't opened, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Why the last round had no window here, in a sentence that says what would help; `None` if it had one.
    pub absence: Option<Arc<str>>,
    /// Windows open now.
    pub active: u64,
    /// Time observed.
    pub observed: Duration,
    /// That of the windows whose bytes out were estimated.
    pub observed_output: Duration,
    /// Commands seen, by name, up to the cap; the rest is `other`.
    pub observed_commands: BTreeMap<Arc<str>, u64>,
    /// Key touches seen, by pattern, up to the cap; the rest is `other`.
    pub observed_pattern_commands: BTreeMap<Arc<str>, u64>,
    /// Bytes that windows' commands sent to clients, estimated, by pattern; `other` past the limit.
    pub observed_pattern_output_bytes: BTreeMap<Arc<str>, u64>,
    /// Of the last window's key touches, by pattern: those that have a series.
    pub pattern_shares: BTreeMap<Arc<str>, Ratio>,
    /// Of the last window's key touches, by slot: the largest, up to the cap.
    pub slot_shares: BTreeMap<Slot, Ratio>,
    /// Of the last window's key touches, by key: the largest, up to the cap (0 unless opted in).
    pub key_shares: BTreeMap<Arc<str>, Ratio>,
    /// Of the last window's commands, by client: the largest, up to the cap (0 unless opted in).
    pub client_shares: BTreeMap<Arc<str>, Ratio>,
    /// Lines understood.
    pub lines: u64,
    /// Lines not understood, by reason.
    pub rejected_lines: BTreeMap<Rejection, u64>,
    /// Bytes read from MONITOR streams.
    pub read_bytes: Bytes,
    /// The last window that closed.
    pub last: Option<Arc<ClosedWindow>>,
}
