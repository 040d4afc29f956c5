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

use std::ops::Range;

use memchr::memchr;

use super::line::Window;
use crate::model::Slot;

/// The slot of a raw key.
pub fn of_key(key: &[u8]) -> Slot {
    Slot::of_checksum(checksum(hash_tag(key).unwrap_or(key)))
}

/// The slot of a key in the form in which MONITOR printed it.
pub fn of_printed_key(printed: &[u8]) -> Slot {
    // Braces are printable, so they stand in the printed form as they are in the key.
    let hashed = hash_tag(printed).unwrap_or(printed);
    if memchr(b'\\', hashed).is_none() {
        return Slot::of_checksum(checksum(hashed));
    }
    let (mut rest, mut crc) = (hashed, 0);
    while let Some((byte, after)) = unescape_first(rest) {
        crc = step(crc, byte);
        rest = after;
    }
    Slot::of_checksum(crc)
}

/// [`of_printed_key`] of the key that stands in a buffer, and whether it has a hash tag.
pub(crate) fn of_printed_key_within(buffer: &[u8], key: Range<usize>) -> (Slot, bool) {
    let Some((window, within)) = at_a_glance(buffer, &key) else {
        let printed = &buffer[key];
        return (of_printed_key(printed), hash_tag(printed).is_some());
    };
    // Most keys have neither a brace nor an escape, and one look tells.
    if window.places_of_either(b'{', b'\\') & within == 0 {
        return (Slot::of_checksum(checksum(&buffer[key])), false);
    }
    let tag = hash_tag_within(buffer, key.clone());
    let is_tagged = tag.is_some();
    let hashed = tag.unwrap_or(key);
    if window.places_of(b'\\') & within != 0 {
        return (of_printed_key(&buffer[hashed]), is_tagged);
    }
    (Slot::of_checksum(checksum(&buffer[hashed])), is_tagged)
}

/// What the slots of keys hang on that differ in the values of some digits alone, as places in such a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hashed {
    begin: u8,
    end: u8,
    is_tag: bool,
    digits: Option<Digits>,
}

/// Digits among eight bytes, and what all else adds to the checksum: whatever a byte adds hangs on how many follow it, and on nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digits {
    /// Where the eight bytes begin.
    first: u8,
    /// How many bytes follow the last of the eight, and eight more; these may reach past the end.
    followed: u8,
    /// The lower halves of those that are such digits.
    values: u64,
    /// The checksum with zeros for digits.
    zeros: u16,
}

impl Hashed {
    /// Of a key with digits at these places, whose values may be others; or other bytes too, unless `digits` are all. `None` if the key is
    /// too long, or not printed as it is.
    pub(crate) fn of(printed: &[u8], digits: Option<u64>) -> Option<Self> {
        let length = u8::try_from(printed.len()).ok().filter(|length| *length < 64)?;
        if memchr(b'\\', printed).is_some() {
            return None;
        }
        let tag = hash_tag_within(printed, 0..printed.len());
        let begin = tag.as_ref().map_or(0, |tag| tag.start as u8);
        let end = tag.as_ref().map_or(length, |tag| tag.end as u8);
        Some(Self {
            begin,
            end,
            is_tag: tag.is_some(),
            digits: digits.and_then(|digits| Digits::of(printed, begin..end, digits)),
        })
    }

    /// The slot of such a key that begins at `start` of a buffer.
    #[inline(always)]
    pub(crate) fn slot(&self, buffer: &[u8], start: usize) -> Slot {
        let quick = self.digits.and_then(|digits| digits.checksum(buffer, start));
        Slot::of_checksum(match quick {
            Some(checksum) => checksum,
            None => checksum(&buffer[start + usize::from(self.begin)..start + usize::from(self.end)]),
        })
    }

    /// Whether it is a hash tag.
    #[inline(always)]
    pub(crate) fn is_tag(&self) -> bool {
        self.is_tag
    }
}

impl Digits {
    /// `None` if they are among more than eight bytes.
    fn of(printed: &[u8], hashed: Range<u8>, digits: u64) -> Option<Self> {
        let is_digit = |place: u8| digits >> place & 1 != 0;
        let first = hashed.clone().find(|place| is_digit(*place)).unwrap_or(hashed.start);
        if hashed.clone().skip_while(|place| *place < first + 8).any(is_digit) {
            return None;
        }
        let zero = |place: u8| {
            if is_digit(place) {
                b'0'
            } else {
                printed[usize::from(place)]
            }
        };
        let zeros: Vec<u8> = hashed.clone().map(zero).collect();
        let is_value = |place: u8| place < hashed.end && is_digit(place);
        let values = (0..8).filter(|number| is_value(first + number));
        Some(Self {
            first,
            followed: hashed.end - first,
            values: values.fold(0, |values, number| values | 0xf << (8 * number)),
            zeros: checksum(&zeros),
        })
    }

    /// `None` if the buffer ends too early.
    #[inline(always)]
    fn checksum(self, buffer: &[u8], start: usize) -> Option<u16> {
        let eight = buffer.get(start + usize::from(self.first)..)?.first_chunk()?;
        let values = u64::from_le_bytes(*eight) & self.values;
        let adding: &[[u16; 16]; 8] = ADDING.get(usize::from(self.followed)..)?.first_chunk()?;
        let places = (0..8_usize).zip(adding.iter().rev());
        Some(places.fold(self.zeros, |crc, (place, adding)| {
            crc ^ adding[(values >> (8 * place)) as usize & 0xf]
        }))
    }
}

/// What the lower half of a byte adds when so many bytes, less eight, follow it; nothing where that is less than none.
static ADDING: [[u16; 16]; 72] = {
    let mut adding = [[0; 16]; 72];
    let mut value = 1;
    while value < 16 {
        let mut followed = 8;
        adding[followed][value] = TABLES[0][value];
        while followed + 1 < adding.len() {
            let before = adding[followed][value];
            followed += 1;
            adding[followed][value] = (before << 8) ^ TABLES[0][(before >> 8) as usize];
        }
        value += 1;
    }
    adding
};

/// [`hash_tag`] of the key that stands in a buffer, and where it is there.
pub(crate) fn hash_tag_within(buffer: &[u8], key: Range<usize>) -> Option<Range<usize>> {
    let Some((window, within)) = at_a_glance(buffer, &key) else {
        let printed = &buffer[key.clone()];
        let begin = key.start + memchr(b'{', printed)? + 1;
        return hash_tag(printed).map(|tag| begin..begin + tag.len());
    };
    let opening = (window.places_of(b'{') & within).trailing_zeros();
    // Where none opens, none closes behind it.
    let behind = u64::MAX.checked_shl(opening + 1).unwrap_or_default();
    let closing = (window.places_of(b'}') & within & behind).trailing_zeros();
    let tag = key.start + opening as usize + 1..key.start + closing as usize;
    (closing < u64::BITS && !tag.is_empty()).then_some(tag)
}

/// A key that is short enough to be seen whole, in a buffer that goes on: its bytes, and which of them are its own.
#[inline(always)]
fn at_a_glance(buffer: &[u8], key: &Range<usize>) -> Option<(Window, u64)> {
    let seen = buffer.get(key.start..).and_then(|bytes| bytes.first_chunk())?;
    (key.len() < Window::LENGTH).then(|| (Window::of(seen), (1 << key.len()) - 1))
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

/// CRC16-XMODEM. Eight bytes at a time: what each adds is looked up by itself, so that no step waits for the one before it.
fn checksum(bytes: &[u8]) -> u16 {
    let Some(first) = bytes.first_chunk() else {
        return bytes.iter().fold(0, |crc, &byte| step(crc, byte));
    };
    // Zeros before the first byte change nothing, so what eight doesn't divide is read with some.
    let odd = bytes.len() % 8;
    let begin = u64::from_be_bytes(*first) >> 8 >> (56 - 8 * odd);
    let (eights, _) = bytes[odd..].as_chunks();
    eights.iter().fold(eight_steps(0, begin.to_be_bytes()), |crc, eight| {
        eight_steps(crc, *eight)
    })
}

#[inline(always)]
fn eight_steps(crc: u16, bytes: [u8; 8]) -> u16 {
    let [high, low] = crc.to_be_bytes();
    let [first, second, others @ ..] = bytes;
    let begin = TABLES[7][usize::from(first ^ high)] ^ TABLES[6][usize::from(second ^ low)];
    let others = others.iter().zip(TABLES[..6].iter().rev());
    others.fold(begin, |crc, (&byte, table)| crc ^ table[usize::from(byte)])
}

fn step(crc: u16, byte: u8) -> u16 {
    (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)]
}

/// What a byte adds when so many others follow it.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [table(); 8];
    let mut followed = 1;
    while followed < tables.len() {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[followed - 1][byte];
            tables[followed][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        followed += 1;
    }
    tables
}

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
        fn eight_bytes_at_a_time_give_what_one_does(key: Vec<u8>) {
            proptest::prop_assert_eq!(checksum(&key), key.iter().fold(0, |crc, &byte| step(crc, byte)));
        }

        #[test]
        fn a_key_in_a_buffer_has_the_slot_and_the_tag_it_has_alone(key in "[a{}\\\\x0-9]{0,70}", after in "[{}a]{0,70}") {
            let buffer = [b"}{", key.as_bytes(), after.as_bytes()].concat();
            let within = 2..2 + key.len();
            let tag = hash_tag(key.as_bytes());
            let found = hash_tag_within(&buffer, within.clone());
            proptest::prop_assert_eq!(found.map(|tag| &buffer[tag]), tag);
            let expected = (of_printed_key(key.as_bytes()), tag.is_some());
            proptest::prop_assert_eq!(of_printed_key_within(&buffer, within), expected);
        }

        #[test]
        fn keys_that_differ_in_digits_have_their_slots(key in "[a{}:0-9]{0,70}", values: u64, after in "[{}a]{0,70}") {
            let may_differ = |place: usize| place < 64 && key.as_bytes()[place].is_ascii_digit() && values >> place & 1 == 0;
            let digits = (0..key.len()).filter(|place| may_differ(*place)).fold(0, |digits, place| digits | 1 << place);
            let other: Vec<u8> = key.bytes().enumerate().map(|(place, byte)| match may_differ(place) {
                true => b'0' + (values >> (place % 60)) as u8 % 10,
                false => byte,
            }).collect();
            let hashed = Hashed::of(key.as_bytes(), Some(digits));
            proptest::prop_assert_eq!(hashed.is_some(), key.len() < 64);
            for buffer in [[b"}{", &other[..], after.as_bytes()].concat(), [b"}{", &other[..]].concat()] {
                let expected = (of_printed_key(&other), hash_tag(&other).is_some());
                for hashed in [hashed, Hashed::of(key.as_bytes(), None)].iter().flatten() {
                    proptest::prop_assert_eq!((hashed.slot(&buffer, 2), hashed.is_tag()), expected);
                }
            }
        }

        #[test]
        fn the_printed_form_has_the_slot_of_the_key(key: Vec<u8>) {
            let printed = crate::analysis::line::reference::print(&key);
            proptest::prop_assert_eq!(of_printed_key(&printed), of_key(&key));
        }
    }
}
