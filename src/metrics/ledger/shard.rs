//! One shard's account: what its nodes add up to, and its verdict in each signal.

use std::sync::Arc;
use std::time::Duration;

use super::LedgerSettings;
use super::capped::CappedTotals;
use super::gathered::Signals;
use super::node::{Contribution, NodeAccount};
use super::recent::RecentWork;
use super::windows::WindowAccount;
use crate::analysis::lag::OffsetHistory;
use crate::analysis::rate::RateWindow;
use crate::analysis::signal::Observation;
use crate::analysis::slot_stats::{SlotLoad, hottest, together};
use crate::analysis::status::{Signal, Standing, StatusSettings, StatusTracker};
use crate::metrics::round::Circumstances;
use crate::metrics::snapshot::{ShardSnapshot, SignalSnapshot};
use crate::model::{PerSecond, Ratio, Role, Seconds, ShardId, SlotSet, Timestamp};

/// So many polls in a row a shard keeps its last figures while those of its nodes don't fit together.
const HELD_MAX: u32 = 4;

/// Why a shard isn't looked at while somebody else reads a MONITOR stream of the node.
const OTHER_MONITOR: &str = "other_monitor";

/// What is known of a shard.
#[derive(Debug)]
pub(super) struct ShardAccount {
    pub(super) slots: Option<SlotSet>,
    pub(super) windows: WindowAccount,
    slots_max: usize,
    /// Of all its slots, where the servers count by slot.
    slot_loads: Arc<[SlotLoad]>,
    hottest_slots: Vec<SlotLoad>,
    commands_total: CappedTotals<u64>,
    command_cpu_total: CappedTotals<Duration>,
    recent: RecentWork,
    offsets: OffsetHistory,
    means: Means,
    rates: Rates,
    held: u32,
    verdicts: [Verdict; Signal::ALL.len()],
}

/// What a shard does, by all that is heard of its nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    commands: Option<f64>,
    scripts: Option<f64>,
    bytes_out: Option<f64>,
    cpu: Option<f64>,
    incomplete: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    deviation: Option<Ratio>,
    skew: Option<Ratio>,
    tracker: StatusTracker,
}

impl ShardAccount {
    pub(super) fn new(settings: &LedgerSettings) -> Self {
        Self {
            slots: None,
            windows: WindowAccount::new(&settings.limits),
            slots_max: settings.limits.slots_max,
            slot_loads: Arc::default(),
            hottest_slots: Vec::new(),
            commands_total: CappedTotals::new(settings.limits.commands_max),
            command_cpu_total: CappedTotals::new(settings.limits.commands_max),
            recent: RecentWork::new(settings.rate_window),
            offsets: OffsetHistory::default(),
            means: Means::new(settings.rate_window),
            rates: Rates::default(),
            held: 0,
            verdicts: Default::default(),
        }
    }

    pub(super) fn configure(&mut self, settings: &LedgerSettings) {
        self.windows.configure(&settings.limits);
        self.slots_max = settings.limits.slots_max;
        self.commands_total.cap(settings.limits.commands_max);
        self.command_cpu_total.cap(settings.limits.commands_max);
    }

    /// Adds what one of its nodes did to the totals.
    pub(super) fn add(&mut self, contribution: Contribution) {
        let mut by_command = contribution;
        // Places go to the most frequent first.
        by_command.sort_by_key(|(_, calls, _)| std::cmp::Reverse(*calls));
        for (command, calls, time) in by_command {
            if calls != 0 {
                self.commands_total.add(&command, calls);
            }
            self.command_cpu_total.add(&command, time);
        }
    }

    /// Remembers where its primary's stream is.
    pub(super) fn observe_offset(&mut self, observation: &Observation) {
        let replication = &observation.reading.replication;
        if let (Role::Primary, Some(history), Some(offset)) =
            (observation.role, &replication.history, replication.primary_offset)
        {
            self.offsets.observe(history, observation.at, offset);
        }
    }

    /// Works out how far its replicas are behind. All nodes of the round have been heard by now; behind a primary that is silent nobody
    /// knows how far they are.
    pub(super) fn measure_lag(&self, nodes: Vec<&mut NodeAccount>) {
        let primary_up = nodes
            .iter()
            .any(|node| node.is_up() && node.role() == Some(Role::Primary));
        for node in nodes {
            let behind = primary_up && node.is_up() && node.role() == Some(Role::Replica);
            let lag = node.last().filter(|_| behind).and_then(|last| {
                let replication = &last.reading.replication;
                let copying = replication.sync_in_progress == Some(true);
                let offset = replication.replica_offset.filter(|_| !copying)?;
                self.offsets.lag(replication.history.as_deref()?, last.at, offset)
            });
            node.set_lag(lag);
        }
    }

    /// Adds its nodes up, and tells whether that took what they did. While roles move from node to node, or one has yet to be compared, the
    /// parts don't fit together, so the last figures stand for a while.
    pub(super) fn add_up(&mut self, nodes: &[&NodeAccount]) -> bool {
        self.slot_loads = together(nodes.iter().flat_map(|node| node.slot_loads())).into();
        self.hottest_slots = hottest(&self.slot_loads, self.slots_max);
        if (is_in_motion(nodes) || is_early(nodes)) && self.held < HELD_MAX {
            self.held += 1;
            return false;
        }
        self.held = 0;
        let now = Rates::of(nodes);
        let interval = fresh_interval(nodes);
        if let Some((at, span)) = interval {
            self.means.push(at, span, &now);
            self.recent.add(at, span, heard(nodes).map(NodeAccount::pace));
        }
        self.rates = self.means.of(&now);
        interval.is_some()
    }

    /// What its nodes' counters tell of the last minute, for whoever asks why it is hot.
    pub(super) fn circumstances(&self) -> Circumstances {
        Circumstances {
            costs: self.recent.costs(),
            connections_per_second: self.recent.connections_per_second(),
            streamed: self.recent.streamed(),
            slot_loads: Arc::clone(&self.slot_loads),
            other_monitor: self.windows.skipped_last() == Some(OTHER_MONITOR),
            window_is_past: self.windows.is_past(),
        }
    }

    pub(super) fn rate(&self, signal: Signal) -> Option<f64> {
        match signal {
            Signal::Commands => self.rates.commands,
            Signal::BytesOut => self.rates.bytes_out,
            Signal::Cpu => self.rates.cpu,
        }
    }

    /// Its rate as siblings are held against it. A shard without slots, new or about to go, has nothing to do: it would make all others
    /// look hot.
    pub(super) fn comparable(&self, signal: Signal) -> Option<f64> {
        let serves = self.slots.as_ref().is_none_or(|slots| !slots.is_empty());
        self.rate(signal).filter(|_| serves)
    }

    /// Takes where it stands among its siblings.
    pub(super) fn judge(&mut self, signal: Signal, standing: &Standing, settings: &StatusSettings) {
        let verdict = &mut self.verdicts[signal as usize];
        verdict.deviation = standing.deviation();
        verdict.skew = standing.skew();
        verdict.tracker.observe(standing, settings);
    }

    pub(super) fn snapshot(&self, id: ShardId, nodes: &[&NodeAccount]) -> ShardSnapshot {
        let seconds = |(command, time): (Arc<str>, Duration)| (command, Seconds(time.as_secs_f64()));
        ShardSnapshot {
            id,
            slots: self.slots.as_ref().map(SlotSet::len),
            owned: self.slots.clone(),
            commands: self.signal(Signal::Commands, PerSecond),
            bytes_out: self.signal(Signal::BytesOut, PerSecond),
            cpu: self.signal(Signal::Cpu, Ratio),
            incomplete: self.rates.incomplete,
            commands_total: self.commands_total.totals(),
            command_cpu_seconds_total: self.command_cpu_total.totals().into_iter().map(seconds).collect(),
            slot_loads: self.hottest_slots.clone(),
            script_share: self.rates.script_share().map(Ratio),
            nodes: nodes.iter().map(|node| node.snapshot()).collect(),
            windows: self.windows.snapshot(),
        }
    }

    fn signal<Unit>(&self, signal: Signal, unit: fn(f64) -> Unit) -> SignalSnapshot<Unit> {
        let verdict = &self.verdicts[signal as usize];
        SignalSnapshot {
            rate: self.rate(signal).map(unit),
            deviation: verdict.deviation,
            skew: verdict.skew,
            status: verdict.tracker.status(),
        }
    }
}

/// A shard's rates over the last minute, whichever of its nodes had which role meanwhile: a mean that began again with each failover
/// would be held against siblings' means of a longer time.
#[derive(Debug)]
struct Means {
    commands: RateWindow,
    scripts: RateWindow,
    bytes_out: RateWindow,
    cpu: RateWindow,
}

impl Means {
    fn new(length: Duration) -> Self {
        let window = || RateWindow::new(length);
        Self {
            commands: window(),
            scripts: window(),
            bytes_out: window(),
            cpu: window(),
        }
    }

    fn push(&mut self, at: Timestamp, span: Duration, now: &Rates) {
        for (window, rate) in [
            (&mut self.commands, now.commands),
            (&mut self.scripts, now.scripts),
            (&mut self.bytes_out, now.bytes_out),
            (&mut self.cpu, now.cpu),
        ] {
            if let Some(rate) = rate {
                window.push(at, span, rate * span.as_secs_f64());
            }
        }
    }

    /// The means of what is known now.
    fn of(&self, now: &Rates) -> Rates {
        let mean = |window: &RateWindow, now: Option<f64>| now.and_then(|_| window.per_second());
        Rates {
            commands: mean(&self.commands, now.commands),
            scripts: mean(&self.scripts, now.scripts),
            bytes_out: mean(&self.bytes_out, now.bytes_out),
            cpu: mean(&self.cpu, now.cpu),
            incomplete: now.incomplete,
        }
    }
}

/// The time that the primary's answers of this round tell of.
fn fresh_interval(nodes: &[&NodeAccount]) -> Option<(Timestamp, Duration)> {
    heard_primary(nodes)?.fresh()
}

/// All but a silent primary that another has replaced, which has nothing to add.
fn heard<'nodes>(nodes: &[&'nodes NodeAccount]) -> impl Iterator<Item = &'nodes NodeAccount> {
    let replaced = |node: &NodeAccount| !node.is_up() && node.role() == Some(Role::Primary);
    nodes.iter().copied().filter(move |node| !replaced(node))
}

fn heard_primary<'nodes>(nodes: &[&'nodes NodeAccount]) -> Option<&'nodes NodeAccount> {
    let mut up = nodes
        .iter()
        .filter(|node| node.role() == Some(Role::Primary) && node.is_up());
    up.next().copied()
}

/// Whether roles are on the move: a node changed its role or began again, a primary just fell silent, or two claim to be it.
fn is_in_motion(nodes: &[&NodeAccount]) -> bool {
    let primaries = || nodes.iter().filter(|node| node.role() == Some(Role::Primary));
    let up = primaries().filter(|node| node.is_up()).count();
    let just_silent = primaries().any(|node| !node.is_up() && !node.is_missing());
    nodes.iter().any(|node| node.is_unsettled()) || up > 1 || (up == 0 && just_silent)
}

/// Whether a node has told of so little of the primary's time that it may not stand for all of it.
fn is_early(nodes: &[&NodeAccount]) -> bool {
    let Some((_, all)) = fresh_interval(nodes) else {
        return false;
    };
    let told = |node: &NodeAccount| node.fresh().filter(|_| node.is_up());
    heard(nodes).filter_map(told).any(|(_, span)| span < all / 2)
}

impl Rates {
    fn of(nodes: &[&NodeAccount]) -> Self {
        let incomplete = nodes.iter().any(|node| node.is_missing());
        let Some(primary) = heard_primary(nodes) else {
            return Self {
                incomplete,
                ..Self::default()
            };
        };
        let own = primary.signals();
        let signals: Vec<Signals> = heard(nodes).map(NodeAccount::signals).collect();
        let sum = |rate: fn(&Signals) -> Option<f64>| rate(&own).map(|_| signals.iter().filter_map(rate).sum::<f64>());
        Self {
            commands: sum(|node| node.commands),
            scripts: sum(|node| node.script_calls),
            bytes_out: sum(|node| node.output),
            cpu: own
                .cpu
                .map(|own| signals.iter().filter_map(|node| node.cpu).fold(own, f64::max)),
            incomplete,
        }
    }

    fn script_share(&self) -> Option<f64> {
        let (scripts, commands) = self.scripts.zip(self.commands)?;
        (commands > 0.0).then(|| scripts / commands)
    }
}
