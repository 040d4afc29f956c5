//! A page of metrics as it is written: families and their series, in the text format 0.0.4 or in OpenMetrics 1.0.0.
//!
//! Labels go from where they are into the page, without a copy in between: a page of ten thousand series is asked for every few
//! seconds, and whatever it takes is taken from windows. It refuses to know what the figures say.

use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::label::{is_plain, shown};
use super::prometheus::Format;
use crate::metrics::catalog::Kind;

/// Whole numbers up to here are the same as a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A page that grows.
pub(super) struct Exposition {
    format: Format,
    page: String,
    /// What each sample of the family at hand begins with.
    name: String,
    /// Where the family at hand begins, and whether a series of it stands in the page.
    begins: usize,
    has_series: bool,
    /// Where the labels of its series stand.
    labels: HashTable<Range<usize>>,
    hasher: RandomState,
}

impl Exposition {
    /// An empty page that will have about so many bytes.
    pub(super) fn new(format: Format, capacity: usize) -> Self {
        Self {
            format,
            page: String::with_capacity(capacity),
            name: String::new(),
            begins: 0,
            has_series: true,
            labels: HashTable::new(),
            hasher: RandomState::default(),
        }
    }

    /// Begins a family. One that gets no series leaves nothing.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.end_family();
        self.begins = self.page.len();
        self.has_series = false;
        self.labels.clear();
        self.name.clear();
        self.name.push_str(name);
        let written = match self.format {
            Format::Text => self.text_head(kind, help),
            Format::OpenMetrics => self.open_head(kind, help),
        };
        written.expect("writing to memory doesn't fail");
    }

    fn text_head(&mut self, kind: Kind, help: &str) -> std::fmt::Result {
        write!(self.page, "# HELP {} ", self.name)?;
        push_escaped(&mut self.page, help, false);
        writeln!(self.page, "\n# TYPE {} {}", self.name, kind.as_str())
    }

    /// A counter's family is named without the ending of its samples.
    fn open_head(&mut self, kind: Kind, help: &str) -> std::fmt::Result {
        let (stem, kind) = match self.name.strip_suffix("_total") {
            Some(stem) if kind == Kind::Counter => (stem, kind),
            _ => (self.name.as_str(), Kind::Gauge),
        };
        writeln!(self.page, "# TYPE {stem} {}", kind.as_str())?;
        let units = ["_seconds", "_bytes", "_ratio"];
        if let Some(unit) = units.into_iter().find(|unit| stem.ends_with(unit)) {
            writeln!(self.page, "# UNIT {stem} {}", &unit[1..])?;
        }
        write!(self.page, "# HELP {stem} ")?;
        push_escaped(&mut self.page, help, true);
        self.page.push('\n');
        Ok(())
    }

    /// A series of the family at hand. One with the labels of an earlier one is left out: it would cost the whole scrape.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let begins = self.page.len();
        self.page.push_str(&self.name);
        let from = self.page.len();
        let mut before = '{';
        for (name, value) in labels {
            self.page.push(before);
            self.page.push_str(name);
            self.page.push_str("=\"");
            if is_plain(value) {
                self.page.push_str(value);
            } else {
                push_escaped(&mut self.page, &shown(value), true);
            }
            self.page.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            self.page.push('}');
        }
        if !self.is_new(from..self.page.len()) {
            self.page.truncate(begins);
            return;
        }
        self.has_series = true;
        let written = if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
            writeln!(self.page, " {}", value as i64)
        } else {
            writeln!(self.page, " {value}")
        };
        written.expect("writing to memory doesn't fail");
    }

    /// Whether no series of the family has these labels yet; then it has them from now on.
    fn is_new(&mut self, place: Range<usize>) -> bool {
        let (page, hasher) = (self.page.as_bytes(), &self.hasher);
        let hash = |place: &Range<usize>| hasher.hash_one(&page[place.clone()]);
        let same = |known: &Range<usize>| page[known.clone()] == page[place.clone()];
        match self.labels.entry(hash(&place), same, hash) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(place);
                true
            }
        }
    }

    fn end_family(&mut self) {
        if !self.has_series {
            self.page.truncate(self.begins);
        }
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end_family();
        if self.format == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page.into_bytes()
    }
}

/// What both formats write for a backslash and a line's end; for a quote only where it would end the text.
fn push_escaped(page: &mut String, text: &str, quoted: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => page.push_str("\\\\"),
            '\n' => page.push_str("\\n"),
            '"' if quoted => page.push_str("\\\""),
            letter => page.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
    use prometheus::{Encoder, TextEncoder};
    use proptest::prelude::*;

    use super::*;

    type Labels = [(&'static str, &'static str)];
    type Series = (&'static Labels, f64);

    fn page(format: Format, families: &[(&str, Kind, &[Series])]) -> String {
        let mut page = Exposition::new(format, 0);
        for (name, kind, series) in families {
            page.family(name, *kind, "A \"helping\" text.");
            series.iter().for_each(|(labels, value)| page.sample(labels, *value));
        }
        String::from_utf8(page.finish()).expect("a page is UTF-8")
    }

    #[test]
    fn families_without_series_and_series_that_are_there_leave_nothing() {
        let twice: &[Series] = &[(&[("a", "1")], 1.0), (&[("a", "2")], 2.5), (&[("a", "1")], 3.0)];
        let families = [
            ("none", Kind::Gauge, &[][..]),
            ("some_total", Kind::Counter, twice),
            ("nor_here", Kind::Gauge, &[][..]),
        ];
        assert_eq!(
            page(Format::Text, &families),
            "# HELP some_total A \"helping\" text.\n# TYPE some_total counter\nsome_total{a=\"1\"} 1\nsome_total{a=\"2\"} 2.5\n"
        );
        assert_eq!(
            page(Format::OpenMetrics, &families),
            "# TYPE some counter\n# HELP some A \\\"helping\\\" text.\nsome_total{a=\"1\"} 1\nsome_total{a=\"2\"} 2.5\n# EOF\n"
        );
    }

    #[test]
    fn the_same_labels_in_another_family_are_another_series() {
        let one: &[Series] = &[(&[("a", "1")], 1.0)];
        let page = page(Format::Text, &[("x", Kind::Gauge, one), ("y", Kind::Gauge, one)]);
        assert!(
            page.contains("\nx{a=\"1\"} 1\n") && page.contains("\ny{a=\"1\"} 1\n"),
            "{page}"
        );
    }

    proptest! {
        /// The Prometheus crate writes the same page of the same figures.
        #[test]
        fn a_page_is_what_the_prometheus_crate_writes(
            series in prop::collection::btree_map(prop::collection::vec("[ -~éλ\n]{0,8}", 2), prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..6),
        ) {
            let mut page = Exposition::new(Format::Text, 0);
            page.family("x", Kind::Gauge, "Help.");
            let mut metrics = Vec::new();
            for (values, value) in &series {
                // A line's end is shown as MONITOR shows it, which the crate doesn't know.
                let values: Vec<String> = values.iter().map(|value| shown(value).into_owned()).collect();
                page.sample(&[("a", &values[0]), ("b", &values[1])], *value);
                let pairs = ["a", "b"].iter().zip(&values).map(|(name, value)| {
                    let mut pair = LabelPair::default();
                    pair.set_name((*name).to_owned());
                    pair.set_value(value.clone());
                    pair
                });
                let mut metric = Metric::from_label(pairs.collect());
                let mut gauge = Gauge::default();
                gauge.set_value(if *value == 0.0 { 0.0 } else { *value });
                metric.set_gauge(gauge);
                metrics.push(metric);
            }
            let mut family = MetricFamily::default();
            family.set_name("x".to_owned());
            family.set_help("Help.".to_owned());
            family.set_field_type(MetricType::GAUGE);
            family.set_metric(metrics);
            let mut expected = Vec::new();
            TextEncoder::new().encode(&[family], &mut expected).expect("writing to memory doesn't fail");
            prop_assert_eq!(String::from_utf8(page.finish()).expect("UTF-8"), String::from_utf8(expected).expect("UTF-8"));
        }
    }
}
