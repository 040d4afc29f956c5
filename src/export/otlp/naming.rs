//! The catalogue's names and units as OpenTelemetry's conventions have them.
//!
//! A name loses its unit and `_total`, its first word becomes a namespace, and the unit is UCUM. Prometheus's own translation gives
//! the catalogue's name back, which a test holds for every entry.

use crate::metrics::catalog::{self, Kind, Metric, Unit};

/// The name of a metric. Where two of the catalogue's would become one, a counter keeps the short name and the others keep their
/// units: `hotshard.shard.commands` beside `hotshard.shard.commands_per_second`.
pub(super) fn name(metric: &Metric) -> String {
    let short = stem(metric);
    let shared = || catalog::all().any(|other| other.name != metric.name && stem(other) == short);
    let words = if metric.kind != Kind::Counter && shared() {
        metric.name
    } else {
        short
    };
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
        Unit::PerSecond(thing) => format!("{{{thing}}}/s"),
        Unit::BytesPerSecond => "By/s".to_owned(),
    }
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

/// Prometheus's translation as its documentation describes it: what is no letter or digit becomes `_`, units are spelled out
/// and appended unless the name holds them, annotations in braces are dropped, a gauge with the unit `1` is a ratio, and a
/// counter ends in `_total`.
#[cfg(test)]
pub(super) fn translated(name: &str, unit: &str, kind: Kind) -> String {
    let mut words: Vec<String> = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .map(str::to_owned)
        .collect();
    let spelled = |unit: &str| match unit {
        "s" => "seconds".to_owned(),
        "By" => "bytes".to_owned(),
        unit if unit.contains('{') || unit == "1" => String::new(),
        unit => unit.to_owned(),
    };
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let main = spelled(main);
    let per = if per == "s" { "second".to_owned() } else { spelled(per) };
    if !main.is_empty() && !words.contains(&main) {
        words.push(main);
    }
    if !per.is_empty() && !words.contains(&per) {
        words.extend(["per".to_owned(), per]);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn prometheus_translates_every_name_back() {
        for metric in catalog::all() {
            let (name, unit) = (name(metric), unit(metric));
            assert_eq!(
                translated(&name, &unit, metric.kind),
                metric.full_name(),
                "{name} {unit}"
            );
        }
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
            "hotshard.shard.commands_per_second {command}/s",
        );
        check("shard_output_bytes_per_second", "hotshard.shard.output By/s");
        check("shard_skew_ratio", "hotshard.shard.skew 1");
        check("windows_total", "hotshard.windows {window}");
    }
}
