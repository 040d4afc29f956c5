//! Dates and times: alone, with their separators, or as numbers that are near the line's own time.

use std::time::Duration;

use super::Class;
use super::word::{is_digit, is_word};
use crate::model::Timestamp;

const NEAR: Duration = Duration::from_secs(2 * 366 * 86_400);

/// Whether a moment lies within two years of the line's own time.
pub(super) fn is_near(microseconds: u64, time: Timestamp) -> bool {
    u128::from(microseconds.abs_diff(time.0)) <= NEAR.as_micros()
}

pub(super) fn decimal(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')))
}

/// `20260102`, but only within two years of the line's own time: eight digits are as often an id.
pub(super) fn is_compact_date(text: &[u8], time: Timestamp) -> bool {
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
pub(super) fn is_compact_time(text: &[u8]) -> bool {
    let bare = text.strip_suffix(b"Z").unwrap_or(text);
    bare.len() == 15
        && bare[8] == b'T'
        && bare[..8].iter().chain(&bare[9..]).all(u8::is_ascii_digit)
        && is_calendar(decimal(&bare[..4]), decimal(&bare[4..6]), decimal(&bare[6..8]))
}

/// `2026-01-02` with one of `- / . _` throughout, a time of day behind it, or the month alone at a token's end.
pub(super) fn date(key: &[u8], start: usize) -> Option<(usize, Class)> {
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
