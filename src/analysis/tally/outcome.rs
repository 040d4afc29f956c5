//! A tally that is closed: everything by name, so that several can become one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::calls::calls;
use super::commands::Vocabulary;
use super::keys::Found;
use super::sampled::{Bounds, Sampled};
use super::signatures::Signatures;
use super::{Progress, Tally};
use crate::analysis::bandwidth::Calls;
use crate::analysis::pattern::{Normaliser, PatternId};
use crate::analysis::signature::Shape;
use crate::analysis::sketch::Distinct;
use crate::model::Slot;

/// The counts of a stream, or of several.
#[derive(Debug)]
pub struct Tallied {
    pub(super) progress: Progress,
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) commands: HashMap<Arc<str>, u64>,
    pub(super) clients: HashMap<Arc<str>, u64>,
    /// Commands of scripts.
    pub(super) lua: u64,
    /// Commands of clients past the limit.
    pub(super) other_clients: u64,
    pub(super) touches: u64,
    pub(super) cut_keys: u64,
    pub(super) keys: Sampled<Arc<str>, Slot>,
    pub(super) tags: Sampled<Arc<str>, ()>,
    pub(super) signatures: Sampled<NamedSignature, ()>,
    pub(super) patterns: Patterns,
    pub(super) normaliser: Normaliser,
    pub(super) slots: Vec<u64>,
    pub(super) distinct_keys: Distinct,
    pub(super) distinct_clients: Distinct,
    calls: Vec<Calls>,
}

/// Touches and an example of each pattern, in the order in which they were met.
pub(super) type Patterns = BTreeMap<PatternId, (u64, Arc<str>)>;

/// A command, the pattern of its first key, and the shape of its arguments.
pub(super) type NamedSignature = (Arc<str>, Option<PatternId>, Shape);

impl Tallied {
    pub(super) fn new(tally: Tally) -> Self {
        let (mut reads, mut writes) = (0, 0);
        let mut commands = HashMap::new();
        for (name, count, (is_read, is_write)) in tally.vocabulary.seen() {
            // Reads don't come by replication.
            reads += if is_read { count.direct } else { 0 };
            writes += if is_write { count.all() } else { 0 };
            commands.insert(name, count.all());
        }
        let mut found = tally.touched.finish();
        let clients = tally.clients.seen().map(|(name, count)| (name.into(), count));
        Self {
            reads,
            writes,
            commands,
            clients: clients.collect(),
            lua: tally.clients.lua,
            other_clients: tally.clients.other,
            calls: calls(&tally.vocabulary, &tally.signatures, &tally.upkeep.masters, &mut found),
            signatures: signatures(&tally.signatures, &tally.vocabulary, &found),
            progress: tally.progress,
            touches: found.touches,
            cut_keys: found.cut_keys,
            keys: found.keys,
            tags: found.tags,
            patterns: patterns(found.patterns, &found.normaliser),
            normaliser: found.normaliser,
            slots: found.slots,
            distinct_keys: found.distinct,
            distinct_clients: tally.clients.distinct,
        }
    }

    /// Commands seen.
    pub fn commands_seen(&self) -> u64 {
        self.progress.commands
    }

    /// Takes over all that `other` counted, which must have had the same seed.
    pub fn merge(&mut self, other: Self) {
        self.progress.merge(&other.progress);
        self.reads += other.reads;
        self.writes += other.writes;
        add(&mut self.commands, other.commands);
        add(&mut self.clients, other.clients);
        self.lua += other.lua;
        self.other_clients += other.other_clients;
        self.touches += other.touches;
        self.cut_keys += other.cut_keys;
        self.keys.merge(other.keys);
        self.tags.merge(other.tags);
        self.merge_patterns(other.patterns, other.signatures, &other.normaliser);
        for (mine, theirs) in self.slots.iter_mut().zip(other.slots) {
            *mine += theirs;
        }
        self.distinct_keys.merge(&other.distinct_keys);
        self.distinct_clients.merge(&other.distinct_clients);
        self.calls.extend(other.calls);
    }

    /// What clients called, with lines from which the bytes of the answers can be worked out; nothing unless lines were kept.
    pub fn take_calls(&mut self) -> Vec<Calls> {
        std::mem::take(&mut self.calls)
    }

    /// What was learned about keys until the end.
    pub fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    /// What the other one learned may make one pattern of several here, and what we learned of several there.
    fn merge_patterns(&mut self, patterns: Patterns, signatures: Sampled<NamedSignature, ()>, normaliser: &Normaliser) {
        let ours = self.normaliser.adopt(normaliser);
        let normaliser = &self.normaliser;
        let mine = std::mem::take(&mut self.patterns).into_iter();
        let mine = mine.map(|(id, touches)| (normaliser.resolve(id), touches));
        let theirs = patterns.into_iter().map(|(id, touches)| (ours[id.index()], touches));
        for (id, (count, example)) in mine.chain(theirs) {
            self.patterns.entry(id).or_insert((0, example)).0 += count;
        }
        let mine = std::mem::replace(&mut self.signatures, Sampled::new(0, 0));
        let resolved = |(command, id, shape): NamedSignature| (command, id.map(|id| normaliser.resolve(id)), shape);
        self.signatures = mine.renamed(resolved);
        let theirs = signatures.renamed(|(command, id, shape)| (command, id.map(|id| ours[id.index()]), shape));
        self.signatures.merge(theirs);
    }
}

impl Progress {
    fn merge(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.commands += other.commands;
        self.replicated += other.replicated;
        self.other.merge(other.other);
        self.timeline.merge(other.timeline.clone());
        for (mine, theirs) in self.rejected.iter_mut().zip(other.rejected) {
            *mine += theirs;
        }
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }
}

fn add(mine: &mut HashMap<Arc<str>, u64>, theirs: HashMap<Arc<str>, u64>) {
    for (name, count) in theirs {
        *mine.entry(name).or_default() += count;
    }
}

/// By what they are now: learning makes one pattern of several.
fn patterns(touches: Vec<(PatternId, u64, Arc<str>)>, normaliser: &Normaliser) -> Patterns {
    let mut patterns = Patterns::new();
    for (id, count, example) in touches.into_iter().filter(|(_, count, _)| *count > 0) {
        patterns.entry(normaliser.resolve(id)).or_insert((0, example)).0 += count;
    }
    patterns
}

fn signatures(signatures: &Signatures, vocabulary: &Vocabulary, found: &Found) -> Sampled<NamedSignature, ()> {
    let mut named = Sampled::new(signatures.missed(), signatures.len());
    for (signature, lower, upper) in signatures.seen() {
        let place = signature.pattern.checked_sub(1);
        let pattern = place.map(|place| found.normaliser.resolve(found.patterns[place as usize].0));
        let name = (vocabulary.name(signature.command), pattern, signatures.shape(signature));
        named.add(name, Bounds { lower, upper }, ());
    }
    named
}
