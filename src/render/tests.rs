use std::num::NonZeroUsize;
use std::sync::Arc;

use super::*;
use crate::analysis::report::{Observation, PatternShare, ReportSettings, SignalFigures, SignalReading, Source};
use crate::analysis::status::Status;
use crate::analysis::window::{Counted, KeyCount, PatternCount, SignatureCount, WindowStats};
use crate::model::{GroupId, GroupKey, NodeId, Ratio, Region, ShardId, Slot, Timestamp};

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

/// The same by the servers' counters: the first is hot in bytes out alone.
fn live(name: &str, shard: &str) -> Report {
    let (busy, fat) = (seen(600_000, name), seen(120_000, name));
    let group = GroupKey {
        region: Region::new("eu-central-1"),
        id: GroupId::new("orders"),
    };
    let reading = |rate: f64, deviation: f64, status| SignalReading {
        rate: Some(rate),
        deviation: Some(Ratio(deviation)),
        skew: Some(Ratio(1.0)),
        status,
    };
    let of = |stats, shard: &str, bytes: SignalReading| Observation {
        signals: Some(SignalFigures {
            commands: reading(2000.0, 0.0, Status::Normal),
            bytes_out: bytes,
            cpu: reading(0.1, 0.0, Status::Normal),
        }),
        ..Observation::of_log(ShardId::new(shard), NodeId::new("10.0.3.7:6379"), stats)
    };
    let observations = vec![
        of(&busy, "0001", reading(2e6, -0.89, Status::Cold)),
        of(&fat, shard, reading(30.1e6, 0.88, Status::VeryHot)),
    ];
    let settings = ReportSettings::default();
    Report::compare(&group, Source::Serve, observations, Vec::new(), &settings)
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
fn a_shard_that_could_not_be_compared_has_a_status_all_the_same() {
    let mut report = report("user:{ID}");
    report.shards[0].status.commands = Status::Unknown;
    let rendered = render(&report, Format::Markdown, Look::default());
    assert!(rendered.contains("\n| 0002 | unknown | "), "{rendered}");
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
    let long = "very:long:name:".repeat(20);
    for (report, width) in [report(&long), live(&long, "0002"), live(&long, &long)]
        .iter()
        .flat_map(|report| [60, 80, 100, 132].map(|width| (report, width)))
    {
        let look = Look {
            width,
            ..Look::default()
        };
        for line in render(report, Format::Table, look).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

/// In the overview a shard that is hot in bytes alone looks as hot as it is.
#[test]
fn what_is_hot_in_bytes_alone_is_seen_in_every_form() {
    let report = live("user:{ID}", "0002");
    let look = Look {
        width: 80,
        ..Look::default()
    };
    let text = render(&report, Format::Table, look);
    let overview: Vec<&str> = text.lines().filter(|line| line.contains("/s  ")).collect();
    expect_test::expect![[r#"
        0002   very hot    2.0k/s  ██████████      +0%   1.0×   30.1 MB/s  0.10 cores
        0001   normal      2.0k/s  ██████████      +0%   1.0×    2.0 MB/s  0.10 cores"#]]
    .assert_eq(&overview.join("\n"));
    assert!(
        text.contains("── 0002 on 10.0.3.7:6379 · very hot in bytes out ─"),
        "{text}"
    );
    assert!(text.contains("not found in the round before"), "{text}");
    let markdown = render(&report, Format::Markdown, look);
    let row = "| 0002 | very hot in bytes out | 2.0k/s | +0% | 1.0× | **30.1 MB/s** | 0.10 cores | 12,345 | 1 |";
    assert!(markdown.contains(row), "{markdown}");
    let page = render(&report, Format::Html, look);
    for part in [
        "Bytes out a second by shard, against the mean",
        r#"<span class="badge very-hot">very hot in bytes out</span>"#,
        r#"<td class="n very-hot">30.1 MB/s</td>"#,
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("Cores of each shard"), "nothing is hot in CPU");
    let mut both = report;
    both.shards[0].status.commands = Status::VeryHot;
    both.shards[0].status.cpu = Status::Hot;
    let text = render(&both, Format::Table, look);
    assert!(
        text.contains("· very hot in commands, bytes out; hot in CPU ─"),
        "{text}"
    );
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
