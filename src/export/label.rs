//! Label values that no reader of a page stumbles over, whatever bytes a name or a key has.

use std::borrow::Cow;
use std::fmt::Write;

/// The longest label value, in bytes.
const LENGTH_MAX: usize = 512;

/// The value as exporters show it: control characters in MONITOR's own escapes, and what is too long cut, with a checksum of the
/// whole at its end so that two long values stay two.
pub(super) fn shown(value: &str) -> Cow<'_, str> {
    if value.len() <= LENGTH_MAX && !value.contains(|letter: char| letter.is_ascii_control()) {
        return Cow::Borrowed(value);
    }
    let mut shown = String::with_capacity(value.len().min(LENGTH_MAX) + 16);
    for letter in value.chars() {
        if shown.len() >= LENGTH_MAX {
            write!(shown, "…{:016x}", checksum(value)).expect("writing to memory doesn't fail");
            break;
        }
        match letter {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            letter if letter.is_ascii_control() => {
                write!(shown, "\\x{:02x}", u32::from(letter)).expect("writing to memory doesn't fail");
            }
            letter => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Whether it is shown as it is, and needs no escape of a format's own either.
pub(super) fn is_plain(value: &str) -> bool {
    let plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\' | 0x7f);
    value.len() <= LENGTH_MAX && value.bytes().all(plain)
}

/// FNV-1a: the same on every machine and after every start, so a cut label keeps its series.
fn checksum(value: &str) -> u64 {
    value.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_stay_different() {
        let values = ["a", "b"].map(|end| "x".repeat(5_000) + end);
        let [first, second] = values.each_ref().map(|value| shown(value));
        assert!(first.len() < LENGTH_MAX + 24 && first != second, "{first} {second}");
        let just_long_enough = "y".repeat(LENGTH_MAX);
        assert_eq!(shown(&just_long_enough), just_long_enough);
    }
}
