//! What to do about what happened. Pure and synchronous: one happening in, the actions it calls for out.
//!
//! It owns the ledger and the rounds; the shell around it ([`super::run`]) waits, asks, opens and publishes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::metrics::ledger::{Event, Ledger, LedgerSettings};
use crate::metrics::snapshot::{GroupSnapshot, Snapshot};
use crate::model::{Group, GroupKey, NodeId, Role, ShardId, Timestamp};
use crate::schedule::Schedule;

use super::arrivals::Arrivals;
use super::hot::{HotWatch, OnHot};
use super::redirects::Redirects;
use super::rest::Outcome;
use super::round::{Skip, WindowPlan};
use super::rounds::{Ordered, Rounds};
use super::settings::MonitorSettings;

/// Something the conductor hears of.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A worker has something to tell.
    Told(Event),
    /// A group's schedule says that a round is due.
    RoundDue(GroupKey),
    /// Somebody wants a round now.
    RoundWanted(GroupKey),
    /// The operator pauses or resumes windows.
    Pause(bool),
    /// Time went by.
    Tick(Timestamp),
}

/// Something the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Watch these nodes of the group, and no others.
    Watch(Group),
    /// Open a window.
    Open(WindowPlan),
    /// Look where the group's nodes are: a node changed its role, so others may be new or gone.
    LookAgain(GroupKey),
    /// Look for a replica that has attached itself to one of the group's primaries and isn't known.
    LookForReplicas(GroupKey),
    /// Ask the group who owns which slots: its nodes sent clients elsewhere.
    AskForSlots(GroupKey),
    /// Close every open window: the operator paused them.
    CloseWindows,
    /// Tell whoever ordered a round of the group what came of it.
    Answer(GroupKey, Ordered),
}

/// The engine's mind.
#[derive(Debug)]
pub struct Conductor {
    ledger: Ledger,
    rounds: Rounds,
    hot: HotWatch,
    started: Option<Timestamp>,
    roles: HashMap<(GroupKey, NodeId), Role>,
    redirects: Redirects,
    arrivals: Arrivals,
}

/// So long after the start no window opens by itself but those an interval brings: a crash loop of ours must not open one after
/// the other.
const SETTLING: Duration = Duration::from_secs(30);

impl Conductor {
    /// A conductor that has heard of nothing yet.
    pub fn new(ledger: Ledger, rounds: Rounds, on_hot: OnHot) -> Self {
        Self {
            ledger,
            rounds,
            hot: HotWatch::new(on_hot),
            started: None,
            roles: HashMap::new(),
            redirects: Redirects::default(),
            arrivals: Arrivals::default(),
        }
    }

    /// Takes note of what happened and says what is to be done about it.
    pub fn take(&mut self, happening: Happening, now: Timestamp) -> Vec<Action> {
        self.started.get_or_insert(now);
        match happening {
            Happening::Told(event) => self.told(&event, now),
            Happening::RoundDue(group) if self.is_settling(now) && self.is_cron() => {
                self.skip_round(&group, now, Skip::JustStarted);
                Vec::new()
            }
            Happening::RoundDue(group) => self.begin_round(&group, now).0,
            Happening::RoundWanted(group) => {
                let (mut actions, ordered) = self.begin_round(&group, now);
                actions.push(Action::Answer(group, ordered));
                actions
            }
            Happening::Pause(paused) => self.pause(paused),
            Happening::Tick(at) => self.tick(at),
        }
    }

    /// Goes by other settings from now on; there may be room for windows that wait.
    pub fn configure(&mut self, ledger: LedgerSettings, monitor: &MonitorSettings, on_hot: OnHot) -> Vec<Action> {
        self.ledger.configure(ledger);
        self.hot.configure(on_hot);
        let (next, given_up) = self.rounds.configure(monitor.clone());
        self.give_up(&given_up);
        open(next)
    }

    /// What is known now.
    pub fn snapshot(&self, at: Timestamp) -> Snapshot {
        self.ledger.snapshot(at)
    }

    fn told(&mut self, event: &Event, now: Timestamp) -> Vec<Action> {
        self.ledger.apply(event);
        match event {
            Event::Discovered { group, .. } => {
                let is_there = |node: &NodeId| group.nodes().any(|(_, known)| &known.id == node);
                self.roles.retain(|(key, node), _| key != &group.key || is_there(node));
                self.redirects.retain(&group.key, is_there);
                self.arrivals.know(group);
                vec![Action::Watch(group.clone())]
            }
            Event::GroupRemoved(group) => {
                self.roles.retain(|(key, _), _| key != group);
                self.redirects.retain(group, |_| false);
                self.arrivals.forget(group);
                Vec::new()
            }
            Event::Polled {
                group,
                node,
                outcome: Ok(answer),
                ..
            } => {
                let before = self.roles.insert((group.clone(), node.clone()), answer.role);
                let changed = before.is_some_and(|before| before != answer.role);
                let moved = self.redirects.take(group, node, &answer.reading, now);
                let arrived = self.arrivals.take(group, node, answer.role, &answer.reading);
                match (changed, arrived, moved) {
                    (true, ..) => vec![Action::LookAgain(group.clone())],
                    (false, true, _) => vec![Action::LookForReplicas(group.clone())],
                    (false, false, true) => vec![Action::AskForSlots(group.clone())],
                    (false, false, false) => Vec::new(),
                }
            }
            Event::WindowClosed(window) => {
                self.judge(&window.group, &window.node, Outcome::of(window.end), now);
                self.window_ended(&window.group, &window.shard)
            }
            Event::WindowFailed { group, shard, node, .. } => {
                self.judge(group, node, Outcome::Bad, now);
                self.window_ended(group, shard)
            }
            Event::WindowSkipped { group, shard, .. } => self.window_ended(group, shard),
            _ => Vec::new(),
        }
    }

    /// The next window takes its room; after the last one the round is over.
    fn window_ended(&mut self, group: &GroupKey, shard: &ShardId) -> Vec<Action> {
        let next = open(self.rounds.ended(group, shard));
        if !self.rounds.is_running(group) {
            self.ledger.apply(&Event::RoundEnded(group.clone()));
        }
        next
    }

    fn judge(&mut self, group: &GroupKey, node: &NodeId, outcome: Outcome, now: Timestamp) {
        if let Some(open) = self.rounds.judge(group, node, outcome, now) {
            self.ledger.apply(&Event::Circuit {
                group: group.clone(),
                node: node.clone(),
                open,
            });
        }
    }

    fn is_settling(&self, now: Timestamp) -> bool {
        self.started.is_none_or(|started| now.since(started) < SETTLING)
    }

    /// An interval's first tick comes a whole interval after the start; a calendar's may come at once.
    fn is_cron(&self) -> bool {
        matches!(self.rounds.schedule(), Schedule::Cron(_))
    }

    fn skip_round(&mut self, group: &GroupKey, now: Timestamp, skip: Skip) {
        let snapshot = self.ledger.snapshot(now);
        let known = snapshot.groups.iter().find(|known| &known.key == group);
        for shard in known.into_iter().flat_map(|known| &known.shards) {
            self.ledger.apply(&skipped(group, &shard.id, skip));
        }
    }

    fn begin_round(&mut self, group: &GroupKey, now: Timestamp) -> (Vec<Action>, Ordered) {
        let snapshot = self.ledger.snapshot(now);
        match snapshot.groups.iter().find(|known| &known.key == group) {
            Some(known) => self.begin(known, now),
            None => (Vec::new(), Ordered::default()),
        }
    }

    fn begin(&mut self, group: &GroupSnapshot, now: Timestamp) -> (Vec<Action>, Ordered) {
        let begun = self.rounds.begin(group, now);
        for (shard, skip) in &begun.skipped {
            self.ledger.apply(&skipped(&group.key, shard, *skip));
        }
        // No shard gets a window: the round is over before it began, and what the counters say is all there is.
        if !self.rounds.is_running(&group.key) {
            self.ledger.apply(&Event::RoundEnded(group.key.clone()));
        }
        let ordered = Ordered {
            begun: begun.skipped.len() < group.shards.len(),
            left_out: begun.skipped,
        };
        if ordered.begun {
            self.hot.round_begins(&group.key, now);
        }
        (open(begun.open), ordered)
    }

    fn pause(&mut self, paused: bool) -> Vec<Action> {
        self.ledger.apply(&Event::Paused(paused));
        let waited = self.rounds.pause(paused);
        self.give_up(&waited);
        if paused { vec![Action::CloseWindows] } else { Vec::new() }
    }

    /// Windows that waited are not opened.
    fn give_up(&mut self, waited: &[(WindowPlan, Skip)]) {
        for (plan, skip) in waited {
            self.ledger.apply(&skipped(&plan.group, &plan.shard, *skip));
        }
        // A group whose windows all waited for others' room has no window left that would end its round.
        let groups: BTreeSet<&GroupKey> = waited.iter().map(|(plan, _)| &plan.group).collect();
        for group in groups.into_iter().filter(|group| !self.rounds.is_running(group)) {
            self.ledger.apply(&Event::RoundEnded(group.clone()));
        }
    }

    fn tick(&mut self, at: Timestamp) -> Vec<Action> {
        self.ledger.apply(&Event::Tick(at));
        let snapshot = self.ledger.snapshot(at);
        self.rounds
            .keep(|group| snapshot.groups.iter().any(|known| &known.key == group));
        if self.is_settling(at) {
            return Vec::new();
        }
        let due = self.hot.due(&snapshot, |group| self.rounds.refusal(group).is_none());
        due.into_iter()
            .flat_map(|group| self.begin(&snapshot.groups[group], at).0)
            .collect()
    }
}

fn skipped(group: &GroupKey, shard: &ShardId, skip: Skip) -> Event {
    Event::WindowSkipped {
        group: group.clone(),
        shard: shard.clone(),
        reason: skip.kind(),
        text: skip.to_string(),
    }
}

fn open(plans: Vec<WindowPlan>) -> Vec<Action> {
    plans.into_iter().map(Action::Open).collect()
}
