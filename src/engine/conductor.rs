//! What to do about what happened. Pure and synchronous: one happening in, the actions it calls for out.
//!
//! It owns the ledger and the rounds; the shell around it ([`super::run`]) waits, asks, opens and publishes.

use std::collections::HashMap;
use std::time::Duration;

use crate::metrics::ledger::{Event, Ledger, LedgerSettings};
use crate::metrics::snapshot::{GroupSnapshot, ShardSnapshot, Snapshot, Status};
use crate::model::{Group, GroupKey, ShardId, Timestamp};

use super::round::WindowPlan;
use super::rounds::Rounds;
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
    /// Close every open window: the operator paused them.
    CloseWindows,
}

/// The engine's mind.
#[derive(Debug)]
pub struct Conductor {
    ledger: Ledger,
    rounds: Rounds,
    hot: HotWatch,
}

/// When a shard that turned hot is looked at out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnHot {
    /// Whether it is.
    pub enabled: bool,
    /// How long not again in the same group.
    pub cool_down: Duration,
}

/// Which shards are hot, and when their group was last looked at for it.
#[derive(Debug)]
struct HotWatch {
    settings: OnHot,
    hot: HashMap<(GroupKey, ShardId), Timestamp>,
    looked: HashMap<GroupKey, Timestamp>,
}

impl Conductor {
    /// A conductor that has heard of nothing yet.
    pub fn new(ledger: Ledger, rounds: Rounds, on_hot: OnHot) -> Self {
        let hot = HotWatch {
            settings: on_hot,
            hot: HashMap::new(),
            looked: HashMap::new(),
        };
        Self { ledger, rounds, hot }
    }

    /// Takes note of what happened and says what is to be done about it.
    pub fn take(&mut self, happening: Happening, now: Timestamp) -> Vec<Action> {
        match happening {
            Happening::Told(event) => self.told(&event),
            Happening::RoundDue(group) | Happening::RoundWanted(group) => self.begin_round(&group, now),
            Happening::Pause(paused) => self.pause(paused),
            Happening::Tick(at) => self.tick(at),
        }
    }

    /// Goes by other settings from now on; there may be room for windows that wait.
    pub fn configure(&mut self, ledger: LedgerSettings, monitor: &MonitorSettings, on_hot: OnHot) -> Vec<Action> {
        self.ledger.configure(ledger);
        self.hot.settings = on_hot;
        open(self.rounds.configure(monitor.clone()))
    }

    /// What is known now.
    pub fn snapshot(&self, at: Timestamp) -> Snapshot {
        self.ledger.snapshot(at)
    }

    fn told(&mut self, event: &Event) -> Vec<Action> {
        self.ledger.apply(event);
        match event {
            Event::Discovered { group, .. } => vec![Action::Watch(group.clone())],
            Event::WindowClosed(window) => self.window_ended(&window.group, &window.shard),
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

    fn begin_round(&mut self, group: &GroupKey, now: Timestamp) -> Vec<Action> {
        let snapshot = self.ledger.snapshot(now);
        match snapshot.groups.iter().find(|known| &known.key == group) {
            Some(known) => self.begin(known),
            None => Vec::new(),
        }
    }

    fn begin(&mut self, group: &GroupSnapshot) -> Vec<Action> {
        let begun = self.rounds.begin(group);
        for (shard, skip) in begun.skipped {
            self.ledger.apply(&Event::WindowSkipped {
                group: group.key.clone(),
                shard,
                reason: skip.kind(),
            });
        }
        // No shard gets a window: the round is over before it began, and what the counters say is all there is.
        if !self.rounds.is_running(&group.key) {
            self.ledger.apply(&Event::RoundEnded(group.key.clone()));
        }
        open(begun.open)
    }

    fn pause(&mut self, paused: bool) -> Vec<Action> {
        self.ledger.apply(&Event::Paused(paused));
        for plan in self.rounds.pause(paused) {
            let reason = super::round::Skip::Paused.kind();
            self.ledger.apply(&Event::WindowSkipped {
                group: plan.group,
                shard: plan.shard,
                reason,
            });
        }
        if paused { vec![Action::CloseWindows] } else { Vec::new() }
    }

    fn tick(&mut self, at: Timestamp) -> Vec<Action> {
        self.ledger.apply(&Event::Tick(at));
        let snapshot = self.ledger.snapshot(at);
        self.rounds
            .keep(|group| snapshot.groups.iter().any(|known| &known.key == group));
        let due = self.hot.newly_hot(&snapshot);
        due.into_iter()
            .flat_map(|group| self.begin(&snapshot.groups[group]))
            .collect()
    }
}

impl HotWatch {
    /// The groups (by their place in the snapshot) one of whose shards turned hot, unless that was looked at not long ago.
    fn newly_hot(&mut self, snapshot: &Snapshot) -> Vec<usize> {
        let mut due = Vec::new();
        let mut hot = HashMap::new();
        for (place, group) in snapshot.groups.iter().enumerate() {
            for shard in group.shards.iter().filter(|shard| is_hot(shard)) {
                let name = (group.key.clone(), shard.id.clone());
                let since = self.hot.get(&name).copied().unwrap_or(snapshot.at);
                hot.insert(name, since);
            }
            let turned = hot
                .iter()
                .any(|((key, _), since)| key == &group.key && *since == snapshot.at);
            let rested = self
                .looked
                .get(&group.key)
                .is_none_or(|last| snapshot.at.since(*last) >= self.settings.cool_down);
            if self.settings.enabled && turned && rested {
                self.looked.insert(group.key.clone(), snapshot.at);
                due.push(place);
            }
        }
        self.hot = hot;
        self.looked
            .retain(|key, _| snapshot.groups.iter().any(|group| &group.key == key));
        due
    }
}

fn is_hot(shard: &ShardSnapshot) -> bool {
    [shard.commands.status, shard.bytes_out.status, shard.cpu.status]
        .into_iter()
        .any(Status::is_hot)
}

fn open(plans: Vec<WindowPlan>) -> Vec<Action> {
    plans.into_iter().map(Action::Open).collect()
}
