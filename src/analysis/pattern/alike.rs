//! Keys that differ in nothing but the values of their numbers and hashes have one pattern: that of such a key, remembered.
//!
//! Three masks of 64 bits decide: where the key has the bytes of the remembered one, where it has digits, and where letters that hexadecimal
//! numbers have. Only a key of which these say all there is to say is remembered: [`Parts`] tells. It knows no pattern by itself: each
//! comes from [`Quick`](super::quick), and tests hold the one to the other.

use std::ops::Range;

use super::class::{Class, Word, is_address_head};
use super::registry::PatternId;
use crate::analysis::line::Window;

/// A key is seen with what follows it; a longer one isn't remembered.
pub(super) const KEY_MAX: usize = Window::LENGTH - 1;
const RECENT: usize = 256;

/// The patterns of keys that came lately.
#[derive(Debug)]
pub(super) struct Alike {
    recent: Box<[Recent; RECENT]>,
}

/// A key at a glance.
pub(super) struct Glance {
    window: Window,
    length: usize,
    digits: u64,
    hex_letters: u64,
}

/// One key, for all that are alike.
#[derive(Clone, Copy, Debug)]
struct Recent {
    text: [u8; Window::LENGTH],
    parts: Parts,
    length: usize,
    id: PatternId,
}

/// Which bytes of a key are values that may be others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// Each a digit.
    digits: u64,
    /// Each a digit or one of `a` to `f`.
    hex: u64,
    /// Those of the only hash: among them a digit and a letter.
    hash: u64,
}

impl Alike {
    pub(super) fn new() -> Self {
        Self {
            recent: Box::new(
                [Recent {
                    text: [0; Window::LENGTH],
                    parts: Parts::default(),
                    // No key's.
                    length: usize::MAX,
                    id: PatternId::default(),
                }; RECENT],
            ),
        }
    }

    /// The pattern of a key that differs from this one in values alone. Learning may have made it part of another since.
    #[inline(always)]
    pub(super) fn recall(&self, key: &Glance) -> Option<PatternId> {
        let recent = &self.recent[key.place()];
        let Parts { digits, hex, hash } = recent.parts;
        let same = key.window.places_as_in(&recent.text) | digits | hex | !key.within();
        let is_alike = recent.length == key.length
            && same == u64::MAX
            && key.digits & digits == digits
            && (key.digits | key.hex_letters) & hex == hex
            && (hash == 0 || (key.digits & hash != 0 && key.hex_letters & hash != 0));
        is_alike.then_some(recent.id)
    }

    /// Remembers the pattern of a key.
    pub(super) fn remember(&mut self, glance: &Glance, key: &[u8], parts: Parts, id: PatternId) {
        let mut text = [0; Window::LENGTH];
        text[..key.len()].copy_from_slice(key);
        self.recent[glance.place()] = Recent {
            text,
            parts,
            length: key.len(),
            id,
        };
    }
}

impl Glance {
    /// Of the key that `bytes` begin with.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8; Window::LENGTH], length: usize) -> Self {
        let window = Window::of(bytes);
        Self {
            window,
            length,
            digits: window.places_among(b'0', b'9'),
            hex_letters: window.places_among(b'a', b'f'),
        }
    }

    #[inline(always)]
    fn within(&self) -> u64 {
        (1 << self.length) - 1
    }

    /// Where alike keys are remembered: values are digits and letters of hexadecimal numbers, so all else is the same in them.
    #[inline(always)]
    fn place(&self) -> usize {
        let rest = !(self.digits | self.hex_letters) & self.within();
        let mixed = (rest ^ (self.length as u64) << 58).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - RECENT.ilog2())) as usize
    }
}

impl Parts {
    /// Adds a token that was found; `None` if the token's class, or that of a key like it, hangs on its value.
    pub(super) fn with_token(self, token: Range<usize>, class: Class, words: u64) -> Option<Self> {
        let places = (u64::MAX >> (u64::BITS as usize - token.len())) << token.start;
        match class {
            // Of eight digits some are a date, of ten or thirteen some are a time.
            Class::Id | Class::UserId if !matches!(token.len(), 8 | 10 | 13) => Some(Self {
                digits: self.digits | places,
                ..self
            }),
            Class::Hash if self.hash == 0 => Some(Self {
                hex: self.hex | places,
                hash: places,
                ..self
            }),
            Class::Uuid => Some(Self {
                hex: self.hex | places & words,
                ..self
            }),
            _ => None,
        }
    }

    /// Whether a word may begin something by its value: a date or an address.
    pub(super) fn hang_on(key: &[u8], word: Word) -> bool {
        let number_of = |length: usize| word.is_number() && word.end() - word.start() == length;
        match key.get(word.end()) {
            Some(b'.') if number_of(1) || number_of(2) || number_of(3) => true,
            Some(b'-' | b'/' | b'.' | b'_' | b':') if number_of(4) => true,
            // An address of IPv6 begins with a group of four, or with one or two before it.
            Some(b':') if word.end() - word.start() <= 4 => is_address_head(&key[word.start()..]),
            _ => false,
        }
    }
}
