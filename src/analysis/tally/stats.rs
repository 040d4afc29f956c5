//! What a closed tally reports: of everything the most frequent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Tallied;
use super::outcome::{NamedSignature, Patterns};
use super::sampled::Sampled;
use crate::analysis::pattern::Normaliser;
use crate::analysis::signature::signature;
use crate::analysis::veil::KeyNames;
use crate::analysis::window::{Counted, KeyCount, PatternCount, Rejection, SignatureCount, WindowStats};
use crate::analysis::witness::Testimony;
use crate::model::{Bytes, Slot};

/// What passed a limit.
const OTHER: &str = "other";
/// The commands of scripts, whose client MONITOR doesn't name.
const LUA: &str = "lua";

impl Tallied {
    /// What the window reports, with `top` of each list.
    pub fn stats(mut self, top: usize) -> WindowStats {
        let distinct_keys = self.distinct_keys();
        let distinct_clients = self.distinct_clients();
        let progress = &self.progress;
        let rejected = Rejection::ALL.map(|rejection| (rejection, progress.rejected[rejection as usize]));
        let mut stats = WindowStats {
            bytes_read: Bytes(progress.bytes),
            lines: progress.lines,
            commands: progress.commands,
            replicated: progress.replicated,
            reads: self.reads,
            writes: self.writes,
            rejected: rejected.into_iter().filter(|(_, count)| *count > 0).collect(),
            first: progress.first,
            last: progress.last,
            timeline: progress.timeline.clone(),
            commands_by_name: exact(self.commands, [(OTHER, progress.other.all())], usize::MAX),
            patterns: top_patterns(self.patterns, &self.normaliser, top),
            signatures: top_signatures(&self.signatures, &self.normaliser, top),
            keys: top_keys(&self.keys, top.max(self.keys.above(self.touches / 1000))),
            hash_tags: top_tags(&self.tags, top),
            slots: top_slots(&self.slots),
            clients: exact(self.clients, [(OTHER, self.other_clients), (LUA, self.lua)], top),
            key_touches: self.touches,
            cut_keys: self.cut_keys,
            distinct_keys,
            distinct_clients,
            output: None,
            testimony: Testimony::default(),
        };
        veil(&mut stats, &mut self.normaliser);
        stats
    }

    /// Exact as long as every key has been followed from its first touch.
    fn distinct_keys(&self) -> u64 {
        if self.keys.is_complete() {
            self.keys.len() as u64
        } else {
            self.distinct_keys.estimate()
        }
    }

    fn distinct_clients(&self) -> u64 {
        let known = self.clients.len() as u64;
        if self.other_clients == 0 {
            known
        } else {
            self.distinct_clients.estimate().max(known)
        }
    }
}

/// Renames what still has the names of keys: from here on, nobody knows them.
fn veil(stats: &mut WindowStats, normaliser: &mut Normaliser) {
    if normaliser.veil().names() == KeyNames::Plain {
        return;
    }
    let time = stats.last.unwrap_or_default();
    for pattern in &mut stats.patterns {
        pattern.example_key = normaliser.key(&pattern.example_key, time);
    }
    for key in &mut stats.keys {
        key.key = normaliser.key(&key.key, time);
    }
    for tag in &mut stats.hash_tags {
        let inner = tag.name.trim_start_matches('{').trim_end_matches('}');
        tag.name = format!("{{{}}}", normaliser.veil().tag(inner)).into();
    }
}

fn exact<const EXTRA: usize>(counts: HashMap<Arc<str>, u64>, extra: [(&str, u64); EXTRA], top: usize) -> Vec<Counted> {
    let extra = extra.into_iter().map(|(name, count)| (name.into(), count));
    let all = counts.into_iter().chain(extra).filter(|(_, count)| *count > 0);
    let counted = all.map(|(name, count)| Counted { name, count, error: 0 });
    most_frequent(counted.collect(), top, |counted| (counted.count, &counted.name))
}

fn top_patterns(patterns: Patterns, normaliser: &Normaliser, top: usize) -> Vec<PatternCount> {
    // Under a veil, several may have one name.
    let mut named: BTreeMap<Arc<str>, (u64, Arc<str>)> = BTreeMap::new();
    for (id, (count, example)) in patterns {
        named.entry(normaliser.name(id).into()).or_insert((0, example)).0 += count;
    }
    let counted = named.into_iter().map(|(pattern, (count, example_key))| PatternCount {
        pattern,
        count,
        error: 0,
        example_key,
    });
    most_frequent(counted.collect(), top, |counted| (counted.count, &counted.pattern))
}

fn top_signatures(
    signatures: &Sampled<NamedSignature, ()>,
    normaliser: &Normaliser,
    top: usize,
) -> Vec<SignatureCount> {
    let mut named: BTreeMap<Arc<str>, SignatureCount> = BTreeMap::new();
    for ((command, pattern, shape), bounds, ()) in signatures.iter() {
        let pattern = pattern.map(|id| normaliser.name(id));
        let name: Arc<str> = signature(command, pattern.as_deref(), shape.text()).into();
        let of_name = named.entry(Arc::clone(&name)).or_insert(SignatureCount {
            signature: name,
            count: 0,
            error: 0,
            full_scan: shape.full_scan(),
        });
        of_name.count += bounds.upper;
        of_name.error += bounds.error();
    }
    most_frequent(named.into_values().collect(), top, |counted| {
        (counted.count, &counted.signature)
    })
}

fn top_keys(keys: &Sampled<Arc<str>, Slot>, top: usize) -> Vec<KeyCount> {
    let counted = most_frequent(keys.iter().collect(), top, |(key, bounds, _)| (bounds.upper, key));
    let named = counted.into_iter().map(|(key, bounds, slot)| KeyCount {
        key: Arc::clone(key),
        count: bounds.upper,
        error: bounds.error(),
        slot,
    });
    named.collect()
}

fn top_tags(tags: &Sampled<Arc<str>, ()>, top: usize) -> Vec<Counted> {
    let counted = most_frequent(tags.iter().collect(), top, |(tag, bounds, ())| (bounds.upper, tag));
    let named = counted.into_iter().map(|(tag, bounds, ())| Counted {
        name: format!("{{{tag}}}").into(),
        count: bounds.upper,
        error: bounds.error(),
    });
    named.collect()
}

fn top_slots(slots: &[u64]) -> Vec<(Slot, u64)> {
    let all = (0..).map_while(Slot::new).zip(slots.iter().copied());
    // Both in one number, which is compared without a guess: there may be sixteen thousand of them.
    let rank = |(slot, count): (Slot, u64)| u128::from(!count) << u16::BITS | u128::from(slot.number());
    let mut ranks: Vec<u128> = all.filter(|(_, count)| *count > 0).map(rank).collect();
    ranks.sort_unstable();
    let slot = |rank: &u128| Some((Slot::new(*rank as u16)?, !((rank >> u16::BITS) as u64)));
    ranks.iter().filter_map(slot).collect()
}

/// The `top` ones, the most frequent first, those of one count in the order of their names, which are different.
fn most_frequent<Item>(mut items: Vec<Item>, top: usize, rank: impl Fn(&Item) -> (u64, &Arc<str>)) -> Vec<Item> {
    let order = |one: &Item, other: &Item| {
        let ((one, one_name), (other, other_name)) = (rank(one), rank(other));
        other.cmp(&one).then_with(|| one_name.cmp(other_name))
    };
    if top < items.len() {
        items.select_nth_unstable_by(top, order);
        items.truncate(top);
    }
    items.sort_unstable_by(order);
    items
}
