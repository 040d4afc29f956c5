//! A snapshot in which everything is known, so that no metric of the catalogue is without a sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{counts, snapshot};
use crate::analysis::bandwidth::{OutputEstimate, Probing};
use crate::metrics::round;
use crate::metrics::snapshot::{NodeTotals, ShardSnapshot, Snapshot, Sources};
use crate::model::{Bytes, Ratio, Seconds};

/// Two groups of three shards with every figure there is, no two alike in one series.
pub(in crate::export) fn whole() -> Snapshot {
    let mut snapshot = snapshot(2, 3);
    for shard in snapshot.groups.iter_mut().flat_map(|group| &mut group.shards) {
        complete(shard);
    }
    for group in &mut snapshot.groups {
        group.report = Some(Arc::new(round::report(group, &BTreeMap::new(), None)));
    }
    snapshot
}

fn complete(shard: &mut ShardSnapshot) {
    for (place, node) in (1_u64..).zip(&mut shard.nodes) {
        node.sources = Sources {
            monitor: Some(true),
            slot_stats: Some(true),
            commandlog: Some(false),
            client_list: Some(true),
        };
        node.totals = NodeTotals {
            commands: Some(101 * place),
            output_bytes: Some(Bytes(102 * place)),
            replication_output_bytes: Some(Bytes(103 * place)),
            input_bytes: Some(Bytes(104 * place)),
            cpu_seconds: Some(Seconds(0.1 * place as f64)),
            connections_received: Some(105 * place),
            connections_rejected: Some(106 * place),
            keyspace_hits: Some(107 * place),
            keyspace_misses: Some(108 * place),
            evicted_keys: Some(109 * place),
            expired_keys: Some(110 * place),
            errors: counts(&[("WRONGTYPE", 3), ("a \"quoted\\\nname\"", 4)]),
            full_syncs: Some(2),
        };
    }
    let windows = &mut shard.windows;
    windows.observed_pattern_output_bytes = counts(&[("user:{ID}:profile", 7_000), ("other", 90)]);
    windows.key_shares = [(Arc::from("user:4711:profile"), Ratio(0.05))].into();
    windows.client_shares = [(Arc::from("10.0.7.21"), Ratio(0.44))].into();
    if let Some(window) = windows.last.as_mut().map(Arc::make_mut) {
        window.stats.output = Some(OutputEstimate {
            estimated: Bytes(1_100),
            measured: Some(Bytes(1_000)),
            scale: Ratio(1.0),
            attributed: Bytes(1_000),
            patterns: Vec::new(),
            commands: Vec::new(),
            signatures: Vec::new(),
            keys: Vec::new(),
            not_estimable: Vec::new(),
            not_estimable_share: Ratio(0.0),
            sizes: Probing::Untouched,
        });
    }
}
