//! The catalogue as Prometheus reads it: text 0.0.4, and OpenMetrics for those who ask for it.
//!
//! Every page is made afresh from the last snapshot, so a series whose labels are gone is gone. It refuses to know HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::Registry;
use prometheus::proto::{MetricFamily, MetricType};
use rustix::time::{ClockId, clock_gettime};

use super::exposition::Exposition;
use crate::metrics::catalog::{self, Kind, Metric};
use crate::metrics::published::Published;

/// What the text format calls itself.
pub const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What OpenMetrics calls itself.
pub const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a page of metrics is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format an `Accept` header asks for. OpenMetrics only if it is named and not valued below plain text.
    pub fn accepted(header: &str) -> Self {
        let quality = |wanted: &[&str]| {
            header
                .split(',')
                .filter(|choice| {
                    let kind = choice.split(';').next().unwrap_or_default().trim();
                    wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(kind))
                })
                .map(quality)
                .fold(None, |best: Option<f64>, next| {
                    Some(best.map_or(next, |best| best.max(next)))
                })
        };
        match (
            quality(&["application/openmetrics-text"]),
            quality(&["text/plain", "text/*"]),
        ) {
            (Some(open), text) if open > 0.0 && open >= text.unwrap_or(0.0) => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The content type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT_TYPE,
            Self::OpenMetrics => OPENMETRICS_TYPE,
        }
    }
}

/// The `q` of one choice in an `Accept` header.
fn quality(choice: &str) -> f64 {
    choice
        .split(';')
        .skip(1)
        .find_map(|parameter| parameter.trim().strip_prefix("q=")?.trim().parse().ok())
        .unwrap_or(1.0)
}

/// Makes pages of metrics. Clones make the same.
#[derive(Clone)]
pub struct Pages {
    published: Published,
    /// Figures of the process, which the Prometheus crate reads.
    process: Registry,
    /// The catalogue by name.
    metrics: Arc<[(String, &'static Metric)]>,
    /// How large the last page was.
    length: Arc<AtomicUsize>,
}

impl Pages {
    /// Pages of what is published, with figures of the process behind it.
    pub fn new(published: Published) -> Self {
        let process = Registry::new();
        #[cfg(target_os = "linux")]
        process
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("nothing else is registered");
        let named = catalog::all().map(|metric| (metric.full_name(), metric));
        let sorted: BTreeMap<String, &Metric> = named.collect();
        Self {
            published,
            process,
            metrics: sorted.into_iter().collect(),
            length: Arc::default(),
        }
    }

    /// A page of what is known now.
    pub fn page(&self, format: Format) -> Vec<u8> {
        let snapshot = self.published.load();
        let expected = self.length.load(Ordering::Relaxed);
        let mut page = Exposition::new(format, expected + expected / 16 + 4096);
        for (name, metric) in self.metrics.iter() {
            page.family(name, metric.kind, metric.help);
            metric.samples(&snapshot, self.published.exports(), &mut |labels, value| {
                page.sample(labels, value);
            });
        }
        for family in self.process.gather() {
            add(&mut page, &family);
        }
        let page = page.finish();
        self.length.store(page.len(), Ordering::Relaxed);
        page
    }
}

/// What the Prometheus crate tells in whole seconds, of which a quiet hotshard takes one in a minute or two.
const CPU_TIME: &str = "process_cpu_seconds_total";

fn cpu_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// A family that the Prometheus crate has gathered; others than counters and gauges don't occur.
fn add(page: &mut Exposition, family: &MetricFamily) {
    let is_counter = family.get_field_type() == MetricType::COUNTER;
    let kind = if is_counter { Kind::Counter } else { Kind::Gauge };
    page.family(family.name(), kind, family.help());
    for series in family.get_metric() {
        let labels = series.get_label().iter().map(|pair| (pair.name(), pair.value()));
        let value = match kind {
            Kind::Counter if family.name() == CPU_TIME => cpu_seconds(),
            Kind::Counter => series.get_counter().get_value(),
            Kind::Gauge => series.get_gauge().get_value(),
        };
        page.sample(&labels.collect::<Vec<_>>(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fabricated;
    use super::*;
    use crate::metrics::snapshot::Snapshot;
    use crate::model::ShardId;

    fn page(snapshot: Snapshot, format: Format) -> String {
        let published = Published::new();
        published.store(snapshot);
        String::from_utf8(Pages::new(published).page(format)).expect("a page is UTF-8")
    }

    #[test]
    fn cpu_time_is_told_in_parts_of_a_second() {
        let spent = || {
            let page = page(Snapshot::default(), Format::Text);
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
            line.and_then(|value| value.parse::<f64>().ok())
                .expect("a process has a CPU time")
        };
        let first = spent();
        let next = std::iter::repeat_with(spent)
            .find(|next| *next != first)
            .expect("it goes on for ever");
        assert!(first < next && next < first + 1.0, "{first} {next}");
    }

    fn check(snapshot: Snapshot, format: Format, expected_lines: &[&str]) {
        let page = page(snapshot, format);
        for expected in expected_lines {
            assert!(
                page.lines().any(|line| line == *expected),
                "{expected} isn't in:\n{page}"
            );
        }
    }

    #[test]
    fn a_page_shows_name_help_kind_labels_and_value() {
        check(
            fabricated::snapshot(1, 2),
            Format::Text,
            &[
                "# HELP hotshard_node_up Whether the last poll of the node was answered.",
                "# TYPE hotshard_node_up gauge",
                "hotshard_node_up{region=\"eu-central-1\",replication_group=\"orders\",shard=\"0001\",node=\"orders-0001-001\"} 1",
                "# TYPE hotshard_node_commands_total counter",
                "# TYPE process_resident_memory_bytes gauge",
            ],
        );
    }

    #[test]
    fn openmetrics_names_counters_without_total_and_ends() {
        let page = page(fabricated::snapshot(1, 2), Format::OpenMetrics);
        assert!(page.contains("# TYPE hotshard_node_commands counter\n"), "{page}");
        assert!(page.contains("\nhotshard_node_commands_total{"), "{page}");
        assert!(page.contains("# UNIT hotshard_node_cpu_seconds seconds\n"), "{page}");
        assert!(page.ends_with("\n# EOF\n"), "{page}");
    }

    #[test]
    fn a_vanished_shard_vanishes_from_the_next_page() {
        let published = Published::new();
        published.store(fabricated::snapshot(1, 3));
        let pages = Pages::new(published.clone());
        assert!(String::from_utf8_lossy(&pages.page(Format::Text)).contains("shard=\"0003\""));
        published.store(fabricated::snapshot(1, 2));
        assert!(!String::from_utf8_lossy(&pages.page(Format::Text)).contains("shard=\"0003\""));
    }

    #[test]
    fn whatever_a_name_holds_the_page_stays_whole() {
        let mut snapshot = fabricated::snapshot(1, 1);
        snapshot.groups[0].shards[0].id = ShardId::new("a\"b\\c\nd\re\0f\u{7f}g é");
        check(
            snapshot,
            Format::Text,
            &[concat!(
                "hotshard_shard_slots{region=\"eu-central-1\",replication_group=\"orders\",",
                "shard=\"a\\\"b\\\\c\\\\nd\\\\re\\\\x00f\\\\x7fg é\"} 16384"
            )],
        );
    }

    #[test]
    fn shards_of_one_name_dont_cost_the_scrape() {
        let mut snapshot = fabricated::snapshot(1, 2);
        snapshot.groups[0].shards[1].id = snapshot.groups[0].shards[0].id.clone();
        let page = page(snapshot, Format::Text);
        assert_eq!(page.matches("\nhotshard_shard_slots{").count(), 1);
    }

    #[test]
    fn what_is_unknown_is_absent() {
        let mut snapshot = fabricated::snapshot(1, 1);
        snapshot.groups[0].shards[0].slots = None;
        assert!(!page(snapshot, Format::Text).contains("hotshard_shard_slots"));
    }

    #[test]
    fn openmetrics_is_given_to_those_who_ask_for_it() {
        let outcome = [
            "",
            "*/*",
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "text/plain, application/openmetrics-text;q=0.2",
            "application/openmetrics-text;q=0",
            "Application/OpenMetrics-Text; version=1.0.0",
            "text/html",
        ]
        .map(Format::accepted);
        use Format::{OpenMetrics, Text};
        assert_eq!(outcome, [Text, Text, OpenMetrics, Text, Text, OpenMetrics, Text]);
    }
}
