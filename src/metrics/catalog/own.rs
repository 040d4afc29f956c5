//! What hotshard knows of its groups and of itself.

use super::entry::Values::{ExportsBy, Group, GroupBy, Own, OwnBy};
use super::entry::{Metric, Unit, counter, gauge};
use super::figure::Figure;

pub(super) const METRICS: &[Metric] = &[
    gauge(
        "discovery_last_success_timestamp_seconds",
        Unit::Seconds,
        "When the group was last discovered, since the epoch.",
        Group(|group| group.discovered.figure()),
    ),
    counter(
        "discovery_failures_total",
        Unit::Count("discovery"),
        "Discoveries of the group that failed, by reason.",
        GroupBy(&["reason"], |group, put| {
            for (reason, count) in &group.discovery_failures {
                put.sample(&[reason], *count);
            }
        }),
    ),
    gauge(
        "discovery_nodes",
        Unit::Count("node"),
        "Nodes of the group that are known.",
        Group(|group| {
            let nodes: usize = group.shards.iter().map(|shard| shard.nodes.len()).sum();
            nodes.figure()
        }),
    ),
    counter(
        "archive_rows_total",
        Unit::Count("row"),
        "Rows written to the archive.",
        Own(|snapshot| snapshot.archive.as_ref().and_then(|archive| archive.rows.figure())),
    ),
    counter(
        "archive_dropped_rows_total",
        Unit::Count("row"),
        "Rows that could not be written to the archive, by reason.",
        OwnBy(&["reason"], |snapshot, put| {
            for (reason, rows) in snapshot.archive.iter().flat_map(|archive| &archive.dropped) {
                put.sample(&[reason], *rows);
            }
        }),
    ),
    gauge(
        "archive_size_bytes",
        Unit::Bytes,
        "Size of the archive's file and its log.",
        Own(|snapshot| snapshot.archive.as_ref().and_then(|archive| archive.size.figure())),
    ),
    gauge(
        "archive_oldest_timestamp_seconds",
        Unit::Seconds,
        "When the oldest window in the archive ended, since the epoch.",
        Own(|snapshot| snapshot.archive.as_ref().and_then(|archive| archive.oldest.figure())),
    ),
    counter(
        "log_dropped_lines_total",
        Unit::Count("line"),
        "Lines of the log that were dropped because nobody read standard error.",
        Own(|snapshot| snapshot.log_dropped.figure()),
    ),
    gauge(
        "paused",
        Unit::Flag,
        "Whether windows are paused by the operator.",
        Own(|snapshot| snapshot.paused.figure()),
    ),
    gauge(
        "build_info",
        Unit::Flag,
        "The version that runs, and the revision of its source where the build knew it; always 1.",
        OwnBy(&["version", "revision"], |_, put| {
            let revision = option_env!("BUILD_REVISION").unwrap_or_default();
            put.sample(&[env!("CARGO_PKG_VERSION"), revision], true);
        }),
    ),
    gauge(
        "config_last_reload_successful",
        Unit::Flag,
        "Whether the last reload of the configuration was taken.",
        Own(|snapshot| snapshot.last_reload_successful.figure()),
    ),
    gauge(
        "engine_heartbeat_timestamp_seconds",
        Unit::Seconds,
        "When the engine last published figures, since the epoch.",
        Own(|snapshot| snapshot.at.figure()),
    ),
    counter(
        "http_requests_total",
        Unit::Count("request"),
        "HTTP requests answered, by route and status.",
        ExportsBy(&["route", "status"], |exports, put| {
            for ((route, status), count) in exports.requests() {
                put.sample(&[route, &status.to_string()], count);
            }
        }),
    ),
    counter(
        "http_connections_refused_total",
        Unit::Count("connection"),
        "HTTP connections closed at once because too many were open.",
        ExportsBy(&[], |exports, put| put.sample(&[], exports.connections_refused())),
    ),
    counter(
        "otlp_exports_total",
        Unit::Count("push"),
        "Pushes of figures to an OpenTelemetry collector, by what became of them: ok, failed or timed_out.",
        ExportsBy(&["outcome"], |exports, put| {
            for (outcome, count) in exports.pushes() {
                put.sample(&[outcome], count);
            }
        }),
    ),
];
