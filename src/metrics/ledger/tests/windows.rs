//! Totals over windows, and what gets a series.

use std::sync::Arc;

use super::*;
use crate::analysis::window::{
    ClosedWindow, Counted, Coverage, KeyCount, PatternCount, Rejection, WindowEnd, WindowStats,
};
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
