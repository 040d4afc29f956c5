//! Addresses: of hosts, and of mail.

use super::moment::decimal;
use super::word::{in_word, is_word};

/// Four octets and no fifth number on either side, which would make it a version or a path.
pub(super) fn ipv4(key: &[u8], start: usize) -> Option<usize> {
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
pub(in crate::analysis::pattern) fn ipv6(key: &[u8], start: usize) -> Option<usize> {
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
pub(in crate::analysis::pattern) fn is_address_head(text: &[u8]) -> bool {
    text.starts_with(b"::")
        || matches!(text, [b'2' | b'3', _, _, _, b':', ..])
        || matches!(text, [b'f' | b'F', b'c'..=b'e' | b'C'..=b'E', _, _, b':', ..])
}

/// A local part, `@` (or `%40`), and a domain whose last label is letters.
pub(super) fn email(key: &[u8], start: usize) -> Option<usize> {
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
