//! The front of an everyday line at a glance: source, command and first argument from one look at its first 85 bytes.
//!
//! It knows one form only: ten digits of seconds, one of the database, an IPv4 client or Lua, no escape up to the end of the first argument.
//! Whatever else a line is, and a line near the buffer's end, is left to [`Head`], which says what is right.

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
    /// The argument after it, if it ends within sight.
    pub(crate) first: Option<(usize, usize)>,
    /// The client's address, without its port; `None` is Lua.
    pub(crate) address: Option<u128>,
    /// The name's bytes, if it has sixteen at most.
    pub(crate) printed: Option<u128>,
}

/// Up to the source.
const STAMP: usize = 21;
/// So many bytes are looked at.
const SIGHT: usize = STAMP + Window::LENGTH + 19;
/// An IPv4 client and its port are no longer.
const SOURCE_MAX: usize = 21;

impl Front {
    /// Of the line `buffer[start..end]`, which has neither its line end nor a `+` any more.
    #[inline(always)]
    pub(crate) fn read(buffer: &[u8], start: usize, end: usize) -> Option<Self> {
        let line: &[u8; SIGHT] = buffer.get(start..start + SIGHT)?.try_into().ok()?;
        if !is_everyday_stamp(line) {
            return None;
        }
        let source = start + STAMP;
        let within = u64::MAX >> (Window::LENGTH - end.checked_sub(source)?.clamp(1, Window::LENGTH));
        let window = Window::of(line[STAMP..STAMP + Window::LENGTH].try_into().ok()?);
        let quotes = window.places_of(b'"') & within;
        let escapes = window.places_of(b'\\');
        let after_first = quotes & quotes.wrapping_sub(1);
        let after_second = after_first & after_first.wrapping_sub(1);
        let after_third = after_second & after_second.wrapping_sub(1);
        let (opening, closing) = (place(quotes), place(after_first));
        if !(5..=SOURCE_MAX + 2).contains(&opening) || closing == Window::LENGTH || closing == opening + 1 {
            return None;
        }
        let close = opening - 2;
        if place(u64::from(window.low_places_of(b']'))) != close || line[STAMP + close + 1] != b' ' {
            return None;
        }
        let first = place(after_second)..place(after_third);
        let blank = line[STAMP + closing + 1] == b' ' && first.start == closing + 2;
        let seen = if blank && first.end < Window::LENGTH {
            first.end
        } else {
            closing
        };
        if escapes & (u64::MAX >> (Window::LENGTH - 1 - seen)) != 0 {
            return None;
        }
        let address = if line[STAMP].is_ascii_digit() {
            Some(address(line, close)?)
        } else if close == 3 && line[STAMP..STAMP + 3] == *b"lua" {
            None
        } else {
            return None;
        };
        let length = closing - opening - 1;
        let begun = line[STAMP + opening + 1..].first_chunk().map(Sixteen::of);
        Some(Self {
            source,
            source_end: source + close,
            name: source + opening + 1,
            name_end: source + closing,
            first: (seen > closing).then_some((source + first.start + 1, source + first.end)),
            address,
            printed: begun.filter(|_| length <= 16).map(|begun| begun.head(length)),
        })
    }
}

impl Front {
    /// The same as any other line's.
    #[inline(always)]
    pub(crate) fn head(&self) -> Head {
        let stamp = self.source - STAMP;
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

/// `1795202082.056681 [0 `: ten digits, a point, six digits, a database of one digit.
#[inline(always)]
fn is_everyday_stamp(line: &[u8; SIGHT]) -> bool {
    const POINT: u32 = 1 << 10;
    let digits = line.first_chunk().map_or(0, |front| Sixteen::of(front).digits());
    digits == 0xffff & !POINT
        && line[10] == b'.'
        && line[16].is_ascii_digit()
        && line[17..19] == *b" ["
        && line[19].is_ascii_digit()
        && line[20] == b' '
}

/// What stands before the source's only colon, at most fifteen bytes.
#[inline(always)]
fn address(line: &[u8; SIGHT], close: usize) -> Option<u128> {
    let front = Sixteen::of(line[STAMP..].first_chunk()?);
    let colons = front.places_of(b':') & ((1 << close.min(16)) - 1);
    // With more than one it isn't IPv4.
    if colons == 0 || colons & (colons - 1) != 0 {
        return None;
    }
    Some(front.head(colons.trailing_zeros() as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a line when enough bytes follow it.
    fn check(line: &str, seen: Option<&str>) {
        let buffer = [line.as_bytes(), &[b'x'; SIGHT]].concat();
        let front = Front::read(&buffer, 0, line.len());
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
        let near_the_end = &line.as_bytes()[..line.len().min(SIGHT - 1)];
        assert_eq!(Front::read(near_the_end, 0, near_the_end.len()), None, "{line}");
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
        check(&format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"k\\x00\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656] \"\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656]\"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 10.0.0.9] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 1:2:3] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0  lua] \"GET\" \"k\""), None);
    }
}
