//! What a node did since its shard last added its nodes up.
//!
//! A node may answer twice in one round of polls and not at all in the next. Rates of its last answers alone would then stand beside the
//! others' rates of another time, and for the length of another: a few milliseconds would weigh as much as a minute. So amounts and the
//! time they took are added up here until the shard takes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::analysis::diagnosis::{CommandCost, Streamed};
use crate::analysis::signal::Deltas;
use crate::model::Timestamp;

/// Amounts, and the time they took.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    ended: Option<Timestamp>,
    span: Duration,
    commands: Amount,
    script_calls: Amount,
    output: Amount,
    cpu: Amount,
    connections: u64,
    input: u64,
    executed: u64,
    /// Calls for clients and seconds of CPU.
    by_command: BTreeMap<Arc<str>, (u64, f64)>,
}

/// What a node does a second. What isn't known of the last time is what was known before.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// Its signals.
    pub(super) signals: Signals,
    /// Connections accepted.
    pub(super) connections: f64,
    /// What it takes in and does, for its primary too.
    pub(super) streamed: Streamed,
    /// What each command takes.
    pub(super) by_command: BTreeMap<Arc<str>, CommandCost>,
}

/// The signals of a node's pace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signals {
    /// Commands for clients.
    pub(super) commands: Option<f64>,
    /// Of those, scripts and functions.
    pub(super) script_calls: Option<f64>,
    /// Bytes to clients.
    pub(super) output: Option<f64>,
    /// Cores.
    pub(super) cpu: Option<f64>,
}

/// Of what can't be told for all of the time, the part that can.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    seconds: f64,
    amount: f64,
}

impl Amount {
    fn add(&mut self, span: Duration, amount: Option<f64>) {
        if let Some(amount) = amount {
            self.seconds += span.as_secs_f64();
            self.amount += amount;
        }
    }

    fn rate(self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.amount / self.seconds)
    }
}

impl Gathered {
    /// Adds an interval that ended at `at`, of `output` and `cpu` as much as is the node's own.
    pub(super) fn add(
        &mut self,
        (at, span): (Timestamp, Duration),
        deltas: &Deltas,
        output: Option<f64>,
        cpu: Option<f64>,
    ) {
        // Of an interval whose counters were reset the rest is a lower bound: good for totals, not for a rate.
        let count = |count: Option<u64>| count.filter(|_| !deltas.reset).map(|count| count as f64);
        self.ended = Some(at);
        self.span += span;
        self.commands.add(span, count(deltas.commands));
        self.script_calls.add(span, count(deltas.script_calls));
        self.output.add(span, output);
        self.cpu.add(span, cpu);
        self.connections += deltas.connections_received.unwrap_or_default();
        self.input += deltas.input.unwrap_or_default().0;
        self.executed += deltas.by_command.values().map(|delta| delta.executed).sum::<u64>();
        for (name, delta) in &deltas.by_command {
            let (calls, seconds) = self.by_command.entry(Arc::clone(name)).or_default();
            *calls += delta.counted;
            *seconds += delta.time.as_secs_f64();
        }
    }

    /// When the last interval ended and how long all of them were; `None` if there was none.
    pub(super) fn interval(&self) -> Option<(Timestamp, Duration)> {
        Some((self.ended?, self.span))
    }

    /// The signals' rates, or those from before.
    pub(super) fn signals(&self, before: Signals) -> Signals {
        Signals {
            commands: self.commands.rate().or(before.commands),
            script_calls: self.script_calls.rate().or(before.script_calls),
            output: self.output.rate().or(before.output),
            cpu: self.cpu.rate().or(before.cpu),
        }
    }

    /// All rates, if there is something to tell them from.
    pub(super) fn pace(&self, before: Signals) -> Option<Pace> {
        let seconds = self.interval()?.1.as_secs_f64();
        let cost = |(name, (calls, time)): (&Arc<str>, &(u64, f64))| {
            let cost = CommandCost {
                calls: *calls as f64 / seconds,
                cores: time / seconds,
            };
            (Arc::clone(name), cost)
        };
        Some(Pace {
            signals: self.signals(before),
            connections: self.connections as f64 / seconds,
            streamed: Streamed {
                input: self.input as f64 / seconds,
                commands: self.executed as f64 / seconds,
            },
            by_command: self.by_command.iter().map(cost).collect(),
        })
    }
}
