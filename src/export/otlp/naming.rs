//! The catalogue's names and units as OpenTelemetry's conventions have them.
//!
//! A name loses its unit and `_total`, its first word becomes a namespace, and the unit is UCUM. Prometheus's own translation gives
//! the catalogue's name back, of each of its generations, which a test holds for every entry.

use crate::metrics::catalog::{self, Kind, Metric, Unit};

/// The name of a metric. Where two of the catalogue's would become one, a counter keeps the short name and the others keep their
/// units: `hotshard.shard.commands` beside `hotshard.shard.commands_per_second`.
pub(super) fn name(metric: &Metric) -> String {
    let words = if keeps_unit(metric) { metric.name } else { stem(metric) };
    match words.split_once('_') {
        Some((namespace, rest)) => format!("hotshard.{namespace}.{rest}"),
        None => format!("hotshard.{words}"),
    }
}

/// The unit in UCUM; things that are counted stand in braces, as an annotation.
pub(super) fn unit(metric: &Metric) -> String {
    match metric.unit {
        Unit::Count(thing) => format!("{{{thing}}}"),
        // With the unit `1` Prometheus would call it a ratio.
        Unit::Flag => String::new(),
        Unit::Ratio => "1".to_owned(),
        Unit::Seconds => "s".to_owned(),
        Unit::Bytes => "By".to_owned(),
        // Prometheus would append `per_second` to a name that has it.
        Unit::PerSecond(thing) if keeps_unit(metric) => format!("{{{thing}/s}}"),
        Unit::PerSecond(thing) => format!("{{{thing}}}/s"),
        Unit::BytesPerSecond if keeps_unit(metric) => "{By/s}".to_owned(),
        Unit::BytesPerSecond => "By/s".to_owned(),
    }
}

/// Whether the name says the unit, too, since without it another would be called the same.
fn keeps_unit(metric: &Metric) -> bool {
    let short = stem(metric);
    let shared = || catalog::all().any(|other| other.name != metric.name && stem(other) == short);
    metric.kind != Kind::Counter && shared()
}

/// The name without unit and `_total`.
fn stem(metric: &Metric) -> &'static str {
    let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
    let ending = match metric.unit {
        Unit::Count(_) | Unit::Flag => "",
        Unit::Ratio => "_ratio",
        Unit::Seconds => "_seconds",
        Unit::Bytes => "_bytes",
        Unit::PerSecond(_) => "_per_second",
        Unit::BytesPerSecond => "_bytes_per_second",
    };
    name.strip_suffix(ending).unwrap_or(name)
}

/// Prometheus's translation, of names with suffixes: what is no letter or digit becomes `_`, units are spelled out and appended unless
/// the name has them, annotations in braces are dropped, a gauge with the unit `1` is a ratio, and a counter ends in `_total`.
#[cfg(test)]
pub(super) fn translated(name: &str, unit: &str, kind: Kind, prometheus: Translator) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let is_annotation = |unit: &str| unit.contains(['{', '}']);
    let main = match main {
        "s" => "seconds",
        "By" => "bytes",
        main if is_annotation(main) || main == "1" => "",
        main => main,
    };
    let per = match per {
        "s" => "second",
        per if is_annotation(per) => "",
        per => per,
    };
    let has = |words: &[String], wanted: &str| words.iter().any(|word| word == wanted);
    if !main.is_empty() && !has(&words, main) {
        words.push(main.to_owned());
    }
    let has_per = match prometheus {
        Translator::Former => has(&words, per),
        // Words are looked for one by one, and this is two.
        Translator::Present => has(&words, &format!("per_{per}")),
    };
    if !per.is_empty() && !has_per {
        words.push(format!("per_{per}"));
    }
    for (applies, ending) in [
        (kind == Kind::Counter, "total"),
        (kind == Kind::Gauge && unit == "1", "ratio"),
    ] {
        if applies {
            words.retain(|word| word != ending);
            words.push(ending.to_owned());
        }
    }
    words.join("_")
}

/// Which Prometheus translates; they differ in when a name says its rate already.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(super) enum Translator {
    /// Prometheus 2, and collectors of that time.
    Former,
    /// The library of its own that it uses now, and collectors too.
    Present,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn prometheus_translates_every_name_back() {
        for metric in catalog::all() {
            let (name, unit) = (name(metric), unit(metric));
            for prometheus in [Translator::Former, Translator::Present] {
                let back = translated(&name, &unit, metric.kind, prometheus);
                assert_eq!(back, metric.full_name(), "{name} {unit} {prometheus:?}");
            }
        }
    }

    #[test]
    fn names_are_translated_as_prometheus_does_it() {
        let check = |name: &str, unit: &str, kind: Kind, expected: [&str; 2]| {
            let both = [Translator::Former, Translator::Present];
            assert_eq!(
                both.map(|prometheus| translated(name, unit, kind, prometheus)),
                expected
            );
        };
        // What the tests of Prometheus's own library expect.
        for (name, unit, kind, expected) in [
            ("requests", "", Kind::Counter, "requests_total"),
            ("requests_total", "", Kind::Counter, "requests_total"),
            ("items", "1", Kind::Counter, "items_total"),
            ("cpu_usage", "1", Kind::Gauge, "cpu_usage_ratio"),
            ("cpu_usage_ratio", "1", Kind::Gauge, "cpu_usage_ratio"),
            ("memory_usage", "By", Kind::Gauge, "memory_usage_bytes"),
            ("response_time_seconds", "s", Kind::Gauge, "response_time_seconds"),
            ("requests", "1/s", Kind::Gauge, "requests_per_second"),
            ("throughput", "By/s", Kind::Gauge, "throughput_bytes_per_second"),
            ("custom_metric", "{custom}", Kind::Gauge, "custom_metric"),
            ("custom_metric", "By/{custom}", Kind::Gauge, "custom_metric_bytes"),
        ] {
            check(name, unit, kind, [expected; 2]);
        }
        // What its source does with a name that says its rate.
        let gauge = Kind::Gauge;
        check(
            "reads_per_second",
            "{read}/s",
            gauge,
            ["reads_per_second", "reads_per_second_per_second"],
        );
        check("reads_per_second", "{read/s}", gauge, ["reads_per_second"; 2]);
    }

    #[test]
    fn no_two_metrics_share_a_name() {
        let mut seen = BTreeSet::new();
        for metric in catalog::all() {
            assert!(seen.insert(name(metric)), "{}", metric.name);
        }
    }

    /// `UPDATE_EXPECT=1 cargo test page_of_names` writes it anew.
    #[test]
    fn the_page_of_names_says_what_is_pushed() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/opentelemetry.md");
        let page = std::fs::read_to_string(file).expect("the manual has it");
        let (before, _) = page.split_once(NAMES).expect("the names are its last part");
        let mut written = format!("{before}{NAMES}| pushed as | unit | kind | scraped as |\n|---|---|---|---|\n");
        for metric in catalog::all() {
            let kind = if metric.kind == Kind::Counter { "sum" } else { "gauge" };
            let unit = Some(unit(metric))
                .filter(|unit| !unit.is_empty())
                .map(|unit| format!("`{unit}`"));
            let (name, unit, scraped) = (name(metric), unit.unwrap_or_default(), metric.full_name());
            written.push_str(&format!("| `{name}` | {unit} | {kind} | `{scraped}` |\n"));
        }
        expect_test::expect_file![file].assert_eq(&written);
    }

    const NAMES: &str = "\n## Every name\n\n";

    #[test]
    fn names_follow_the_conventions() {
        let check = |of: &str, expected: &str| {
            let metric = catalog::all()
                .find(|metric| metric.name == of)
                .expect("the catalogue has it");
            assert_eq!(format!("{} {}", name(metric), unit(metric)), expected);
        };
        check("node_up", "hotshard.node.up ");
        check("node_cpu_seconds_total", "hotshard.node.cpu s");
        check("node_memory_used_bytes", "hotshard.node.memory_used By");
        check("node_replication_lag_bytes", "hotshard.node.replication_lag_bytes By");
        check("shard_commands_total", "hotshard.shard.commands {command}");
        check(
            "shard_commands_per_second",
            "hotshard.shard.commands_per_second {command/s}",
        );
        check("shard_output_bytes_per_second", "hotshard.shard.output By/s");
        check("shard_skew_ratio", "hotshard.shard.skew 1");
        check("windows_total", "hotshard.windows {window}");
    }
}
