//! The skeleton of an everyday key, by bit masks instead of byte by byte.
//!
//! Everyday is a key of at most 63 letters, digits, separators and braces: each kind of byte becomes one mask of 64 bits, in which words
//! are found by counting zeros. Whatever else a key holds is left to [`scan`](super::scan), which says what is right; tests hold this to it.

use wide::u8x16;

use super::class::{Class, Found, Word, in_word_found};
use super::scan::SEGMENTS_MAX;
use crate::model::Timestamp;

/// One bit for each byte, and one that stands behind the last.
const KEY_MAX: usize = 63;
const BITS: usize = 64;
/// A skeleton up to here has no segment that is too long for a name.
const SKELETON_MAX: usize = 64;
const STEP: usize = 16;
/// A class covers three bytes at least and has eleven at most, so 64 bytes of a key become 235 at most; a step may reach past them.
const ROOM: usize = 256;

/// Where skeletons are written.
#[derive(Debug)]
pub(super) struct Quick {
    key: [u8; BITS + STEP],
    skeleton: [u8; ROOM],
    length: usize,
}

impl Quick {
    pub(super) fn new() -> Self {
        Self {
            key: [0; BITS + STEP],
            skeleton: [0; ROOM],
            length: 0,
        }
    }

    /// The skeleton of `key`, as [`scan`](super::scan) makes it; `None` if the key isn't everyday.
    pub(super) fn scan(&mut self, key: &[u8], time: Timestamp) -> Option<&[u8]> {
        if key.len() > KEY_MAX {
            return None;
        }
        self.key[..key.len()].copy_from_slice(key);
        let kinds = Kinds::of(&self.key, key.len());
        if !kinds.are_everyday(key.len()) {
            return None;
        }
        self.length = 0;
        let (mut at, mut copied) = (0, 0);
        while let Some(word) = kinds.word(at) {
            at = word.end();
            if word.is_name() {
                continue;
            }
            if let Found::Token { literal, end, class } = in_word_found(key, word, time, kinds.mixed_case) {
                self.copy(copied, literal);
                self.name(class);
                (at, copied) = (end, end);
            }
            if at >= key.len() {
                break;
            }
        }
        self.copy(copied, key.len());
        (self.length <= SKELETON_MAX).then(|| &self.skeleton[..self.length])
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

/// Which kind each byte of a key is of, the first in the lowest bit.
struct Kinds {
    word: u64,
    digit: u64,
    upper: u64,
    beyond_hex: u64,
    /// What ends a segment.
    end: u64,
    open: u64,
    colon: u64,
    /// Whether it has letters of both cases, without which nothing is Base64.
    mixed_case: bool,
}

impl Kinds {
    #[inline(always)]
    fn of(key: &[u8; BITS + STEP], length: usize) -> Self {
        let (mut digits, mut letters, mut uppers) = (0, 0, 0);
        let (mut beyond_hex, mut ends, mut opens, mut colons) = (0, 0, 0, 0);
        let (steps, _) = key.as_chunks::<STEP>();
        let mut done = 0;
        for step in steps {
            if done >= length {
                break;
            }
            let bytes = u8x16::new(*step);
            let folded = bytes | u8x16::splat(0x20);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            let among = |bytes: u8x16, first: u8, last: u8| {
                let from_first = bytes - u8x16::splat(first);
                from_first.min(u8x16::splat(last - first)).simd_eq(from_first)
            };
            let (open, colon) = (is(b'{'), is(b':'));
            let separator = among(bytes, b'-', b'/') | colon | is(b'_') | is(b'|') | is(b'#');
            let bits = |places: u8x16| u64::from(places.to_bitmask()) << done;
            digits |= bits(among(bytes, b'0', b'9'));
            letters |= bits(among(folded, b'a', b'z'));
            uppers |= bits(among(bytes, b'A', b'Z'));
            beyond_hex |= bits(among(folded, b'g', b'z'));
            ends |= bits(separator | open | is(b'}'));
            opens |= bits(open);
            colons |= bits(colon);
            done += STEP;
        }
        // What an earlier key left behind this one is none of it.
        let within = (1 << length) - 1;
        let (letters, uppers) = (letters & within, uppers & within);
        Self {
            word: (letters | digits) & within,
            digit: digits & within,
            upper: uppers,
            beyond_hex: beyond_hex & within,
            end: ends & within,
            open: opens & within,
            colon: colons & within,
            mixed_case: uppers != 0 && letters != uppers,
        }
    }

    /// Whether nothing stands in the key that needs more than a look at its words: other bytes, a class by name, `::`, Base64 that
    /// begins with a separator, more segments than a skeleton has.
    #[inline(always)]
    fn are_everyday(&self, length: usize) -> bool {
        let known = self.word | self.end;
        let all = known.count_ones() as usize == length;
        all && self.open << 1 & self.upper == 0
            && self.colon << 1 & self.colon == 0
            && !(self.mixed_case && self.end & (self.end << 1 | 1) != 0)
            && (length < SEGMENTS_MAX || (self.end.count_ones() as usize) < SEGMENTS_MAX - 1)
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
