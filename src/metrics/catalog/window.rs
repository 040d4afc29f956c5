//! What windows saw, and how far they can be trusted.

use super::super::snapshot::ShardSnapshot;
use super::entry::Values::{Node, Shard, ShardBy};
use super::entry::{Metric, Unit, counter, gauge};
use super::figure::Figure;
use crate::analysis::window::{ClosedWindow, Rejection, WindowEnd};
use crate::model::{PerSecond, Ratio};

/// Reasons of hotshard's own to skip a window. They begin at 0, so that `increase` has the first one, too; what a server refuses us with has a series
/// from its first time on, since a shard would have twenty more of those that hardly one ever needs.
pub const SKIPPED_FROM_ZERO: [&str; 23] = [
    "backing_off",
    "circuit_open",
    "cpu",
    "disabled",
    "evicting",
    "just_started",
    "loading",
    "memory",
    "no_monitor",
    "no_node_up",
    "no_primary",
    "no_replica",
    "no_server_limit",
    "node_gone",
    "other_monitor",
    "paused",
    "predicted_cost",
    "primary",
    "replica_unlinked",
    "replication_lag",
    "round_running",
    "syncing",
    "too_old",
];

pub(super) const METRICS: &[Metric] = &[
    counter(
        "windows_total",
        Unit::Count("window"),
        "Windows that were opened and have ended, by why they ended.",
        ShardBy(&["end"], |shard, put| {
            for end in WindowEnd::ALL {
                put.sample(&[end.kind()], shard.windows.ended.get(&end).copied().unwrap_or(0));
            }
        }),
    ),
    counter(
        "windows_skipped_total",
        Unit::Count("window"),
        "Windows that were due and not opened, by reason.",
        ShardBy(&["reason"], |shard, put| {
            let skipped = &shard.windows.skipped;
            for reason in SKIPPED_FROM_ZERO {
                put.sample(&[reason], skipped.get(reason).copied().unwrap_or(0));
            }
            for (reason, count) in skipped.iter().filter(|(reason, _)| !SKIPPED_FROM_ZERO.contains(reason)) {
                put.sample(&[reason], *count);
            }
        }),
    ),
    gauge(
        "window_active",
        Unit::Count("window"),
        "Windows that are open now.",
        Shard(|shard| shard.windows.active.figure()),
    ),
    gauge(
        "window_last_end_timestamp_seconds",
        Unit::Seconds,
        "When the last window ended, since the epoch.",
        Shard(|shard| last(shard)?.closed.figure()),
    ),
    gauge(
        "window_last_duration_seconds",
        Unit::Seconds,
        "How long the last window was open.",
        Shard(|shard| last(shard)?.duration().figure()),
    ),
    counter(
        "observed_seconds_total",
        Unit::Seconds,
        "Time that windows were open; divide observed counts by its increase.",
        Shard(|shard| shard.windows.observed.figure()),
    ),
    counter(
        "observed_output_seconds_total",
        Unit::Seconds,
        "Time of those windows whose bytes out were estimated; divide `observed_pattern_output_bytes_total` by its increase.",
        Shard(|shard| shard.windows.observed_output.figure()),
    ),
    counter(
        "observed_commands_total",
        Unit::Count("command"),
        "Commands that windows saw, by command; past the limit `other`.",
        ShardBy(&["command"], |shard, put| {
            for (command, count) in &shard.windows.observed_commands {
                put.sample(&[command], *count);
            }
        }),
    ),
    counter(
        "observed_pattern_commands_total",
        Unit::Count("command"),
        "Touches of keys that windows saw, by pattern of the key; past the limit `other`.",
        ShardBy(&["pattern"], |shard, put| {
            for (pattern, count) in &shard.windows.observed_pattern_commands {
                put.sample(&[pattern], *count);
            }
        }),
    ),
    counter(
        "observed_pattern_output_bytes_total",
        Unit::Bytes,
        "Bytes that windows' commands sent to clients, estimated, by pattern of the key; what has no series of its own is `other`.",
        ShardBy(&["pattern"], |shard, put| {
            for (pattern, bytes) in &shard.windows.observed_pattern_output_bytes {
                put.sample(&[pattern], *bytes);
            }
        }),
    ),
    gauge(
        "window_estimated_output_bytes_per_second",
        Unit::BytesPerSecond,
        "Bytes a second that the last window's commands sent to clients, estimated, before anything was rescaled.",
        Shard(|shard| {
            let window = last(shard)?;
            PerSecond::of(window.stats.output.as_ref()?.estimated.0, window.duration()).figure()
        }),
    ),
    gauge(
        "window_output_estimate_error_ratio",
        Unit::Ratio,
        "How far the last window's estimated bytes are from what the node's own counter says it sent to clients; 0.1 is a tenth too much.",
        Shard(|shard| last(shard)?.stats.output.as_ref()?.error().map(Ratio).figure()),
    ),
    gauge(
        "pattern_share_ratio",
        Unit::Ratio,
        "What part of the last window's touches of keys a pattern has.",
        ShardBy(&["pattern"], |shard, put| {
            for (pattern, share) in &shard.windows.pattern_shares {
                put.sample(&[pattern], *share);
            }
        }),
    ),
    gauge(
        "slot_share_ratio",
        Unit::Ratio,
        "What part of the last window's touches of keys a slot has; the largest only.",
        ShardBy(&["slot"], |shard, put| {
            for (slot, share) in &shard.windows.slot_shares {
                put.sample(&[&slot.to_string()], *share);
            }
        }),
    ),
    gauge(
        "key_share_ratio",
        Unit::Ratio,
        "What part of the last window's touches of keys a key has; the largest only, and none unless asked for.",
        ShardBy(&["key"], |shard, put| {
            for (key, share) in &shard.windows.key_shares {
                put.sample(&[key], *share);
            }
        }),
    ),
    gauge(
        "client_share_ratio",
        Unit::Ratio,
        "What part of the last window's commands a client sent; the largest only, and none unless asked for.",
        ShardBy(&["client"], |shard, put| {
            for (client, share) in &shard.windows.client_shares {
                put.sample(&[client], *share);
            }
        }),
    ),
    gauge(
        "window_distinct_keys",
        Unit::Count("key"),
        "How many different keys the last window saw, estimated.",
        Shard(|shard| last(shard)?.stats.distinct_keys.figure()),
    ),
    gauge(
        "window_distinct_clients",
        Unit::Count("client"),
        "How many different clients the last window saw.",
        Shard(|shard| last(shard)?.stats.distinct_clients.figure()),
    ),
    gauge(
        "window_coverage_ratio",
        Unit::Ratio,
        "What part of the shard's reads and writes the last window could see.",
        ShardBy(&["kind"], |shard, put| {
            let Some(window) = last(shard) else { return };
            put.sample(&["read"], window.coverage.reads);
            put.sample(&["write"], window.coverage.writes);
        }),
    ),
    gauge(
        "window_completeness_ratio",
        Unit::Ratio,
        "Lines the last window saw over lines the node's counters say there were.",
        Shard(|shard| last(shard)?.completeness.figure()),
    ),
    counter(
        "monitor_lines_total",
        Unit::Count("line"),
        "Lines of MONITOR streams that were understood.",
        Shard(|shard| shard.windows.lines.figure()),
    ),
    counter(
        "monitor_rejected_lines_total",
        Unit::Count("line"),
        "Lines of MONITOR streams that were not understood, by reason.",
        ShardBy(&["reason"], |shard, put| {
            for reason in Rejection::ALL {
                let count = shard.windows.rejected_lines.get(&reason).copied().unwrap_or(0);
                put.sample(&[reason.kind()], count);
            }
        }),
    ),
    counter(
        "monitor_read_bytes_total",
        Unit::Bytes,
        "Bytes read from MONITOR streams.",
        Shard(|shard| shard.windows.read_bytes.figure()),
    ),
    gauge(
        "window_server_buffer_peak_bytes",
        Unit::Bytes,
        "The most the server buffered for hotshard in the last window.",
        Shard(|shard| last(shard)?.server_buffer_peak.figure()),
    ),
    gauge(
        "circuit_open",
        Unit::Flag,
        "Whether the node is left alone because windows on it failed or did harm three times running; one good window ends it.",
        Node(|node| node.circuit_open.figure()),
    ),
];

fn last(shard: &ShardSnapshot) -> Option<&ClosedWindow> {
    shard.windows.last.as_deref()
}
