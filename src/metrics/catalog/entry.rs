//! What an entry of the catalogue is made of.

use super::super::exports::ExportTotals;
use super::super::snapshot::{GroupSnapshot, NodeSnapshot, ShardSnapshot, Snapshot};
use super::PREFIX;
use super::figure::Figure;

/// One metric.
pub struct Metric {
    /// Its name without the prefix.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What its value counts.
    pub unit: Unit,
    /// What it says, in a sentence.
    pub help: &'static str,
    values: Values,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at hotshard's start.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// The word that Prometheus has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// What a value counts. Base units only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, named in the singular.
    Count(&'static str),
    /// 0 or 1, or the constant 1.
    Flag,
    /// A part of a whole, or one quantity over another.
    Ratio,
    /// Seconds, of time or since the epoch.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things a second, named in the singular.
    PerSecond(&'static str),
    /// Bytes a second.
    BytesPerSecond,
}

/// What takes samples: labels with their values, and the sample's value.
pub type Each<'a> = dyn FnMut(&[(&'static str, &str)], f64) + 'a;

/// Where samples come from. The subject fixes the labels that identify it; `…By` adds labels of its own.
pub(super) enum Values {
    Own(fn(&Snapshot) -> Option<f64>),
    OwnBy(&'static [&'static str], fn(&Snapshot, &mut Put<'_>)),
    ExportsBy(&'static [&'static str], fn(&ExportTotals, &mut Put<'_>)),
    Group(fn(&GroupSnapshot) -> Option<f64>),
    GroupBy(&'static [&'static str], fn(&GroupSnapshot, &mut Put<'_>)),
    Shard(fn(&ShardSnapshot) -> Option<f64>),
    ShardBy(&'static [&'static str], fn(&ShardSnapshot, &mut Put<'_>)),
    Node(fn(&NodeSnapshot) -> Option<f64>),
    NodeBy(&'static [&'static str], fn(&NodeSnapshot, &mut Put<'_>)),
}

const GROUP: &[&str] = &["region", "replication_group"];
const SHARD: &[&str] = &["region", "replication_group", "shard"];
const NODE: &[&str] = &["region", "replication_group", "shard", "node"];

pub(super) const fn counter(name: &'static str, unit: Unit, help: &'static str, values: Values) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit,
        help,
        values,
    }
}

pub(super) const fn gauge(name: &'static str, unit: Unit, help: &'static str, values: Values) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        unit,
        help,
        values,
    }
}

impl Metric {
    /// Its name as exporters show it.
    pub fn full_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Its labels, those of its subject first.
    pub fn label_names(&self) -> Vec<&'static str> {
        let (subject, own) = self.labels();
        subject.iter().chain(own).copied().collect()
    }

    /// Calls `each` with the labels and the value of every sample. Labels without a value are left out, and so are samples whose
    /// value isn't known: absence says so, a zero would lie.
    pub fn samples(&self, snapshot: &Snapshot, exports: &ExportTotals, each: &mut Each<'_>) {
        let names = self.label_names();
        let mut put = Put {
            names: &names,
            subject: [""; NODE.len()],
            identified: self.labels().0.len(),
            each,
        };
        match self.values {
            Values::Own(read) => put.one(read(snapshot)),
            Values::OwnBy(_, read) => read(snapshot, &mut put),
            Values::ExportsBy(_, read) => read(exports, &mut put),
            _ => self.group_samples(snapshot, &mut put),
        }
    }

    fn group_samples<'s>(&self, snapshot: &'s Snapshot, put: &mut Put<'s>)
    where
        Self: 's,
    {
        for group in &snapshot.groups {
            put.subject[0] = group.key.region.as_str();
            put.subject[1] = group.key.id.as_str();
            match self.values {
                Values::Group(read) => put.one(read(group)),
                Values::GroupBy(_, read) => read(group, put),
                _ => self.shard_samples(group, put),
            }
        }
    }

    fn shard_samples<'s>(&self, group: &'s GroupSnapshot, put: &mut Put<'s>) {
        for shard in &group.shards {
            put.subject[2] = shard.id.as_str();
            match self.values {
                Values::Shard(read) => put.one(read(shard)),
                Values::ShardBy(_, read) => read(shard, put),
                _ => self.node_samples(shard, put),
            }
        }
    }

    fn node_samples<'s>(&self, shard: &'s ShardSnapshot, put: &mut Put<'s>) {
        for node in &shard.nodes {
            put.subject[3] = node.id.as_str();
            match self.values {
                Values::Node(read) => put.one(read(node)),
                Values::NodeBy(_, read) => read(node, put),
                _ => unreachable!("every wider subject was handled on the way here"),
            }
        }
    }

    fn labels(&self) -> (&'static [&'static str], &'static [&'static str]) {
        match self.values {
            Values::Own(_) => (&[], &[]),
            Values::OwnBy(own, _) | Values::ExportsBy(own, _) => (&[], own),
            Values::Group(_) => (GROUP, &[]),
            Values::GroupBy(own, _) => (GROUP, own),
            Values::Shard(_) => (SHARD, &[]),
            Values::ShardBy(own, _) => (SHARD, own),
            Values::Node(_) => (NODE, &[]),
            Values::NodeBy(own, _) => (NODE, own),
        }
    }
}

/// Takes the samples of one subject and hands them on with the subject's labels before them.
pub(super) struct Put<'s> {
    names: &'s [&'static str],
    subject: [&'s str; NODE.len()],
    identified: usize,
    each: &'s mut Each<'s>,
}

impl Put<'_> {
    /// A sample with the values of the entry's own labels, in their order.
    pub(super) fn sample(&mut self, own: &[&str], figure: impl Figure) {
        let Some(value) = figure.figure().filter(|value| value.is_finite()) else {
            return;
        };
        debug_assert_eq!(self.identified + own.len(), self.names.len(), "{:?}", self.names);
        let values = self.subject[..self.identified].iter().chain(own);
        let mut labels = [("", ""); 12];
        let mut filled = 0;
        for (&name, &value) in self.names.iter().zip(values) {
            if !value.is_empty() {
                labels[filled] = (name, value);
                filled += 1;
            }
        }
        (self.each)(&labels[..filled], value);
    }

    fn one(&mut self, value: Option<f64>) {
        self.sample(&[], value);
    }
}
