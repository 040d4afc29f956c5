//! The page of metrics, looked up by name and labels.

use std::fmt::Debug;

/// What one scrape of /metrics said.
#[derive(Clone)]
pub(crate) struct Figures(String);

/// Labels that a series must have, among others.
pub(crate) type Labels<'labels> = [(&'labels str, &'labels str)];

impl Figures {
    pub(crate) fn of(page: String) -> Self {
        Self(page)
    }

    /// The value of the only series of that name with these labels; `None` if there is none.
    pub(crate) fn find(&self, name: &str, labels: &Labels<'_>) -> Option<f64> {
        let found: Vec<&str> = self.series(name, labels).collect();
        let [one] = found[..] else {
            assert!(found.is_empty(), "{name} {labels:?} is not one series: {found:?}");
            return None;
        };
        one.rsplit(' ').next()?.parse().ok()
    }

    /// The same where there must be one.
    pub(crate) fn value(&self, name: &str, labels: &Labels<'_>) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name} {labels:?} in\n{}", self.0))
    }

    /// The sum over all series of that name with these labels.
    pub(crate) fn sum(&self, name: &str, labels: &Labels<'_>) -> f64 {
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        self.series(name, labels).filter_map(value).sum()
    }

    /// How many series of that name have these labels.
    pub(crate) fn count(&self, name: &str, labels: &Labels<'_>) -> usize {
        self.series(name, labels).count()
    }

    /// The value of `label` in the first series of that name with these labels.
    pub(crate) fn label(&self, label: &str, name: &str, labels: &Labels<'_>) -> Option<String> {
        let line = self.series(name, labels).next()?;
        let (_, rest) = line.split_once(&format!("{label}=\""))?;
        rest.split('"').next().map(str::to_owned)
    }

    /// The shard that the node at this address belongs to.
    pub(crate) fn shard_of(&self, node: &impl ToString) -> Option<String> {
        self.label("shard", "hotshard_node_up", &[("node", &node.to_string())])
    }

    /// The status of a shard in one signal.
    pub(crate) fn status(&self, shard: &str, signal: &str) -> String {
        let labels = [("shard", shard), ("signal", signal)];
        let set = self
            .series("hotshard_shard_status", &labels)
            .find(|line| line.ends_with(" 1"));
        let status = set.and_then(|line| line.split_once("status=\"")?.1.split('"').next());
        status.unwrap_or("none").to_owned()
    }

    fn series<'page>(&'page self, name: &'page str, labels: &'page Labels<'_>) -> impl Iterator<Item = &'page str> {
        let has_all = move |line: &&str| {
            let has = |(label, value): &(&str, &str)| {
                line.contains(&format!("{{{label}=\"{value}\"")) || line.contains(&format!(",{label}=\"{value}\""))
            };
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(has)
        };
        self.0.lines().filter(has_all)
    }
}

impl Debug for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[test]
fn figures_are_found_by_name_and_labels() {
    let figures = Figures::of(
        "# TYPE a gauge\na{node=\"x\",shard=\"1\"} 2\na{node=\"y\",shard=\"1\"} 3.5\nab 4\n\
         hotshard_node_up{shard=\"1\",node=\"127.0.0.1:1\"} 1\n"
            .to_owned(),
    );
    assert_eq!(figures.find("a", &[("node", "y")]), Some(3.5));
    assert_eq!(figures.find("a", &[("node", "z")]), None);
    assert_eq!(
        (figures.sum("a", &[("shard", "1")]), figures.value("ab", &[])),
        (5.5, 4.0)
    );
    assert_eq!(figures.shard_of(&"127.0.0.1:1").as_deref(), Some("1"));
}
