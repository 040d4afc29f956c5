//! A made-up snapshot for the tests of what leaves: a group in which one shard burns for a reason that can be named.

mod whole;

pub(super) use whole::whole;

use std::sync::Arc;
use std::time::Duration;

use crate::analysis::bandwidth::OutputEstimate;
use crate::analysis::slot_stats::SlotLoad;
use crate::analysis::window::{
    ClosedWindow, Counted, Coverage, KeyCount, PatternCount, Rejection, WindowEnd, WindowStats,
};
use crate::metrics::snapshot::{
    ArchiveSnapshot, GroupSnapshot, NodeGauges, NodeSnapshot, NodeTotals, ShardSnapshot, SignalSnapshot, Snapshot,
    Sources, Status, WindowTotals,
};
use crate::model::{
    Bytes, Endpoint, GroupId, GroupKey, NodeId, PerSecond, Ratio, Region, Role, Seconds, ShardId, Slot, Timestamp,
};

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

/// `groups` groups of `shards` shards each; the second shard of the first group burns.
pub(super) fn snapshot(groups: usize, shards: usize) -> Snapshot {
    Snapshot {
        at: NOW,
        groups: (0..groups).map(|index| group(index, shards)).collect(),
        untried: 0,
        paused: false,
        last_reload_successful: true,
        archive: Some(ArchiveSnapshot {
            rows: 12_000,
            dropped: [("queue_full", 40)].into(),
            size: Some(Bytes(1_048_576)),
            oldest: Some(Timestamp(1_789_000_000_000_000)),
        }),
        log_dropped: 0,
    }
}

fn group(index: usize, shards: usize) -> GroupSnapshot {
    let names = ["orders", "sessions", "carts", "search"];
    let name = names
        .get(index)
        .map_or_else(|| format!("group-{index}"), |name| (*name).to_owned());
    let key = GroupKey {
        region: Region::from("eu-central-1"),
        id: GroupId::new(name),
    };
    GroupSnapshot {
        shards: (0..shards)
            .map(|shard| self::shard(&key, shard, shards, index == 0))
            .collect(),
        key,
        report: None,
        discovered: Some(NOW - Duration::from_secs(40)),
        discovery_failures: [("throttled", 1)].into(),
    }
}

fn shard(group: &GroupKey, index: usize, count: usize, burning: bool) -> ShardSnapshot {
    let hot = burning && index == 1;
    let rate = if hot {
        48_300.0
    } else {
        9_000.0 + 400.0 * ((index * 7) % 5) as f64
    };
    let mean = if burning && count > 1 {
        (48_300.0 + 9_800.0 * (count - 1) as f64) / count as f64
    } else {
        9_800.0
    };
    let signal = |unit: f64| {
        let deviation = rate / mean - 1.0;
        (unit * rate, deviation, rate / 9_800.0, status(deviation))
    };
    let (commands, deviation, skew, status) = signal(1.0);
    let shard = ShardId::new(format!("{:04}", index + 1));
    ShardSnapshot {
        slots: Some((16_384 / count.max(1)) as u32),
        owned: None,
        commands: compared(PerSecond(commands), deviation, skew, status),
        bytes_out: compared(PerSecond(rate * 1_900.0), deviation, skew, status),
        cpu: compared(Ratio(if hot { 0.93 } else { 0.21 }), deviation, skew, status),
        commands_total: counts(&[("GET", 9_000_000), ("ZREVRANGE", 800_000), ("SET", 700_000)]),
        command_cpu_seconds_total: [(Arc::from("GET"), Seconds(913.5))].into(),
        script_share: Some(Ratio(0.02)),
        slot_loads: vec![SlotLoad {
            slot: Slot::of_checksum(4711),
            cpu: Some(Ratio(0.25)),
            output: Some(PerSecond(1e6)),
        }],
        incomplete: false,
        nodes: (1..=2).map(|node| self::node(group, &shard, node, commands)).collect(),
        windows: windows(group, &shard, hot, commands),
        id: shard,
    }
}

fn status(deviation: f64) -> Status {
    match deviation {
        above if above > 0.5 => Status::VeryHot,
        above if above > 0.25 => Status::Hot,
        below if below < -0.25 => Status::Cold,
        _ => Status::Normal,
    }
}

fn compared<Unit>(rate: Unit, deviation: f64, skew: f64, status: Status) -> SignalSnapshot<Unit> {
    SignalSnapshot {
        rate: Some(rate),
        deviation: Some(Ratio(deviation)),
        skew: Some(Ratio(skew)),
        status,
    }
}

fn node(group: &GroupKey, shard: &ShardId, index: usize, commands: f64) -> NodeSnapshot {
    let id = format!("{}-{shard}-{index:03}", group.id);
    let replica = index == 2;
    NodeSnapshot {
        endpoint: Endpoint::new(format!("{id}.abc.cache.amazonaws.com"), 6379),
        id: NodeId::new(id),
        zone: Some(if replica { "eu-central-1b" } else { "eu-central-1a" }.to_owned()),
        instance_type: Some("cache.r7g.large".to_owned()),
        up: true,
        role: Some(if replica { Role::Replica } else { Role::Primary }),
        engine: Some(("valkey".to_owned(), "8.0.1".to_owned())),
        sources: Sources {
            monitor: Some(replica),
            ..Sources::default()
        },
        circuit_open: false,
        gauges: NodeGauges {
            start_time: Some(NOW - Duration::from_secs(86_400)),
            memory_used: Some(Bytes(3 << 30)),
            memory_max: Some(Bytes(13 << 30)),
            memory_fragmentation: Some(Ratio(1.07)),
            connected_clients: Some(220),
            blocked_clients: Some(0),
            clients_max: Some(65_000),
            link_up: replica.then_some(true),
            replication_lag: replica.then_some(Bytes(1_200)),
            replication_lag_seconds: replica.then_some(Seconds(0.02)),
            keys: [(0, 1_200_000)].into(),
            average_ttl: [(0, Seconds(3_600.0))].into(),
        },
        totals: NodeTotals {
            commands: Some(commands as u64 * 3_600),
            output_bytes: Some(Bytes(commands as u64 * 1_900 * 3_600)),
            cpu_seconds: Some(Seconds(912.25)),
            errors: counts(&[("WRONGTYPE", 3)]),
            ..NodeTotals::default()
        },
        poll_duration: Some(Duration::from_millis(3)),
        poll_failures: [("timeout", 2)].into(),
    }
}

/// Why a shard had no window in the last round.
pub(super) const ABSENCE: &str = "memory is nearly full; give the server more memory";

fn windows(group: &GroupKey, shard: &ShardId, hot: bool, rate: f64) -> WindowTotals {
    let commands = (rate * 10.0) as u64;
    let stats = stats(commands, hot);
    WindowTotals {
        ended: [(WindowEnd::Duration, 12), (WindowEnd::ReplicationLag, 1)].into(),
        skipped: [("memory", 1)].into(),
        absence: Some(ABSENCE.into()),
        active: u64::from(hot),
        observed: Duration::from_secs(130),
        observed_commands: stats
            .commands_by_name
            .iter()
            .map(|c| (c.name.clone(), c.count * 13))
            .collect(),
        observed_pattern_commands: stats
            .patterns
            .iter()
            .map(|p| (p.pattern.clone(), p.count * 13))
            .collect(),
        pattern_shares: stats
            .patterns
            .iter()
            .filter_map(|p| Some((p.pattern.clone(), Ratio::of(p.count, stats.key_touches)?)))
            .collect(),
        slot_shares: stats
            .slots
            .iter()
            .filter_map(|(slot, count)| Some((*slot, Ratio::of(*count, stats.key_touches)?)))
            .collect(),
        lines: commands * 13,
        rejected_lines: [(Rejection::CutOff, 1)].into(),
        read_bytes: Bytes(commands * 13 * 120),
        last: Some(Arc::new(ClosedWindow {
            group: group.clone(),
            shard: shard.clone(),
            node: NodeId::new(format!("{}-{shard}-002", group.id)),
            role: Role::Replica,
            opened: NOW - Duration::from_secs(95),
            closed: NOW - Duration::from_secs(85),
            end: WindowEnd::Duration,
            stats,
            completeness: Some(Ratio(1.0)),
            coverage: Coverage {
                reads: Some(Ratio(0.62)),
                writes: Some(Ratio(1.0)),
                primary_reads: Some(Ratio(0.38)),
            },
            server_buffer_peak: Some(Bytes(480_000)),
        })),
        ..WindowTotals::default()
    }
}

fn stats(commands: u64, hot: bool) -> WindowStats {
    let part = |share: f64| (commands as f64 * share) as u64;
    let named = |names: &[(&str, f64)]| {
        names
            .iter()
            .map(|&(name, share)| Counted {
                name: name.into(),
                count: part(share),
                error: 0,
            })
            .collect::<Vec<_>>()
    };
    let patterns: &[(&str, f64, &str)] = if hot {
        &[
            ("leaderboard:{DATE}", 0.81, "leaderboard:2026-11-21"),
            ("user:{ID}:profile", 0.11, "user:4711:profile"),
            ("cart:{UUID}", 0.05, "cart:1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
            ("session:{HASH}", 0.02, "session:9f86d081884c7d659a2feaa0c55ad015"),
            ("lock:checkout:{ID}", 0.01, "lock:checkout:88121"),
        ]
    } else {
        &[
            ("user:{ID}:profile", 0.46, "user:4711:profile"),
            ("cart:{UUID}", 0.31, "cart:1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
            ("session:{HASH}", 0.14, "session:9f86d081884c7d659a2feaa0c55ad015"),
            ("lock:checkout:{ID}", 0.05, "lock:checkout:88121"),
            ("flags:{VAR}", 0.04, "flags:new-basket"),
        ]
    };
    WindowStats {
        bytes_read: Bytes(commands * 120),
        lines: commands,
        commands,
        reads: part(0.92),
        writes: part(0.08),
        commands_by_name: if hot {
            named(&[
                ("ZREVRANGE", 0.81),
                ("GET", 0.12),
                ("SET", 0.04),
                ("EXPIRE", 0.02),
                ("HSET", 0.01),
            ])
        } else {
            named(&[
                ("GET", 0.74),
                ("HGETALL", 0.14),
                ("SET", 0.08),
                ("EXPIRE", 0.03),
                ("DEL", 0.01),
            ])
        },
        patterns: patterns
            .iter()
            .map(|&(pattern, share, example)| PatternCount {
                pattern: pattern.into(),
                count: part(share),
                error: 0,
                example_key: example.into(),
            })
            .collect(),
        keys: patterns
            .iter()
            .map(|&(_, share, example)| KeyCount {
                key: example.into(),
                count: part(if share > 0.5 { share * 0.99 } else { share * 0.1 }),
                error: 3,
                slot: Slot::of_checksum(8_211),
            })
            .collect(),
        slots: [
            (8_211, if hot { 0.81 } else { 0.06 }),
            (402, 0.02),
            (1_170, 0.01),
            (77, 0.01),
            (2_001, 0.01),
        ]
        .map(|(slot, share)| (Slot::of_checksum(slot), part(share)))
        .to_vec(),
        clients: named(&[
            ("10.0.7.21", 0.44),
            ("10.0.7.35", 0.31),
            ("10.0.9.2", 0.2),
            ("10.0.9.14", 0.03),
            ("10.0.7.90", 0.02),
        ]),
        key_touches: commands,
        distinct_keys: if hot { 31_000 } else { 88_000 },
        distinct_clients: 14,
        output: Some(OutputEstimate {
            estimated: Bytes(commands * 1_900),
            measured: Some(Bytes(commands * 1_980)),
            scale: Ratio(1.04),
            attributed: Bytes(commands * 1_950),
            patterns: patterns
                .iter()
                .map(|&(pattern, share, _)| (pattern.into(), Bytes(part(share) * 1_950)))
                .collect(),
            ..OutputEstimate::default()
        }),
        ..WindowStats::default()
    }
}

fn counts(named: &[(&str, u64)]) -> std::collections::BTreeMap<Arc<str>, u64> {
    named.iter().map(|&(name, count)| (name.into(), count)).collect()
}
