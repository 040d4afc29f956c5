//! Which keys are of one kind: `user:1001:cart` and `user:1002:cart` are both `user:{ID}:cart`.
//!
//! A key becomes a skeleton (classes by name, all else as it stands); a skeleton becomes a pattern (segments that vary without end are
//! learned). User rules come before both. It refuses to know what is done with the keys, and asks no clock: a number is a time stamp by
//! the line's own time.
//!
//! ```
//! use hotshard::analysis::pattern::{Normaliser, PatternSettings};
//! use hotshard::model::Timestamp;
//!
//! let mut patterns = Normaliser::new(&PatternSettings::default(), 7);
//! let id = patterns.classify(b"user:1001:cart", Timestamp(1_790_000_000_000_000));
//! assert_eq!(patterns.name(id), "user:{ID}:cart");
//! ```

mod alike;
mod class;
mod learn;
mod learned;
mod quick;
mod registry;
mod rule;
mod scan;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use learned::Learned;
pub use registry::PatternId;
pub use rule::{Rule, RuleError};

use alike::{Alike, Glance};
use class::Class;
use learn::Tree;
use quick::Quick;
use registry::Registry;
use rule::Rules;

use super::line::Window;
use super::slot::Hashed;
use super::veil::{KeyNames, Veil};
use crate::model::Timestamp;

/// How keys become patterns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PatternSettings {
    /// The user's own patterns, which come first; in a file `[[patterns.rule]]`.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
    /// With more distinct values than this, one segment under one prefix becomes `{VAR}`.
    pub learn_after: usize,
    /// How many distinct segments are remembered; past it new ones are learned early or called `{VAR}` whole.
    pub segments_max: usize,
}

impl Default for PatternSettings {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            learn_after: 64,
            segments_max: 4096,
        }
    }
}

/// Whether a pattern stands for more than one key: something in it is a class, or was learned.
pub fn has_variable(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    (0..bytes.len()).any(|place| Class::named_at(&bytes[place..]).is_some())
}

/// Turns keys into patterns, and learns while it does.
#[derive(Debug)]
pub struct Normaliser {
    rules: Option<Rules>,
    rule_ids: Vec<PatternId>,
    tree: Tree,
    registry: Registry,
    alike: Alike,
    quick: Quick,
    skeleton: Vec<u8>,
    overflowed: u64,
    veil: Veil,
}

impl Normaliser {
    /// A normaliser that has learned nothing yet. The seed keeps crafted keys from colliding; it changes no pattern.
    pub fn new(settings: &PatternSettings, seed: u64) -> Self {
        let mut registry = Registry::new(seed);
        let rule_ids = settings.rules.iter().map(|rule| registry.create(rule.name())).collect();
        Self {
            rules: Rules::new(&settings.rules),
            rule_ids,
            tree: Tree::new(settings.learn_after.max(1), settings.segments_max.max(64)),
            registry,
            alike: Alike::new(),
            quick: Quick::new(),
            skeleton: Vec::with_capacity(256),
            overflowed: 0,
            veil: Veil::default(),
        }
    }

    /// Names patterns as the veil has it; what is learned stays the same.
    #[must_use]
    pub fn veiled(self, veil: Veil) -> Self {
        Self { veil, ..self }
    }

    /// How keys are to be named.
    pub fn veil(&self) -> &Veil {
        &self.veil
    }

    /// The pattern of `key`, which is in MONITOR's escaped form, on a line of `time`.
    pub fn classify(&mut self, key: &[u8], time: Timestamp) -> PatternId {
        let mut seen = [0; Window::LENGTH];
        let length = key.len().min(seen.len());
        seen[..length].copy_from_slice(&key[..length]);
        self.classify_seen(key, &seen, || time).0
    }

    /// [`Normaliser::classify`] of a key that stands in a buffer; and what its slot hangs on, if that is known.
    #[inline(always)]
    pub(crate) fn classify_within(
        &mut self,
        buffer: &[u8],
        key: Range<usize>,
        time: impl FnOnce() -> Timestamp,
    ) -> (PatternId, Option<Hashed>) {
        let seen = buffer.get(key.start..).and_then(|bytes| bytes.first_chunk());
        match seen {
            Some(seen) => self.classify_seen(&buffer[key], seen, time),
            None => (self.classify(&buffer[key], time()), None),
        }
    }

    /// [`Normaliser::classify_within`] of a key with the bytes from its beginning on.
    #[inline(always)]
    fn classify_seen(
        &mut self,
        key: &[u8],
        seen: &[u8; Window::LENGTH],
        time: impl FnOnce() -> Timestamp,
    ) -> (PatternId, Option<Hashed>) {
        if let Some(rules) = &mut self.rules
            && let Some(rule) = rules.find(key, self.registry.hash(key))
        {
            return (self.rule_ids[rule], None);
        }
        if key.len() > alike::KEY_MAX {
            return (self.classify_by_text(key, time()), None);
        }
        let glance = Glance::of(seen, key.len());
        match self.alike.recall(glance) {
            Some(known) => (self.registry.resolve(known.id), Some(known.hashed)),
            None => (self.classify_and_remember(key, glance, time()), None),
        }
    }

    #[inline(never)]
    fn classify_and_remember(&mut self, key: &[u8], glance: Glance, time: Timestamp) -> PatternId {
        let id = self.classify_by_text(key, time);
        if let Some(parts) = self.quick.take_parts() {
            self.alike.remember(glance, key, parts, id);
        }
        id
    }

    fn classify_by_text(&mut self, key: &[u8], time: Timestamp) -> PatternId {
        if self.quick.scan(key, time) {
            return self.pattern_of_quick();
        }
        scan::scan(key, time, &mut self.skeleton);
        let hash = self.registry.hash(&self.skeleton);
        if let Some(id) = self.registry.find(&self.skeleton, hash) {
            return id;
        }
        self.place(hash)
    }

    /// The pattern's name, after all that was learned since. Under a veil, that of several patterns may be one.
    pub fn name(&self, id: PatternId) -> Cow<'_, str> {
        let name = self.registry.name(id);
        if self.rule_ids.contains(&id) {
            return name.into();
        }
        self.veil.pattern(name)
    }

    /// What is kept of a key of that pattern on a line.
    pub fn kept_key<'key>(&'key self, key: &'key str, pattern: PatternId) -> Cow<'key, str> {
        if self.veil.names() == KeyNames::Plain {
            return key.into();
        }
        self.veil.kept_key(key, &self.name(pattern)).into_owned().into()
    }

    /// The name under which people may see a key of a line of `time`.
    pub fn key(&mut self, key: &str, time: Timestamp) -> Arc<str> {
        let pattern = self.classify(key.as_bytes(), time);
        self.veil.key(key, &self.name(pattern))
    }

    /// The pattern that `id` has become part of by learning; itself if none.
    pub fn resolve(&self, id: PatternId) -> PatternId {
        self.registry.resolve(id)
    }

    /// How many ids were given out: each is below it by [`PatternId::index`]. Never zero patterns fewer by learning.
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// All ids that were given out.
    pub fn ids(&self) -> impl Iterator<Item = PatternId> + use<> {
        self.registry.ids()
    }

    /// Whether no key was classified yet and no rule is set.
    pub fn is_empty(&self) -> bool {
        self.registry.len() == 0
    }

    /// Keys that were called `{VAR}` whole because no room was left to learn.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// What was learned until now.
    pub fn learned(&self) -> Learned {
        let text = |(prefix, ended_by): (Vec<u8>, Option<u8>)| {
            let mut text = String::from_utf8_lossy(&prefix).into_owned();
            text.push_str(Class::Learned.name());
            text.extend(ended_by.map(char::from));
            text
        };
        Learned(self.tree.learned().into_iter().map(text).collect())
    }

    /// Takes over what was learned elsewhere. Entries that make no sense, or find no room, are left out; how many, it returns.
    pub fn learn(&mut self, learned: &Learned) -> usize {
        learned
            .0
            .iter()
            .filter(|entry| !self.learn_one(entry.as_bytes()))
            .count()
    }

    /// Takes over all that another one learned and saw. The answer tells, by the index of each of the other's ids, which of ours it is now.
    ///
    /// In whatever parts a stream is classified and in whatever order they are taken over, the patterns are those of one pass.
    pub fn adopt(&mut self, other: &Self) -> Vec<PatternId> {
        self.learn(&other.learned());
        self.overflowed += other.overflowed;
        let ids = other
            .registry
            .ids()
            .map(|id| self.adopt_one(other, id))
            .collect::<Vec<_>>();
        ids.into_iter().map(|id| self.resolve(id)).collect()
    }

    fn adopt_one(&mut self, other: &Self, id: PatternId) -> PatternId {
        let rule = other.rule_ids.iter().position(|rule| *rule == id);
        if let Some(id) = rule.and_then(|rule| self.rule_ids.get(rule)) {
            return *id;
        }
        self.skeleton.clear();
        self.skeleton.extend_from_slice(other.registry.name(id).as_bytes());
        let hash = self.registry.hash(&self.skeleton);
        self.registry
            .find(&self.skeleton, hash)
            .unwrap_or_else(|| self.place(hash))
    }

    fn learn_one(&mut self, entry: &[u8]) -> bool {
        let (whole, ended_by) = match entry {
            [whole @ .., last] if class::ends_segment(*last) && !entry.ends_with(b"{VAR}") => (whole, Some(*last)),
            _ => (entry, None),
        };
        let Some(prefix) = whole.strip_suffix(Class::Learned.name().as_bytes()) else {
            return false;
        };
        let open = prefix.last().is_none_or(|byte| class::ends_segment(*byte));
        open && self.tree.learn_again(prefix, ended_by, &mut self.registry)
    }

    /// The pattern of the skeleton that was made quickly.
    fn pattern_of_quick(&mut self) -> PatternId {
        if let Some(id) = self.quick.recall() {
            return self.registry.resolve(id);
        }
        let skeleton = self.quick.skeleton();
        let hash = self.registry.hash(skeleton);
        if let Some(id) = self.registry.find(skeleton, hash) {
            self.quick.remember(id);
            return id;
        }
        self.skeleton.clear();
        self.skeleton.extend_from_slice(skeleton);
        // Where it belongs, learning may change without a trace.
        self.quick.take_parts();
        self.place(hash)
    }

    /// A skeleton that is not known by its text: new, or part of something learned.
    fn place(&mut self, hash: u64) -> PatternId {
        let Some(id) = self.tree.place(&self.skeleton, &mut self.registry) else {
            self.overflowed += 1;
            return self.whole();
        };
        if self.registry.name(id).as_bytes() == self.skeleton {
            self.registry.remember(id, &self.skeleton, hash);
        }
        id
    }

    /// The pattern of keys for which there is no room.
    fn whole(&mut self) -> PatternId {
        let name = Class::Learned.name();
        let hash = self.registry.hash(name.as_bytes());
        if let Some(id) = self.registry.find(name.as_bytes(), hash) {
            return id;
        }
        let id = self.tree.spare(name.as_bytes(), &mut self.registry);
        self.registry.remember(id, name.as_bytes(), hash);
        id
    }
}

#[cfg(test)]
mod tests;
