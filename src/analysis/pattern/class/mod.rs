//! What a token of a key is: a UUID, a number, an address. One byte table and plain comparisons, no regex.
//!
//! A class is looked for where a word begins and ends where a word ends, so that none cuts another in two.

mod address;
mod base64;
mod moment;
mod word;

use crate::model::Timestamp;
use address::{email, ipv4};
use base64::base64;
use moment::{date, decimal, is_compact_date, is_compact_time, is_near};
use word::{DIGIT, LOWER, UPPER, is_word};

pub(super) use address::{ipv6, is_address_head};
pub(super) use base64::base64_from;
pub(super) use word::{Word, ends_segment, in_word};

/// A kind of token whose values say nothing about the key's purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Uuid,
    Ulid,
    Hash,
    Email,
    Ip,
    Date,
    Timestamp,
    UserId,
    Id,
    Base64,
    Learned,
}

impl Class {
    const ALL: [Self; 11] = [
        Self::Uuid,
        Self::Ulid,
        Self::Hash,
        Self::Email,
        Self::Ip,
        Self::Date,
        Self::Timestamp,
        Self::UserId,
        Self::Id,
        Self::Base64,
        Self::Learned,
    ];

    /// How it stands in a pattern.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Uuid => "{UUID}",
            Self::Ulid => "{ULID}",
            Self::Hash => "{HASH}",
            Self::Email => "{EMAIL}",
            Self::Ip => "{IP}",
            Self::Date => "{DATE}",
            Self::Timestamp => "{TIMESTAMP}",
            Self::UserId => "{USERID}",
            Self::Id => "{ID}",
            Self::Base64 => "{B64}",
            Self::Learned => "{VAR}",
        }
    }

    /// [`Class::name`] in a field of sixteen bytes, and its length.
    #[inline(always)]
    pub(super) fn padded_name(self) -> (&'static [u8; 16], usize) {
        const PADDED: [([u8; 16], usize); Class::ALL.len()] = padded_names();
        let (name, length) = &PADDED[self as usize];
        (name, *length)
    }

    /// The class whose name stands at the beginning of `text`: a pattern read again keeps its classes.
    pub(super) fn named_at(text: &[u8]) -> Option<Self> {
        // The second byte is the first letter of a class; a hash tag of a user's seldom passes here.
        if !matches!(text, [b'{', b'A'..=b'Z', ..]) {
            return None;
        }
        Self::ALL
            .into_iter()
            .find(|class| text.starts_with(class.name().as_bytes()))
    }
}

const fn padded_names() -> [([u8; 16], usize); Class::ALL.len()] {
    let mut padded = [([0; 16], 0); Class::ALL.len()];
    let mut place = 0;
    while place < padded.len() {
        let name = Class::ALL[place].name().as_bytes();
        let (text, length) = &mut padded[place];
        while *length < name.len() {
            text[*length] = name[*length];
            *length += 1;
        }
        place += 1;
    }
    padded
}

/// What was found where a word begins.
pub(super) enum Found {
    /// Everything up to `end` is one token of `class`; of it, the bytes before `literal` stay as they are.
    Token { literal: usize, end: usize, class: Class },
    /// A word that is nothing but itself, up to `end`.
    Plain { end: usize },
}

/// Looks at the word that begins at `start`, and past it where a class spans separators. `addresses` says whether the key can hold an email address.
pub(super) fn find(key: &[u8], start: usize, time: Timestamp, addresses: bool) -> Found {
    if addresses && let Some(end) = email(key, start) {
        return Found::Token {
            literal: start,
            end,
            class: Class::Email,
        };
    }
    let word = Word::at(key, start);
    if word.is_name() {
        return Found::Plain { end: word.end };
    }
    in_word_found(key, word, time, true)
}

/// What a word is that isn't a name. `mixed_case` says whether the key can have letters of both cases.
#[inline]
pub(super) fn in_word_found(key: &[u8], word: Word, time: Timestamp, mixed_case: bool) -> Found {
    let token = |end, class| Found::Token {
        literal: word.start,
        end,
        class,
    };
    let next = key.get(word.end).copied();
    if let Some((end, class)) = spanning(key, word, next) {
        return token(end, class);
    }
    if let Some(class) = whole_word(&key[word.start..word.end], word, time) {
        return token(word.end, class);
    }
    if mixed_case && let Some(end) = base64(key, word) {
        return token(end, Class::Base64);
    }
    numbered(key, word, time)
}

/// Classes that hold separators themselves.
fn spanning(key: &[u8], word: Word, next: Option<u8>) -> Option<(usize, Class)> {
    let next = next?;
    if word.len() == 8 && next == b'-' && word.is_hex() {
        return uuid(key, word.start).map(|end| (end, Class::Uuid));
    }
    if word.len() == 4 && word.is_number() && matches!(next, b'-' | b'/' | b'.' | b'_') {
        return date(key, word.start);
    }
    if word.len() <= 3 && word.is_number() && next == b'.' {
        return ipv4(key, word.start).map(|end| (end, Class::Ip));
    }
    if word.len() <= 4 && next == b':' && word.is_hex() {
        return ipv6(key, word.start).map(|end| (end, Class::Ip));
    }
    None
}

/// Classes that are one word.
fn whole_word(text: &[u8], word: Word, time: Timestamp) -> Option<Class> {
    if word.is_number() {
        return number(text, time);
    }
    if word.is_hex() && (text.len() >= 16 || (text.len() >= 8 && word.kinds & DIGIT != 0)) {
        return Some(Class::Hash);
    }
    if text.len() == 26 && is_ulid(text, word) {
        return Some(Class::Ulid);
    }
    is_compact_time(text).then_some(Class::Timestamp)
}

/// `text` is all digits.
fn number(text: &[u8], time: Timestamp) -> Option<Class> {
    match text.len() {
        0..=2 => None,
        8 if is_compact_date(text, time) => Some(Class::Date),
        3..=9 => Some(Class::Id),
        10 if is_near(decimal(text).saturating_mul(1_000_000), time) => Some(Class::Timestamp),
        13 if is_near(decimal(text).saturating_mul(1_000), time) => Some(Class::Timestamp),
        _ => Some(Class::UserId),
    }
}

/// A name with a number of three digits or more at its end keeps the name: `user12345` is `user{ID}`.
fn numbered(key: &[u8], word: Word, time: Timestamp) -> Found {
    let text = &key[word.start..word.end];
    let letters = text.iter().take_while(|byte| !byte.is_ascii_digit()).count();
    let digits = &text[letters..];
    if letters > 0
        && digits.iter().all(u8::is_ascii_digit)
        && let Some(class) = number(digits, time)
    {
        return Found::Token {
            literal: word.start + letters,
            end: word.end,
            class,
        };
    }
    Found::Plain { end: word.end }
}

/// 26 characters of Crockford's alphabet, in one case; the first can't pass 7.
fn is_ulid(text: &[u8], word: Word) -> bool {
    matches!(text[0], b'0'..=b'7')
        && word.kinds & (LOWER | UPPER) != (LOWER | UPPER)
        && text
            .iter()
            .all(|byte| !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U'))
}

fn uuid(key: &[u8], start: usize) -> Option<usize> {
    let text = key.get(start..start + 36)?;
    let shaped = text.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (shaped && !is_word(key.get(start + 36))).then_some(start + 36)
}
