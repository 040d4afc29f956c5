//! What a token of a key is: a UUID, a number, an address. One byte table and plain comparisons, no regex.
//!
//! A class is looked for where a word begins and ends where a word ends, so that none cuts another in two.

use std::ops::Range;
use std::time::Duration;

use crate::model::Timestamp;

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

const DIGIT: u8 = 1;
const BEYOND_HEX: u8 = 2;
const LOWER: u8 = 4;
const UPPER: u8 = 8;
const SEPARATOR: u8 = 16;
const BRACE: u8 = 32;
const WORD: u8 = DIGIT | LOWER | UPPER;

static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => LOWER,
            b'g'..=b'z' => LOWER | BEYOND_HEX,
            b'A'..=b'F' => UPPER,
            b'G'..=b'Z' => UPPER | BEYOND_HEX,
            b':' | b'/' | b'.' | b'|' | b'#' | b'_' | b'-' => SEPARATOR,
            b'{' | b'}' => BRACE,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// Whether the byte ends a segment: a separator, or a brace of a hash tag.
pub(super) fn ends_segment(byte: u8) -> bool {
    KINDS[usize::from(byte)] & (SEPARATOR | BRACE) != 0
}

/// Whether the byte belongs to a word.
pub(super) fn in_word(byte: u8) -> bool {
    KINDS[usize::from(byte)] & WORD != 0
}

fn is_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| in_word(*byte))
}

/// A run of letters and digits, and what it is made of.
#[derive(Clone, Copy)]
pub(super) struct Word {
    start: usize,
    end: usize,
    kinds: u8,
}

impl Word {
    fn at(key: &[u8], start: usize) -> Self {
        let mut kinds = 0;
        let mut end = start;
        while let Some(&byte) = key.get(end) {
            let kind = KINDS[usize::from(byte)];
            if kind & WORD == 0 {
                break;
            }
            kinds |= kind;
            end += 1;
        }
        Self { start, end, kinds }
    }

    /// A word whose kinds of bytes are known.
    #[inline(always)]
    pub(super) fn of_kinds(at: Range<usize>, digit: bool, upper: bool, lower: bool, beyond_hex: bool) -> Self {
        let kind = |has: bool, kind: u8| if has { kind } else { 0 };
        Self {
            start: at.start,
            end: at.end,
            kinds: kind(digit, DIGIT) | kind(upper, UPPER) | kind(lower, LOWER) | kind(beyond_hex, BEYOND_HEX),
        }
    }

    /// Where it begins.
    pub(super) fn start(self) -> usize {
        self.start
    }

    /// Where it ends.
    #[inline(always)]
    pub(super) fn end(self) -> usize {
        self.end
    }

    /// Most words are names: lower case, nothing a class could begin with.
    #[inline(always)]
    pub(super) fn is_name(self) -> bool {
        self.kinds & (DIGIT | UPPER) == 0 && self.kinds & BEYOND_HEX != 0
    }

    fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it is digits alone.
    pub(super) fn is_number(self) -> bool {
        self.kinds == DIGIT
    }

    fn is_hex(self) -> bool {
        self.kinds & BEYOND_HEX == 0
    }
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

const NEAR: Duration = Duration::from_secs(2 * 366 * 86_400);

/// Whether a moment lies within two years of the line's own time.
fn is_near(microseconds: u64, time: Timestamp) -> bool {
    u128::from(microseconds.abs_diff(time.0)) <= NEAR.as_micros()
}

fn decimal(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')))
}

/// `20260102`, but only within two years of the line's own time: eight digits are as often an id.
fn is_compact_date(text: &[u8], time: Timestamp) -> bool {
    let (year, month, day) = (decimal(&text[..4]), decimal(&text[4..6]), decimal(&text[6..]));
    if !is_calendar(year, month, day) {
        return false;
    }
    let days = (year - 1970) * 365 + (year - 1969) / 4 + (month - 1) * 30 + day;
    is_near(days * 86_400_000_000, time)
}

fn is_calendar(year: u64, month: u64, day: u64) -> bool {
    (1970..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// `20260102T030405Z`, the zone optional.
fn is_compact_time(text: &[u8]) -> bool {
    let bare = text.strip_suffix(b"Z").unwrap_or(text);
    bare.len() == 15
        && bare[8] == b'T'
        && bare[..8].iter().chain(&bare[9..]).all(u8::is_ascii_digit)
        && is_calendar(decimal(&bare[..4]), decimal(&bare[4..6]), decimal(&bare[6..8]))
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

/// `2026-01-02` with one of `- / . _` throughout, a time of day behind it, or the month alone at a token's end.
fn date(key: &[u8], start: usize) -> Option<(usize, Class)> {
    let separator = *key.get(start + 4)?;
    let year = decimal(&key[start..start + 4]);
    let month = two_digits(key, start + 5)?;
    if !is_calendar(year, month, 1) {
        return None;
    }
    let end = start + 7;
    let full = key.get(end) == Some(&separator);
    match two_digits(key, end + 1).filter(|_| full) {
        Some(day) if is_calendar(year, month, day) => Some(time_of_day(key, end + 3)),
        None if separator == b'-' && matches!(key.get(end), None | Some(b':' | b'}')) => Some((end, Class::Date)),
        _ => None,
    }
    .filter(|(end, _)| !is_word(key.get(*end)))
}

fn two_digits(key: &[u8], start: usize) -> Option<u64> {
    let digits = key.get(start..start + 2)?;
    digits.iter().all(u8::is_ascii_digit).then(|| decimal(digits))
}

/// What follows a date: `T03:04`, seconds, a fraction and a zone make it a moment.
fn time_of_day(key: &[u8], date_end: usize) -> (usize, Class) {
    let clock = || {
        matches!(key.get(date_end), Some(b'T' | b't')).then_some(())?;
        let mut end = date_end + 3;
        two_digits(key, date_end + 1)?;
        for _ in 0..2 {
            if key.get(end) == Some(&b':') && two_digits(key, end + 1).is_some() && !is_digit(key.get(end + 3)) {
                end += 3;
            }
        }
        if key.get(end) == Some(&b'.') && is_digit(key.get(end + 1)) {
            end += 1;
            while is_digit(key.get(end)) {
                end += 1;
            }
        }
        Some(zone(key, end))
    };
    match clock() {
        Some(end) if !is_word(key.get(end)) => (end, Class::Timestamp),
        _ => (date_end, Class::Date),
    }
}

fn zone(key: &[u8], end: usize) -> usize {
    match key.get(end) {
        Some(b'Z' | b'z') => end + 1,
        Some(b'+' | b'-') if two_digits(key, end + 1).is_some() && two_digits(key, end + 4).is_some() => end + 6,
        _ => end,
    }
}

/// Four octets and no fifth number on either side, which would make it a version or a path.
fn ipv4(key: &[u8], start: usize) -> Option<usize> {
    if start >= 2 && key[start - 1] == b'.' && matches!(key[start - 2], b'0'..=b'9' | b'}') {
        return None;
    }
    let mut at = start;
    for octet in 0..4 {
        if octet > 0 {
            (key.get(at) == Some(&b'.')).then_some(())?;
            at += 1;
        }
        let digits = key[at..]
            .iter()
            .take(4)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=3).contains(&digits) || decimal(&key[at..at + digits]) > 255 {
            return None;
        }
        at += digits;
    }
    let goes_on = key.get(at) == Some(&b'.') && matches!(key.get(at + 1), Some(b'0'..=b'9' | b'{'));
    (!goes_on && !is_word(key.get(at))).then_some(at)
}

/// Eight groups, or fewer around one `::`: `add::123` is a name in Ruby's style.
pub(super) fn ipv6(key: &[u8], start: usize) -> Option<usize> {
    if !is_address_head(&key[start..]) {
        return None;
    }
    let mut at = start;
    let mut groups = 0;
    let mut gap = false;
    let mut end = start;
    if key[at..].starts_with(b"::") {
        gap = true;
        at += 2;
    }
    loop {
        let digits = key[at..]
            .iter()
            .take(5)
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        // A class behind it was part of the same word before it was named.
        let goes_on = is_word(key.get(at + digits)) || key.get(at + digits) == Some(&b'{');
        if !(1..=4).contains(&digits) || goes_on {
            break;
        }
        at += digits;
        groups += 1;
        end = at;
        if groups == 8 || key.get(at) != Some(&b':') {
            break;
        }
        at += 1;
        if !gap && key.get(at) == Some(&b':') {
            gap = true;
            at += 1;
        }
    }
    let goes_on = key.get(end) == Some(&b':') && matches!(key.get(end + 1), Some(b'0'..=b'9' | b'{'));
    let whole = groups == 8 || (gap && groups > 0);
    (whole && !goes_on).then_some(end)
}

/// Addresses in use begin with `2…`, `3…`, `fc` to `fe`, or `::`; names of hex letters are left alone.
pub(super) fn is_address_head(text: &[u8]) -> bool {
    text.starts_with(b"::")
        || matches!(text, [b'2' | b'3', _, _, _, b':', ..])
        || matches!(text, [b'f' | b'F', b'c'..=b'e' | b'C'..=b'E', _, _, b':', ..])
}

/// A local part, `@` (or `%40`), and a domain whose last label is letters.
fn email(key: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let domain = loop {
        match *key.get(at)? {
            b'@' => break at + 1,
            b'%' if key[at..].starts_with(b"%40") => break at + 3,
            byte if in_word(byte) => at += 1,
            b'.' | b'_' | b'-' | b'+' | b'%' | b'\'' | b'&' | b'=' | b'!' | b'~' | b'\\' => at += 1,
            _ => return None,
        }
    };
    if at == start {
        return None;
    }
    domain_end(key, domain)
}

fn domain_end(key: &[u8], start: usize) -> Option<usize> {
    let mut label = start;
    let mut dots = 0;
    let mut end = None;
    let mut at = start;
    loop {
        let byte = key.get(at).copied();
        if byte.is_some_and(in_word) {
            at += 1;
            continue;
        }
        let letters = &key[label..at];
        let cut = byte == Some(b'{');
        if dots > 0 && !cut && letters.len() >= 2 && letters.iter().all(u8::is_ascii_alphabetic) {
            end = Some(at);
        }
        match byte {
            Some(b'.') if at > label => {
                dots += 1;
                label = at + 1;
            }
            Some(b'-') if at > label => {}
            _ => return end,
        }
        at += 1;
    }
}

/// Base64 in either alphabet. It may hold separators, so what lies between them must not be words.
fn base64(key: &[u8], word: Word) -> Option<usize> {
    let standard = run(key, word.start, |byte| in_word(byte) || matches!(byte, b'+' | b'/'));
    let padded = padding(key, standard);
    let text = &key[word.start..padded];
    if (padded > standard || text.contains(&b'+')) && ends_well(key, padded) && looks_random(text) {
        return Some(padded);
    }
    if let Some(end) = base64_from(key, word.start) {
        return Some(end);
    }
    let alone = key.get(word.end) != Some(&b'{') && looks_random(&key[word.start..word.end]);
    alone.then_some(word.end)
}

/// Base64 in the alphabet of addresses, which holds `-` and `_`.
pub(super) fn base64_from(key: &[u8], start: usize) -> Option<usize> {
    let safe = run(key, start, |byte| in_word(byte) || matches!(byte, b'-' | b'_'));
    let padded = padding(key, safe);
    let text = &key[start..padded];
    (ends_well(key, padded) && !holds_words(text) && looks_random(text)).then_some(padded)
}

fn run(key: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    start + key[start..].iter().take_while(|byte| belongs(**byte)).count()
}

/// The end of `=` or `==` behind a text whose length they complete.
fn padding(key: &[u8], end: usize) -> usize {
    end + key[end..].iter().take(2).take_while(|byte| **byte == b'=').count()
}

fn ends_well(key: &[u8], end: usize) -> bool {
    !is_word(key.get(end)) && key.get(end) != Some(&b'{')
}

/// Whether a piece between `-` and `_` is a word or a number of its own.
fn holds_words(text: &[u8]) -> bool {
    let mut pieces = text.split(|byte| matches!(byte, b'-' | b'_'));
    let alone = text.iter().all(|byte| !matches!(byte, b'-' | b'_'));
    !alone
        && pieces.any(|piece| {
            let rest = piece.get(1..).unwrap_or_default();
            (piece.len() >= 4 && rest.iter().all(u8::is_ascii_lowercase) && piece[0].is_ascii_alphabetic())
                || (piece.len() >= 3 && piece.iter().all(u8::is_ascii_lowercase))
                || (piece.len() >= 4 && piece.iter().all(u8::is_ascii_uppercase))
                || (piece.len() >= 3 && piece.iter().all(u8::is_ascii_digit))
        })
}

/// Whether letters of both cases and digits change as often as chance makes them: random text does at 6 of 10 steps, `getUserProfileV2Data` at 4.
fn looks_random(text: &[u8]) -> bool {
    let mut kinds = 0;
    let (mut length, mut changes, mut digit_runs) = (0_usize, 0_usize, 0_usize);
    let mut before = 0;
    for byte in text {
        let kind = KINDS[usize::from(*byte)] & WORD;
        if kind == 0 {
            continue;
        }
        length += 1;
        changes += usize::from(before != 0 && kind != before);
        digit_runs += usize::from(kind == DIGIT && before != DIGIT);
        kinds |= kind;
        before = kind;
    }
    if kinds & (LOWER | UPPER) != (LOWER | UPPER) {
        return false;
    }
    if text.ends_with(b"=") {
        return length >= 7 && text.len().is_multiple_of(4);
    }
    let share = changes * 100;
    match (length, digit_runs) {
        (0..16, _) => false,
        (16..20, 0) => false,
        (_, 0) => share >= 52 * length,
        (16..20, _) => share >= 50 * length,
        (_, 1) => share >= 42 * length,
        _ => share >= 34 * length,
    }
}
