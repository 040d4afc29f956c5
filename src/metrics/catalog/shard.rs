//! What a shard does, and how that compares with its siblings.

use super::super::snapshot::{ShardSnapshot, SignalSnapshot, Status};
use super::entry::Values::{GroupBy, Shard, ShardBy};
use super::entry::{Metric, Unit, counter, gauge};
use super::figure::Figure;
use crate::model::Ratio;

pub(super) const METRICS: &[Metric] = &[
    gauge(
        "shard_slots",
        Unit::Count("slot"),
        "Hash slots the shard owns.",
        Shard(|shard| shard.slots.figure()),
    ),
    gauge(
        "shard_commands_per_second",
        Unit::PerSecond("command"),
        "Commands the shard's nodes executed for clients a second, over the last minute.",
        Shard(|shard| shard.commands.rate.figure()),
    ),
    gauge(
        "shard_output_bytes_per_second",
        Unit::BytesPerSecond,
        "Bytes the shard's nodes sent to clients a second, over the last minute.",
        Shard(|shard| shard.bytes_out.rate.figure()),
    ),
    gauge(
        "shard_cpu_ratio",
        Unit::Ratio,
        "Main-thread CPU of the shard's busiest node, in cores, over the last minute; 1 is the ceiling.",
        Shard(|shard| shard.cpu.rate.figure()),
    ),
    gauge(
        "shard_deviation_ratio",
        Unit::Ratio,
        "How far a signal is from the mean of the group's shards; 0.5 is half as much again.",
        ShardBy(&["signal"], |shard, put| {
            for (signal, compared) in signals(shard) {
                put.sample(&[signal], compared.deviation);
            }
        }),
    ),
    gauge(
        "shard_skew_ratio",
        Unit::Ratio,
        "A signal over the median of the other shards, which is never taken to be less than the floor.",
        ShardBy(&["signal"], |shard, put| {
            for (signal, compared) in signals(shard) {
                put.sample(&[signal], compared.skew);
            }
        }),
    ),
    gauge(
        "shard_status",
        Unit::Flag,
        "1 for the status a signal has, 0 for the others.",
        ShardBy(&["signal", "status"], |shard, put| {
            for (signal, compared) in signals(shard) {
                for (status, word) in STATUSES {
                    put.sample(&[signal, word], compared.status == status);
                }
            }
        }),
    ),
    counter(
        "shard_commands_total",
        Unit::Count("command"),
        "Commands the shard's nodes executed for clients, by command; past the limit `other`.",
        ShardBy(&["command"], |shard, put| {
            for (command, count) in &shard.commands_total {
                put.sample(&[command], *count);
            }
        }),
    ),
    counter(
        "shard_command_cpu_seconds_total",
        Unit::Seconds,
        "Time the shard's nodes spent in commands, by command, replicated ones among them, as the servers' clocks say.",
        ShardBy(&["command"], |shard, put| {
            for (command, seconds) in &shard.command_cpu_seconds_total {
                put.sample(&[command], *seconds);
            }
        }),
    ),
    gauge(
        "shard_script_share_ratio",
        Unit::Ratio,
        "What part of the shard's commands are scripts and functions.",
        Shard(|shard| shard.script_share.figure()),
    ),
    gauge(
        "slot_cpu_ratio",
        Unit::Ratio,
        "Main-thread CPU that a slot's commands took on the shard's busiest node for it, in cores, over a minute; the hottest slots only.",
        ShardBy(&["slot"], |shard, put| {
            for load in &shard.slot_loads {
                put.sample(&[&load.slot.to_string()], load.cpu);
            }
        }),
    ),
    gauge(
        "slot_output_bytes_per_second",
        Unit::BytesPerSecond,
        "Bytes sent for a slot a second, those of a primary to its replicas among them, over a minute; the hottest slots only.",
        ShardBy(&["slot"], |shard, put| {
            for load in &shard.slot_loads {
                put.sample(&[&load.slot.to_string()], load.output);
            }
        }),
    ),
];

/// Why shards are hot.
pub(super) const DIAGNOSIS: &[Metric] = &[gauge(
    "diagnosis_share_ratio",
    Unit::Ratio,
    "What part of a hot shard's load the cause has that the last round found; a cause that is no part of the load has no sample.",
    GroupBy(&["shard", "signal", "cause"], |group, put| {
        for finding in group.report.iter().flat_map(|report| &report.diagnosis) {
            let labels = [finding.shard.as_str(), finding.signal.kind(), finding.cause.kind()];
            put.sample(&labels, finding.share.map(Ratio));
        }
    }),
)];

const STATUSES: [(Status, &str); 6] = [
    (Status::VeryHot, "very_hot"),
    (Status::Hot, "hot"),
    (Status::Normal, "normal"),
    (Status::Cold, "cold"),
    (Status::Idle, "idle"),
    (Status::Unknown, "unknown"),
];

/// A signal without its unit.
struct Compared {
    deviation: Option<Ratio>,
    skew: Option<Ratio>,
    status: Status,
}

fn signals(shard: &ShardSnapshot) -> [(&'static str, Compared); 3] {
    [
        ("commands", compared(&shard.commands)),
        ("bytes_out", compared(&shard.bytes_out)),
        ("cpu", compared(&shard.cpu)),
    ]
}

fn compared<Any>(signal: &SignalSnapshot<Any>) -> Compared {
    Compared {
        deviation: signal.deviation,
        skew: signal.skew,
        status: signal.status,
    }
}
