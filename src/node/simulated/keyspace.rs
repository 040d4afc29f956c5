//! The keys of one shard, and how traffic falls on them.

use std::collections::HashMap;
use std::ops::Range;

use super::chance::{Chance, Weighted};
use super::family::{FAMILIES, Family, subjects};
use super::key::Key;
use super::layout::Layout;
use super::scenario::Scenario;
use super::verb::Verb;
use crate::model::Timestamp;

/// A family's keys in one shard.
#[derive(Clone, Debug)]
struct Present {
    keys: Range<usize>,
    popularity: Weighted,
    mix: &'static [(Verb, f64)],
    by_verb: Weighted,
    traffic: f64,
}

/// The keys of one shard, and how ordinary traffic falls on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyspace {
    keys: Vec<Key>,
    by_name: HashMap<Box<str>, u32>,
    families: Vec<Present>,
    by_traffic: Weighted,
    /// For each act, the first of its keys and how many.
    subjects: Vec<Range<usize>>,
}

impl Keyspace {
    /// The keys of every shard.
    pub(super) fn build(scenario: &Scenario, layout: &Layout, seed: u64, epoch: Timestamp) -> Vec<Self> {
        let mut shards = vec![Self::default(); scenario.shards];
        for (family, purpose) in FAMILIES.iter().zip(1..) {
            let starts: Vec<usize> = shards.iter().map(|shard| shard.keys.len()).collect();
            let mut chance = Chance::for_purpose(seed, purpose);
            for index in 0..(scenario.keys as f64 * family.share).ceil() as usize {
                let key = (family.key)(index, epoch, &mut chance);
                if let Some(owner) = layout.owner(key.name.as_bytes()) {
                    shards[owner].keys.push(key);
                }
            }
            for (shard, start) in shards.iter_mut().zip(starts) {
                shard.close_family(family, start);
            }
        }
        for (number, shard) in shards.iter_mut().enumerate() {
            shard.weigh();
            shard.add_subjects(scenario, layout, number, epoch);
            shard.by_name = shard.keys.iter().map(|key| key.name.clone()).zip(0..).collect();
        }
        shards
    }

    pub(super) fn key(&self, index: u32) -> Option<&Key> {
        self.keys.get(index as usize)
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Key> {
        let name = std::str::from_utf8(name).ok()?;
        self.by_name.get(name).and_then(|index| self.key(*index))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn expiring(&self) -> usize {
        self.keys.iter().filter(|key| key.expires).count()
    }

    pub(super) fn memory(&self) -> u64 {
        self.keys.iter().map(Key::memory).sum()
    }

    /// A key and a command of ordinary traffic.
    pub(super) fn draw(&self, chance: &mut Chance) -> Option<(u32, Verb)> {
        let family = self.families.get(self.by_traffic.draw(chance))?;
        let key = family.keys.start + family.popularity.draw(chance);
        Some((key as u32, family.mix[family.by_verb.draw(chance)].0))
    }

    /// Any key that commands can read, each as often as the others.
    pub(super) fn any(&self, chance: &mut Chance) -> Option<u32> {
        let end = self.families.last()?.keys.end;
        (end > 0).then(|| chance.below(end) as u32)
    }

    /// The keys that an act is about.
    pub(super) fn subjects(&self, act: usize) -> Range<usize> {
        self.subjects.get(act).cloned().unwrap_or_default()
    }

    fn close_family(&mut self, family: &Family, start: usize) {
        if self.keys.len() == start {
            return;
        }
        let weights: Vec<f64> = family.mix.iter().map(|(_, weight)| *weight).collect();
        self.families.push(Present {
            keys: start..self.keys.len(),
            popularity: Weighted::zipf(self.keys.len() - start, family.exponent),
            mix: family.mix,
            by_verb: Weighted::new(&weights),
            traffic: family.traffic,
        });
    }

    fn weigh(&mut self) {
        let weights: Vec<f64> = self.families.iter().map(|family| family.traffic).collect();
        self.by_traffic = Weighted::new(&weights);
    }

    fn add_subjects(&mut self, scenario: &Scenario, layout: &Layout, number: usize, epoch: Timestamp) {
        for act in &scenario.acts {
            let start = self.keys.len();
            if act.plot.shard() == number && !layout.slots[number].is_empty() {
                let owned = |name: &str| layout.owner(name.as_bytes()) == Some(number);
                self.keys.extend(subjects(&act.plot, epoch, owned));
            }
            self.subjects.push(start..self.keys.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SlotSet;

    #[test]
    fn every_key_lives_where_its_slot_does() {
        let scenario = Scenario {
            slot_weights: vec![3.0, 1.0, 0.0],
            ..Scenario::new(3)
        };
        let layout = Layout::new(&scenario, 1);
        let shards = Keyspace::build(&scenario, &layout, 1, Timestamp(1_795_219_200_000_000));
        for (shard, number) in shards.iter().zip(0..) {
            assert!(
                shard
                    .keys
                    .iter()
                    .all(|key| layout.owner(key.name.as_bytes()) == Some(number))
            );
        }
        assert_eq!(
            layout.slots.iter().map(SlotSet::len).collect::<Vec<_>>(),
            [12_288, 4096, 0]
        );
        assert!(shards[0].len() > 2 * shards[1].len() && shards[2].len() == 0);
    }
}
