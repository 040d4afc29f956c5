//! Intervals that don't tell a figure: the last one stands for a while, and then nobody knows.

use super::world::{POLL, REPLY};
use super::*;
use crate::analysis::slot_stats::SlotLoad;
use crate::model::Slot;

/// So long a figure stands.
const STANDS: u64 = 300;

/// What shard `a` shows of commands, bytes and CPU.
fn rates(world: &World) -> (Option<f64>, Option<f64>, Option<f64>) {
    let shard = world.shard("a");
    (commands(&shard), bytes_out(&shard), cpu(&shard))
}

/// Windows of ten seconds, one in each interval, so that none is free of them.
fn watch_all_the_time(world: &mut World, intervals: u64) {
    for _ in 0..intervals {
        world.pass(3);
        windows::open(world, "a-1");
        for _ in 0..10 {
            world.server("a-1").monitored();
            world.pass(1);
        }
        windows::close(world, "a-1", 10);
        world.pass(POLL - 13);
    }
}

#[test]
fn windows_without_a_break_leave_bytes_and_cpu_unknown_in_the_end() {
    let mut world = pair();
    world.pass(60);
    let known = (SHARD_RATE, SHARD_RATE * REPLY as f64, 0.2);
    watch_all_the_time(&mut world, STANDS / POLL);
    assert_eq!(
        rates(&world),
        (Some(known.0), Some(known.1), Some(known.2)),
        "they stand"
    );
    watch_all_the_time(&mut world, 1);
    assert_eq!(rates(&world), (Some(known.0), None, None));
    let shard = world.shard("a");
    assert_eq!(
        [shard.commands.status, shard.bytes_out.status, shard.cpu.status],
        [Status::Normal, Status::Unknown, Status::Unknown]
    );
    // One interval is free of windows, and all is told again.
    world.pass(2 * POLL);
    assert_eq!(rates(&world), (Some(known.0), Some(known.1), Some(known.2)));
}

#[test]
fn a_node_whose_counters_are_reset_in_each_interval_is_unknown_in_the_end() {
    let mut world = pair();
    world.pass(60);
    let resets = |world: &mut World, intervals: u64| {
        for _ in 0..intervals {
            world.pass(7);
            world.server("a-1").reset();
            world.pass(POLL - 7);
        }
    };
    resets(&mut world, STANDS / POLL);
    assert_eq!(rates(&world).0, Some(SHARD_RATE), "it stands");
    resets(&mut world, 1);
    assert_eq!(rates(&world), (None, None, Some(0.2)), "CPU isn't reset");
    world.pass(2 * POLL);
    assert_eq!(rates(&world).0, Some(SHARD_RATE));
}

#[test]
fn a_window_that_ended_before_a_late_answer_came_was_open_after_the_node_gave_it() {
    let mut world = pair();
    world.pass(73);
    windows::open(&mut world, "a-2");
    world.work();
    world.work();
    for name in ["a-1", "b-1", "b-2"] {
        world.poll_node(name);
    }
    // The counters are those of this moment; MONITOR goes on for a second.
    world.poll_late("a-2", Duration::from_secs(2), |world| {
        world.server("a-2").monitored();
        world.work();
        windows::close(world, "a-2", 3);
        world.work();
    });
    world.pass(60);
    assert_eq!(rates(&world).1, Some(SHARD_RATE * REPLY as f64));
}

#[test]
fn slots_of_a_node_that_tells_no_more_are_gone() {
    let loads = |world: &World| world.shard("a").slot_loads;
    let mut world = pair();
    world.server("a-1").counts_slots = true;
    world.pass(2 * POLL);
    let Some([SlotLoad { slot, cpu, .. }]) = loads(&world).first_chunk().copied() else {
        panic!("a slot is hot");
    };
    assert_eq!((Some(slot), cpu.map(|cpu| cpu.0)), (Slot::new(7), Some(0.2)));
    world.server("a-1").counts_slots = false;
    world.pass(3 * POLL);
    assert_eq!(loads(&world).len(), 1, "one look may be missed");
    world.pass(POLL);
    assert_eq!(loads(&world), []);
    // Another process knows nothing of what the one before did.
    world.server("a-1").counts_slots = true;
    world.pass(2 * POLL);
    assert_eq!(loads(&world).len(), 1);
    world.server("a-1").counts_slots = false;
    world.server("a-1").restart();
    world.pass(POLL);
    assert_eq!(loads(&world), []);
}

#[test]
fn behind_a_silent_primary_nobody_knows_how_far_a_replica_is() {
    let mut world = pair();
    world.pass(60);
    let lag = |world: &World| world.node("a-2").gauges.replication_lag_seconds.map(|lag| lag.0);
    assert_eq!(lag(&world), Some(0.0));
    // It works on, and what it writes reaches its replica no more.
    world.server("a-1").answers = false;
    world.server("a-2").load.writes = 0;
    world.pass(POLL);
    assert_eq!(lag(&world), None);
    world.server("a-1").answers = true;
    world.pass(POLL);
    assert_eq!(lag(&world), Some(30.0));
}

#[test]
fn a_lag_stands_until_all_have_been_heard() {
    let mut world = pair();
    world.pass(60 + POLL - 1);
    world.work();
    // The others are asked, but one of them takes its time.
    world.poll_node("a-2");
    let lag = |world: &World, node| world.node(node).gauges.replication_lag_seconds.map(|lag| lag.0);
    assert_eq!(lag(&world, "a-2"), Some(0.0));
    world.server("a-2").role = Role::Primary;
    world.pass(2 * POLL);
    assert_eq!(lag(&world, "a-2"), None, "a primary is behind nobody");
}
