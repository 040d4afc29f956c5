//! The rounds that run: which windows are open, which wait for room, and whether the next may begin. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

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

/// What came of a round that was ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// Whether any shard gets a window.
    pub begun: bool,
    /// The shards that get none, and why.
    pub left_out: Vec<(ShardId, Skip)>,
}

impl fmt::Display for Ordered {
    /// Which shards get no window, by the reason.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: BTreeMap<Skip, Vec<&str>> = BTreeMap::new();
        for (shard, skip) in &self.left_out {
            reasons.entry(*skip).or_default().push(shard.as_str());
        }
        if reasons.is_empty() && !self.begun {
            return formatter.write_str("nothing is known of its shards yet; try again when it has been discovered");
        }
        for (place, (skip, shards)) in reasons.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            let (named, more) = shards.split_at(shards.len().min(SHARDS_NAMED));
            write!(formatter, "{separator}shard {}", named.join(", "))?;
            if !more.is_empty() {
                write!(formatter, " and {} more", more.len())?;
            }
            write!(formatter, ": {skip}")?;
        }
        Ok(())
    }
}

/// How many shards a message names.
const SHARDS_NAMED: usize = 5;

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

    /// Why no round of the group may begin now, if it may not.
    pub fn refusal(&self, group: &GroupKey) -> Option<Skip> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(begun: bool, left_out: &[(&str, Skip)], expected: &str) {
        let ordered = Ordered {
            begun,
            left_out: left_out.iter().map(|(shard, skip)| ((*shard).into(), *skip)).collect(),
        };
        assert_eq!(ordered.to_string(), expected);
    }

    #[test]
    fn whoever_ordered_a_round_is_told_which_shards_get_no_window_and_why() {
        check(
            false,
            &[],
            "nothing is known of its shards yet; try again when it has been discovered",
        );
        let down = Skip::NoNodeUp;
        check(false, &[("0001", down)], &format!("shard 0001: {down}"));
        check(
            true,
            &[("0001", down), ("0002", Skip::NoMonitor), ("0003", down)],
            &format!("shard 0001, 0003: {down}; shard 0002: {}", Skip::NoMonitor),
        );
        let many: Vec<(&str, Skip)> = ["1", "2", "3", "4", "5", "6", "7"].map(|shard| (shard, down)).to_vec();
        check(false, &many, &format!("shard 1, 2, 3, 4, 5 and 2 more: {down}"));
    }
}
