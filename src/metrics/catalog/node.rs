//! What INFO and ROLE say of each node.

use super::entry::Values::{Node, NodeBy};
use super::entry::{Metric, Unit, counter, gauge};
use super::figure::Figure;
use crate::model::Role;

pub(super) const METRICS: &[Metric] = &[
    gauge(
        "node_up",
        Unit::Flag,
        "Whether the last poll of the node was answered.",
        Node(|node| node.up.figure()),
    ),
    gauge(
        "node_role",
        Unit::Flag,
        "1 for the role the node has by its own last word, 0 for the other.",
        NodeBy(&["role"], |node, put| {
            for role in [Role::Primary, Role::Replica] {
                put.sample(&[role.as_str()], node.role.map(|own| own == role));
            }
        }),
    ),
    gauge(
        "node_info",
        Unit::Flag,
        "What the node is; always 1.",
        NodeBy(&["engine", "version", "zone", "host", "instance_type"], |node, put| {
            let (engine, version) = node
                .engine
                .as_ref()
                .map_or(("", ""), |(engine, version)| (engine, version));
            let zone = node.zone.as_deref().unwrap_or_default();
            let instance_type = node.instance_type.as_deref().unwrap_or_default();
            put.sample(&[engine, version, zone, node.endpoint.host(), instance_type], true);
        }),
    ),
    gauge(
        "node_source",
        Unit::Flag,
        "Whether the node serves a source of figures: monitor, slot_stats, commandlog, client_list.",
        NodeBy(&["source"], |node, put| {
            let sources = node.sources;
            put.sample(&["monitor"], sources.monitor);
            put.sample(&["slot_stats"], sources.slot_stats);
            put.sample(&["commandlog"], sources.commandlog);
            put.sample(&["client_list"], sources.client_list);
        }),
    ),
    gauge(
        "node_start_time_seconds",
        Unit::Seconds,
        "When the server process began, since the epoch.",
        Node(|node| node.gauges.start_time.figure()),
    ),
    counter(
        "node_commands_total",
        Unit::Count("command"),
        "Commands the node executed for clients, hotshard's own left out.",
        Node(|node| node.totals.commands.figure()),
    ),
    counter(
        "node_output_bytes_total",
        Unit::Bytes,
        "Bytes the node sent to clients, replication and hotshard left out; while a window is open, no more than its rate before.",
        Node(|node| node.totals.output_bytes.figure()),
    ),
    counter(
        "node_replication_output_bytes_total",
        Unit::Bytes,
        "Bytes the node sent to its replicas.",
        Node(|node| node.totals.replication_output_bytes.figure()),
    ),
    counter(
        "node_input_bytes_total",
        Unit::Bytes,
        "Bytes the node received, replication among them, hotshard left out.",
        Node(|node| node.totals.input_bytes.figure()),
    ),
    counter(
        "node_cpu_seconds_total",
        Unit::Seconds,
        "CPU time of the node's main thread, that of hotshard's windows among it.",
        Node(|node| node.totals.cpu_seconds.figure()),
    ),
    gauge(
        "node_memory_used_bytes",
        Unit::Bytes,
        "Memory the node uses.",
        Node(|node| node.gauges.memory_used.figure()),
    ),
    gauge(
        "node_memory_max_bytes",
        Unit::Bytes,
        "The node's memory limit; absent where there is none.",
        Node(|node| node.gauges.memory_max.figure()),
    ),
    gauge(
        "node_memory_fragmentation_ratio",
        Unit::Ratio,
        "Resident memory over used memory.",
        Node(|node| node.gauges.memory_fragmentation.figure()),
    ),
    gauge(
        "node_connected_clients",
        Unit::Count("client"),
        "Clients connected to the node, hotshard and a replica's primary among them, replicas left out.",
        Node(|node| node.gauges.connected_clients.figure()),
    ),
    gauge(
        "node_blocked_clients",
        Unit::Count("client"),
        "Clients that wait in a blocking command.",
        Node(|node| node.gauges.blocked_clients.figure()),
    ),
    gauge(
        "node_clients_max",
        Unit::Count("client"),
        "How many clients the node lets connect.",
        Node(|node| node.gauges.clients_max.figure()),
    ),
    counter(
        "node_connections_received_total",
        Unit::Count("connection"),
        "Connections the node accepted, hotshard's few among them.",
        Node(|node| node.totals.connections_received.figure()),
    ),
    counter(
        "node_connections_rejected_total",
        Unit::Count("connection"),
        "Connections the node refused for its client limit.",
        Node(|node| node.totals.connections_rejected.figure()),
    ),
    counter(
        "node_keyspace_hits_total",
        Unit::Count("read"),
        "Reads that found their key, a few of hotshard's after each window among them.",
        Node(|node| node.totals.keyspace_hits.figure()),
    ),
    counter(
        "node_keyspace_misses_total",
        Unit::Count("read"),
        "Reads that did not find their key.",
        Node(|node| node.totals.keyspace_misses.figure()),
    ),
    counter(
        "node_evicted_keys_total",
        Unit::Count("key"),
        "Keys the node evicted for memory.",
        Node(|node| node.totals.evicted_keys.figure()),
    ),
    counter(
        "node_expired_keys_total",
        Unit::Count("key"),
        "Keys that expired.",
        Node(|node| node.totals.expired_keys.figure()),
    ),
    counter(
        "node_errors_total",
        Unit::Count("error"),
        "Error replies by the error's first word, those to hotshard left out; past the limit `other`.",
        NodeBy(&["error"], |node, put| {
            for (error, count) in &node.totals.errors {
                put.sample(&[error], *count);
            }
        }),
    ),
    counter(
        "node_full_syncs_total",
        Unit::Count("sync"),
        "Full resynchronisations the node served.",
        Node(|node| node.totals.full_syncs.figure()),
    ),
    gauge(
        "node_link_up",
        Unit::Flag,
        "Whether a replica's link to its primary is up.",
        Node(|node| node.gauges.link_up.figure()),
    ),
    gauge(
        "node_replication_lag_bytes",
        Unit::Bytes,
        "How many bytes a replica is behind its primary; absent while the primary is silent or the replica copies everything.",
        Node(|node| node.gauges.replication_lag.figure()),
    ),
    gauge(
        "node_replication_lag_seconds",
        Unit::Seconds,
        "How long ago the primary was where the replica is, derived from offsets; absent while the primary is silent or the replica copies everything.",
        Node(|node| node.gauges.replication_lag_seconds.figure()),
    ),
    gauge(
        "node_average_ttl_seconds",
        Unit::Seconds,
        "Mean time to live of the keys that have one, by database, as the server samples it.",
        NodeBy(&["db"], |node, put| {
            for (db, ttl) in &node.gauges.average_ttl {
                put.sample(&[&db.to_string()], *ttl);
            }
        }),
    ),
    gauge(
        "node_keys",
        Unit::Count("key"),
        "Keys by database.",
        NodeBy(&["db"], |node, put| {
            for (db, keys) in &node.gauges.keys {
                put.sample(&[&db.to_string()], *keys);
            }
        }),
    ),
    gauge(
        "node_poll_duration_seconds",
        Unit::Seconds,
        "How long the last poll of the node took.",
        Node(|node| node.poll_duration.figure()),
    ),
    counter(
        "node_poll_failures_total",
        Unit::Count("poll"),
        "Polls of the node that failed, by reason.",
        NodeBy(&["reason"], |node, put| {
            for (reason, count) in &node.poll_failures {
                put.sample(&[reason], *count);
            }
        }),
    ),
];
