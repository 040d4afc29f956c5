//! The ledger, told what happens in a world of servers whose truth is known.

mod blind;
mod disturbances;
mod joining;
mod windows;
mod world;

use self::world::{Load, Server, World};
use super::*;
use crate::analysis::status::Status;
use crate::metrics::snapshot::ShardSnapshot;
use crate::model::Role;

const STEADY: Load = Load {
    reads: 1_000,
    writes: 500,
    cpu: 200,
};
/// What a replica of [`STEADY`] does: reads of its own, writes by replication.
const REPLICA: Load = Load {
    reads: 300,
    writes: 500,
    cpu: 100,
};
/// Commands a second of a shard with both.
const SHARD_RATE: f64 = 1_800.0;

fn primary(load: Load) -> Server {
    Server::new(Role::Primary, load)
}

fn replica(load: Load) -> Server {
    Server::new(Role::Replica, load)
}

/// Two shards alike, each with a replica.
fn pair() -> World {
    World::new([
        ("a-1", primary(STEADY)),
        ("a-2", replica(REPLICA)),
        ("b-1", primary(STEADY)),
        ("b-2", replica(REPLICA)),
    ])
}

fn commands(shard: &ShardSnapshot) -> Option<f64> {
    shard.commands.rate.map(|rate| rate.0)
}

fn bytes_out(shard: &ShardSnapshot) -> Option<f64> {
    shard.bytes_out.rate.map(|rate| rate.0)
}

fn cpu(shard: &ShardSnapshot) -> Option<f64> {
    shard.cpu.rate.map(|rate| rate.0)
}

#[test]
fn a_shard_adds_up_all_that_clients_ask_of_its_nodes() {
    let mut world = pair();
    world.pass(120);
    let shard = world.shard("a");
    assert_eq!(commands(&shard), Some(SHARD_RATE));
    assert_eq!(bytes_out(&shard), Some(SHARD_RATE * world::REPLY as f64));
    assert_eq!(cpu(&shard), Some(0.2), "the busiest node's");
    assert_eq!((shard.commands.status, shard.incomplete), (Status::Normal, false));
    let totals = shard.nodes.iter().map(|node| node.totals.commands).collect::<Vec<_>>();
    assert_eq!(
        totals,
        [Some(1_500 * 105), Some(300 * 105)],
        "since the first poll, without our own INFO"
    );
    let by_command: Vec<_> = shard
        .commands_total
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!(by_command, [("GET", 1_300 * 105), ("SET", 500 * 105)]);
}

#[test]
fn reads_on_a_primary_make_its_shard_hot_although_no_replica_sees_them() {
    let mut world = pair();
    world.server("b-1").load.reads *= 10;
    world.pass(60);
    let verdict = |shard: &str| world.shard(shard).commands.status;
    assert_eq!((verdict("a"), verdict("b")), (Status::Cold, Status::VeryHot));
    assert_eq!(
        world.shard("b").commands.skew.map(|skew| skew.0),
        Some(10_800.0 / SHARD_RATE)
    );
}

#[test]
fn nothing_is_known_before_the_second_poll() {
    let mut world = pair();
    world.pass(world::POLL);
    let shard = world.shard("a");
    assert_eq!((commands(&shard), shard.commands.status), (None, Status::Unknown));
    let totals = &shard.nodes[0].totals;
    assert_eq!(
        (totals.commands, totals.cpu_seconds.map(|cpu| cpu.0)),
        (Some(0), Some(0.0))
    );
    world.pass(world::POLL);
    assert_eq!(commands(&world.shard("a")), Some(SHARD_RATE));
}

#[test]
fn a_shard_without_its_primary_is_unknown_and_does_not_bend_the_mean() {
    let mut world = World::new([
        ("a-1", primary(STEADY)),
        ("b-1", primary(STEADY)),
        ("c-1", primary(STEADY)),
        ("c-2", replica(REPLICA)),
    ]);
    world.pass(60);
    world.server("c-1").answers = false;
    world.pass(world::POLL);
    assert_eq!(
        world.shard("c").commands.status,
        Status::Normal,
        "one lost poll says nothing"
    );
    world.pass(world::POLL);
    let shard = world.shard("c");
    assert_eq!(
        (commands(&shard), shard.commands.status, shard.incomplete),
        (None, Status::Unknown, true)
    );
    assert_eq!(
        world.shard("a").commands.deviation.map(|deviation| deviation.0),
        Some(0.0)
    );
}

#[test]
fn a_missing_replica_marks_its_shard_incomplete() {
    let mut world = pair();
    world.pass(60);
    world.server("a-2").answers = false;
    world.pass(2 * world::POLL);
    let shard = world.shard("a");
    assert!(shard.incomplete);
    assert_eq!(
        (shard.nodes[1].up, shard.nodes[1].gauges.connected_clients),
        (false, None)
    );
    assert_eq!(shard.nodes[1].poll_failures, BTreeMap::from([("timeout", 2)]));
    // Its part leaves the mean within a minute.
    world.pass(3 * world::POLL);
    assert_eq!(commands(&world.shard("a")), Some(1_500.0));
}

#[test]
fn a_replica_held_back_is_late_by_as_long_as_it_was_held() {
    let mut world = pair();
    world.pass(60);
    // It goes on answering, but applies nothing any more.
    world.server("a-2").load.writes = 0;
    world.pass(30);
    let gauges = world.node("a-2").gauges;
    assert_eq!(gauges.replication_lag.map(|lag| lag.0), Some(30 * 500 * 40));
    assert_eq!(gauges.replication_lag_seconds.map(|lag| lag.0), Some(30.0));
    assert_eq!(
        world.node("b-2").gauges.replication_lag_seconds.map(|lag| lag.0),
        Some(0.0)
    );
    assert_eq!(
        world.node("a-1").gauges.replication_lag_seconds,
        None,
        "a primary is behind nobody"
    );
}

#[test]
fn nodes_that_vanish_take_their_series_with_them_and_leave_the_shards_totals() {
    let mut world = pair();
    world.pass(60);
    let before = world.shard("a").commands_total;
    world.servers.remove("a-2");
    world.discover();
    let shard = world.shard("a");
    assert_eq!((shard.nodes.len(), &shard.commands_total), (1, &before));
    world.servers.retain(|name, _| !name.starts_with('a'));
    world.discover();
    assert_eq!(world.snapshot().groups[0].shards.len(), 1);
    world.ledger.apply(&Event::GroupRemoved(world::key()));
    assert!(world.snapshot().groups.is_empty());
}

#[test]
fn a_node_that_keeps_a_round_open_does_not_hold_up_the_others_for_ever() {
    let mut world = pair();
    world.pass(30);
    let at = world.now();
    let silent = Event::Polled {
        group: world::key(),
        node: NodeId::from("a-1"),
        at,
        took: Duration::ZERO,
        outcome: Err("timeout"),
    };
    world.ledger.apply(&silent);
    world.ledger.apply(&Event::Tick(at + Duration::from_secs(61)));
    assert!(!world.node("a-1").up);
}

#[test]
fn discovery_failures_are_counted_even_before_anything_was_found() {
    let mut ledger = Ledger::new(LedgerSettings::default());
    ledger.apply(&Event::DiscoveryFailed {
        group: world::key(),
        reason: "throttled",
        at: Timestamp(0),
    });
    let group = &ledger.snapshot(Timestamp(0)).groups[0];
    assert_eq!(
        (group.discovered, group.discovery_failures.get("throttled")),
        (None, Some(&1))
    );
}
