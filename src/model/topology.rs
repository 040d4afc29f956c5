//! What a cluster looks like: a group of shards, each with its nodes and slots.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Endpoint, GroupKey, NodeId, ShardId, Slot};

/// What a node is right now, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes the writes.
    Primary,
    /// Follows a primary.
    Replica,
}

impl Role {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One server of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name for good.
    pub id: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its role when it was discovered; ROLE, asked again at each poll, has the last word.
    pub role: Option<Role>,
    /// Its availability zone, where one is known.
    pub zone: Option<String>,
    /// The instance type, where one is known.
    pub instance_type: Option<String>,
}

/// A part of a group: one primary and its replicas, with the slots they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// Its name, which outlives failovers.
    pub id: ShardId,
    /// Its members, in the order of their names.
    pub nodes: Vec<Node>,
    /// The slots it owns; `None` where slots don't exist or aren't known.
    pub slots: Option<SlotSet>,
}

/// A replication group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Which one.
    pub key: GroupKey,
    /// Its shards, in the order of their names.
    pub shards: Vec<Shard>,
}

impl Group {
    /// Every node with the shard it belongs to.
    pub fn nodes(&self) -> impl Iterator<Item = (&Shard, &Node)> {
        self.shards
            .iter()
            .flat_map(|shard| shard.nodes.iter().map(move |node| (shard, node)))
    }

    /// What was known of a shard's slots stands until somebody tells otherwise.
    pub fn keep_slots(&mut self, before: &Self) {
        for shard in &mut self.shards {
            let known = before.shards.iter().find(|known| known.id == shard.id);
            if let Some(slots) = known.and_then(|known| known.slots.clone()) {
                shard.slots = Some(slots);
            }
        }
    }

    /// These shards own these slots now; of others what is known stands.
    pub fn set_slots(&mut self, mut owned: BTreeMap<ShardId, SlotSet>) {
        for shard in &mut self.shards {
            shard.slots = owned.remove(&shard.id).or(shard.slots.take());
        }
    }
}

/// Slots from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SlotRange {
    /// The lowest.
    pub first: Slot,
    /// The highest.
    pub last: Slot,
}

/// The slots a shard owns, as sorted ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SlotSet(Vec<SlotRange>);

impl SlotSet {
    /// The union of `ranges`, in any order.
    pub fn new(ranges: impl IntoIterator<Item = SlotRange>) -> Self {
        let mut sorted: Vec<SlotRange> = ranges.into_iter().filter(|range| range.first <= range.last).collect();
        sorted.sort_unstable();
        let mut merged: Vec<SlotRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(open) if range.first.number() <= open.last.number() + 1 => open.last = open.last.max(range.last),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// How many slots.
    pub fn len(&self) -> u32 {
        self.0
            .iter()
            .map(|range| u32::from(range.last.number() - range.first.number()) + 1)
            .sum()
    }

    /// Whether it owns none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `slot` is one of them.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.iter().any(|range| range.first <= slot && slot <= range.last)
    }

    /// The ranges, lowest first.
    pub fn ranges(&self) -> &[SlotRange] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u16, u16)]) -> SlotSet {
        SlotSet::new(ranges.iter().map(|&(first, last)| SlotRange {
            first: Slot::new(first).expect("a test's slot"),
            last: Slot::new(last).expect("a test's slot"),
        }))
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let slots = set(&[(100, 200), (0, 10), (11, 20), (150, 300)]);
        let shown: Vec<_> = slots
            .ranges()
            .iter()
            .map(|range| (range.first.number(), range.last.number()))
            .collect();
        assert_eq!(shown, [(0, 20), (100, 300)]);
        assert_eq!(slots.len(), 21 + 201);
        assert!(slots.contains(Slot::of_checksum(300)) && !slots.contains(Slot::of_checksum(21)));
    }
}
