//! Every metric, once: its name, kind, unit, help, labels, and how its samples are read from what is known.
//!
//! A metric is one entry in the list of its subject (`node`, `shard`, `window`, `own`). Prometheus, OpenTelemetry and the
//! reference page are made from these entries. The catalogue refuses to know any exporter.
//!
//! ```
//! use hotshard::metrics::catalog;
//!
//! assert!(catalog::all().any(|metric| metric.full_name() == "hotshard_node_up"));
//! ```

mod entry;
mod figure;
mod node;
mod own;
#[cfg(test)]
mod reference;
mod shard;
mod window;

pub use entry::{Each, Kind, Metric, Unit};
pub use window::SKIPPED_FROM_ZERO;

/// What every name begins with.
pub const PREFIX: &str = "hotshard_";

/// The metrics by subject: a heading and its entries.
pub const SUBJECTS: [(&str, &[Metric]); 5] = [
    ("Nodes", node::METRICS),
    ("Shards", shard::METRICS),
    ("Diagnosis", shard::DIAGNOSIS),
    ("Windows", window::METRICS),
    ("Discovery and hotshard itself", own::METRICS),
];

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SUBJECTS.iter().flat_map(|(_, metrics)| metrics.iter())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_word(name: &str) -> bool {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.contains("__")
            && name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    }

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for metric in all() {
            assert!(is_word(metric.name), "{}", metric.name);
            // OpenMetrics names a counter's family without the ending, so that must be unique too.
            let stem = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            assert!(seen.insert(stem), "{stem} stands twice");
            let labels = metric.label_names();
            assert!(labels.iter().all(|label| is_word(label)), "{}", metric.name);
            assert_eq!(
                labels.iter().collect::<BTreeSet<_>>().len(),
                labels.len(),
                "{} repeats a label",
                metric.name
            );
        }
    }

    #[test]
    fn names_end_as_their_kind_and_unit_say() {
        for metric in all() {
            let counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
            let stem = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            for (suffix, units) in [
                ("_ratio", &[Unit::Ratio][..]),
                ("_seconds", &[Unit::Seconds]),
                ("_bytes", &[Unit::Bytes]),
                ("_bytes_per_second", &[Unit::BytesPerSecond]),
            ] {
                assert_eq!(stem.ends_with(suffix), units.contains(&metric.unit), "{}", metric.name);
            }
            assert_eq!(
                stem.ends_with("_per_second"),
                matches!(metric.unit, Unit::PerSecond(_) | Unit::BytesPerSecond),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn every_metric_says_what_it_is() {
        for metric in all() {
            assert!(metric.help.ends_with('.') && metric.help.len() > 10, "{}", metric.name);
            assert!(!metric.help.contains(['\n', '\\', '|']), "{}", metric.name);
        }
    }
}
