//! The skeleton of an everyday key, by bit masks instead of byte by byte, and the pattern it had the last time.
//!
//! Everyday is a key of at most 63 letters, digits, separators and braces: each kind of byte becomes one mask of 64 bits, in which words
//! are found by counting zeros. Whatever else a key holds is left to [`scan`](super::scan), which says what is right; tests hold this to it.

use wide::u8x16;

use super::alike::Parts;
use super::class::{Class, Found, Word, in_word_found};
use super::registry::PatternId;
use super::scan::SEGMENTS_MAX;
use crate::model::Timestamp;

/// One bit for each byte, and one that stands behind the last.
const KEY_MAX: usize = 63;
const BITS: usize = 64;
/// A skeleton up to here has no segment that is too long for a name.
const SKELETON_MAX: usize = 64;
const STEP: usize = 16;
const RECENT: usize = 128;
/// A class covers three bytes at least and has eleven at most, so 64 bytes of a key become 235 at most; a step may reach past them.
const ROOM: usize = 256;

/// Where skeletons are written.
#[derive(Debug)]
pub(super) struct Quick {
    key: [u8; BITS + STEP],
    skeleton: [u8; ROOM],
    length: usize,
    mixed: Mixed,
    /// Which bytes of the key may be others without another skeleton; `None` if that hangs on their values.
    parts: Option<Parts>,
    recent: Box<[Recent; RECENT]>,
}

impl Quick {
    pub(super) fn new() -> Self {
        Self {
            key: [0; BITS + STEP],
            skeleton: [0; ROOM],
            length: 0,
            mixed: Mixed::default(),
            parts: None,
            recent: Box::new(
                [Recent {
                    skeleton: [1; SKELETON_MAX + STEP],
                    id: PatternId::default(),
                }; RECENT],
            ),
        }
    }

    /// Makes the skeleton of `key`, as [`scan`](super::scan) does; says `false` if the key isn't everyday.
    pub(super) fn scan(&mut self, key: &[u8], time: Timestamp) -> bool {
        self.parts = None;
        if key.len() > KEY_MAX {
            return false;
        }
        self.key[..key.len()].copy_from_slice(key);
        let kinds = Kinds::of(key);
        if !kinds.are_everyday(key.len()) {
            return false;
        }
        self.length = 0;
        self.mixed = Mixed::begin(key);
        // Base64 hangs on letters of both cases.
        self.parts = (kinds.upper == 0).then(Parts::default);
        let (mut at, mut copied) = (0, 0);
        while let Some(word) = kinds.word(at) {
            at = word.end();
            if word.is_name() {
                continue;
            }
            self.parts = self.parts.filter(|_| !Parts::hang_on(key, word));
            if let Found::Token { literal, end, class } = in_word_found(key, word, time, kinds.mixed_case) {
                self.copy(copied, literal);
                self.name(class);
                self.mixed.add(self.length as u64);
                self.parts = self
                    .parts
                    .and_then(|parts| parts.with_token(literal..end, class, kinds.word));
                (at, copied) = (end, end);
            }
            if at >= key.len() {
                break;
            }
        }
        if copied < key.len() {
            self.mixed.end(key);
        }
        self.copy(copied, key.len());
        // What was written past the end is none of it.
        self.skeleton[self.length..self.length + STEP].fill(0);
        let is_short = self.length <= SKELETON_MAX;
        self.parts = self.parts.filter(|_| is_short);
        is_short
    }

    /// The skeleton of the last key.
    pub(super) fn skeleton(&self) -> &[u8] {
        &self.skeleton[..self.length]
    }

    /// What may be another value in the last key, if all keys that differ in that alone have its skeleton.
    pub(super) fn take_parts(&mut self) -> Option<Parts> {
        self.parts.take()
    }

    /// The pattern that was remembered for the skeleton at hand. Learning may have made it part of another since.
    #[inline(always)]
    pub(super) fn recall(&self) -> Option<PatternId> {
        let recent = &self.recent[self.place()];
        let (steps, _) = self.skeleton.as_chunks::<STEP>();
        let (known, _) = recent.skeleton.as_chunks::<STEP>();
        // A skeleton holds no zero, so the zero behind it tells it from a longer one.
        let mut pairs = steps.iter().zip(known).take(self.length / STEP + 1);
        pairs.all(|(step, known)| step == known).then_some(recent.id)
    }

    /// Remembers the pattern of the skeleton at hand.
    pub(super) fn remember(&mut self, id: PatternId) {
        let mut skeleton = [0; SKELETON_MAX + STEP];
        skeleton[..self.length].copy_from_slice(self.skeleton());
        let place = self.place();
        self.recent[place] = Recent { skeleton, id };
    }

    fn place(&self) -> usize {
        (self.mixed.0 >> (u64::BITS - RECENT.ilog2())) as usize
    }

    /// Appends `from..to` of the key, in whole steps.
    #[inline(always)]
    fn copy(&mut self, from: usize, to: usize) {
        let mut done = from;
        while done < to {
            let into = self.length + done - from;
            self.skeleton[into..into + STEP].copy_from_slice(&self.key[done..done + STEP]);
            done += STEP;
        }
        self.length += to - from;
    }

    #[inline(always)]
    fn name(&mut self, class: Class) {
        let (name, length) = class.padded_name();
        self.skeleton[self.length..self.length + STEP].copy_from_slice(name);
        self.length += length;
    }
}

/// What spreads skeletons over those that are remembered, made before the skeleton is: how the key begins and, if that stands as it is in
/// the skeleton, how it ends, and where classes are. Which skeletons meet at a place matters for speed alone.
#[derive(Clone, Copy, Debug, Default)]
struct Mixed(u64);

impl Mixed {
    #[inline(always)]
    fn begin(key: &[u8]) -> Self {
        let mut mixed = Self(0);
        mixed.add(
            key.first_chunk()
                .map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes))),
        );
        mixed
    }

    #[inline(always)]
    fn add(&mut self, part: u64) {
        self.0 = (self.0 ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    #[inline(always)]
    fn end(&mut self, key: &[u8]) {
        self.add(
            key.last_chunk()
                .map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes))),
        );
    }
}

/// The pattern of a skeleton that came lately.
#[derive(Clone, Copy, Debug)]
struct Recent {
    /// Zeros behind its end.
    skeleton: [u8; SKELETON_MAX + STEP],
    id: PatternId,
}

/// Which kind each byte of a key is of, the first in the lowest bit.
#[derive(Default)]
struct Kinds {
    word: u64,
    digit: u64,
    upper: u64,
    beyond_hex: u64,
    /// What ends a segment.
    end: u64,
    within: u64,
    open: u64,
    colon: u64,
    /// Whether it has letters of both cases, without which nothing is Base64.
    mixed_case: bool,
}

impl Kinds {
    #[inline(always)]
    fn of(key: &[u8]) -> Self {
        let mut kinds = Self {
            within: (1 << key.len()) - 1,
            ..Self::default()
        };
        match key.last_chunk::<STEP>() {
            Some(last) => {
                for (number, step) in key.as_chunks().0.iter().enumerate() {
                    kinds.add(step, number * STEP);
                }
                // What both look at, both find to be the same.
                if !key.len().is_multiple_of(STEP) {
                    kinds.add(last, key.len() - STEP);
                }
            }
            None => {
                let mut step = [0; STEP];
                step[..key.len()].copy_from_slice(key);
                kinds.add(&step, 0);
            }
        }
        kinds.mixed_case = kinds.upper != 0 && kinds.word & !kinds.digit != kinds.upper;
        kinds
    }

    /// Looks at the sixteen bytes from `place` on.
    #[inline(always)]
    fn add(&mut self, step: &[u8; STEP], place: usize) {
        let bytes = u8x16::new(*step);
        let folded = bytes | u8x16::splat(0x20);
        let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
        let among = |bytes: u8x16, first: u8, last: u8| {
            let from_first = bytes - u8x16::splat(first);
            from_first.min(u8x16::splat(last - first)).simd_eq(from_first)
        };
        let (digit, open, colon) = (among(bytes, b'0', b'9'), is(b'{'), is(b':'));
        let separator = among(bytes, b'-', b'/') | colon | is(b'_') | is(b'|') | is(b'#');
        let bits = |places: u8x16| u64::from(places.to_bitmask()) << place;
        self.digit |= bits(digit);
        self.word |= bits(among(folded, b'a', b'z') | digit);
        self.upper |= bits(among(bytes, b'A', b'Z'));
        self.beyond_hex |= bits(among(folded, b'g', b'z'));
        self.end |= bits(separator | open | is(b'}'));
        self.open |= bits(open);
        self.colon |= bits(colon);
    }

    /// Whether nothing stands in the key that needs more than a look at its words: other bytes, a class by name, `::`, Base64 that
    /// begins with a separator, more segments than a skeleton has.
    #[inline(always)]
    fn are_everyday(&self, length: usize) -> bool {
        let side_by_side = self.end & (self.end << 1);
        // Without two side by side, a short key can't have that many.
        let few_segments =
            (length < 2 * SEGMENTS_MAX - 4 && side_by_side == 0) || (self.end.count_ones() as usize) < SEGMENTS_MAX - 1;
        self.word | self.end == self.within
            && self.open << 1 & self.upper == 0
            && self.colon << 1 & self.colon == 0
            && !(self.mixed_case && side_by_side | self.end & 1 != 0)
            && few_segments
    }

    /// The first word that begins at `at` or later.
    #[inline(always)]
    fn word(&self, at: usize) -> Option<Word> {
        let rest = self.word >> at;
        if rest == 0 {
            return None;
        }
        let start = at + rest.trailing_zeros() as usize;
        let length = (!(self.word >> start)).trailing_zeros() as usize;
        let place = (u64::MAX >> (BITS - length)) << start;
        Some(Word::of_kinds(
            start..start + length,
            self.digit & place != 0,
            self.upper & place != 0,
            place & !(self.digit | self.upper) != 0,
            self.beyond_hex & place != 0,
        ))
    }
}
