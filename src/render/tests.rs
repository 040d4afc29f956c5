use std::num::NonZeroUsize;
use std::sync::Arc;

use super::*;
use crate::analysis::report::{Observation, PatternShare, ReportSettings, Source};
use crate::analysis::window::{Counted, KeyCount, PatternCount, SignatureCount, WindowStats};
use crate::model::{GroupId, GroupKey, NodeId, Region, ShardId, Slot, Timestamp};

fn seen(commands: u64, name: &str) -> WindowStats {
    let counted = |name: &str, count| Counted {
        name: Arc::from(name),
        count,
        error: 0,
    };
    WindowStats {
        lines: commands,
        commands,
        first: Some(Timestamp(1_795_219_200_000_000)),
        last: Some(Timestamp(1_795_219_260_000_000)),
        commands_by_name: vec![counted("GET", commands / 2), counted("ZRANGE", commands / 3)],
        patterns: vec![PatternCount {
            pattern: Arc::from(name),
            count: commands / 2,
            error: 0,
            example_key: Arc::from("k"),
        }],
        signatures: vec![SignatureCount {
            signature: Arc::from(format!("ZRANGE | {name} | 0 -1")),
            count: commands / 3,
            error: 0,
            full_scan: true,
        }],
        keys: vec![KeyCount {
            key: Arc::from("user:7"),
            count: commands / 5,
            error: 4,
            slot: Slot::of_checksum(8000),
        }],
        slots: vec![(Slot::of_checksum(8000), commands / 5)],
        clients: vec![counted("10.0.0.9", commands)],
        key_touches: commands,
        distinct_keys: 12_345,
        distinct_clients: 1,
        ..WindowStats::default()
    }
}

fn report(name: &str) -> Report {
    let (hot, calm) = (seen(600_000, name), seen(120_000, name));
    let group = GroupKey {
        region: Region::new("eu-central-1"),
        id: GroupId::new("orders"),
    };
    let observations = vec![
        Observation::of_log(ShardId::new("0001"), NodeId::new("0001.log"), &calm),
        Observation::of_log(ShardId::new("0002"), NodeId::new("0002.log"), &hot),
    ];
    Report::compare(
        &group,
        Source::Analyze,
        observations,
        Vec::new(),
        &ReportSettings::default(),
    )
}

const HOSTILE: &str = "=a|b`<script>&\"'\u{1b}[31m,x";

fn check(format: Format, expected: &expect_test::ExpectFile) {
    expected.assert_eq(&render(&report("user:{ID}"), format, Look::default()));
}

#[test]
fn text_is_readable_without_colour() {
    check(Format::Table, &expect_test::expect_file!["expected.txt"]);
}

#[test]
fn markdown_is_tables() {
    check(Format::Markdown, &expect_test::expect_file!["expected.md"]);
}

#[test]
fn csv_is_one_flat_table() {
    check(Format::Csv, &expect_test::expect_file!["expected.csv"]);
}

#[test]
fn colour_changes_nothing_but_colour() {
    let look = Look {
        colour: true,
        ..Look::default()
    };
    let report = report("user:{ID}");
    let coloured = render(&report, Format::Table, look);
    assert!(coloured.contains('\u{1b}'));
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        bare.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    bare.push_str(rest);
    let trimmed: Vec<&str> = bare.lines().map(str::trim_end).collect();
    let plain = render(&report, Format::Table, Look::default());
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let report = report(&"very:long:name:".repeat(20));
    for width in [60, 80, 100, 132] {
        let look = Look {
            width,
            ..Look::default()
        };
        for line in render(&report, Format::Table, look).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn a_hostile_key_stays_text() {
    let report = report(HOSTILE);
    for format in [Format::Table, Format::Markdown, Format::Html] {
        let text = render(&report, format, Look::default());
        assert!(!text.contains('\u{1b}'), "{format:?}");
    }
    let page = render(&report, Format::Html, Look::default());
    assert!(!page.contains("<script"));
    assert!(!page.contains("http://") && !page.contains("https://"));
    let table = render(&report, Format::Csv, Look::default());
    assert!(table.contains("\"'=a|b`<script>&\"\"'"), "{table}");
    let markdown = render(&report, Format::Markdown, Look::default());
    assert!(markdown.contains("`` =a\\|b`<script>"), "{markdown}");
}

#[test]
fn as_many_entries_are_shown_as_are_asked_for() {
    let mut report = report("user:{ID}");
    let pattern = report.shards[0].patterns[0].clone();
    report.shards[0].patterns = (0..30)
        .map(|number| PatternShare {
            pattern: format!("kind{number}:{{ID}}").into(),
            share: 0.001,
            ..pattern.clone()
        })
        .collect();
    for format in [Format::Table, Format::Markdown, Format::Html] {
        let shown = |entries: Option<usize>| {
            let look = Look {
                entries: entries.and_then(NonZeroUsize::new),
                ..Look::default()
            };
            let text = render(&report, format, look);
            (0..30)
                .filter(|number| text.contains(&format!("kind{number}:")))
                .count()
        };
        assert_eq!([None, Some(2), Some(30)].map(shown), [3, 2, 30], "{format:?}");
    }
}
