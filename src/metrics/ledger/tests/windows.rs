//! Totals over windows, and what gets a series.

use std::sync::Arc;

use super::*;
use crate::analysis::bandwidth::OutputEstimate;
use crate::analysis::window::{
    ClosedWindow, Counted, Coverage, KeyCount, PatternCount, Rejection, WindowEnd, WindowStats,
};
use crate::metrics::catalog;
use crate::metrics::exports::ExportTotals;
use crate::metrics::snapshot::WindowTotals;
use crate::model::{Bytes, Slot};

/// Opens a window on a node of the world.
pub(super) fn open(world: &mut World, node: &str) {
    let (shard, at) = (shard_of(node), world.now());
    world.ledger.apply(&Event::WindowOpened {
        group: world::key(),
        shard,
        node: NodeId::from(node),
        at,
    });
}

/// Closes a window that was open for so many seconds.
pub(super) fn close(world: &mut World, node: &str, seconds: u64) {
    let window = closed(node, world.now(), seconds, WindowStats::default());
    world.ledger.apply(&Event::WindowClosed(Arc::new(window)));
}

fn shard_of(node: &str) -> ShardId {
    ShardId::from(node.split('-').next().expect("split gives a first part"))
}

fn closed(node: &str, at: Timestamp, seconds: u64, stats: WindowStats) -> ClosedWindow {
    ClosedWindow {
        group: world::key(),
        shard: shard_of(node),
        node: NodeId::from(node),
        role: Role::Replica,
        opened: at - Duration::from_secs(seconds),
        closed: at,
        end: WindowEnd::Duration,
        stats,
        completeness: None,
        coverage: Coverage::default(),
        server_buffer_peak: None,
    }
}

/// Windows in a row, each given as its patterns with their counts, of 1,000 touches; what they add up to.
fn check(windows: &[&[(&str, u64)]], patterns_max: usize, expected: &str) {
    let limits = LimitSettings {
        patterns_max,
        ..LimitSettings::default()
    };
    let mut account = super::super::windows::WindowAccount::new(&limits);
    for patterns in windows {
        let patterns = patterns.iter().map(|&(pattern, count)| PatternCount {
            pattern: pattern.into(),
            count,
            error: 0,
            example_key: "".into(),
        });
        let stats = WindowStats {
            patterns: patterns.collect(),
            key_touches: 1_000,
            ..WindowStats::default()
        };
        account.closed(&Arc::new(closed("a-1", Timestamp(10_000_000), 10, stats)));
    }
    let totals = account.snapshot().observed_pattern_commands;
    let shown: Vec<String> = totals
        .iter()
        .map(|(pattern, count)| format!("{pattern} {count}"))
        .collect();
    assert_eq!(shown.join(", "), expected);
}

#[test]
fn a_pattern_gets_a_series_after_two_windows_with_a_share_worth_it() {
    check(&[&[("often", 500), ("rare", 9)]], 30, "other 1000");
    check(
        &[&[("often", 500), ("rare", 9)], &[("often", 600), ("rare", 9)]],
        30,
        "often 600, other 1400",
    );
    check(
        &[&[("often", 500)], &[("none", 5)], &[("often", 500)]],
        30,
        "other 3000",
    );
    check(
        &[&[("often", 500)], &[("often", 500)], &[("often", 3)]],
        30,
        "often 503, other 2497",
    );
}

#[test]
fn past_the_limit_patterns_are_other_and_a_place_is_given_up_only_by_one_that_is_gone() {
    let both: &[(&str, u64)] = &[("first", 500), ("second", 400)];
    check(&[both, both], 1, "first 500, other 1500");
    let second: &[(&str, u64)] = &[("second", 400)];
    check(&[both, both, second], 1, "first 500, other 2500");
    check(&[both, both, second, second], 1, "other 3100, second 400");
}

#[test]
fn a_pattern_that_comes_back_does_not_bring_its_past() {
    let [first, second]: [&[(&str, u64)]; 2] = [&[("first", 500)], &[("second", 400)]];
    check(
        &[first, first, second, second, second, first, first, first, first],
        1,
        "first 1500, other 6200",
    );
}

#[test]
fn a_window_that_opened_tells_that_the_node_serves_monitor() {
    let mut world = World::new([("a-1", Server::new(Role::Primary, Load::default()))]);
    world.pass(world::POLL);
    assert_eq!(world.node("a-1").sources.monitor, None);
    open(&mut world, "a-1");
    assert_eq!(world.node("a-1").sources.monitor, Some(true));
}

#[test]
fn a_node_without_monitor_is_told_by_the_window_that_failed() {
    let mut world = World::new([("a-1", Server::new(Role::Primary, Load::default()))]);
    let mut fail = |reason| {
        world.ledger.apply(&Event::WindowFailed {
            group: world::key(),
            shard: shard_of("a-1"),
            node: NodeId::from("a-1"),
            reason,
            text: String::new(),
        });
        world.node("a-1").sources.monitor
    };
    assert_eq!((fail("closed"), fail("no_monitor")), (None, Some(false)));
}

#[test]
fn commands_past_the_limit_and_what_is_only_estimated_are_other() {
    let limits = LimitSettings {
        commands_max: 1,
        ..LimitSettings::default()
    };
    let mut account = super::super::windows::WindowAccount::new(&limits);
    let counted = |name: &str, count, error| Counted {
        name: name.into(),
        count,
        error,
    };
    let stats = WindowStats {
        commands: 100,
        lines: 102,
        bytes_read: Bytes(5_000),
        rejected: vec![(Rejection::CutOff, 2)],
        commands_by_name: vec![counted("GET", 70, 10), counted("SET", 20, 0), counted("other", 20, 0)],
        ..WindowStats::default()
    };
    account.opened();
    account.closed(&Arc::new(closed("a-1", Timestamp(10_000_000), 10, stats.clone())));
    account.opened();
    account.closed(&Arc::new(closed("a-1", Timestamp(30_000_000), 10, stats)));
    account.skipped("no_replica", "it has none");
    let totals = account.snapshot();
    let commands: Vec<_> = totals
        .observed_commands
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!(commands, [("GET", 120), ("other", 80)], "the sum is what was seen");
    assert_eq!(
        (totals.active, totals.observed, totals.lines, totals.read_bytes),
        (0, Duration::from_secs(20), 204, Bytes(10_000))
    );
    assert_eq!(totals.ended, BTreeMap::from([(WindowEnd::Duration, 2)]));
    assert_eq!(totals.rejected_lines, BTreeMap::from([(Rejection::CutOff, 4)]));
    assert_eq!(totals.skipped, BTreeMap::from([("no_replica", 1)]));
}

#[test]
fn bytes_out_have_the_time_of_the_windows_they_were_estimated_of() {
    let mut account = super::super::windows::WindowAccount::new(&LimitSettings::default());
    let estimated = WindowStats {
        output: Some(OutputEstimate {
            attributed: Bytes(5_000),
            ..OutputEstimate::default()
        }),
        ..WindowStats::default()
    };
    for (at, stats) in [(10, estimated.clone()), (30, WindowStats::default()), (50, estimated)] {
        account.opened();
        account.closed(&Arc::new(closed("a-1", Timestamp(at * 1_000_000), 10, stats)));
    }
    let totals = account.snapshot();
    let times = [totals.observed, totals.observed_output].map(|time| time.as_secs());
    assert_eq!(times, [30, 20]);
    assert_eq!(
        totals.observed_pattern_output_bytes,
        BTreeMap::from([("other".into(), 10_000)])
    );
}

#[test]
fn skipped_windows_begin_at_zero_and_what_servers_refuse_with_its_first_time() {
    let mut world = World::new([("a-1", Server::new(Role::Primary, Load::default()))]);
    let metric = catalog::all()
        .find(|metric| metric.name == "windows_skipped_total")
        .expect("it is in the catalogue");
    let counted = |world: &World| {
        let mut counted = BTreeMap::new();
        metric.samples(&world.snapshot(), &ExportTotals::default(), &mut |labels, value| {
            let reason = labels.iter().find(|(name, _)| *name == "reason").expect("it has one").1;
            assert!(counted.insert(reason.to_owned(), value).is_none(), "{reason} twice");
        });
        counted
    };
    let before = counted(&world);
    assert!(before.keys().eq(catalog::SKIPPED_FROM_ZERO), "{before:?}");
    assert!(before.values().all(|count| *count == 0.0), "{before:?}");
    for reason in ["memory", "max_clients"] {
        world.ledger.apply(&Event::WindowSkipped {
            group: world::key(),
            shard: shard_of("a-1"),
            reason,
            text: String::new(),
        });
    }
    let after = counted(&world);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!([after["memory"], after["max_clients"], after["cpu"]], [1.0, 1.0, 0.0]);
}

#[test]
fn shares_are_those_of_the_last_window_and_of_few_names() {
    let limits = LimitSettings {
        slots_max: 1,
        keys_max: 1,
        ..LimitSettings::default()
    };
    let mut account = super::super::windows::WindowAccount::new(&limits);
    let slot = |number| Slot::new(number).expect("a test's slot");
    let key = |key: &str, count| KeyCount {
        key: key.into(),
        count,
        error: 0,
        slot: slot(1),
    };
    let stats = WindowStats {
        commands: 100,
        key_touches: 100,
        slots: vec![(slot(7), 60), (slot(8), 30), (slot(9), 4)],
        keys: vec![key("hot", 50), key("warm", 10)],
        clients: vec![Counted {
            name: "10.0.0.1".into(),
            count: 100,
            error: 0,
        }],
        ..WindowStats::default()
    };
    account.closed(&Arc::new(closed("a-1", Timestamp(10_000_000), 10, stats)));
    let WindowTotals {
        slot_shares,
        key_shares,
        client_shares,
        ..
    } = account.snapshot();
    assert_eq!(slot_shares, BTreeMap::from([(slot(7), Ratio(0.6))]));
    assert_eq!(key_shares, BTreeMap::from([(Arc::from("hot"), Ratio(0.5))]));
    assert!(client_shares.is_empty(), "nobody asked for clients");
}

#[test]
fn a_shard_without_a_window_says_why_until_it_has_one() {
    let mut account = super::super::windows::WindowAccount::new(&LimitSettings::default());
    account.skipped("memory", "memory is nearly full; give the server more");
    account.skipped("cpu", "the engine is busy; look at a quieter time");
    assert_eq!(
        account.snapshot().absence.as_deref(),
        Some("the engine is busy; look at a quieter time"),
        "the last round's reason counts"
    );
    account.closed(&Arc::new(closed(
        "a-1",
        Timestamp(10_000_000),
        10,
        WindowStats::default(),
    )));
    assert_eq!(account.snapshot().absence, None);
}

#[test]
fn a_round_without_a_window_on_a_hot_shard_does_not_blame_what_an_earlier_one_saw() {
    let busy = Load { reads: 9_000, ..STEADY };
    let mut world = World::new([
        ("a-1", primary(busy)),
        ("a-2", replica(REPLICA)),
        ("b-1", primary(STEADY)),
        ("b-2", replica(REPLICA)),
    ]);
    world.pass(90);
    let window = |world: &World, node: &str, hottest: u64| {
        let key = KeyCount {
            key: "basket".into(),
            count: hottest,
            error: 0,
            slot: Slot::new(1).expect("a test's slot"),
        };
        let mut window = closed(
            node,
            world.now(),
            10,
            WindowStats {
                commands: 10_000,
                reads: 10_000,
                key_touches: 10_000,
                keys: vec![key],
                ..WindowStats::default()
            },
        );
        window.coverage.reads = Some(Ratio(1.0));
        Event::WindowClosed(Arc::new(window))
    };
    let told = |world: &World| {
        let report = world.snapshot().groups.remove(0).report.expect("a round has ended");
        let shards: Vec<_> = report.shards.iter().map(|shard| shard.shard.as_str()).collect();
        let missing: Vec<_> = report
            .missing
            .iter()
            .map(|one| format!("{}: {}", one.shard, one.reason))
            .collect();
        let cause = report.diagnosis.first().map(|finding| finding.cause.kind());
        format!(
            "{} / {} / {}",
            shards.join(" "),
            missing.join(" "),
            cause.unwrap_or("-")
        )
    };
    let ended = Event::RoundEnded(world::key());

    for event in [window(&world, "a-2", 9_000), window(&world, "b-2", 10), ended.clone()] {
        world.ledger.apply(&event);
    }
    assert_eq!(told(&world), "a b /  / single_key");

    world.pass(300);
    let skipped = Event::WindowSkipped {
        group: world::key(),
        shard: shard_of("a-2"),
        reason: "memory",
        text: "memory is nearly full".to_owned(),
    };
    for event in [skipped, window(&world, "b-2", 10), ended] {
        world.ledger.apply(&event);
    }
    assert_eq!(told(&world), "b / a: memory is nearly full / unexplained");
    let report = world.snapshot().groups.remove(0).report.expect("a round has ended");
    let said = format!("{:?} {:?}", report.diagnosis[0].evidence, report.diagnosis[0].advice);
    assert!(said.contains("(memory is nearly full)"), "{said}");
    // A primary is not where to look because a replica's memory is full.
    assert!(!said.contains("use-primary"), "{said}");
}
