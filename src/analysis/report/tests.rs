use std::sync::Arc;

use super::*;
use crate::analysis::bandwidth::Probing;
use crate::analysis::status::Status;
use crate::analysis::window::{Counted, KeyCount, PatternCount, Rejection, SignatureCount, WindowStats};
use crate::model::{Bytes, GroupId, GroupKey, NodeId, Ratio, Region, ShardId, Slot, Timestamp};

/// 2026-11-21 00:00:00 UTC.
const NOW: u64 = 1_795_219_200_000_000;

/// What a window of ten seconds saw, with so many commands.
fn seen(commands: u64) -> WindowStats {
    let counted = |name: &str, count| Counted {
        name: Arc::from(name),
        count,
        error: 0,
    };
    WindowStats {
        bytes_read: Bytes(commands * 80),
        lines: commands,
        commands,
        reads: commands,
        rejected: vec![(Rejection::Source, 2)],
        first: Some(Timestamp(NOW)),
        last: Some(Timestamp(NOW + 10_000_000)),
        commands_by_name: vec![counted("GET", commands - 10), counted("LRANGE", 10)],
        patterns: vec![PatternCount {
            pattern: Arc::from("user:{ID}"),
            count: commands / 2,
            error: 3,
            example_key: Arc::from("user:1001"),
        }],
        signatures: vec![SignatureCount {
            signature: Arc::from("LRANGE | queue | 0 -1"),
            count: 10,
            error: 0,
            full_scan: true,
        }],
        keys: vec![KeyCount {
            key: Arc::from("user:1001"),
            count: commands / 4,
            error: 0,
            slot: Slot::of_checksum(4711),
        }],
        hash_tags: vec![counted("{eu}", commands / 8)],
        slots: vec![(Slot::of_checksum(4711), commands / 4)],
        clients: vec![counted("10.0.0.9", commands)],
        key_touches: commands,
        distinct_keys: 17,
        distinct_clients: 1,
        ..WindowStats::default()
    }
}

fn group() -> GroupKey {
    GroupKey {
        region: Region::new(""),
        id: GroupId::new("orders"),
    }
}

fn offline(windows: &[(&str, WindowStats)]) -> Report {
    let observations = windows
        .iter()
        .map(|(name, stats)| Observation::of_log(ShardId::new(*name), NodeId::new(format!("{name}.log")), stats))
        .collect();
    Report::compare(
        &group(),
        Source::Analyze,
        observations,
        Vec::new(),
        &ReportSettings::default(),
    )
}

fn check(rates: &[u64], expected: &[&str]) {
    let names = ["a", "b", "c", "d"];
    let windows: Vec<(&str, WindowStats)> = names
        .into_iter()
        .zip(rates.iter().map(|rate| seen(rate * 10)))
        .collect();
    let shown: Vec<String> = offline(&windows)
        .shards
        .iter()
        .map(|shard| {
            format!(
                "{} {} {:?} {:?}",
                shard.shard,
                shard.status.commands.kind(),
                shard.deviation_ratio,
                shard.skew_ratio
            )
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn shards_are_compared_by_what_their_windows_saw_hottest_first() {
    check(
        &[200, 1000, 300],
        &[
            "b very_hot Some(1.0) Some(4.0)",
            "c cold Some(-0.4) Some(0.5)",
            "a cold Some(-0.6) Some(0.307692)",
        ],
    );
}

#[test]
fn a_shard_of_which_little_was_seen_may_be_hot_and_is_never_normal() {
    let compared = |commands: u64| {
        let (stats, others) = (seen(commands), seen(3000));
        let mut observations = ["a", "b", "c"].map(|name| {
            let stats = if name == "a" { &stats } else { &others };
            Observation::of_log(ShardId::new(name), NodeId::new(format!("{name}-002")), stats)
        });
        observations[0].role = Some(crate::model::Role::Replica);
        observations[0].coverage = Some(crate::analysis::window::Coverage {
            reads: Some(Ratio(0.09)),
            writes: Some(Ratio(1.0)),
            primary_reads: Some(Ratio(0.91)),
        });
        let report = Report::compare(
            &group(),
            Source::Serve,
            observations.into(),
            Vec::new(),
            &ReportSettings::default(),
        );
        let shard = report.shards.into_iter().find(|shard| shard.shard.as_str() == "a");
        let shard = shard.expect("it is in the report");
        (
            shard.status.commands.kind(),
            shard.commands_per_second,
            shard.skew_ratio,
        )
    };
    assert_eq!(compared(3000), ("unknown", Some(300.0), None));
    assert_eq!(compared(9000), ("very_hot", Some(900.0), Some(3.0)));
}

#[test]
fn one_shard_has_nothing_to_be_compared_with() {
    check(&[1000], &["a unknown None None"]);
}

#[test]
fn little_traffic_is_idle() {
    check(
        &[2, 8],
        &["b idle Some(0.6) Some(0.08)", "a idle Some(-0.6) Some(0.02)"],
    );
}

#[test]
fn the_json_has_every_field_of_the_contract_in_its_order() {
    let report = offline(&[("a", seen(1000))]);
    expect_test::expect_file!["report.json"]
        .assert_eq(&(serde_json::to_string_pretty(&report).expect("a report is JSON") + "\n"));
    let again: Report =
        serde_json::from_str(&serde_json::to_string(&report).expect("a report is JSON")).expect("and can be read");
    assert_eq!(again, report);
}

#[test]
fn live_signals_decide_over_windows() {
    let stats = seen(1000);
    let mut observation = Observation::of_log(ShardId::new("a"), NodeId::new("a-002"), &stats);
    observation.signals = Some(SignalFigures {
        commands: SignalReading {
            rate: Some(90_000.0),
            deviation: Some(Ratio(0.8)),
            skew: Some(Ratio(2.5)),
            status: crate::analysis::status::Status::VeryHot,
        },
        ..SignalFigures::default()
    });
    let other = seen(5000);
    let beside = Observation::of_log(ShardId::new("b"), NodeId::new("b-002"), &other);
    let report = Report::compare(
        &group(),
        Source::Serve,
        vec![beside, observation],
        Vec::new(),
        &ReportSettings::default(),
    );
    let hottest = &report.shards[0];
    assert_eq!((hottest.shard.as_str(), hottest.deviation_ratio), ("a", Some(0.8)));
    assert_eq!(
        hottest.signals.and_then(|signals| signals.skew_ratio.commands),
        Some(2.5)
    );
}

#[test]
fn a_shard_that_is_hot_in_bytes_alone_comes_before_a_busier_one() {
    let (stats, other) = (seen(1000), seen(5000));
    let mut observations = [("a", &stats), ("b", &other)]
        .map(|(name, stats)| Observation::of_log(ShardId::new(name), NodeId::new(name), stats));
    let reading = |rate, deviation, status| SignalReading {
        rate: Some(rate),
        deviation: Some(Ratio(deviation)),
        skew: None,
        status,
    };
    observations[0].signals = Some(SignalFigures {
        commands: reading(100.0, -0.7, Status::Cold),
        bytes_out: reading(1e7, 0.9, Status::VeryHot),
        cpu: SignalReading::default(),
    });
    observations[1].signals = Some(SignalFigures {
        commands: reading(500.0, 0.7, Status::VeryHot),
        bytes_out: reading(1e5, -0.9, Status::Cold),
        cpu: SignalReading::default(),
    });
    let settings = ReportSettings::default();
    let report = Report::compare(&group(), Source::Serve, observations.into(), Vec::new(), &settings);
    let order: Vec<&str> = report.shards.iter().map(|shard| shard.shard.as_str()).collect();
    assert_eq!(order, ["a", "b"]);
}

#[test]
fn an_empty_log_is_a_report_too() {
    let report = offline(&[("a", WindowStats::default())]);
    assert_eq!((report.started_at, report.totals.commands_per_second), (None, None));
}

/// The schema, held against a value: types, the fields and their order, enumerations, bounds.
fn hold(schema: &serde_json::Value, value: &serde_json::Value, path: &str) {
    let types = match &schema["type"] {
        serde_json::Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let kind = match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "boolean",
        serde_json::Value::Number(number) if number.is_f64() => "number",
        serde_json::Value::Number(_) => "integer",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    };
    let fits = types
        .iter()
        .any(|known| known == kind || (kind == "integer" && known == "number"));
    assert!(fits, "{path} is {kind}, not {types:?}");
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{path}: {value}");
    }
    if let (Some(figure), Some(most)) = (value.as_f64(), schema["maximum"].as_f64()) {
        assert!(figure <= most, "{path}: {figure}");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        hold(&schema["items"], item, &format!("{path}[{index}]"));
    }
    if let Some(fields) = value.as_object() {
        let known: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str())
            .collect();
        assert_eq!(fields.keys().collect::<Vec<_>>(), known, "{path}");
        for (name, field) in fields {
            hold(&schema["properties"][name], field, &format!("{path}.{name}"));
        }
    }
}

#[test]
fn the_schema_describes_every_report() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/report.schema.json")).expect("the schema is JSON");
    let mut report = offline(&[("a", seen(1000)), ("b", seen(9000))]);
    hold(
        &schema,
        &serde_json::to_value(&report).expect("a report is JSON"),
        "report",
    );
    report.missing.push(Missing {
        shard: ShardId::new("c"),
        reason: "no replica".into(),
    });
    report.diagnosis.push(Diagnosis {
        shard: ShardId::new("b"),
        signal: crate::analysis::status::Signal::Commands,
        cause: crate::analysis::diagnosis::Cause::SingleKey,
        share: Some(0.6),
        subject: Some("user:1001".into()),
        confidence: None,
        evidence: vec!["60% of the touches".into()],
        advice: vec!["cache it in the client".into()],
        resharding_helps: Some(false),
        new_since_last_round: true,
    });
    let sent = |name: &str| OutputShare {
        name: name.into(),
        bytes: 1,
        share: 0.5,
    };
    let shard = &mut report.shards[0];
    shard.role = Some(crate::model::Role::Replica);
    shard.window_end = Some(crate::analysis::window::WindowEnd::Duration);
    shard.coverage = Some(CoverageReport {
        reads: Some(0.5),
        writes: None,
    });
    shard.bytes_out = Some(BytesOut {
        estimated: 1,
        measured: Some(2),
        unattributed: Some(1),
        error_ratio: Some(0.5),
        scale_ratio: 1.1,
        by_pattern: vec![sent("user:{ID}")],
        by_command: vec![sent("GET")],
        by_signature: vec![sent("GET | user:{ID}")],
        by_key: vec![sent("user:1001")],
        not_estimable: vec![CommandShare {
            command: "EVAL".into(),
            count: 1,
            share: 0.1,
        }],
        sizes: Probing::Rough,
    });
    shard.signals = Some(SignalsReport {
        commands_per_second: Some(1.0),
        bytes_out_per_second: None,
        cpu_ratio: None,
        deviation_ratio: PerSignal::default(),
        skew_ratio: PerSignal::default(),
    });
    hold(
        &schema,
        &serde_json::to_value(&report).expect("a report is JSON"),
        "report",
    );
}

#[test]
fn the_schema_knows_every_window_end() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/report.schema.json")).expect("the schema is JSON");
    let known = &schema["properties"]["shards"]["items"]["properties"]["window_end"]["enum"];
    let known: Vec<&str> = known
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|end| end.as_str())
        .collect();
    assert_eq!(known, crate::analysis::window::WindowEnd::ALL.map(|end| end.kind()));
}
