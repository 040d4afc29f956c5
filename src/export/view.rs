//! What is known as the page and the API show it: rates, comparison, nodes, and the top of each shard's last window; and a group's
//! last windows as a report.
//!
//! Names are those of the report wherever both show the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::analysis::bandwidth::OutputEstimate;
use crate::analysis::coverage::hint;
use crate::analysis::report::{Diagnosis, Report};
use crate::analysis::window::{ClosedWindow, Counted};
use crate::metrics::round;
use crate::metrics::snapshot::{GroupSnapshot, NodeSnapshot, ShardSnapshot, SignalSnapshot, Snapshot};
use crate::model::{Bytes, Ratio, Timestamp};

/// How many entries of each list of a window are shown.
const TOP: usize = 5;

/// Everything, as JSON on one line.
pub(super) fn document(snapshot: &Snapshot) -> String {
    let groups: Vec<Value> = snapshot.groups.iter().map(group).collect();
    json!({
        "at": moment(snapshot.at),
        "version": env!("CARGO_PKG_VERSION"),
        "paused": snapshot.paused,
        "last_reload_successful": snapshot.last_reload_successful,
        "groups": groups,
    })
    .to_string()
}

fn group(group: &GroupSnapshot) -> Value {
    json!({
        "group": group.key.id,
        "region": group.key.region,
        "discovered_at": group.discovered.map(moment),
        "discovery_failures": group.discovery_failures,
        "diagnosis": group.report.iter().flat_map(|report| &report.diagnosis).map(finding).collect::<Vec<_>>(),
        "shards": group.shards.iter().map(shard).collect::<Vec<_>>(),
    })
}

/// A finding of the last round, with the sentence that says it.
fn finding(finding: &Diagnosis) -> Value {
    let mut entry = json!(finding);
    entry["sentence"] = json!(finding.sentence());
    entry
}

fn shard(shard: &ShardSnapshot) -> Value {
    json!({
        "shard": shard.id,
        "slots": shard.slots,
        "incomplete": shard.incomplete,
        "signals": {
            "commands": signal(&shard.commands, |rate| short(rate.0)),
            "bytes_out": signal(&shard.bytes_out, |rate| short(rate.0)),
            // A shard that does little takes a few thousandths of a core.
            "cpu": signal(&shard.cpu, |cores| (cores.0 * 1e6).round() / 1e6),
        },
        "nodes": shard.nodes.iter().map(node).collect::<Vec<_>>(),
        "windows_open": shard.windows.active,
        "window": shard.windows.last.as_deref().map(window),
    })
}

fn signal<Unit: Copy>(signal: &SignalSnapshot<Unit>, number: fn(Unit) -> f64) -> Value {
    json!({
        "rate": signal.rate.map(number),
        "deviation_ratio": signal.deviation.map(ratio),
        "skew_ratio": signal.skew.map(ratio),
        "status": signal.status,
    })
}

fn node(node: &NodeSnapshot) -> Value {
    let gauges = &node.gauges;
    json!({
        "node": node.id,
        "endpoint": node.endpoint,
        "role": node.role,
        "up": node.up,
        "zone": node.zone,
        "instance_type": node.instance_type,
        "engine": node.engine.as_ref().map(|(engine, version)| format!("{engine} {version}")),
        "memory_used_bytes": gauges.memory_used,
        "memory_max_bytes": gauges.memory_max,
        "connected_clients": gauges.connected_clients,
        "replication_lag_bytes": gauges.replication_lag,
    })
}

fn window(window: &ClosedWindow) -> Value {
    let stats = &window.stats;
    let seconds = window.duration().as_secs_f64();
    let commands = |counted: &Counted| listed("command", &counted.name, counted.count, counted.error, stats.commands);
    let clients = |counted: &Counted| listed("client", &counted.name, counted.count, counted.error, stats.commands);
    json!({
        "node": window.node,
        "role": window.role,
        "started_at": moment(window.opened),
        "ended_at": moment(window.closed),
        "duration_seconds": short(seconds),
        "end": window.end,
        "commands": stats.commands,
        "commands_per_second": (seconds > 0.0).then(|| short(stats.commands as f64 / seconds)),
        "completeness_ratio": window.completeness.map(ratio),
        "coverage": { "reads": window.coverage.reads.map(ratio), "writes": window.coverage.writes.map(ratio) },
        "coverage_hint": hint(window.coverage, window.role),
        "distinct_keys": stats.distinct_keys,
        "distinct_clients": stats.distinct_clients,
        "commands_by_name": stats.commands_by_name.iter().take(TOP).map(commands).collect::<Vec<_>>(),
        "patterns": stats.patterns.iter().take(TOP).map(|pattern| {
            let mut entry = listed("pattern", &pattern.pattern, pattern.count, pattern.error, stats.key_touches);
            entry["example_key"] = json!(pattern.example_key);
            entry
        }).collect::<Vec<_>>(),
        "bytes_out": stats.output.as_ref().map(|output| sent(output, seconds)),
        "keys": stats.keys.iter().take(TOP).map(|key| {
            let mut entry = listed("key", &key.key, key.count, key.error, stats.key_touches);
            entry["slot"] = json!(key.slot);
            entry
        }).collect::<Vec<_>>(),
        "slots": stats.slots.iter().take(TOP).map(|(slot, count)| {
            json!({ "slot": slot, "count": count, "share": Ratio::of(*count, stats.key_touches).map(ratio) })
        }).collect::<Vec<_>>(),
        "clients": stats.clients.iter().take(TOP).map(clients).collect::<Vec<_>>(),
    })
}

/// The patterns that send most, by what was estimated.
fn sent(output: &OutputEstimate, seconds: f64) -> Value {
    let all = output.measured.unwrap_or(output.attributed).0;
    let pattern = |(pattern, bytes): &(Arc<str>, Bytes)| {
        json!({
            "pattern": pattern,
            "bytes": bytes,
            "bytes_per_second": (seconds > 0.0).then(|| short(bytes.0 as f64 / seconds)),
            // Sizes are sampled, so the largest may come out as more than all.
            "share": Ratio::of(bytes.0.min(all), all).map(ratio),
        })
    };
    json!({
        "error_ratio": output.error().map(|error| ratio(Ratio(error))),
        "sizes": output.sizes,
        "patterns": output.patterns.iter().take(TOP).map(pattern).collect::<Vec<_>>(),
    })
}

/// What the last round found; before the first is over, what is known so far.
pub(super) fn report(group: &GroupSnapshot) -> Report {
    match &group.report {
        Some(report) => Report::clone(report),
        None => round::report(group, &BTreeMap::new(), None),
    }
}

fn listed(kind: &str, name: &str, count: u64, error: u64, whole: u64) -> Value {
    json!({ kind: name, "count": count, "error": error, "share": Ratio::of(count, whole).map(ratio) })
}

/// RFC 3339 with milliseconds.
pub(super) fn moment(moment: Timestamp) -> Option<String> {
    let moment = DateTime::from_timestamp_micros(i64::try_from(moment.0).ok()?)?;
    Some(moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn ratio(ratio: Ratio) -> f64 {
    (ratio.0 * 1e4).round() / 1e4
}

/// A number without digits that mean nothing.
pub(super) fn short(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
