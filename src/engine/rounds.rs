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
    pub fn pause(&mut self, paused: bool) -> Vec<(WindowPlan, Skip)> {
        self.paused = paused;
        if paused {
            self.waiting.drain(..).map(|plan| (plan, Skip::Paused)).collect()
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

    /// Takes new settings for the windows to come; some of those that wait may find room now. What waits and isn't wanted any more, or not
    /// on that node, is given up.
    pub fn configure(&mut self, settings: MonitorSettings) -> (Vec<WindowPlan>, Vec<(WindowPlan, Skip)>) {
        let unwanted = match () {
            () if !settings.enabled => Some(Skip::Disabled),
            () if settings.nodes != self.settings.nodes => Some(Skip::Paused),
            () => None,
        };
        self.settings = settings;
        let given_up = unwanted.map(|skip| self.waiting.drain(..).map(|plan| (plan, skip)).collect());
        (self.fill(), given_up.unwrap_or_default())
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
    use super::super::round::tests::{group, settings};
    use super::super::settings::NodeChoice;
    use super::*;

    /// A round over three shards, of which one has room at a time, and other settings in the middle of it: what is given up by them, and how
    /// many windows open afterwards.
    fn check_change(change: fn(&mut MonitorSettings), given_up: &[Skip], opened: usize) {
        let mut three = group("a primary, b replica");
        for name in ["0002", "0003"] {
            let mut shard = three.shards[0].clone();
            shard.id = name.into();
            three.shards.push(shard);
        }
        let mut changed = settings(NodeChoice::Replica);
        let mut rounds = Rounds::new(changed.clone());
        let mut open = rounds.begin(&three, Timestamp(0)).open;
        change(&mut changed);
        let (next, left) = rounds.configure(changed);
        let skips: Vec<Skip> = left.into_iter().map(|(_, skip)| skip).collect();
        assert_eq!((open.len(), next.len(), &*skips), (1, 0, given_up));
        let mut after = 0;
        while let Some(plan) = open.pop() {
            let next = rounds.ended(&plan.group, &plan.shard);
            after += next.len();
            open.extend(next);
        }
        assert_eq!((after, rounds.is_running(&three.key)), (opened, false));
    }

    #[test]
    fn windows_that_wait_are_not_opened_once_nobody_wants_them() {
        check_change(|_| {}, &[], 2);
        check_change(|monitor| monitor.enabled = false, &[Skip::Disabled; 2], 0);
        check_change(|monitor| monitor.nodes = NodeChoice::Primary, &[Skip::Paused; 2], 0);
    }

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
