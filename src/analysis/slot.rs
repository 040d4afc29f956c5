//! Which of the 16,384 hash slots a key falls into, and the hash tag that decides it.
//!
//! Takes keys raw, or as MONITOR printed them. It refuses to know who owns a slot.
//!
//! ```
//! use hotshard::analysis::slot;
//!
//! assert_eq!(slot::of_key(b"foo{bar}{zap}").number(), 5061);
//! assert_eq!(slot::hash_tag(b"user:{7}:cart"), Some(&b"7"[..]));
//! ```

use memchr::memchr;

use crate::model::Slot;

/// The slot of a raw key.
pub fn of_key(key: &[u8]) -> Slot {
    let hashed = hash_tag(key).unwrap_or(key);
    Slot::of_checksum(hashed.iter().fold(0, |crc, &byte| step(crc, byte)))
}

/// The slot of a key in the form in which MONITOR printed it.
pub fn of_printed_key(printed: &[u8]) -> Slot {
    // Braces are printable, so they stand in the printed form as they are in the key.
    let mut rest = hash_tag(printed).unwrap_or(printed);
    let mut crc = 0;
    while let Some((byte, after)) = unescape_first(rest) {
        crc = step(crc, byte);
        rest = after;
    }
    Slot::of_checksum(crc)
}

/// What lies between the first `{` and the first `}` after it, if that isn't empty.
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = memchr(b'{', key)?;
    let inside = &key[open + 1..];
    let close = memchr(b'}', inside)?;
    (close > 0).then(|| &inside[..close])
}

/// The byte that a printed argument begins with, and what follows it.
///
/// An escape that MONITOR doesn't write stands for itself.
pub fn unescape_first(printed: &[u8]) -> Option<(u8, &[u8])> {
    match *printed {
        [] => None,
        [b'\\', b'x', high, low, ..] => match (hex(high), hex(low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, &printed[4..])),
            _ => Some((b'\\', &printed[1..])),
        },
        [b'\\', letter, ..] => Some(match letter {
            b'n' => (b'\n', &printed[2..]),
            b'r' => (b'\r', &printed[2..]),
            b't' => (b'\t', &printed[2..]),
            b'a' => (0x07, &printed[2..]),
            b'b' => (0x08, &printed[2..]),
            b'\\' | b'"' => (letter, &printed[2..]),
            _ => (b'\\', &printed[1..]),
        }),
        [byte, ..] => Some((byte, &printed[1..])),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn step(crc: u16, byte: u8) -> u16 {
    (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
}

/// CRC16-XMODEM, one byte at a time.
static TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &[u8], slot: u16) {
        assert_eq!(of_key(key).number(), slot, "{}", key.escape_ascii());
    }

    #[test]
    fn slots_are_the_servers() {
        check(b"123456789", 12_739);
        check(b"foo", 12_182);
        check(b"foo{}{bar}", 8_363);
        check(b"foo{{bar}}zap", 4_015);
        check(b"foo{bar}{zap}", 5_061);
        check(b"", 0);
    }

    #[test]
    fn an_open_brace_alone_is_no_tag() {
        assert_eq!(hash_tag(b"a{b"), None);
        assert_eq!(hash_tag(b"a}b{c"), None);
        assert_eq!(hash_tag(b"a}{b}"), Some(&b"b"[..]));
    }

    proptest::proptest! {
        #[test]
        fn the_printed_form_has_the_slot_of_the_key(key: Vec<u8>) {
            let printed = crate::analysis::line::reference::print(&key);
            proptest::prop_assert_eq!(of_printed_key(&printed), of_key(&key));
        }
    }
}
