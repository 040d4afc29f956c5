//! The catalogue as Prometheus reads it: text 0.0.4, and OpenMetrics for those who ask for it.
//!
//! Every page is made afresh from the last snapshot, so a series whose labels are gone is gone. It refuses to know HTTP.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric as Series, MetricFamily, MetricType};
use prometheus::{Encoder, Registry, TextEncoder};

use super::label::shown;
use super::openmetrics;
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

/// Makes pages of metrics.
#[derive(Clone, Debug)]
pub struct Pages {
    registry: Registry,
}

impl Pages {
    /// Pages of what is published, with figures of the process beside it.
    pub fn new(published: Published) -> Self {
        let registry = Registry::new();
        registry
            .register(Box::new(Catalogue::new(published)))
            .expect("the catalogue's names are unique and well formed, which its tests hold");
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the names of process metrics don't begin with ours");
        Self { registry }
    }

    /// A page of what is known now.
    pub fn page(&self, format: Format) -> Vec<u8> {
        let mut families = self.registry.gather();
        for family in &mut families {
            drop_repeated(family);
        }
        let mut page = Vec::with_capacity(64 * 1024);
        match format {
            Format::Text => TextEncoder::new()
                .encode(&families, &mut page)
                .expect("no family is empty and writing to memory doesn't fail"),
            Format::OpenMetrics => openmetrics::encode(&families, &mut page),
        }
        page
    }
}

/// Two series with the same labels would cost the whole scrape. The registry has sorted them, so they are neighbours.
fn drop_repeated(family: &mut MetricFamily) {
    let series = family.mut_metric();
    if series.windows(2).any(|pair| pair[0].get_label() == pair[1].get_label()) {
        let mut unique = family.take_metric();
        unique.dedup_by(|next, kept| next.get_label() == kept.get_label());
        family.set_metric(unique);
    }
}

/// The catalogue as a collector of the Prometheus crate.
struct Catalogue {
    published: Published,
    descriptions: Vec<Desc>,
}

impl Catalogue {
    fn new(published: Published) -> Self {
        let descriptions = catalog::all()
            .map(|metric| {
                let labels = metric.label_names().into_iter().map(str::to_owned).collect();
                Desc::new(metric.full_name(), metric.help.to_owned(), labels, Default::default())
                    .expect("names and labels are well formed, which the catalogue's tests hold")
            })
            .collect();
        Self {
            published,
            descriptions,
        }
    }
}

impl Collector for Catalogue {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.published.load();
        catalog::all()
            .filter_map(|metric| {
                let mut series = Vec::new();
                metric.samples(&snapshot, self.published.exports(), &mut |labels, value| {
                    series.push(self::series(metric, labels, value));
                });
                family(metric, series)
            })
            .collect()
    }
}

fn family(metric: &Metric, series: Vec<Series>) -> Option<MetricFamily> {
    if series.is_empty() {
        return None;
    }
    let mut family = MetricFamily::default();
    family.set_name(metric.full_name());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
    });
    family.set_metric(series);
    Some(family)
}

fn series(metric: &Metric, labels: &[(&str, &str)], value: f64) -> Series {
    let pairs = labels
        .iter()
        .map(|&(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(shown(value).into_owned());
            pair
        })
        .collect();
    let mut series = Series::from_label(pairs);
    match metric.kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            series.set_counter(counter);
        }
        Kind::Gauge => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            series.set_gauge(gauge);
        }
    }
    series
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
