//! What a diagnosis goes by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::analysis::report::{SignalFigures, SignalReading};
use crate::analysis::slot_stats::SlotLoad;
use crate::analysis::status::Signal;
use crate::analysis::window::{Coverage, WindowStats};
use crate::model::{Ratio, Role, ShardId};

/// What is known of one shard. A figure that is `None` isn't known, and nothing is concluded from it.
#[derive(Clone, Debug)]
pub struct ShardEvidence<'a> {
    /// Which one.
    pub shard: ShardId,
    /// How many slots it owns.
    pub slots: Option<u32>,
    /// Its signals, already compared with its siblings'.
    pub signals: SignalFigures,
    /// What its last window saw.
    pub window: Option<Seen<'a>>,
    /// What each command costs, by the counters of all its nodes; empty where they aren't known.
    pub costs: BTreeMap<Arc<str>, CommandCost>,
    /// Connections accepted a second, all nodes.
    pub connections_per_second: Option<f64>,
    /// What each of its slots does, by the servers' own counters; empty where they don't count by slot.
    pub slot_loads: &'a [SlotLoad],
    /// Whether somebody else reads a MONITOR stream of one of its nodes.
    pub other_monitor: bool,
    /// What a MONITOR stream of its busiest node is made of; `None` where the nodes don't tell.
    pub streamed: Option<Streamed>,
    /// Why no window looked at it, with what would help; `None` where one did, or nobody knows.
    pub absence: Option<String>,
}

/// What a window saw, and how far it can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The role of the node that was looked at; `None` for a captured log.
    pub role: Option<Role>,
    /// How long.
    pub duration: Duration,
    /// What was in it.
    pub stats: &'a WindowStats,
    /// Lines seen over lines there were.
    pub completeness: Option<Ratio>,
    /// What part of the shard's traffic it could see; `None` offline, where what was captured is all there is.
    pub coverage: Option<Coverage>,
}

/// What a node takes in and does in a second: what a MONITOR stream of it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Streamed {
    /// Bytes received, from its primary too.
    pub input: f64,
    /// Commands executed, replicated ones among them.
    pub commands: f64,
}

/// What one command does in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CommandCost {
    /// Calls for clients.
    pub calls: f64,
    /// Main-thread CPU, in cores.
    pub cores: f64,
}

impl ShardEvidence<'_> {
    /// Its deviation in the signal in which it stands out most.
    pub(super) fn heat(&self) -> f64 {
        let hot = Signal::ALL
            .map(|signal| self.reading(signal))
            .into_iter()
            .filter(|reading| reading.status.is_hot());
        hot.filter_map(|reading| reading.deviation)
            .map(|deviation| deviation.0)
            .fold(0.0, f64::max)
    }

    pub(super) fn reading(&self, signal: Signal) -> SignalReading {
        match signal {
            Signal::Commands => self.signals.commands,
            Signal::BytesOut => self.signals.bytes_out,
            Signal::Cpu => self.signals.cpu,
        }
    }

    pub(super) fn rate(&self, signal: Signal) -> Option<f64> {
        self.reading(signal).rate
    }

    /// Seconds that the window was open; `None` without a window or with one that has no length.
    pub(super) fn seconds(&self) -> Option<f64> {
        let seconds = self.window?.duration.as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }
}
