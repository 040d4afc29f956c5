//! What a closed tally reports: of everything the most frequent.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::Tallied;
use super::outcome::{NamedSignature, Patterns};
use super::sampled::Sampled;
use crate::analysis::pattern::Normaliser;
use crate::analysis::signature::signature;
use crate::analysis::window::{Counted, KeyCount, PatternCount, Rejection, SignatureCount, WindowStats};
use crate::analysis::witness::Testimony;
use crate::model::{Bytes, Slot};

/// What passed a limit.
const OTHER: &str = "other";
/// The commands of scripts, whose client MONITOR doesn't name.
const LUA: &str = "lua";

impl Tallied {
    /// What the window reports, with `top` of each list.
    pub fn stats(self, top: usize) -> WindowStats {
        let distinct_keys = self.distinct_keys();
        let distinct_clients = self.distinct_clients();
        let progress = &self.progress;
        let rejected = Rejection::ALL.map(|rejection| (rejection, progress.rejected[rejection as usize]));
        WindowStats {
            bytes_read: Bytes(progress.bytes),
            lines: progress.lines,
            commands: progress.commands,
            replicated: progress.replicated,
            reads: self.reads,
            writes: self.writes,
            rejected: rejected.into_iter().filter(|(_, count)| *count > 0).collect(),
            first: progress.first,
            last: progress.last,
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
        }
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

fn exact<const EXTRA: usize>(counts: HashMap<Arc<str>, u64>, extra: [(&str, u64); EXTRA], top: usize) -> Vec<Counted> {
    let extra = extra.into_iter().map(|(name, count)| (name.into(), count));
    let all = counts.into_iter().chain(extra).filter(|(_, count)| *count > 0);
    let counted = all.map(|(name, count)| Counted { name, count, error: 0 });
    most_frequent(counted.collect(), top, |counted| (counted.count, &counted.name))
}

fn top_patterns(patterns: Patterns, normaliser: &Normaliser, top: usize) -> Vec<PatternCount> {
    let counted = patterns.into_iter().map(|(id, (count, example_key))| PatternCount {
        pattern: normaliser.name(id).into(),
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
    let counted = signatures
        .iter()
        .map(|((command, pattern, shape), bounds, ())| SignatureCount {
            signature: signature(command, pattern.map(|id| normaliser.name(id)), shape.text()).into(),
            count: bounds.upper,
            error: bounds.error(),
            full_scan: shape.full_scan(),
        });
    most_frequent(counted.collect(), top, |counted| (counted.count, &counted.signature))
}

fn top_keys(keys: &Sampled<Arc<str>, Slot>, top: usize) -> Vec<KeyCount> {
    let counted = keys.iter().map(|(key, bounds, slot)| KeyCount {
        key: Arc::clone(key),
        count: bounds.upper,
        error: bounds.error(),
        slot,
    });
    most_frequent(counted.collect(), top, |counted| (counted.count, &counted.key))
}

fn top_tags(tags: &Sampled<Arc<str>, ()>, top: usize) -> Vec<Counted> {
    let counted = tags.iter().map(|(tag, bounds, ())| Counted {
        name: format!("{{{tag}}}").into(),
        count: bounds.upper,
        error: bounds.error(),
    });
    most_frequent(counted.collect(), top, |counted| (counted.count, &counted.name))
}

fn top_slots(slots: &[u64]) -> Vec<(Slot, u64)> {
    let all = (0..).map_while(Slot::new).zip(slots.iter().copied());
    let mut touched: Vec<_> = all.filter(|(_, count)| *count > 0).collect();
    touched.sort_by_key(|&(slot, count)| (Reverse(count), slot));
    touched
}

/// The `top` ones, the most frequent first, those of one count in the order of their names.
fn most_frequent<Item>(mut items: Vec<Item>, top: usize, rank: impl Fn(&Item) -> (u64, &Arc<str>)) -> Vec<Item> {
    items.sort_by(|one, other| {
        let ((one, one_name), (other, other_name)) = (rank(one), rank(other));
        other.cmp(&one).then_with(|| one_name.cmp(other_name))
    });
    items.truncate(top);
    items
}
