use super::*;
use std::collections::BTreeMap;

use crate::metrics::snapshot::{NodeGauges, NodeTotals, SignalSnapshot, Sources, WindowTotals};
use crate::schedule::Schedule;

/// `"a replica, b replica zone=x, c primary down, d replica unlinked"` becomes the nodes of one shard.
pub(in crate::engine) fn group(nodes: &str) -> GroupSnapshot {
    let nodes = nodes.split(", ").filter(|text| !text.is_empty()).map(node).collect();
    let shard = ShardSnapshot {
        id: "0001".into(),
        slots: None,
        owned: None,
        commands: SignalSnapshot::default(),
        bytes_out: SignalSnapshot::default(),
        cpu: SignalSnapshot::default(),
        commands_total: BTreeMap::new(),
        command_cpu_seconds_total: BTreeMap::new(),
        script_share: None,
        slot_loads: Vec::new(),
        incomplete: false,
        nodes,
        windows: WindowTotals::default(),
    };
    let key = GroupKey {
        region: "".into(),
        id: "orders".into(),
    };
    GroupSnapshot {
        key,
        shards: vec![shard],
        report: None,
        discovered: None,
        discovery_failures: BTreeMap::new(),
    }
}

fn node(text: &str) -> NodeSnapshot {
    let mut words = text.split(' ');
    let id = words.next().expect("a name");
    let words: Vec<_> = words.collect();
    let role = if words.contains(&"primary") {
        Role::Primary
    } else {
        Role::Replica
    };
    NodeSnapshot {
        id: id.into(),
        endpoint: Endpoint::new(id, 6379),
        zone: words
            .iter()
            .find_map(|word| word.strip_prefix("zone="))
            .map(str::to_owned),
        instance_type: None,
        up: !words.contains(&"down"),
        role: Some(role),
        engine: None,
        circuit_open: false,
        sources: Sources {
            monitor: words.contains(&"serverless").then_some(false),
            ..Sources::default()
        },
        gauges: NodeGauges {
            link_up: Some(!words.contains(&"unlinked")),
            ..NodeGauges::default()
        },
        totals: NodeTotals::default(),
        poll_duration: None,
        poll_failures: BTreeMap::new(),
    }
}

/// One window at a time.
pub(in crate::engine) fn settings(nodes: NodeChoice) -> MonitorSettings {
    MonitorSettings {
        enabled: true,
        schedule: Schedule::Every(Duration::from_secs(300)),
        window: Duration::from_secs(10),
        on_hot: true,
        on_hot_cool_down: Duration::from_secs(300),
        nodes,
        same_zone: Some("x".into()),
        concurrency: std::num::NonZeroUsize::MIN,
        commands_max: NonZeroU64::MIN,
        bytes_max: NonZeroU64::MIN,
    }
}

fn check(choice: NodeChoice, nodes: &str, expected: &str) {
    let (group, mut rotation) = (group(nodes), Rotation::default());
    let rests = |node: &NodeId| {
        nodes
            .contains(&format!("{node} replica rests"))
            .then_some(Skip::BackingOff)
    };
    let rounds: Vec<_> = (0..3)
        .flat_map(|_| rotation.choose(&group, &settings(choice), rests))
        .map(|choice| match choice {
            Ok(plan) => plan.node.to_string(),
            Err((_, skip)) => skip.kind().to_owned(),
        })
        .collect();
    assert_eq!(rounds.join(" "), expected, "{nodes}");
}

#[test]
fn replicas_take_turns() {
    check(NodeChoice::Replica, "a primary, b replica, c replica", "b c b");
}

#[test]
fn a_primary_is_never_looked_at_silently() {
    check(NodeChoice::Replica, "a primary", "no_replica no_replica no_replica");
    check(
        NodeChoice::Replica,
        "a primary, b replica down",
        "no_replica no_replica no_replica",
    );
    check(
        NodeChoice::Replica,
        "a primary, b replica unlinked",
        "replica_unlinked replica_unlinked replica_unlinked",
    );
    check(NodeChoice::ReplicaOrPrimary, "a primary", "a a a");
    check(NodeChoice::ReplicaOrPrimary, "a primary, b replica", "b b b");
    check(NodeChoice::Primary, "a primary, b replica", "a a a");
    check(
        NodeChoice::Primary,
        "a primary down, b replica",
        "no_primary no_primary no_primary",
    );
}

#[test]
fn a_node_that_rests_is_passed_over() {
    check(NodeChoice::Replica, "a primary, b replica rests, c replica", "c c c");
    check(
        NodeChoice::Replica,
        "a primary, b replica rests",
        "backing_off backing_off backing_off",
    );
}

#[test]
fn replicas_of_our_zone_come_first() {
    check(
        NodeChoice::Replica,
        "a primary, b replica zone=y, c replica zone=x",
        "c c c",
    );
    check(NodeChoice::Replica, "a primary, b replica zone=y", "b b b");
}

#[test]
fn a_serverless_cache_gets_no_window() {
    check(
        NodeChoice::ReplicaOrPrimary,
        "a primary serverless",
        "no_monitor no_monitor no_monitor",
    );
}

#[test]
fn a_shard_whose_nodes_are_all_down_is_skipped() {
    check(
        NodeChoice::ReplicaOrPrimary,
        "a primary down, b replica down",
        "no_node_up no_node_up no_node_up",
    );
    check(NodeChoice::ReplicaOrPrimary, "", "no_node_up no_node_up no_node_up");
}
