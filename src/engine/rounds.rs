//! The rounds that run: which windows are open, which wait for room, and whether the next may begin. Pure.

use std::collections::{HashMap, VecDeque};

use crate::metrics::snapshot::GroupSnapshot;
use crate::model::{GroupKey, NodeId, ShardId, Timestamp};

use super::rest::{Outcome, Rests};
use super::round::{Rotation, Skip, WindowPlan};
use super::settings::MonitorSettings;
use crate::schedule::Schedule;

/// Keeps rounds from overlapping and windows from being too many.
#[derive(Debug)]
pub struct Rounds {
    settings: MonitorSettings,
    paused: bool,
    rotation: Rotation,
    rests: Rests,
    open: HashMap<(GroupKey, ShardId), WindowPlan>,
    waiting: VecDeque<WindowPlan>,
}

/// What a tick led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Windows to open now.
    pub open: Vec<WindowPlan>,
    /// Shards that get none, and why.
    pub skipped: Vec<(ShardId, Skip)>,
}

impl Rounds {
    /// No round runs yet.
    pub fn new(settings: MonitorSettings) -> Self {
        Self {
            settings,
            paused: false,
            rotation: Rotation::default(),
            rests: Rests::default(),
            open: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Begins a round over `group`, unless windows are off or its last round still runs.
    pub fn begin(&mut self, group: &GroupSnapshot, now: Timestamp) -> Begun {
        if let Some(skip) = self.refusal(&group.key) {
            let skipped = group.shards.iter().map(|shard| (shard.id.clone(), skip)).collect();
            return Begun {
                open: Vec::new(),
                skipped,
            };
        }
        let mut begun = Begun::default();
        let rests = |node: &NodeId| self.rests.of(&group.key, node, now);
        for choice in self.rotation.choose(group, &self.settings, rests) {
            match choice {
                Ok(plan) => self.waiting.push_back(plan),
                Err(skipped) => begun.skipped.push(skipped),
            }
        }
        begun.open = self.fill();
        begun
    }

    /// A window ended or was never opened; the next ones in line take its room.
    pub fn ended(&mut self, group: &GroupKey, shard: &ShardId) -> Vec<WindowPlan> {
        self.open.remove(&(group.clone(), shard.clone()));
        self.fill()
    }

    /// Takes what became of a window on the node. Whether its circuit is open now, if that has changed.
    pub fn judge(&mut self, group: &GroupKey, node: &NodeId, outcome: Outcome, now: Timestamp) -> Option<bool> {
        self.rests.take(group, node, outcome, now)
    }

    /// When rounds are due.
    pub fn schedule(&self) -> &Schedule {
        &self.settings.schedule
    }

    /// Stops or allows rounds. What waited is given up; closing the open windows is the caller's.
    pub fn pause(&mut self, paused: bool) -> Vec<WindowPlan> {
        self.paused = paused;
        if paused {
            self.waiting.drain(..).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether a window of the group is open or waits.
    pub fn is_running(&self, group: &GroupKey) -> bool {
        self.open.keys().any(|(open, _)| open == group) || self.waiting.iter().any(|plan| &plan.group == group)
    }

    /// Whether windows are paused.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Takes new settings for the windows to come; some of those that wait may find room now.
    pub fn configure(&mut self, settings: MonitorSettings) -> Vec<WindowPlan> {
        self.settings = settings;
        self.fill()
    }

    /// Forgets the groups that are gone; their open windows end by themselves.
    pub fn keep(&mut self, exists: impl Fn(&GroupKey) -> bool) {
        self.waiting.retain(|plan| exists(&plan.group));
        self.rotation.keep(&exists);
        self.rests.keep(exists);
    }

    fn refusal(&self, group: &GroupKey) -> Option<Skip> {
        let running = self.is_running(group);
        match () {
            () if !self.settings.enabled => Some(Skip::Disabled),
            () if self.paused => Some(Skip::Paused),
            () if running => Some(Skip::RoundRunning),
            () => None,
        }
    }

    fn fill(&mut self) -> Vec<WindowPlan> {
        let room = self.settings.concurrency.get().saturating_sub(self.open.len());
        let next: Vec<_> = self.waiting.drain(..room.min(self.waiting.len())).collect();
        for plan in &next {
            self.open.insert((plan.group.clone(), plan.shard.clone()), plan.clone());
        }
        next
    }
}
