//! The front of an everyday line at a glance: source, command and first argument from one look at its first 85 bytes.
//!
//! It knows one form only: ten digits of seconds, one of the database, an IPv4 client or Lua, a short name without an escape. Whatever else
//! a line is, and a line near the buffer's end, is left to [`Head`], which says what is right.

use super::block::{Sixteen, Window};
use super::head::Head;

/// Where an everyday line's parts stand, all places of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    /// Where the source begins; the time stamp is 21 bytes before, the database's number two.
    pub(crate) source: usize,
    /// Where the source ends, before its bracket.
    pub(crate) source_end: usize,
    /// Where the command's name begins.
    pub(crate) name: usize,
    /// Its closing quote.
    pub(crate) name_end: usize,
    /// The argument after it, if it ends within sight and has no escape.
    pub(crate) first: Option<(usize, usize)>,
    /// The client's address, without its port; `None` is Lua.
    pub(crate) address: Option<u128>,
    /// The name's bytes.
    pub(crate) printed: u128,
}

/// Up to the source.
const STAMP: usize = 21;
/// So many bytes are looked at.
pub(crate) const SIGHT: usize = STAMP + Window::LENGTH + 19;
/// An IPv4 client and its port are no longer.
const SOURCE_MAX: usize = 21;
const NAME_MAX: usize = 16;

/// The digits of a second and the point behind them: what nearly every line has in common with the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second([u8; Second::LENGTH]);

impl Second {
    const LENGTH: usize = 11;

    /// The second in which a line was printed; `None` if it hasn't ten digits.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        let second: &[u8; Self::LENGTH] = line.first_chunk()?;
        let [digits @ .., point] = second;
        (*point == b'.' && digits.iter().all(u8::is_ascii_digit)).then_some(Self(*second))
    }

    /// Whether a line was printed in this second.
    #[inline(always)]
    pub(crate) fn is_of(self, line: &[u8]) -> bool {
        line.first_chunk() == Some(&self.0)
    }

    /// The digits alone.
    pub(crate) fn digits(&self) -> &[u8] {
        &self.0[..Self::LENGTH - 1]
    }
}

impl Front {
    /// Of a line with [`Second`], which has neither its line end nor a `+` any more: it begins at `start` of the buffer, ends at `end`,
    /// and `line` are the bytes from its beginning on.
    #[inline(always)]
    pub(crate) fn read(line: &[u8; SIGHT], start: usize, end: usize) -> Option<Self> {
        let source = start + STAMP;
        let within = end.checked_sub(source)?;
        let window = Window::of(line[STAMP..STAMP + Window::LENGTH].try_into().ok()?);
        // A quote after a backslash is none; so the lowest marks are quotes as long as they aren't backslashes.
        let marks = window.places_of_either(b'"', b'\\');
        let after_first = marks & marks.wrapping_sub(1);
        let after_second = after_first & after_first.wrapping_sub(1);
        let after_third = after_second & after_second.wrapping_sub(1);
        let (opening, closing, first_closing) = (place(marks), place(after_first), place(after_third));
        let length = closing.wrapping_sub(opening + 1);
        if !has_everyday_rest(line) || !(5..=SOURCE_MAX + 2).contains(&opening) || !(1..=NAME_MAX).contains(&length) {
            return None;
        }
        let close = opening - 2;
        if closing >= within || line[STAMP + close..STAMP + opening + 1] != *b"] \"" || line[STAMP + closing] != b'"' {
            return None;
        }
        let first = if line[STAMP + closing..STAMP + closing + 3] != *b"\" \"" {
            if closing + 1 != within {
                return None;
            }
            None
        } else {
            let is_seen = first_closing < within.min(Window::LENGTH) && line[STAMP + first_closing] == b'"';
            is_seen.then_some((source + closing + 3, source + first_closing))
        };
        let address = if line[STAMP].is_ascii_digit() {
            Some(address(line, close)?)
        } else if close == 3 && line[STAMP..STAMP + 3] == *b"lua" {
            None
        } else {
            return None;
        };
        Some(Self {
            source,
            source_end: source + close,
            name: source + opening + 1,
            name_end: source + closing,
            first,
            address,
            printed: Sixteen::of(line[STAMP + opening + 1..].first_chunk()?).head(length),
        })
    }
}

impl Front {
    /// Where the time stamp begins.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> usize {
        self.source - STAMP
    }

    /// The same as any other line's.
    #[inline(always)]
    pub(crate) fn head(&self) -> Head {
        let stamp = self.stamp();
        Head {
            stamp,
            database: stamp + 19..stamp + 20,
            source: self.source..self.source_end,
            command: self.name,
        }
    }
}

/// Where the lowest bit stands.
#[inline(always)]
fn place(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

/// After the second: six digits, ` [`, a database of one digit, a blank.
#[inline(always)]
fn has_everyday_rest(line: &[u8; SIGHT]) -> bool {
    const EXPECTED: u64 = u64::from_le_bytes(*b"000000 [");
    // Adding six to what a digit has more than `0` leaves its high bits alone, and any other byte's has a high bit before or after.
    const HIGH: u64 = 0xffff_f0f0_f0f0_f0f0;
    const SIX: u64 = 0x0606_0606_0606;
    let (micros, database) = (
        line[Second::LENGTH..].first_chunk(),
        line[Second::LENGTH + 8..].first_chunk(),
    );
    let micros = micros.map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes) ^ EXPECTED);
    let digit = database.map_or(u16::MAX, |bytes| {
        u16::from_le_bytes(*bytes) ^ u16::from_le_bytes(*b"0 ")
    });
    (micros | micros.wrapping_add(SIX)) & HIGH == 0 && digit < 10
}

/// What stands before the source's only colon, at most fifteen bytes.
#[inline(always)]
fn address(line: &[u8; SIGHT], close: usize) -> Option<u128> {
    let front = Sixteen::of(line[STAMP..].first_chunk()?);
    let back = Sixteen::of(line[STAMP + 16..].first_chunk()?);
    let colons = (front.places_of(b':') | back.places_of(b':') << 16) & ((1 << close) - 1);
    let colon = colons.trailing_zeros() as usize;
    // With more than one it isn't IPv4.
    (colon < 16 && colons & (colons - 1) == 0).then(|| front.head(colon))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a line when enough bytes follow it.
    fn check(line: &str, seen: Option<&str>) {
        let buffer = [line.as_bytes(), &[b'x'; SIGHT]].concat();
        let seen_bytes = buffer.first_chunk().filter(|_| Second::of(&buffer).is_some());
        let front = seen_bytes.and_then(|bytes| Front::read(bytes, 0, line.len()));
        let parts = front.map(|front| {
            let client = front.address.map_or("lua".into(), |address| {
                let address = address.to_le_bytes();
                String::from_utf8_lossy(&address).trim_end_matches('\0').to_owned()
            });
            let first = front.first.map_or("", |(begin, end)| &line[begin..end]);
            format!("{client}|{}|{first}", &line[front.name..front.name_end])
        });
        assert_eq!(parts.as_deref(), seen, "{line}");
        if let Some(front) = front {
            assert_eq!(Ok(front.head()), Head::read(line.as_bytes(), 0, line.len()), "{line}");
        }
    }

    const STAMP: &str = "1795202082.056681";

    #[test]
    fn an_everyday_line_is_seen_at_once() {
        check(
            &format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"user:1\""),
            Some("10.0.0.9|GET|user:1"),
        );
        check(
            &format!("{STAMP} [9 255.255.255.255:65535] \"p\""),
            Some("255.255.255.255|p|"),
        );
        check(&format!("{STAMP} [0 lua] \"set\" \"\" \"\\\"\""), Some("lua|set|"));
        check(
            &format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"k\\x00\""),
            Some("10.0.0.9|GET|"),
        );
        let long = "k".repeat(60);
        check(
            &format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"{long}\""),
            Some("10.0.0.9|GET|"),
        );
    }

    #[test]
    fn whatever_else_a_line_is_is_left_alone() {
        check(&format!("{STAMP} [12 10.0.0.9:35656] \"GET\" \"k\""), None);
        check("795202082.056681 [0 10.0.0.9:35656] \"GET\" \"k\"", None);
        check(&format!("{STAMP} [0 [::1]:35656] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 unix:/run/a] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656] \"GE\\x54\" \"k\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656] \"\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656]\"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 10.0.0.9] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 1:2:3] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 1x7.0.0.1:3565 [0 1:1] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0  lua] \"GET\" \"k\""), None);
    }
}
