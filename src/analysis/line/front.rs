//! The front of an everyday line at a glance: source, command and first argument from one look at its first 93 bytes.
//!
//! It knows one form only: ten digits of seconds, one of the database, an IPv4 client or Lua, a short name. Whatever else
//! a line is, and a line near the buffer's end, is left to [`Head`], which says what is right.

use std::ops::Range;

use super::block::{Sixteen, Window};
use super::head::Head;

/// Where an everyday line's parts stand: where it begins in the buffer, and how far from there they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    /// Where the line begins with its time stamp.
    pub(crate) stamp: usize,
    /// The client's address as it was printed, without its port; [`Front::LUA`] is a script's.
    pub(crate) address: u128,
    /// The name's bytes.
    pub(crate) printed: u128,
    name: u8,
    name_end: u8,
    /// Where the argument after the name ends, if it ends within sight and not in an escape; else 0.
    first_end: u8,
}

/// Up to the source.
const STAMP: usize = 21;
/// No quote is nearer to the source's beginning than that of the command of a script.
const UNQUOTED: usize = b"lua] ".len();
/// From here on quotes are looked for.
const LOOK: usize = STAMP + UNQUOTED;
/// So many bytes are looked at.
pub(crate) const SIGHT: usize = LOOK + Window::LENGTH + 3;
/// An IPv4 client and its port are no longer.
const SOURCE_MAX: usize = 21;
const NAME_MAX: usize = 16;

/// The digits of a second and the point behind them: what nearly every line has in common with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Second {
    printed: [u8; Second::LENGTH],
    /// The least and the greatest of each of the first sixteen bytes up to the source, and of the last sixteen.
    bounds: [[[u8; Sixteen::LENGTH]; 2]; 2],
}

impl Default for Second {
    /// No line's.
    fn default() -> Self {
        Self {
            printed: [0; Self::LENGTH],
            // Eleven bytes are among the first sixteen and among the last, and none is both.
            bounds: [[[0; Sixteen::LENGTH]; 2], [[1; Sixteen::LENGTH]; 2]],
        }
    }
}

impl Second {
    const LENGTH: usize = 11;

    /// The second in which a line was printed; `None` if it hasn't ten digits.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        let printed: &[u8; Self::LENGTH] = line.first_chunk()?;
        let [digits @ .., point] = printed;
        if *point != b'.' || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let bounds = [b"000000 [0 ", b"999999 [9 "].map(|rest| {
            let mut bound = [0; STAMP];
            bound[..Self::LENGTH].copy_from_slice(printed);
            bound[Self::LENGTH..].copy_from_slice(rest);
            bound
        });
        Some(Self {
            printed: *printed,
            bounds: [
                bounds.map(|bound| *bound.first_chunk().expect("21 bytes are more than 16")),
                bounds.map(|bound| *bound.last_chunk().expect("21 bytes are more than 16")),
            ],
        })
    }

    /// Whether a line was printed in this second.
    #[inline(always)]
    pub(crate) fn is_of(&self, line: &[u8]) -> bool {
        line.first_chunk() == Some(&self.printed)
    }

    /// Whether all up to the source is an everyday line's: this second, six digits, ` [`, a database of one digit, a blank.
    #[inline(always)]
    pub(crate) fn begins(&self, line: &[u8; SIGHT]) -> bool {
        let [first, last] = &self.bounds;
        let within = |place: usize, [least, greatest]: &[[u8; Sixteen::LENGTH]; 2]| {
            let bytes = line[place..].first_chunk().expect("a line in sight is longer");
            Sixteen::of(bytes).places_within(Sixteen::of(least), Sixteen::of(greatest))
        };
        within(0, first) & within(STAMP - Sixteen::LENGTH, last) == Sixteen::ALL
    }

    /// The digits alone.
    pub(crate) fn digits(&self) -> &[u8] {
        &self.printed[..Self::LENGTH - 1]
    }
}

impl Front {
    /// The address of what a script calls.
    pub(crate) const LUA: u128 = 0;

    /// Of a line whose [`Second`] begins it, which has neither its line end nor a `+` any more: it begins at `start` of the buffer,
    /// ends at `end`, and `line` are the bytes from its beginning on.
    #[inline(always)]
    pub(crate) fn read(line: &[u8; SIGHT], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        let window = Window::of(line[LOOK..LOOK + Window::LENGTH].try_into().ok()?);
        let marks = window.places_of(b'"');
        let after_first = marks & marks.wrapping_sub(1);
        let after_second = after_first & after_first.wrapping_sub(1);
        let after_third = after_second & after_second.wrapping_sub(1);
        let [opening, closing, first_closing] = [marks, after_first, after_third].map(|marks| LOOK + place(marks));
        let name = opening + 1;
        let name_length = closing.wrapping_sub(name);
        if !(LOOK..=STAMP + SOURCE_MAX + 2).contains(&opening) || !(1..=NAME_MAX).contains(&name_length) {
            return None;
        }
        // A quote is one where no backslash is before it. After one it may be one all the same; what it is others will find out.
        if closing >= length || line[opening - 2..name] != *b"] \"" || line[closing - 1] == b'\\' {
            return None;
        }
        let mut first_end = 0;
        if line[closing..closing + 3] != *b"\" \"" {
            if closing + 1 != length {
                return None;
            }
        } else if first_closing < length.min(LOOK + Window::LENGTH) && line[first_closing - 1] != b'\\' {
            first_end = first_closing as u8;
        }
        Some(Self {
            stamp: start,
            address: address(line, opening - 2 - STAMP)?,
            printed: Sixteen::of(line[name..].first_chunk()?).head(name_length),
            name: name as u8,
            name_end: closing as u8,
            first_end,
        })
    }
}

impl Front {
    /// Where the command's name stands.
    #[inline(always)]
    pub(crate) fn name(&self) -> Range<usize> {
        self.stamp + usize::from(self.name)..self.name_end()
    }

    /// Where the command's name has its closing quote.
    #[inline(always)]
    pub(crate) fn name_end(&self) -> usize {
        self.stamp + usize::from(self.name_end)
    }

    /// Where the argument after the name closes, if that is within sight and isn't an escape; else 0.
    #[inline(always)]
    pub(crate) fn first_end(&self) -> usize {
        match self.first_end {
            0 => 0,
            end => self.stamp + usize::from(end),
        }
    }

    /// The same as any other line's.
    #[inline(always)]
    pub(crate) fn head(&self) -> Head {
        let command = self.name().start;
        Head {
            stamp: self.stamp,
            database: self.stamp + 19..self.stamp + 20,
            source: self.stamp + STAMP..command - 3,
            command,
        }
    }
}

/// Where the lowest bit stands.
#[inline(always)]
fn place(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

/// Of a source of that length: what stands before its only colon, at most fifteen bytes; or it is a script.
#[inline(always)]
fn address(line: &[u8; SIGHT], length: usize) -> Option<u128> {
    let front = Sixteen::of(line[STAMP..].first_chunk()?);
    // Where none was looked for, a quote would be taken for part of the source.
    if front.places_of(b'"') & ((1 << UNQUOTED) - 1) != 0 {
        return None;
    }
    if !line[STAMP].is_ascii_digit() {
        return (length == 3 && line[STAMP..STAMP + 3] == *b"lua").then_some(Front::LUA);
    }
    let back = Sixteen::of(line[STAMP + Sixteen::LENGTH..].first_chunk()?);
    let colons = (front.places_of(b':') | back.places_of(b':') << Sixteen::LENGTH) & ((1 << length) - 1);
    let colon = colons.trailing_zeros() as usize;
    // With more than one it isn't IPv4.
    (colon < Sixteen::LENGTH && colons & (colons - 1) == 0).then(|| front.head(colon))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a line when enough bytes follow it.
    fn check(line: &str, seen: Option<&str>) {
        let buffer = [line.as_bytes(), &[b'x'; SIGHT]].concat();
        let begins = |bytes: &&[u8; SIGHT]| Second::of(&buffer).is_some_and(|second| second.begins(bytes));
        let seen_bytes = buffer.first_chunk().filter(begins);
        let front = seen_bytes.and_then(|bytes| Front::read(bytes, 0, line.len()));
        let parts = front.map(|front| {
            let address = front.address.to_le_bytes();
            let client = match front.address {
                Front::LUA => "lua".into(),
                _ => String::from_utf8_lossy(&address).trim_end_matches('\0').to_owned(),
            };
            let first = match front.first_end() {
                0 => "",
                end => &line[front.name_end() + 3..end],
            };
            format!("{client}|{}|{first}", &line[front.name()])
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
            &format!("{STAMP} [0 10.0.0.9:35656] \"GE\\x54\" \"k\\x00k\""),
            Some("10.0.0.9|GE\\x54|k\\x00k"),
        );
        check(
            &format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"k\\\"k\""),
            Some("10.0.0.9|GET|"),
        );
        check(
            &format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"k\\\\\""),
            Some("10.0.0.9|GET|"),
        );
        check(&format!("{STAMP} [0 1:1] \"GET\" \"k\""), Some("1|GET|k"));
        let seen = "k".repeat(40);
        check(
            &format!("{STAMP} [0 10.0.0.9:35656] \"GET\" \"{seen}\""),
            Some(&format!("10.0.0.9|GET|{seen}")),
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
        check(&format!("{STAMP} [0 10.0.0.9:35656] \"GE\\\"T\" \"k\""), None);
        check(&format!("{STAMP} [0 1\"] \"2:35656] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 1:] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656] \"\""), None);
        check(&format!("{STAMP} [0 10.0.0.9:35656]\"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 10.0.0.9] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 1:2:3] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0 1x7.0.0.1:3565 [0 1:1] \"GET\" \"k\""), None);
        check(&format!("{STAMP} [0  lua] \"GET\" \"k\""), None);
    }
}
