//! Resets, restarts, failovers, gaps and our own windows: nothing of it looks like load.

use proptest::prelude::*;

use super::world::{POLL, REPLY};
use super::*;

/// The two nodes of shard `a` change their roles and, with them, what they do.
fn fail_over(world: &mut World) {
    let [one, two] = ["a-1", "a-2"].map(|name| (world.server(name).role, world.server(name).load));
    (world.server("a-1").role, world.server("a-1").load) = two;
    (world.server("a-2").role, world.server("a-2").load) = one;
    let history = world.server("a-1").history.max(world.server("a-2").history) + 1;
    for name in ["a-1", "a-2"] {
        world.server(name).history = history;
    }
}

/// Lets the world go on and looks at shard `a` each second: its rate is the truth or not known, its status never hot or cold.
fn check_steady(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.pass(1);
        let shard = world.shard("a");
        let at = world.second;
        let near = |rate: Option<f64>, truth: f64| rate.is_none_or(|rate| (rate / truth - 1.0).abs() < 1e-9);
        assert!(near(commands(&shard), SHARD_RATE), "{:?} at {at}", shard.commands);
        assert!(
            near(bytes_out(&shard), SHARD_RATE * REPLY as f64),
            "{:?} at {at}",
            shard.bytes_out
        );
        assert!(near(cpu(&shard), 0.2), "{:?} at {at}", shard.cpu);
        assert!(
            matches!(shard.commands.status, Status::Normal | Status::Unknown),
            "{:?} at {at}",
            shard.commands
        );
    }
}

#[test]
fn a_failover_changes_the_roles_and_not_the_load() {
    for moment in 0..2 * POLL {
        let mut world = pair();
        world.pass(60 + moment);
        fail_over(&mut world);
        check_steady(&mut world, 120);
        assert_eq!(
            [world.node("a-1").role, world.node("a-2").role],
            [Some(Role::Replica), Some(Role::Primary)]
        );
        assert!(commands(&world.shard("a")).is_some());
    }
}

#[test]
fn a_failover_soon_after_load_began_leaves_the_shard_beside_its_siblings() {
    let mut world = pair();
    let loads: Vec<(String, Load)> = world
        .servers
        .iter()
        .map(|(name, server)| (name.clone(), server.load))
        .collect();
    world
        .servers
        .values_mut()
        .for_each(|server| server.load = Load::default());
    world.pass(60);
    for (name, load) in loads {
        world.server(&name).load = load;
    }
    world.pass(2 * POLL);
    fail_over(&mut world);
    for _ in 0..60 {
        world.pass(1);
        let commands = world.shard("a").commands;
        assert_eq!(commands.status, Status::Normal, "{commands:?} at {}", world.second);
    }
}

#[test]
fn a_failover_in_the_middle_of_a_round_counts_nothing_twice() {
    let mut world = pair();
    world.pass(59);
    // The one is still asked as a primary, the other already answers as one.
    world.servers.values_mut().for_each(Server::work);
    world.second += 1;
    world.poll_around(fail_over);
    check_steady(&mut world, 120);
    assert!(commands(&world.shard("a")).is_some());
}

#[test]
fn a_primary_that_dies_and_is_replaced_leaves_no_false_status() {
    let mut world = pair();
    world.pass(67);
    world.server("a-1").set_alive(false);
    world.pass(20);
    // The replica takes over all there is to do.
    world.server("a-2").role = Role::Primary;
    world.server("a-2").load = Load {
        reads: STEADY.reads + REPLICA.reads,
        ..STEADY
    };
    check_steady(&mut world, 120);
    let shard = world.shard("a");
    assert_eq!((commands(&shard), shard.incomplete), (Some(SHARD_RATE), true));
}

#[test]
fn a_node_that_is_asked_twice_in_a_row_does_not_stand_for_all_that_time_with_its_last_second() {
    for idle in ["a-1", "a-2"] {
        let mut world = pair();
        world.pass(POLL);
        // For a second it does nothing, and of that second alone it tells before everybody's turn.
        let load = std::mem::take(&mut world.server(idle).load);
        world.pass(1);
        world.server(idle).load = load;
        world.poll_node(idle);
        world.pass(POLL - 1);
        let truth = SHARD_RATE - (load.reads + if idle == "a-1" { load.writes } else { 0 }) as f64 / POLL as f64;
        let near = |world: &World| commands(&world.shard("a")).is_none_or(|rate| (rate / truth - 1.0).abs() < 0.001);
        assert!(near(&world), "{:?}, not {truth}", world.shard("a").commands);
        world.pass(POLL);
        let rate = commands(&world.shard("a")).expect("two whole intervals");
        assert!((truth..=SHARD_RATE).contains(&rate.round()), "{rate}, not {truth}");
    }
}

#[test]
fn a_node_that_has_answered_once_is_not_taken_for_idle() {
    let mut world = pair();
    world.pass(POLL - 1);
    // The replica's first answer comes when the others are asked for the second time.
    for name in ["a-1", "b-1", "b-2"] {
        world.poll_node(name);
    }
    world.pass(1);
    for _ in 0..3 {
        world.pass(POLL);
        let rate = commands(&world.shard("a"));
        assert!(rate.is_none_or(|rate| rate == SHARD_RATE), "{rate:?}");
    }
    assert_eq!(commands(&world.shard("a")), Some(SHARD_RATE));
}

#[test]
fn a_poll_that_overlaps_our_window_leaves_the_last_clean_figures() {
    let mut world = pair();
    world.pass(62);
    let before = world.node("a-2").totals.clone();
    windows::open(&mut world, "a-2");
    for _ in 0..20 {
        world.server("a-2").monitored();
        check_steady(&mut world, 1);
    }
    windows::close(&mut world, "a-2", 20);
    check_steady(&mut world, 120);
    let after = world.node("a-2").totals;
    let sent = |totals: &crate::metrics::snapshot::NodeTotals| totals.output_bytes.expect("7.0 says what it sends").0;
    let seconds = world.second / POLL * POLL - 60;
    assert_eq!(
        sent(&after) - sent(&before),
        seconds * REPLICA.reads * REPLY,
        "MONITOR's bytes aren't the clients'"
    );
    assert_eq!(
        after
            .commands
            .zip(before.commands)
            .map(|(after, before)| after - before),
        Some(seconds * REPLICA.reads)
    );
}

#[test]
fn load_during_a_window_is_seen_in_commands_and_waits_in_bytes_and_cpu() {
    let mut world = pair();
    world.pass(60);
    windows::open(&mut world, "a-1");
    world.server("a-1").load = Load {
        reads: 10_000,
        writes: 500,
        cpu: 900,
    };
    world.pass(60);
    let shard = world.shard("a");
    assert_eq!(
        (commands(&shard), bytes_out(&shard), cpu(&shard)),
        (Some(10_800.0), Some(SHARD_RATE * REPLY as f64), Some(0.2))
    );
    windows::close(&mut world, "a-1", 60);
    world.pass(90);
    let shard = world.shard("a");
    assert_eq!(
        (bytes_out(&shard), cpu(&shard)),
        (Some(10_800.0 * REPLY as f64), Some(0.9))
    );
}

#[test]
fn what_was_missed_while_a_node_was_silent_does_not_come_all_at_once() {
    let mut world = pair();
    world.pass(60);
    // The node works on, only its answers are lost.
    world.server("a-1").answers = false;
    world.pass(10 * POLL);
    world.server("a-1").answers = true;
    let commands = |world: &World| world.node("a-1").totals.commands.expect("counted");
    let before = commands(&world);
    world.pass(POLL);
    assert_eq!(commands(&world) - before, 1_500 * POLL);
    check_steady(&mut world, 60);
}

/// What may happen to shard `a`.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Nothing,
    Reset(&'static str),
    Restart(&'static str),
    FailOver,
    Death(&'static str),
    Silence(&'static str),
    Voice(&'static str),
    Window(&'static str),
}

fn mishaps() -> impl Strategy<Value = Vec<(Mishap, u64)>> {
    let node = || prop_oneof![Just("a-1"), Just("a-2")];
    let mishap = prop_oneof![
        2 => Just(Mishap::Nothing),
        2 => node().prop_map(Mishap::Reset),
        2 => node().prop_map(Mishap::Restart),
        2 => Just(Mishap::FailOver),
        1 => node().prop_map(Mishap::Death),
        1 => node().prop_map(Mishap::Silence),
        2 => node().prop_map(Mishap::Voice),
        1 => node().prop_map(Mishap::Window),
    ];
    prop::collection::vec((mishap, 1..40_u64), 1..20)
}

fn suffer(world: &mut World, mishap: Mishap) {
    match mishap {
        Mishap::Nothing => {}
        Mishap::Reset(node) => world.server(node).reset(),
        Mishap::Restart(node) => world.server(node).restart(),
        Mishap::FailOver => fail_over(world),
        Mishap::Death(node) => world.server(node).set_alive(false),
        Mishap::Silence(node) => world.server(node).answers = false,
        Mishap::Voice(node) => world.server(node).set_alive(true),
        Mishap::Window(node) => {
            windows::open(world, node);
            (0..5).for_each(|_| world.server(node).monitored());
            world.pass(5);
            windows::close(world, node, 5);
        }
    }
}

/// No total ever falls or grows faster than the busiest load lets it, and no rate leaves what is possible.
fn check_bounded(world: &mut World, seconds: u64) {
    const BUSIEST: u64 = 1_500;
    for _ in 0..seconds {
        let before: Vec<_> = ["a-1", "a-2"].map(|node| world.node(node).totals).to_vec();
        world.pass(1);
        for (node, before) in ["a-1", "a-2"].iter().zip(before) {
            let after = world.node(node).totals;
            let grown = |after: Option<u64>, before: Option<u64>| {
                after
                    .unwrap_or(0)
                    .checked_sub(before.unwrap_or(0))
                    .expect("never falls")
            };
            assert!(
                grown(after.commands, before.commands) <= BUSIEST * POLL,
                "{node} at {}",
                world.second
            );
            let bytes = |totals: &crate::metrics::snapshot::NodeTotals| totals.output_bytes.map(|bytes| bytes.0);
            assert!(
                grown(bytes(&after), bytes(&before)) <= BUSIEST * REPLY * POLL,
                "{node} at {}",
                world.second
            );
        }
        let shard = world.shard("a");
        assert!(
            commands(&shard).is_none_or(|rate| (0.0..=SHARD_RATE * 1.000_001).contains(&rate)),
            "{:?} at {}",
            shard.commands,
            world.second
        );
        assert!(bytes_out(&shard).is_none_or(|rate| (0.0..=SHARD_RATE * REPLY as f64 * 1.000_001).contains(&rate)));
        assert!(cpu(&shard).is_none_or(|rate| (0.0..=0.2001).contains(&rate)));
        assert!(!shard.commands.status.is_hot(), "at {}", world.second);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_mishap_ever_looks_like_load(mishaps in mishaps()) {
        let mut world = pair();
        world.pass(60);
        for (mishap, seconds) in mishaps {
            suffer(&mut world, mishap);
            check_bounded(&mut world, seconds);
        }
    }

    #[test]
    fn rates_are_within_five_percent_of_the_truth(reads in 200..100_000_u64, writes in 0..50_000_u64, cpu in 10..1_000_u64) {
        let load = Load { reads, writes, cpu };
        let mut world = World::new([("a-1", primary(load)), ("b-1", primary(STEADY))]);
        world.pass(95);
        let shard = world.shard("a");
        let near = |rate: Option<f64>, truth: f64| rate.is_some_and(|rate| (rate / truth - 1.0).abs() < 0.05);
        prop_assert!(near(commands(&shard), (reads + writes) as f64));
        prop_assert!(near(bytes_out(&shard), ((reads + writes) * REPLY) as f64));
        prop_assert!(near(super::cpu(&shard), cpu as f64 / 1e3));
    }
}
