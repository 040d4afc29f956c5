//! What a node does a second: amounts of intervals become rates, and the last figure stands where an interval doesn't tell it.
//!
//! It refuses to know polls and windows: whether an interval is disturbed it is told.

use std::time::Duration;

use crate::analysis::rate::RateWindow;
use crate::analysis::signal::Deltas;
use crate::metrics::ledger::LedgerSettings;
use crate::metrics::ledger::gathered::{Gathered, Pace, Signals};
use crate::model::{Bytes, Timestamp};

/// Rates of one node.
#[derive(Debug)]
pub(super) struct Rates {
    output: RateWindow,
    cpu: RateWindow,
    gathered: Gathered,
    pace: Pace,
    known: Known,
    stands_max: Duration,
}

/// When the last interval ended that told each of a node's figures.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    commands: Option<Timestamp>,
    output: Option<Timestamp>,
    cpu: Option<Timestamp>,
}

impl Rates {
    pub(super) fn new(settings: &LedgerSettings) -> Self {
        let window = || RateWindow::new(settings.rate_window);
        Self {
            output: window(),
            cpu: window(),
            gathered: Gathered::default(),
            pace: Pace::default(),
            known: Known::default(),
            stands_max: settings.stands_max,
        }
    }

    pub(super) fn configure(&mut self, settings: &LedgerSettings) {
        self.stands_max = settings.stands_max;
    }

    /// What came before says nothing about what comes.
    pub(super) fn clear(&mut self) {
        self.output.clear();
        self.cpu.clear();
        self.gathered = Gathered::default();
        self.pace = Pace::default();
    }

    /// What was gathered has been added up with the shard's other nodes; if nothing was, the last pace stands.
    pub(super) fn settle(&mut self) {
        if let Some(pace) = self.gathered.pace(self.pace.signals) {
            self.pace = pace;
            self.gathered = Gathered::default();
        }
    }

    /// When what was gathered ended and how long it took; `None` if nothing was.
    pub(super) fn interval(&self) -> Option<(Timestamp, Duration)> {
        self.gathered.interval()
    }

    /// What it does a second.
    pub(super) fn signals(&self) -> Signals {
        self.gathered.signals(self.pace.signals)
    }

    /// The same with what each command takes.
    pub(super) fn pace(&self) -> Pace {
        self.gathered
            .pace(self.pace.signals)
            .unwrap_or_else(|| self.pace.clone())
    }

    /// CPU and output of an interval that overlaps a window of ours aren't the node's own, nor is output after a reset known. Then the last
    /// figures stand.
    pub(super) fn add(&mut self, at: Timestamp, span: Duration, deltas: &Deltas, disturbed: bool) {
        let sent = deltas.output.map(|bytes| bytes.0 as f64);
        let sent = sent.filter(|_| !deltas.reset && !disturbed);
        let used = deltas.cpu.map(|time| time.as_secs_f64()).filter(|_| !disturbed);
        let output = clean(&mut self.output, (at, span), sent);
        let cpu = clean(&mut self.cpu, (at, span), used);
        self.gathered.add((at, span), deltas, output, cpu);
        let tells = |told: bool, before| if told { Some(at) } else { before };
        self.known = Known {
            commands: tells(deltas.commands.is_some() && !deltas.reset, self.known.commands),
            output: tells(sent.is_some(), self.known.output),
            cpu: tells(used.is_some(), self.known.cpu),
        };
    }

    /// A figure stands for a while where no interval tells it, but not for ever: then nobody knows.
    pub(super) fn forget_old(&mut self, at: Timestamp) {
        let stands = |seen: Option<Timestamp>| seen.is_some_and(|seen| at.since(seen) <= self.stands_max);
        let before = &mut self.pace.signals;
        if !stands(self.known.commands) {
            (before.commands, before.script_calls) = (None, None);
        }
        if !stands(self.known.output) {
            before.output = None;
            self.output.clear();
        }
        if !stands(self.known.cpu) {
            before.cpu = None;
            self.cpu.clear();
        }
    }

    /// MONITOR's own output can't be told from the clients' while a window is open: the last clean rate stands.
    pub(super) fn output_max(&self, deltas: &Deltas, disturbed: bool) -> Option<Bytes> {
        let rate = self.output.per_second().unwrap_or(0.0);
        let seconds = deltas.span.unwrap_or_default().as_secs_f64();
        disturbed.then_some(Bytes((rate * seconds) as u64))
    }
}

/// The amount of a clean interval, which `window` takes note of; else as much as the mean of the last clean ones comes to.
fn clean(window: &mut RateWindow, (at, span): (Timestamp, Duration), amount: Option<f64>) -> Option<f64> {
    match amount {
        Some(amount) => {
            window.push(at, span, amount);
            Some(amount)
        }
        None => window.per_second().map(|rate| rate * span.as_secs_f64()),
    }
}
