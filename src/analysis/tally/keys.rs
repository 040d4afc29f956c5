//! Which keys were touched, and with them: which patterns, slots and hash tags, and how many different keys.
//!
//! Slot, pattern and distinct count are worked out only for a key that is new to the table of frequent keys. Its touches are credited to
//! them when it leaves the table and at the end, so that slots and patterns are exact although few keys are looked at twice.

use std::ops::Range;
use std::sync::Arc;

use super::sampled::{Bounds, Sampled};
use super::slot_touches::SlotTouches;
use super::text_hash::TextHash;
use crate::analysis::line::time;
use crate::analysis::pattern::{Normaliser, PatternId};
use crate::analysis::sketch::{Counter, Distinct, Frequent, Leaving, Limits, NOBODYS};
use crate::analysis::slot;
use crate::model::{Slot, Timestamp};

/// No more of a key than this is looked at, so that a line of any length needs no more room.
pub(super) const KEY_MAX: usize = 4096;
/// How many bytes of text the table has room for, for each of its keys.
const TEXT_PER_KEY: usize = 48;
/// Hash tags that are followed at a time.
const TAGS_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Touched {
    hash: TextHash,
    frequent: Frequent<KeyFacts>,
    normaliser: Normaliser,
    credit: Credit,
    distinct: Distinct,
    second: Second,
    touches: u64,
    cut: u64,
}

/// The time of a line to the second, which is all that patterns need, read once in each second.
#[derive(Debug, Default)]
struct Second {
    printed: [u8; 10],
    time: Timestamp,
}

/// What was worked out for a key: the pattern's place in two halves, so that a counter fits half a cache line, and the slot, whose
/// highest bit says that the key has a hash tag.
#[derive(Clone, Copy, Debug, Default)]
struct KeyFacts {
    pattern: [u16; 2],
    slot: u16,
}

const TAGGED: u16 = 1 << 15;

/// Where the touches of keys go when they leave the table.
#[derive(Debug)]
struct Credit {
    hash: TextHash,
    slots: SlotTouches,
    patterns: Vec<PatternTouches>,
    tags: Frequent<()>,
    /// Those of the keys at hand that have a hash tag.
    tagged: Vec<u32>,
}

#[derive(Debug)]
struct PatternTouches {
    id: PatternId,
    count: u64,
    example: Arc<str>,
}

/// A place among the patterns of [`Touched`].
pub(super) type PatternPlace = u32;

impl Touched {
    pub(super) fn new(keys_max: usize, normaliser: Normaliser, seed: u64) -> Self {
        let hash = TextHash::new(seed);
        let limits = |entries_max: usize| Limits {
            entries_max,
            text_max: entries_max.saturating_mul(TEXT_PER_KEY),
        };
        Self {
            hash: hash.clone(),
            frequent: Frequent::new(limits(keys_max)),
            normaliser,
            credit: Credit {
                hash,
                slots: SlotTouches::default(),
                patterns: Vec::new(),
                tags: Frequent::new(limits(TAGS_MAX.min(keys_max))),
                tagged: Vec::new(),
            },
            distinct: Distinct::default(),
            second: Second::default(),
            touches: 0,
            cut: 0,
        }
    }

    /// Sees a key as it was printed, on a line whose time stamp `stamp` begins with, and tells its pattern.
    pub(super) fn touch(&mut self, key: &[u8], stamp: &[u8]) -> PatternPlace {
        let within = self.looked_at(0..key.len());
        let place = self.place(self.hash(key, within.clone()), (key, within), stamp);
        self.add(place, 1)
    }

    /// The part of a key that is looked at; counts a key that is cut so.
    #[inline(always)]
    pub(super) fn looked_at(&mut self, key: Range<usize>) -> Range<usize> {
        if key.end - key.start <= KEY_MAX {
            return key;
        }
        self.cut += 1;
        key.start..key.start + KEY_MAX
    }

    /// The hash by which the key `buffer[key]` is known.
    #[inline(always)]
    pub(super) fn hash(&self, buffer: &[u8], key: Range<usize>) -> u64 {
        self.hash.of_within(buffer, key)
    }

    /// Whether so many keys can come without one leaving, so that it doesn't matter which of their touches is counted first.
    #[inline(always)]
    pub(super) fn has_room_for(&self, keys: usize) -> bool {
        self.frequent.has_room_for(keys)
    }

    /// The place of a key's counter, if that is seen at once; [`NOBODYS`] else.
    #[inline(always)]
    pub(super) fn place_at_once(&self, hash: u64) -> usize {
        self.frequent.place_at_once(hash)
    }

    /// The place of the counter of the key `buffer[key]`, which it gets if it has none. A key that comes may make others leave.
    #[inline(always)]
    pub(super) fn place(&mut self, hash: u64, (buffer, key): (&[u8], Range<usize>), stamp: &[u8]) -> usize {
        match self.frequent.place(hash) {
            NOBODYS => self.meet(hash, (buffer, key), stamp),
            place => place,
        }
    }

    /// Counts so many touches of the key with this counter, and tells its pattern.
    #[inline(always)]
    pub(super) fn add(&mut self, place: usize, touches: u64) -> PatternPlace {
        self.touches += touches;
        let counter = self.frequent.at(place);
        counter.add(touches);
        counter.extra.pattern()
    }

    /// Credits what is still in the table and gives all of it.
    pub(super) fn finish(mut self) -> Found {
        self.credit.take(&self.frequent.all());
        let Credit {
            slots, patterns, tags, ..
        } = self.credit;
        let mut keys = Sampled::new(self.frequent.offset(), self.frequent.len());
        for (text, counter) in self.frequent.iter() {
            keys.add(printed(text), bounds(counter), counter.extra.slot());
        }
        let mut found_tags = Sampled::new(tags.offset(), tags.len());
        for (text, counter) in tags.iter() {
            found_tags.add(printed(text), bounds(counter), ());
        }
        Found {
            touches: self.touches,
            cut_keys: self.cut,
            keys,
            tags: found_tags,
            slots: slots.all(),
            patterns: patterns
                .into_iter()
                .map(|touches| (touches.id, touches.count, touches.example))
                .collect(),
            normaliser: self.normaliser,
            distinct: self.distinct,
        }
    }

    #[inline(never)]
    fn meet(&mut self, hash: u64, (buffer, within): (&[u8], Range<usize>), stamp: &[u8]) -> usize {
        let key = &buffer[within.clone()];
        if self.frequent.is_full(key) {
            let credit = &mut self.credit;
            self.frequent.purge(|leaving| credit.take(leaving));
        }
        self.distinct.add(hash);
        let second = &mut self.second;
        let (id, hashed) = self
            .normaliser
            .classify_within(buffer, within.clone(), || second.of(stamp));
        let pattern = self.credit.place_of(id, key);
        let (slot, is_tagged) = match hashed {
            Some(hashed) => (hashed.slot(buffer, within.start), hashed.is_tag()),
            None => slot::of_printed_key_within(buffer, within.clone()),
        };
        let facts = KeyFacts {
            pattern: [pattern as u16, (pattern >> 16) as u16],
            slot: slot.number() | if is_tagged { TAGGED } else { 0 },
        };
        self.frequent.insert_within(hash, (buffer, within), 0, facts)
    }
}

/// What [`Touched`] gives at the end.
pub(super) struct Found {
    pub(super) touches: u64,
    /// Keys that were longer than is looked at.
    pub(super) cut_keys: u64,
    pub(super) keys: Sampled<Arc<str>, Slot>,
    pub(super) tags: Sampled<Arc<str>, ()>,
    pub(super) slots: Vec<u64>,
    /// Each pattern by its place: which it is, its touches, an example.
    pub(super) patterns: Vec<(PatternId, u64, Arc<str>)>,
    /// Who knows their names.
    pub(super) normaliser: Normaliser,
    pub(super) distinct: Distinct,
}

fn bounds<Extra>(counter: &Counter<Extra>) -> Bounds {
    Bounds {
        lower: counter.count(),
        upper: counter.upper(),
    }
}

impl Second {
    fn of(&mut self, stamp: &[u8]) -> Timestamp {
        match stamp.first_chunk() {
            Some(printed) if *printed == self.printed => self.time,
            Some(printed) => {
                self.printed = *printed;
                // A stamp is longer than this where it has ten digits of seconds, and read whole where it hasn't.
                let seconds = time(printed);
                let whole = printed.iter().all(u8::is_ascii_digit);
                self.time = if whole {
                    Timestamp(seconds.0 * 1_000_000)
                } else {
                    time(stamp)
                };
                self.time
            }
            None => time(stamp),
        }
    }
}

impl KeyFacts {
    #[inline(always)]
    fn pattern(self) -> PatternPlace {
        u32::from(self.pattern[0]) | u32::from(self.pattern[1]) << 16
    }

    fn slot(self) -> Slot {
        Slot::of_checksum(self.slot)
    }
}

impl Credit {
    /// The pattern's place here, which it gets when its first key is met.
    fn place_of(&mut self, id: PatternId, key: &[u8]) -> PatternPlace {
        // Patterns are numbered as they are met, so nearly always without a gap; rules of the user's are numbered before.
        while self.patterns.len() <= id.index() {
            self.patterns.push(PatternTouches {
                id,
                count: 0,
                example: "".into(),
            });
        }
        let touches = &mut self.patterns[id.index()];
        if touches.example.is_empty() {
            *touches = PatternTouches {
                id,
                count: touches.count,
                example: printed(&key[..key.len().min(256)]),
            };
        }
        id.index() as PatternPlace
    }

    /// Credits the touches of keys that leave.
    fn take(&mut self, leaving: &Leaving<KeyFacts>) {
        self.tagged.resize(leaving.len(), 0);
        let mut tagged = 0;
        // Most of these places are far from the processor: it fetches many at once where no step waits for the one before it.
        for (number, (counter, count)) in leaving.counts().enumerate() {
            let facts = counter.extra;
            self.slots.add(facts.slot(), count);
            self.patterns[facts.pattern() as usize].count += count;
            self.tagged[tagged] = number as u32;
            tagged += usize::from((count != 0) & (facts.slot & TAGGED != 0));
        }
        for place in 0..tagged {
            let (counter, count) = leaving.at(self.tagged[place] as usize);
            let (texts, key) = leaving.text_of(counter);
            if let Some(tag) = slot::hash_tag_within(texts, key) {
                self.tag((texts, tag), count);
            }
        }
    }

    fn tag(&mut self, (texts, tag): (&[u8], Range<usize>), count: u64) {
        let hash = self.hash.of_within(texts, tag.clone());
        if let Some(counter) = self.tags.find(hash) {
            return counter.add(count);
        }
        if self.tags.is_full(&texts[tag.clone()]) {
            self.tags.purge(|_| {});
        }
        self.tags.insert_within(hash, (texts, tag), count, ());
    }
}

/// MONITOR prints ASCII only; a file may hold anything.
fn printed(text: &[u8]) -> Arc<str> {
    match std::str::from_utf8(text) {
        Ok(text) => text.into(),
        Err(_) => text.escape_ascii().to_string().into(),
    }
}
