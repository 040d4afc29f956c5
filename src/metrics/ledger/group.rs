//! One group's account: its shards and nodes, and the rounds of polls after which they are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::LedgerSettings;
use super::event::PollAnswer;
use super::node::NodeAccount;
use super::shard::ShardAccount;
use crate::analysis::report::Report;
use crate::analysis::status::{Signal, compare};
use crate::metrics::round;
use crate::metrics::snapshot::GroupSnapshot;
use crate::model::{Group, GroupKey, NodeId, ShardId, Timestamp};

/// What is known of a group.
#[derive(Debug, Default)]
pub(super) struct GroupAccount {
    shards: BTreeMap<ShardId, ShardAccount>,
    nodes: BTreeMap<NodeId, NodeAccount>,
    members: BTreeMap<NodeId, ShardId>,
    /// Nodes that were asked since the shards were last compared.
    asked: BTreeSet<NodeId>,
    /// When the first of them was.
    round_began: Option<Timestamp>,
    /// Nodes that joined a group which is watched already: they are asked at once, out of turn.
    newcomers: BTreeSet<NodeId>,
    report: Option<Arc<Report>>,
    discovered: Option<Timestamp>,
    discovery_failures: BTreeMap<&'static str, u64>,
}

impl GroupAccount {
    /// Takes the group as it is now: who is still there keeps its account, who is gone loses it.
    pub(super) fn discovered(&mut self, group: &Group, at: Timestamp, settings: &LedgerSettings) {
        self.discovered = Some(at);
        self.members = group
            .nodes()
            .map(|(shard, node)| (node.id.clone(), shard.id.clone()))
            .collect();
        self.shards
            .retain(|id, _| group.shards.iter().any(|shard| shard.id == *id));
        self.nodes.retain(|id, _| self.members.contains_key(id));
        self.asked.retain(|id| self.members.contains_key(id));
        for shard in &group.shards {
            let account = self
                .shards
                .entry(shard.id.clone())
                .or_insert_with(|| ShardAccount::new(settings));
            account.slots = shard.slots.clone().or_else(|| account.slots.take());
        }
        let was_watched = !self.nodes.is_empty();
        for (_, node) in group.nodes() {
            let moved = match self.nodes.get_mut(&node.id) {
                Some(account) => account.rediscovered(node.clone()),
                None => {
                    let account = NodeAccount::new(node.clone(), settings);
                    self.nodes.insert(node.id.clone(), account);
                    was_watched
                }
            };
            if moved {
                self.newcomers.insert(node.id.clone());
            }
        }
        self.newcomers.retain(|id| self.members.contains_key(id));
    }

    /// New caps for what is known of its shards and nodes.
    pub(super) fn configure(&mut self, settings: &LedgerSettings) {
        self.shards.values_mut().for_each(|shard| shard.configure(settings));
        self.nodes.values_mut().for_each(|node| node.configure(settings));
    }

    pub(super) fn discovery_failed(&mut self, reason: &'static str) {
        *self.discovery_failures.entry(reason).or_default() += 1;
    }

    /// A node was asked. When all have been, or one is asked a second time, the round is over and the shards are compared.
    pub(super) fn polled(
        &mut self,
        node: &NodeId,
        at: Timestamp,
        took: Duration,
        outcome: &Result<Box<PollAnswer>, &'static str>,
        settings: &LedgerSettings,
    ) {
        // An answer out of turn neither ends a round nor begins one: the others' next one is to be compared with this node's next.
        let in_turn = !self.newcomers.remove(node);
        if in_turn && self.asked.contains(node) {
            self.end_round(settings);
        }
        let (Some(account), Some(shard)) = (self.nodes.get_mut(node), self.members.get(node)) else {
            return;
        };
        match outcome {
            Ok(answer) => {
                let contribution = account.answered(at, took, answer);
                if let Some(shard) = self.shards.get_mut(shard) {
                    shard.add(contribution);
                    shard.slots = answer.slots.clone().or_else(|| shard.slots.take());
                    account.last().into_iter().for_each(|last| shard.observe_offset(last));
                }
            }
            Err(reason) => account.failed(at, took, reason),
        }
        if !in_turn {
            return;
        }
        self.asked.insert(node.clone());
        self.round_began.get_or_insert(at);
        if self.asked.len() == self.nodes.len() {
            self.end_round(settings);
        }
    }

    /// Ends a round that a node has kept open for too long.
    pub(super) fn tick(&mut self, at: Timestamp, settings: &LedgerSettings) {
        if self
            .round_began
            .is_some_and(|began| at.since(began) > settings.rate_window)
        {
            self.end_round(settings);
        }
    }

    /// The windows of a round are over: what do they say?
    pub(super) fn round_ended(&mut self, key: &GroupKey) {
        let circumstances = self
            .shards
            .iter()
            .map(|(id, shard)| (id.clone(), shard.circumstances()));
        let report = round::report(&self.snapshot(key), &circumstances.collect(), self.report.as_deref());
        self.report = Some(Arc::new(report));
        self.shards.values_mut().for_each(|shard| shard.windows.round_ended());
    }

    pub(super) fn node_mut(&mut self, node: &NodeId) -> Option<&mut NodeAccount> {
        self.nodes.get_mut(node)
    }

    pub(super) fn shard_mut(&mut self, shard: &ShardId) -> Option<&mut ShardAccount> {
        self.shards.get_mut(shard)
    }

    pub(super) fn snapshot(&self, key: &GroupKey) -> GroupSnapshot {
        GroupSnapshot {
            key: key.clone(),
            shards: self
                .shards
                .iter()
                .map(|(id, shard)| shard.snapshot(id.clone(), &self.nodes_of(id)))
                .collect(),
            report: self.report.clone(),
            discovered: self.discovered,
            discovery_failures: self.discovery_failures.clone(),
        }
    }

    /// In the order of their names.
    fn nodes_of(&self, shard: &ShardId) -> Vec<&NodeAccount> {
        self.nodes
            .iter()
            .filter(|(id, _)| self.members.get(*id) == Some(shard))
            .map(|(_, node)| node)
            .collect()
    }

    fn end_round(&mut self, settings: &LedgerSettings) {
        self.asked.clear();
        self.round_began = None;
        self.measure_lag();
        let mut taken = BTreeSet::new();
        for (id, shard) in &mut self.shards {
            let members = self
                .nodes
                .iter()
                .filter(|(node, _)| self.members.get(*node) == Some(id));
            if shard.add_up(&members.map(|(_, node)| node).collect::<Vec<_>>()) {
                taken.insert(id);
            }
        }
        for (id, node) in &mut self.nodes {
            node.settle(self.members.get(id).is_some_and(|shard| taken.contains(shard)));
        }
        self.compare(settings);
    }

    fn measure_lag(&mut self) {
        for (id, shard) in &self.shards {
            let members = &self.members;
            let nodes = self.nodes.iter_mut().filter(|(node, _)| members.get(*node) == Some(id));
            shard.measure_lag(nodes.map(|(_, node)| node).collect());
        }
    }

    fn compare(&mut self, settings: &LedgerSettings) {
        for signal in Signal::ALL {
            let rates: Vec<Option<f64>> = self.shards.values().map(|shard| shard.comparable(signal)).collect();
            let standings = compare(&rates, settings.status.floor(signal));
            for (shard, standing) in self.shards.values_mut().zip(&standings) {
                shard.judge(signal, standing, &settings.status);
            }
        }
    }
}
