//! Nodes and shards that come, and what that does to the others.

use super::world::POLL;
use super::*;
use crate::model::SlotSet;

/// A replica joins shard `a` between two rounds of polls, and is asked at once.
fn join(world: &mut World, name: &str) {
    world.servers.insert(name.to_owned(), replica(REPLICA));
    world.discover();
    world.poll_node(name);
}

#[test]
fn a_node_that_is_asked_out_of_turn_does_not_keep_the_others_waiting() {
    let mut world = pair();
    world.pass(60);
    world.server("b-1").load.reads *= 10;
    world.pass(5);
    join(&mut world, "a-3");
    world.pass(POLL - 5);
    assert!(
        commands(&world.shard("b")) > Some(SHARD_RATE),
        "the round is over with all its answers"
    );
    world.pass(4 * POLL);
    assert_eq!(commands(&world.shard("a")), Some(SHARD_RATE + 300.0));
}

#[test]
fn a_shard_without_slots_makes_no_other_look_hot() {
    let idle = || {
        primary(Load {
            reads: 1,
            writes: 0,
            cpu: 1,
        })
    };
    let mut world = World::new([
        ("a-1", primary(STEADY)),
        ("b-1", primary(STEADY)),
        ("c-1", primary(STEADY)),
        ("d-1", idle()),
    ]);
    let statuses = |world: &World| ["a", "b", "c", "d"].map(|shard| world.shard(shard).commands.status);
    world.pass(60);
    assert_eq!(statuses(&world), [Status::Hot, Status::Hot, Status::Hot, Status::Cold]);
    // It is new, and slots are yet to be moved to it.
    world.slots.insert("d".into(), SlotSet::default());
    world.discover();
    world.pass(2 * POLL);
    assert_eq!(
        statuses(&world),
        [Status::Normal, Status::Normal, Status::Normal, Status::Unknown]
    );
    assert_eq!(commands(&world.shard("d")), Some(1.0), "its rate is told all the same");
}
