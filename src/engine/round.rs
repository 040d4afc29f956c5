//! Which node of each shard a round looks at. Pure: the snapshot and the settings in, plans and refusals out.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::metrics::snapshot::{GroupSnapshot, NodeSnapshot, ShardSnapshot, Sources};
use crate::model::{Endpoint, GroupKey, NodeId, Role, ShardId};

use super::settings::{MonitorSettings, NodeChoice};
use super::siblings::Sibling;

/// One window that is to be opened. It can't ask for nothing and can't last for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    /// The group.
    pub group: GroupKey,
    /// The shard it stands for.
    pub shard: ShardId,
    /// The node to look at.
    pub node: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it serves beside INFO.
    pub sources: Sources,
    /// The other nodes of the shard that answer.
    pub siblings: Vec<Sibling>,
    /// Whether the operator allowed to look at a primary.
    pub primary_allowed: bool,
    /// How long, by the wall clock.
    pub duration: Duration,
    /// After how many commands it ends.
    pub commands_max: NonZeroU64,
    /// After how many bytes it ends.
    pub bytes_max: NonZeroU64,
}

/// Why a shard gets no window in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// Windows are switched off by `monitor.enabled`.
    Disabled,
    /// The operator paused windows.
    Paused,
    /// The group's last round still runs.
    RoundRunning,
    /// No node of the shard answers.
    NoNodeUp,
    /// The shard has no replica that could be looked at, and primaries aren't allowed.
    NoReplica,
    /// The shard has no primary, and only primaries are to be looked at.
    NoPrimary,
    /// The node's link to its primary is down, so it doesn't see the shard's writes.
    ReplicaUnlinked,
    /// A window on the node failed or did harm; it is left alone for a while.
    BackingOff,
    /// Windows on the node failed or did harm several times running.
    CircuitOpen,
    /// hotshard has only just started: a crash loop of ours must not open window after window.
    JustStarted,
    /// No node of the shard offers MONITOR: a serverless cache.
    NoMonitor,
}

impl Skip {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Disabled,
        Self::Paused,
        Self::RoundRunning,
        Self::NoNodeUp,
        Self::NoReplica,
        Self::NoPrimary,
        Self::ReplicaUnlinked,
        Self::BackingOff,
        Self::CircuitOpen,
        Self::JustStarted,
        Self::NoMonitor,
    ];

    /// The metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Paused => "paused",
            Self::RoundRunning => "round_running",
            Self::NoNodeUp => "no_node_up",
            Self::NoReplica => "no_replica",
            Self::NoPrimary => "no_primary",
            Self::ReplicaUnlinked => "replica_unlinked",
            Self::BackingOff => "backing_off",
            Self::CircuitOpen => "circuit_open",
            Self::JustStarted => "just_started",
            Self::NoMonitor => "no_monitor",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Disabled => "windows are switched off; set monitor.enabled = true",
            Self::Paused => "windows were stopped before its turn came; the next round looks, unless they are paused still",
            Self::RoundRunning => "the last round still runs; give rounds more time in monitor.schedule, or shorten monitor.window",
            Self::NoNodeUp => "none of its nodes answers; `hotshard check --connect` says why",
            Self::NoReplica => {
                "it has no replica that answers, and primaries are left alone; set monitor.nodes = \"replica-or-primary\" (--use-primary) \
                 to look at them"
            }
            Self::NoPrimary => "it has no primary that answers; set monitor.nodes = \"replica\" to look at its replicas",
            Self::ReplicaUnlinked => {
                "the replica's link to its primary is down, so it does not see the shard's writes; set monitor.nodes = \
                 \"replica-or-primary\" (--use-primary) to look at the primary"
            }
            Self::BackingOff => {
                "the last window on its node failed or did harm, so the node is left alone for a while; the log says what happened"
            }
            Self::CircuitOpen => {
                "several windows on its node failed or did harm, so it is seldom tried again; the log says what happened"
            }
            Self::JustStarted => "hotshard has only just started; the next round looks",
            Self::NoMonitor => "none of its nodes offers MONITOR; its counters are all there is",
        })
    }
}

/// What a round does about one shard.
pub type Choice = Result<WindowPlan, (ShardId, Skip)>;

/// Remembers whose turn it is, so that the replicas of a shard share the burden.
#[derive(Debug, Default)]
pub struct Rotation {
    turns: HashMap<(GroupKey, ShardId), usize>,
}

impl Rotation {
    /// A choice for every shard of the group; no node that `rests`.
    pub fn choose(
        &mut self,
        group: &GroupSnapshot,
        settings: &MonitorSettings,
        rests: impl Fn(&NodeId) -> Option<Skip>,
    ) -> Vec<Choice> {
        group
            .shards
            .iter()
            .map(|shard| self.choose_node(&group.key, shard, settings, &rests))
            .collect()
    }

    /// Forgets groups that are gone.
    pub fn keep(&mut self, exists: impl Fn(&GroupKey) -> bool) {
        self.turns.retain(|(group, _), _| exists(group));
    }

    fn choose_node(
        &mut self,
        group: &GroupKey,
        shard: &ShardSnapshot,
        settings: &MonitorSettings,
        rests: &impl Fn(&NodeId) -> Option<Skip>,
    ) -> Choice {
        let refused = |skip| (shard.id.clone(), skip);
        let candidates = candidates(shard, settings).map_err(refused)?;
        let candidates = rested(candidates, rests).map_err(refused)?;
        let turn = self.turns.entry((group.clone(), shard.id.clone())).or_default();
        let node = candidates[*turn % candidates.len()];
        *turn = turn.wrapping_add(1);
        Ok(WindowPlan {
            group: group.clone(),
            shard: shard.id.clone(),
            node: node.id.clone(),
            endpoint: node.endpoint.clone(),
            sources: node.sources,
            siblings: siblings(shard, node),
            primary_allowed: settings.nodes != NodeChoice::Replica,
            duration: settings.window,
            commands_max: settings.commands_max,
            bytes_max: settings.bytes_max,
        })
    }
}

/// Those that don't rest; why the first one does, if all do.
fn rested<'a>(
    candidates: Vec<&'a NodeSnapshot>,
    rests: &impl Fn(&NodeId) -> Option<Skip>,
) -> Result<Vec<&'a NodeSnapshot>, Skip> {
    let resting = candidates.first().and_then(|node| rests(&node.id));
    let rested: Vec<_> = candidates
        .into_iter()
        .filter(|node| rests(&node.id).is_none())
        .collect();
    match resting {
        Some(skip) if rested.is_empty() => Err(skip),
        _ => Ok(rested),
    }
}

fn siblings(shard: &ShardSnapshot, observed: &NodeSnapshot) -> Vec<Sibling> {
    let others = shard.nodes.iter().filter(|node| node.id != observed.id && node.up);
    let siblings = others.filter_map(|node| {
        Some(Sibling {
            endpoint: node.endpoint.clone(),
            role: node.role?,
            sources: node.sources,
        })
    });
    siblings.collect()
}

/// The nodes that may be looked at, never none: those of our own zone alone where there are any.
fn candidates<'a>(shard: &'a ShardSnapshot, settings: &MonitorSettings) -> Result<Vec<&'a NodeSnapshot>, Skip> {
    let up: Vec<_> = shard.nodes.iter().filter(|node| node.up).collect();
    if up.is_empty() {
        return Err(Skip::NoNodeUp);
    }
    let up: Vec<_> = up
        .into_iter()
        .filter(|node| node.sources.monitor != Some(false))
        .collect();
    if up.is_empty() {
        return Err(Skip::NoMonitor);
    }
    let of = |role| {
        up.iter()
            .copied()
            .filter(move |node| node.role == Some(role))
            .collect::<Vec<_>>()
    };
    let (primaries, replicas) = (of(Role::Primary), of(Role::Replica));
    let linked: Vec<_> = replicas
        .iter()
        .copied()
        .filter(|node| node.gauges.link_up != Some(false))
        .collect();
    let refusal = if replicas.is_empty() {
        Skip::NoReplica
    } else {
        Skip::ReplicaUnlinked
    };
    let (chosen, refusal) = match settings.nodes {
        NodeChoice::Replica => (linked, refusal),
        NodeChoice::Primary => (primaries, Skip::NoPrimary),
        NodeChoice::ReplicaOrPrimary if linked.is_empty() => (primaries, refusal),
        NodeChoice::ReplicaOrPrimary => (linked, refusal),
    };
    if chosen.is_empty() {
        return Err(refusal);
    }
    let same_zone: Vec<_> = chosen
        .iter()
        .copied()
        .filter(|node| settings.same_zone.is_some() && node.zone == settings.same_zone)
        .collect();
    Ok(if same_zone.is_empty() { chosen } else { same_zone })
}

#[cfg(test)]
pub(super) mod tests;
