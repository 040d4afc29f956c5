//! Base64: what is told from names only by how it looks.

use super::word::{DIGIT, KINDS, LOWER, UPPER, WORD, Word, in_word, is_word};

/// Base64 in either alphabet. It may hold separators, so what lies between them must not be words.
pub(super) fn base64(key: &[u8], word: Word) -> Option<usize> {
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
pub(in crate::analysis::pattern) fn base64_from(key: &[u8], start: usize) -> Option<usize> {
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
