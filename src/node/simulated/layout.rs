//! Who owns which slots, and where they listen.

use std::collections::HashMap;

use super::chance::Chance;
use super::plot::Place;
use super::scenario::Scenario;
use crate::model::{Endpoint, Slot, SlotRange, SlotSet};

/// Where every slot lives, and at which endpoints.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) slots: Vec<SlotSet>,
    pub(super) endpoints: Vec<Vec<Endpoint>>,
    /// The nodes' own names in the cluster.
    pub(super) cluster_ids: Vec<Vec<String>>,
    /// The shards' own names in the cluster.
    pub(super) shard_ids: Vec<String>,
}

impl Layout {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut chance = Chance::for_purpose(seed, 0);
        let weights: Vec<f64> = (0..scenario.shards)
            .map(|shard| scenario.slot_weights.get(shard).copied().unwrap_or(1.0).max(0.0))
            .collect();
        let total: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mut passed = 0.0;
        let mut first = 0;
        let mut slots = Vec::with_capacity(weights.len());
        for weight in weights {
            passed += weight;
            let end = (passed / total * f64::from(Slot::COUNT)).round() as u16;
            slots.push(range(first, end));
            first = end;
        }
        Self {
            slots,
            shard_ids: (0..scenario.shards).map(|_| chance.hex(40)).collect(),
            endpoints: (0..scenario.shards)
                .map(|shard| (0..scenario.members()).map(|member| endpoint(shard, member)).collect())
                .collect(),
            cluster_ids: (0..scenario.shards)
                .map(|_| (0..scenario.members()).map(|_| chance.hex(40)).collect())
                .collect(),
        }
    }

    /// Who listens where.
    pub(super) fn places(&self) -> HashMap<Endpoint, Place> {
        let members = self.endpoints.iter().enumerate().flat_map(|(shard, members)| {
            let place = move |member| Place { shard, member };
            members
                .iter()
                .enumerate()
                .map(move |(member, endpoint)| (endpoint.clone(), place(member)))
        });
        members.collect()
    }

    /// The shard that owns the key's slot.
    pub(super) fn owner(&self, name: &[u8]) -> Option<usize> {
        let slot = slot(name);
        self.slots.iter().position(|owned| owned.contains(slot))
    }
}

fn range(first: u16, end: u16) -> SlotSet {
    let last = end.checked_sub(1).and_then(Slot::new);
    SlotSet::new(
        Slot::new(first)
            .zip(last)
            .map(|(first, last)| SlotRange { first, last }),
    )
}

fn endpoint(shard: usize, member: usize) -> Endpoint {
    Endpoint::new(format!("10.{}.{}.{}", member + 1, shard / 250, shard % 250 + 1), 6379)
}

/// The slot as the server computes it. A server of its own: it doesn't lean on the code it is there to test.
pub(super) fn slot(name: &[u8]) -> Slot {
    let tag = name.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &name[open + 1..];
        let length = rest.iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    let checksum = tag.unwrap_or(name).iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    });
    Slot::of_checksum(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: u16) {
        assert_eq!(slot(name.as_bytes()).number(), expected, "{name}");
    }

    #[test]
    fn slots_are_the_servers() {
        check("123456789", 12_739);
        check("foo", 12_182);
        check("foo{}{bar}", 8363);
        check("foo{{bar}}zap", 4015);
        check("foo{bar}{zap}", 5061);
        check("", 0);
    }
}
