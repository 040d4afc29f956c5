//! From a key to its skeleton: classes replaced, all else as it stands. A function of the key and the line's time, without memory.

use super::class::{self, Class, Found, ends_segment, in_word};
use crate::model::Timestamp;

/// A literal segment longer than this is no name.
const LITERAL_MAX: usize = 64;

/// What follows so many segments is one `{VAR}`.
pub(super) const SEGMENTS_MAX: usize = 24;

/// Writes the skeleton of `key` (in MONITOR's escaped form) to `skeleton`. The skeleton of a skeleton is itself.
pub(super) fn scan(key: &[u8], time: Timestamp, skeleton: &mut Vec<u8>) {
    skeleton.clear();
    let addresses = memchr::memchr2(b'@', b'%', key).is_some();
    let mut segment = 0;
    let mut segments = 1;
    let mut at = 0;
    while let Some(&byte) = key.get(at) {
        if in_word(byte) {
            at = word(key, at, time, addresses, skeleton);
        } else if let Some(class) = Class::named_at(&key[at..]) {
            skeleton.extend_from_slice(class.name().as_bytes());
            at += class.name().len();
        } else if ends_segment(byte) {
            if let Some(end) = leading_address(key, at) {
                skeleton.extend_from_slice(Class::Ip.name().as_bytes());
                at = end;
                continue;
            }
            if let Some(end) = leading_base64(key, at) {
                skeleton.extend_from_slice(Class::Base64.name().as_bytes());
                at = end;
                continue;
            }
            close(skeleton, segment);
            skeleton.push(byte);
            at += 1;
            segment = skeleton.len();
            segments += 1;
            if segments == SEGMENTS_MAX {
                skeleton.extend_from_slice(Class::Learned.name().as_bytes());
                return;
            }
        } else {
            let end = escape_end(key, at);
            skeleton.extend_from_slice(&key[at..end]);
            at = end;
        }
    }
    close(skeleton, segment);
}

fn word(key: &[u8], at: usize, time: Timestamp, addresses: bool, skeleton: &mut Vec<u8>) -> usize {
    match class::find(key, at, time, addresses) {
        Found::Plain { end } => {
            skeleton.extend_from_slice(&key[at..end]);
            end
        }
        Found::Token { literal, end, class } => {
            skeleton.extend_from_slice(&key[at..literal]);
            skeleton.extend_from_slice(class.name().as_bytes());
            end
        }
    }
}

/// `::1` where a segment begins: an address whose first group is left out.
fn leading_address(key: &[u8], at: usize) -> Option<usize> {
    let begins = at == 0 || (ends_segment(key[at - 1]) && key[at - 1] != b'}');
    (begins && key[at..].starts_with(b"::"))
        .then(|| class::ipv6(key, at))
        .flatten()
}

/// Base64 in the alphabet of addresses may begin with a separator, where a token begins.
fn leading_base64(key: &[u8], at: usize) -> Option<usize> {
    let begins = matches!(key[at], b'-' | b'_') && (at == 0 || matches!(key[at - 1], b':' | b'/' | b'.' | b'|' | b'#'));
    begins.then(|| class::base64_from(key, at)).flatten()
}

/// `\xhh` and `\n` are one character each and never the beginning of a word.
fn escape_end(key: &[u8], at: usize) -> usize {
    let length = match &key[at..] {
        [b'\\', b'x', _, _, ..] => 4,
        [b'\\', _, ..] => 2,
        _ => 1,
    };
    at + length
}

fn close(skeleton: &mut Vec<u8>, segment: usize) {
    if skeleton.len() - segment > LITERAL_MAX {
        skeleton.truncate(segment);
        skeleton.extend_from_slice(Class::Learned.name().as_bytes());
    }
}

/// The segments of a skeleton, each with the byte that ends it; `None` ends the last.
pub(super) fn segments(skeleton: &[u8]) -> impl Iterator<Item = (&[u8], Option<u8>)> {
    let mut rest = Some(skeleton);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut end = 0;
        while let Some(&byte) = text.get(end) {
            if let Some(class) = Class::named_at(&text[end..]) {
                end += class.name().len();
            } else if ends_segment(byte) {
                break;
            } else {
                end += 1;
            }
        }
        rest = text.get(end + 1..).filter(|_| end < text.len());
        Some((&text[..end], text.get(end).copied()))
    })
}
