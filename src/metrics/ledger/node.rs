//! One node's account: totals, gauges and rates from its polls.

mod rates;
mod slots;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::LedgerSettings;
use super::event::PollAnswer;
use super::gathered::{Pace, Signals};
use super::totals::{Credit, Totals};
use crate::analysis::lag::Lag;
use crate::analysis::signal::{Deltas, Observation, step};
use crate::analysis::slot_stats::SlotLoad;
use crate::metrics::snapshot::{NodeGauges, NodeSnapshot, Sources};
use crate::model::{Node, Role, Timestamp};
use rates::Rates;
use slots::Slots;
use standing::{gauges, start_time};

/// Why no window opens on a node that knows no MONITOR.
const NO_MONITOR: &str = "no_monitor";

/// What is known of a node.
#[derive(Debug)]
pub(super) struct NodeAccount {
    node: Node,
    last: Option<Observation>,
    started: Option<Timestamp>,
    attempted: Option<Timestamp>,
    failures_in_a_row: u32,
    unsettled: bool,
    /// Whether two answers of this process in this role have been compared.
    compared: bool,
    windows: Vec<OpenSpan>,
    circuit_open: bool,
    rates: Rates,
    slots: Slots,
    gauges: NodeGauges,
    sources: Sources,
    totals: Totals,
    poll_duration: Option<Duration>,
    poll_failures: BTreeMap<&'static str, u64>,
}

/// From when to when a window of ours was open.
#[derive(Clone, Copy, Debug)]
struct OpenSpan {
    opened: Timestamp,
    closed: Option<Timestamp>,
}

/// Calls for clients and CPU time by command, which one poll adds to the totals of the node's shard.
pub(super) type Contribution = Vec<(Arc<str>, u64, Duration)>;

impl NodeAccount {
    pub(super) fn new(node: Node, settings: &LedgerSettings) -> Self {
        Self {
            node,
            last: None,
            started: None,
            attempted: None,
            failures_in_a_row: 0,
            unsettled: false,
            compared: false,
            windows: Vec::new(),
            circuit_open: false,
            rates: Rates::new(settings),
            slots: Slots::default(),
            gauges: NodeGauges::default(),
            sources: Sources::default(),
            totals: Totals::new(settings.limits.errors_max),
            poll_duration: None,
            poll_failures: BTreeMap::new(),
        }
    }

    pub(super) fn configure(&mut self, settings: &LedgerSettings) {
        self.totals.cap_errors(settings.limits.errors_max);
        self.rates.configure(settings);
    }

    /// Takes what discovery says of the node now; tells whether it is somewhere else.
    pub(super) fn rediscovered(&mut self, node: Node) -> bool {
        let moved = self.node.endpoint != node.endpoint;
        self.node = node;
        moved
    }

    /// It answered.
    pub(super) fn answered(&mut self, at: Timestamp, took: Duration, answer: &PollAnswer) -> Contribution {
        let observation = Observation {
            at,
            took,
            role: answer.role,
            reading: answer.reading.clone(),
            commands: Arc::clone(&answer.commands),
        };
        self.totals.introduce(&observation.reading);
        self.started = self
            .started_of_same_process(&observation)
            .or_else(|| start_time(&observation.reading));
        let lag = (self.gauges.replication_lag, self.gauges.replication_lag_seconds);
        self.gauges = gauges(&observation.reading, self.started);
        // It is measured when all have been heard; until then what was measured last stands.
        (self.gauges.replication_lag, self.gauges.replication_lag_seconds) = lag;
        self.sources.update(answer.sources);
        self.rates.forget_old(at);
        self.slots.forget_old(at);
        let contribution = match self.last.as_ref().map(|last| step(last, &observation, &answer.own)) {
            Some(Some(deltas)) => self.went_on(at, &deltas),
            Some(None) => {
                self.begin_again();
                self.slots = Slots::default();
                Contribution::default()
            }
            None => Contribution::default(),
        };
        answer.slot_stats.iter().for_each(|stats| self.slots.compare(stats));
        self.windows
            .retain(|window| window.closed.is_none_or(|closed| closed >= at - took));
        self.last = Some(observation);
        self.attempted = Some(at);
        self.failures_in_a_row = 0;
        self.poll_duration = Some(took);
        contribution
    }

    /// It didn't answer.
    pub(super) fn failed(&mut self, at: Timestamp, took: Duration, reason: &'static str) {
        self.attempted = Some(at);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.poll_duration = Some(took);
        self.gauges = NodeGauges::default();
        *self.poll_failures.entry(reason).or_default() += 1;
    }

    /// A window is about to open on it, so the server has let MONITOR pass.
    pub(super) fn window_opened(&mut self, at: Timestamp) {
        self.sources.monitor = Some(true);
        self.windows.push(OpenSpan {
            opened: at,
            closed: None,
        });
    }

    /// None could be opened.
    pub(super) fn window_failed(&mut self, reason: &str) {
        if reason == NO_MONITOR {
            self.sources.monitor = Some(false);
        }
    }

    pub(super) fn window_closed(&mut self, opened: Timestamp, closed: Timestamp) {
        match self.windows.iter_mut().find(|window| window.closed.is_none()) {
            Some(window) => window.closed = Some(closed),
            None => self.windows.push(OpenSpan {
                opened,
                closed: Some(closed),
            }),
        }
    }

    /// Whether it is left alone because windows on it failed or did harm.
    pub(super) fn set_circuit(&mut self, open: bool) {
        self.circuit_open = open;
    }

    /// The round is over, and what unsettled the node is past. What it did was added up if it was `taken`, else it waits for the next round.
    pub(super) fn settle(&mut self, taken: bool) {
        self.unsettled = false;
        if taken {
            self.rates.settle();
        }
    }

    /// Whether it changed its role or began again in this round, or has answered only once since: what it does isn't known yet, which
    /// isn't nothing.
    pub(super) fn is_unsettled(&self) -> bool {
        self.unsettled || (self.is_up() && !self.compared)
    }

    pub(super) fn is_up(&self) -> bool {
        self.last.is_some() && self.failures_in_a_row == 0
    }

    /// One lost poll doesn't make a node missing.
    pub(super) fn is_missing(&self) -> bool {
        self.last.is_none() || self.failures_in_a_row > 1
    }

    /// Its role by its own last word.
    pub(super) fn role(&self) -> Option<Role> {
        self.last.as_ref().map(|last| last.role)
    }

    /// The last answer.
    pub(super) fn last(&self) -> Option<&Observation> {
        self.last.as_ref()
    }

    /// When its last answer came and how long it was since what its shard took last; `None` if no answer came since.
    pub(super) fn fresh(&self) -> Option<(Timestamp, Duration)> {
        self.rates.interval()
    }

    /// What it does a second; nothing is known of a node that isn't heard.
    pub(super) fn signals(&self) -> Signals {
        if self.is_missing() {
            Signals::default()
        } else {
            self.rates.signals()
        }
    }

    /// The same with what each command takes.
    pub(super) fn pace(&self) -> Pace {
        if self.is_missing() {
            Pace::default()
        } else {
            self.rates.pace()
        }
    }

    pub(super) fn set_lag(&mut self, lag: Option<Lag>) {
        self.gauges.replication_lag = lag.map(|lag| lag.bytes);
        self.gauges.replication_lag_seconds = lag.map(|lag| lag.time);
    }

    pub(super) fn snapshot(&self) -> NodeSnapshot {
        let reading = self.last.as_ref().map(|last| &last.reading);
        NodeSnapshot {
            id: self.node.id.clone(),
            endpoint: self.node.endpoint.clone(),
            zone: self.node.zone.clone(),
            instance_type: self.node.instance_type.clone(),
            up: self.is_up(),
            role: self.role(),
            engine: reading
                .and_then(|reading| reading.engine.as_ref())
                .map(|engine| (engine.name.into(), engine.version.clone())),
            sources: self.sources,
            circuit_open: self.circuit_open,
            gauges: self.gauges.clone(),
            totals: self.totals.snapshot(),
            poll_duration: self.poll_duration,
            poll_failures: self.poll_failures.clone(),
        }
    }

    /// What each slot did between the last two looks at all of them.
    pub(super) fn slot_loads(&self) -> &[SlotLoad] {
        if self.is_missing() { &[] } else { self.slots.loads() }
    }

    /// Uptime comes in whole seconds, so a start is worked out once for each process.
    fn started_of_same_process(&self, observation: &Observation) -> Option<Timestamp> {
        let last = self.last.as_ref()?;
        self.started
            .filter(|_| last.reading.run_id == observation.reading.run_id)
    }

    /// What came before says nothing about what comes.
    fn begin_again(&mut self) {
        self.unsettled = true;
        self.compared = false;
        self.rates.clear();
    }

    fn went_on(&mut self, at: Timestamp, deltas: &Deltas) -> Contribution {
        let disturbed = self.is_disturbed(at);
        let credit = self.credit(at);
        self.totals
            .add(deltas, credit, self.rates.output_max(deltas, disturbed));
        if deltas.role_changed {
            self.begin_again();
        } else if let Some(span) = deltas.span {
            self.rates.add(at, span, deltas, disturbed);
            self.compared = true;
        }
        let by_command = deltas.by_command.iter();
        by_command
            .map(|(name, delta)| (Arc::clone(name), credit.of(delta.counted), credit.of_time(delta.time)))
            .collect()
    }

    /// Whether a window of ours was open on the node at some time since it was last asked. A late answer tells of a moment before it came.
    fn is_disturbed(&self, at: Timestamp) -> bool {
        let began = self.last.as_ref().map_or(at, |last| last.at - last.took);
        let overlaps = |window: &OpenSpan| window.opened <= at && window.closed.is_none_or(|closed| closed >= began);
        self.windows.iter().any(overlaps)
    }

    /// What part of the deltas belongs to the time since the last attempt. While attempts failed the totals stood still; all of it at
    /// once would look like a spike.
    fn credit(&self, at: Timestamp) -> Credit {
        let since = |moment: Option<Timestamp>| moment.map_or(Duration::ZERO, |moment| at.since(moment)).as_secs_f64();
        let (known, attempted) = (since(self.last.as_ref().map(|last| last.at)), since(self.attempted));
        Credit(if known > 0.0 { (attempted / known).min(1.0) } else { 1.0 })
    }
}
