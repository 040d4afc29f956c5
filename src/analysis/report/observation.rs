//! What goes into a report: what is known of one shard. It refuses to know the other shards, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::build::written_output;
use super::contents::BytesOut;
use crate::analysis::coverage::hint;
use crate::analysis::diagnosis::{Seen, ShardEvidence};
use crate::analysis::status::Status;
use crate::analysis::window::{ClosedWindow, Coverage, WindowEnd, WindowStats};
use crate::model::{NodeId, PerSecond, Ratio, Role, ShardId, SlotSet, Timestamp};

/// What is known of one shard: what a window saw, and its signals if there are any.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The shard.
    pub shard: ShardId,
    /// The node that was looked at, or the file.
    pub node: NodeId,
    /// Its role, where known.
    pub role: Option<Role>,
    /// When the window was open.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Why it ended; `None` offline.
    pub end: Option<WindowEnd>,
    /// What was in it.
    pub stats: &'a WindowStats,
    /// Lines seen over lines there were.
    pub completeness: Option<Ratio>,
    /// What part of the shard's traffic it could see; `None` offline.
    pub coverage: Option<Coverage>,
    /// The shard's signals; `None` offline, where the windows themselves are compared.
    pub signals: Option<SignalFigures>,
    /// Estimated and measured bytes out, if estimated.
    pub bytes_out: Option<BytesOut>,
    /// The slots that the shard owns, where they are known.
    pub slots: Option<SlotSet>,
}

/// What the nodes' counters say of one shard, already compared with its siblings.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalFigures {
    /// Commands executed a second.
    pub commands: SignalReading,
    /// Client bytes out a second.
    pub bytes_out: SignalReading,
    /// Cores of the busiest node.
    pub cpu: SignalReading,
}

/// One signal of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalReading {
    /// The rate: a second, or in cores.
    pub rate: Option<f64>,
    /// How far it is from the mean of the shards.
    pub deviation: Option<Ratio>,
    /// Over the median of the other shards.
    pub skew: Option<Ratio>,
    /// The verdict.
    pub status: Status,
}

impl<'a> Observation<'a> {
    /// Of a captured log, by the server's own time stamps.
    pub fn of_log(shard: ShardId, node: NodeId, stats: &'a WindowStats) -> Self {
        Self {
            shard,
            node,
            role: None,
            span: stats.first.zip(stats.last),
            end: None,
            stats,
            completeness: None,
            coverage: None,
            signals: None,
            bytes_out: None,
            slots: None,
        }
    }

    /// Of a window on a live node.
    pub fn of_window(window: &'a ClosedWindow, signals: Option<SignalFigures>) -> Self {
        Self {
            shard: window.shard.clone(),
            node: window.node.clone(),
            role: Some(window.role),
            span: Some((window.opened, window.closed)),
            end: Some(window.end),
            stats: &window.stats,
            completeness: window.completeness,
            coverage: Some(window.coverage),
            signals,
            bytes_out: window
                .stats
                .output
                .as_ref()
                .map(|output| written_output(output, &window.stats)),
            slots: None,
        }
    }

    /// What it tells of the shard; where there are no signals, what the windows saw is compared.
    pub(super) fn evidence(&self, seen: SignalReading) -> ShardEvidence<'a> {
        ShardEvidence {
            shard: self.shard.clone(),
            slots: None,
            signals: self.signals.unwrap_or(SignalFigures {
                commands: seen,
                ..SignalFigures::default()
            }),
            window: Some(Seen {
                role: self.role,
                duration: self.duration(),
                stats: self.stats,
                completeness: self.completeness,
                coverage: self.coverage,
            }),
            costs: BTreeMap::new(),
            connections_per_second: None,
            slot_loads: &[],
            other_monitor: false,
            streamed: None,
            absence: None,
        }
    }

    pub(super) fn duration(&self) -> Duration {
        self.span
            .map_or(Duration::ZERO, |(opened, closed)| closed.since(opened))
    }

    /// What would show more of the shard, where its window saw little of it.
    pub(super) fn coverage_hint(&self) -> Option<String> {
        self.coverage
            .zip(self.role)
            .and_then(|(coverage, role)| hint(coverage, role))
    }

    pub(super) fn rate(&self) -> Option<f64> {
        PerSecond::of(self.stats.commands, self.duration()).map(|rate| rate.0)
    }

    /// How far from the mean it is in the signal in which it is hottest: what shards are put in order by. Of those that are hot in none,
    /// the one that does most comes first.
    pub(super) fn heat(&self) -> (f64, f64) {
        let readings = self
            .signals
            .map(|signals| [signals.commands, signals.bytes_out, signals.cpu]);
        let hot = readings.into_iter().flatten().filter(|reading| reading.status.is_hot());
        let deviations = hot.filter_map(|reading| reading.deviation).map(|ratio| ratio.0);
        let signal = self.signals.and_then(|signals| signals.commands.rate);
        (
            deviations.fold(0.0, f64::max),
            signal.or_else(|| self.rate()).unwrap_or_default(),
        )
    }
}
