//! Keys that differ in nothing but the values of their numbers and hashes have one pattern: that of such a key, remembered.
//!
//! Two bounds for each byte decide: the remembered key's own byte, or what a value may hold there. Where a hash stands, digits and letters are
//! looked for too. Only a key of which these say all there is to say is remembered: [`Parts`] tells. It knows no pattern by itself: each
//! comes from [`Quick`](super::quick), and tests hold the one to the other.

use std::ops::Range;

use super::class::{Class, Word, is_address_head};
use super::registry::PatternId;
use crate::analysis::line::Window;
use crate::analysis::slot::Hashed;

/// A key is seen with what follows it; a longer one isn't remembered.
pub(super) const KEY_MAX: usize = Window::LENGTH - 1;
const RECENT: usize = 256;

/// The patterns of keys that came lately.
#[derive(Debug)]
pub(super) struct Alike {
    recent: Box<[Recent; RECENT]>,
}

/// A key at a glance: itself and what follows it.
#[derive(Clone, Copy)]
pub(super) struct Glance {
    window: Window,
    length: usize,
}

/// What is known of keys that are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Their pattern. Learning may have made it part of another since.
    pub(super) id: PatternId,
    /// What their slots hang on: a brace is no value, so it stands at one place in all of them.
    pub(super) hashed: Hashed,
}

/// One key, for all that are alike.
#[derive(Clone, Copy, Debug)]
struct Recent {
    /// The least that may stand at each place; behind the end anything.
    least: [u8; Window::LENGTH],
    greatest: [u8; Window::LENGTH],
    length: usize,
    parts: Parts,
    known: Known,
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
        let nobodys = Recent {
            least: [0; Window::LENGTH],
            greatest: [0; Window::LENGTH],
            // No key's.
            length: usize::MAX,
            parts: Parts::default(),
            known: Known {
                id: PatternId::default(),
                hashed: Hashed::default(),
            },
        };
        Self {
            recent: Box::new([nobodys; RECENT]),
        }
    }

    /// What is known of a key that differs from a remembered one in values alone.
    #[inline(always)]
    pub(super) fn recall(&self, key: Glance) -> Option<Known> {
        let recent = &self.recent[key.place()];
        let is_alike = recent.length == key.length && key.window.is_within(&recent.least, &recent.greatest);
        (is_alike && (recent.parts.hex == 0 || key.has_hash(recent.parts))).then_some(recent.known)
    }

    /// Remembers a key's pattern, if its slot hangs on bytes that stand in it as they are.
    pub(super) fn remember(&mut self, glance: Glance, key: &[u8], parts: Parts, id: PatternId) {
        let digits = (parts.hex == 0).then_some(parts.digits);
        let Some(hashed) = Hashed::of(key, digits) else {
            return;
        };
        let (mut least, mut greatest) = ([0; Window::LENGTH], [u8::MAX; Window::LENGTH]);
        for (place, byte) in key.iter().enumerate() {
            (least[place], greatest[place]) = match 1 << place {
                bit if parts.digits & bit != 0 => (b'0', b'9'),
                bit if parts.hex & bit != 0 => (b'0', b'f'),
                _ => (*byte, *byte),
            };
        }
        self.recent[glance.place()] = Recent {
            least,
            greatest,
            length: key.len(),
            parts,
            known: Known { id, hashed },
        };
    }
}

impl Glance {
    /// Of the key that `bytes` begin with.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8; Window::LENGTH], length: usize) -> Self {
        Self {
            window: Window::of(bytes),
            length,
        }
    }

    /// Where alike keys are remembered: values are digits and letters of hexadecimal numbers, so all else is the same in them. Which other
    /// keys meet there matters for speed alone.
    #[inline(always)]
    fn place(self) -> usize {
        let rest = self.window.first().without_hex().head(self.length);
        let mixed = (rest as u64 ^ ((rest >> 64) as u64).rotate_left(29) ^ self.length as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - RECENT.ilog2())) as usize
    }

    /// Whether hexadecimal digits stand where they must, and in the hash both digits and letters.
    fn has_hash(self, Parts { hex, hash, .. }: Parts) -> bool {
        let digits = self.window.places_among(b'0', b'9');
        let letters = self.window.places_among(b'a', b'f');
        (digits | letters) & hex == hex && (hash == 0 || (digits & hash != 0 && letters & hash != 0))
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

    /// Whether a word may begin something by its value: a date or an address, whose next part is digits. What is neither a digit nor one of
    /// `a` to `f` is no value, so it stands there in all keys that are alike.
    pub(super) fn hang_on(key: &[u8], word: Word) -> bool {
        if !matches!(key.get(word.end() + 1), Some(b'0'..=b'9' | b'a'..=b'f')) {
            return false;
        }
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
