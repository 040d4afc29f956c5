//! Two readings of one node → what it did in between.
//!
//! A counter only counts while the same process (`run_id`) runs: after a restart there is nothing to compare with. A counter that
//! went back was reset and has counted since, so nothing here is ever negative or more than the truth. It refuses to know what a
//! window did to the figures, and how nodes add up to a shard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command_kind::CommandKind;
use super::info::{CommandCount, Reading};
use super::keyspec::Commands;
use crate::model::{Bytes, OwnCost, Role, Timestamp};

/// A reading with what the node said of itself beside it.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When the answer was there, by our clock.
    pub at: Timestamp,
    /// How long it took: the server counted at some moment within that.
    pub took: Duration,
    /// The node's role by ROLE.
    pub role: Role,
    /// The answer of INFO.
    pub reading: Reading,
    /// The commands that the node knows.
    pub commands: Arc<Commands>,
}

/// What a node did between two readings. `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deltas {
    /// How long it was by the server's clock; `None` if a clock was set in between.
    pub span: Option<Duration>,
    /// Whether the node changed its role on the way, or may have: each failover begins another history of the stream.
    pub role_changed: bool,
    /// Whether its counters were reset on the way, so that all here is a lower bound.
    pub reset: bool,
    /// Commands executed for clients, less ours.
    pub commands: Option<u64>,
    /// Of those, calls that run scripts and functions (their inner calls are commands of their own).
    pub script_calls: Option<u64>,
    /// Commands by name.
    pub by_command: BTreeMap<Arc<str>, CommandDelta>,
    /// Bytes sent to clients, less ours.
    pub output: Option<Bytes>,
    /// Bytes sent to replicas.
    pub replication_output: Option<Bytes>,
    /// Bytes received, less ours.
    pub input: Option<Bytes>,
    /// CPU of the main thread.
    pub cpu: Option<Duration>,
    /// Connections accepted.
    pub connections_received: Option<u64>,
    /// Connections refused.
    pub connections_rejected: Option<u64>,
    /// Reads that found their key.
    pub keyspace_hits: Option<u64>,
    /// Reads that did not.
    pub keyspace_misses: Option<u64>,
    /// Keys evicted.
    pub evicted_keys: Option<u64>,
    /// Keys expired.
    pub expired_keys: Option<u64>,
    /// Full resynchronisations served.
    pub full_syncs: Option<u64>,
    /// Error replies by name, less those to us.
    pub errors: BTreeMap<Arc<str>, u64>,
}

/// What one command did between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandDelta {
    /// Calls, replicated ones among them, less ours.
    pub executed: u64,
    /// Calls for clients, less ours: what the signal counts.
    pub counted: u64,
    /// Time spent, less our share.
    pub time: Duration,
}

/// What a node did from one observation to the next, of which `own` was caused by us. A server adds a command up when it is done, so a
/// reading's own INFO counts for the next one. `None` if another process answers: its counters began again,
/// and what it did before now isn't known to be load.
pub fn step(before: &Observation, after: &Observation, own: &OwnCost) -> Option<Deltas> {
    if before.reading.run_id != after.reading.run_id {
        return None;
    }
    let (old, new) = (&before.reading, &after.reading);
    let role_changed = before.role != after.role || old.replication.history != new.replication.history;
    // Of an interval with both roles only reads are certain to have come from clients.
    let role = if role_changed { Role::Replica } else { after.role };
    let by_command = command_deltas(old, new, own, |name| counts(role, name, &after.commands));
    let scripts = by_command.as_ref().map(script_calls);
    let commands = by_command
        .as_ref()
        .map(|commands| commands.values().map(|delta| delta.counted).sum());
    Some(Deltas {
        span: span(before, after),
        role_changed,
        reset: was_reset(old, new, own),
        commands,
        script_calls: scripts,
        by_command: by_command.unwrap_or_default(),
        output: client_output(old, new).map(|bytes| less(bytes, own.bytes_out)),
        replication_output: replication_output(old, new),
        input: bytes(old.input, new.input).map(|bytes| less(bytes, own.bytes_in)),
        cpu: time(old.cpu_main_thread, new.cpu_main_thread),
        connections_received: counter(old.connections_received, new.connections_received),
        connections_rejected: counter(old.connections_rejected, new.connections_rejected),
        keyspace_hits: counter(old.keyspace_hits, new.keyspace_hits),
        keyspace_misses: counter(old.keyspace_misses, new.keyspace_misses),
        evicted_keys: counter(old.evicted_keys, new.evicted_keys),
        expired_keys: counter(old.expired_keys, new.expired_keys),
        full_syncs: counter(old.full_syncs, new.full_syncs),
        errors: error_deltas(old, new, own),
    })
}

/// The time between two readings by the server's clock, or by ours before 6.2. A clock that was set on the way tells nothing: the
/// two clocks can differ by no more than the answers took.
fn span(before: &Observation, after: &Observation) -> Option<Duration> {
    const DRIFT: u32 = 20;
    const SLACK: Duration = Duration::from_millis(500);
    let ours = after.at.since(before.at);
    let (Some(old), Some(new)) = (before.reading.server_time, after.reading.server_time) else {
        return Some(ours).filter(|span| !span.is_zero());
    };
    let theirs = new.since(old);
    let clocks_agree = theirs.abs_diff(ours) <= before.took.max(after.took) + SLACK.max(ours / DRIFT);
    Some(theirs).filter(|span| clocks_agree && !span.is_zero())
}

/// Counters are reset all at once, so one that went back tells it of all, and so do a command that isn't listed any more and our own
/// last INFO where it isn't counted.
fn was_reset(old: &Reading, new: &Reading, own: &OwnCost) -> bool {
    type Counter = fn(&Reading) -> Option<u64>;
    const COUNTERS: [Counter; 8] = [
        |reading| reading.commands_processed,
        |reading| reading.connections_received,
        |reading| reading.input.map(|bytes| bytes.0),
        |reading| reading.output.map(|bytes| bytes.0),
        |reading| reading.keyspace_hits,
        |reading| reading.keyspace_misses,
        |reading| reading.expired_keys,
        |reading| reading.evicted_keys,
    ];
    let fell = |(name, before): (&Arc<str>, &CommandCount), now: &BTreeMap<Arc<str>, CommandCount>| {
        before.calls > now.get(name).map_or(0, |after| after.calls)
    };
    let commands_fell = || {
        let (before, now) = old.commands.as_ref().zip(new.commands.as_ref())?;
        Some(before.iter().any(|entry| fell(entry, now)))
    };
    let infos = |reading: &Reading| Some(reading.commands.as_ref()?.get("INFO")?.calls);
    // Of several connections at work at that moment, it isn't certain which call came first.
    let forgot_ours = own.commands.get("INFO") == Some(&1) && infos(new).is_some() && infos(old) == infos(new);
    COUNTERS.iter().any(|counter| went_back(counter(old), counter(new))) || commands_fell() == Some(true) || forgot_ours
}

fn went_back<Value: PartialOrd>(old: Option<Value>, new: Option<Value>) -> bool {
    old.zip(new).is_some_and(|(old, new)| new < old)
}

/// A counter that went back was reset to zero and has counted up since.
fn since(old: u64, new: u64) -> u64 {
    if new >= old { new - old } else { new }
}

fn counter(old: Option<u64>, new: Option<u64>) -> Option<u64> {
    Some(since(old?, new?))
}

fn bytes(old: Option<Bytes>, new: Option<Bytes>) -> Option<Bytes> {
    Some(Bytes(since(old?.0, new?.0)))
}

/// CPU time outlives a reset and never goes back.
fn time(old: Option<Duration>, new: Option<Duration>) -> Option<Duration> {
    new?.checked_sub(old?)
}

fn less(bytes: Bytes, own: Bytes) -> Bytes {
    Bytes(bytes.0.saturating_sub(own.0))
}

/// What a node sent to clients between two readings, ourselves among them; `None` if its counters can't tell.
///
/// Output to clients is a counter of its own, output less replication, so that a reset between the two can't raise it.
pub fn client_output(old: &Reading, new: &Reading) -> Option<Bytes> {
    let clients = |reading: &Reading| Some(Bytes(reading.output?.0.saturating_sub(reading.replication_output?.0)));
    match (clients(old), clients(new)) {
        (Some(old), Some(new)) => bytes(Some(old), Some(new)),
        _ => {
            let (all, replication) = (bytes(old.output, new.output)?, replication_output(old, new)?);
            (!went_back(old.output, new.output)).then(|| less(all, replication))
        }
    }
}

/// What went to replicas, by the server's counter. Before 7.0 there is none, and Valkey 8.0.1 counts full copies alone and leaves the
/// stream out of its output, too: then by what the replicas took.
fn replication_output(old: &Reading, new: &Reading) -> Option<Bytes> {
    let counted = bytes(old.replication_output, new.replication_output);
    counted
        .filter(|bytes| bytes.0 > 0)
        .or_else(|| taken_by_replicas(old, new))
        .or(counted)
}

/// The stream is the same for each replica that took it all the time, and nothing else was sent if nobody came or went.
fn taken_by_replicas(old: &Reading, new: &Reading) -> Option<Bytes> {
    let quiet = old.full_syncs == new.full_syncs && old.partial_syncs == new.partial_syncs;
    let (old, new) = (&old.replication, &new.replication);
    let same = old.connected_replicas? == new.connected_replicas? && old.replicas.len() == new.replicas.len();
    if !quiet || !same {
        return None;
    }
    let mut sum = 0;
    for after in &new.replicas {
        let before = old.replicas.iter().find(|before| before.endpoint == after.endpoint)?;
        if !before.online || !after.online {
            return None;
        }
        sum += after.offset.checked_sub(before.offset)?;
    }
    Some(Bytes(sum))
}

fn command_deltas(
    old: &Reading,
    new: &Reading,
    own: &OwnCost,
    counts: impl Fn(&str) -> bool,
) -> Option<BTreeMap<Arc<str>, CommandDelta>> {
    let (old, new) = (old.commands.as_ref()?, new.commands.as_ref()?);
    let deltas = new.iter().filter_map(|(name, after)| {
        let before = old.get(name).copied().unwrap_or_default();
        let delta = command_delta(before, *after, own_calls(name, new, own), counts(name));
        (delta != CommandDelta::default()).then(|| (Arc::clone(name), delta))
    });
    Some(deltas.collect())
}

fn command_delta(before: CommandCount, after: CommandCount, own: u64, counts: bool) -> CommandDelta {
    let calls = since(before.calls, after.calls);
    let executed = calls.saturating_sub(own);
    // A command's calls and time are reset together.
    let time = if after.calls < before.calls {
        after.time
    } else {
        after.time.saturating_sub(before.time)
    };
    let share = if calls == 0 {
        0.0
    } else {
        executed as f64 / calls as f64
    };
    CommandDelta {
        executed,
        counted: if counts { executed } else { 0 },
        time: time.mul_f64(share),
    }
}

/// Our calls that the server counted under `name`: before 7.0 it has one counter for all subcommands.
fn own_calls(name: &str, counters: &BTreeMap<Arc<str>, CommandCount>, own: &OwnCost) -> u64 {
    let counted_as = |own_name: &str| {
        let container = own_name.split('|').next().unwrap_or(own_name);
        own_name == name || (container == name && !counters.contains_key(own_name))
    };
    own.commands
        .iter()
        .filter(|(own_name, _)| counted_as(own_name))
        .map(|(_, calls)| calls)
        .sum()
}

/// Whether calls of a command were for clients, by all that the node's role lets us know.
fn counts(role: Role, name: &str, known: &Commands) -> bool {
    match role {
        Role::Primary => !matches!(name, "REPLCONF" | "PSYNC" | "SYNC"),
        Role::Replica => CommandKind::of(name, known) == CommandKind::Read,
    }
}

fn script_calls(commands: &BTreeMap<Arc<str>, CommandDelta>) -> u64 {
    const SCRIPTS: [&str; 6] = ["EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"];
    SCRIPTS
        .iter()
        .filter_map(|name| commands.get(*name))
        .map(|delta| delta.counted)
        .sum()
}

fn error_deltas(old: &Reading, new: &Reading, own: &OwnCost) -> BTreeMap<Arc<str>, u64> {
    let (Some(old), Some(new)) = (&old.errors, &new.errors) else {
        return BTreeMap::new();
    };
    let delta = |(name, after): (&Arc<str>, &u64)| {
        let all = since(old.get(name).copied().unwrap_or(0), *after);
        let ours = own.errors.get(name).copied().unwrap_or(0);
        (Arc::clone(name), all.saturating_sub(ours))
    };
    new.iter().map(delta).filter(|(_, count)| *count != 0).collect()
}

#[cfg(test)]
mod tests;
