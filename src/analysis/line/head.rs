//! What stands before the command: the time stamp, the database and the source.

use std::ops::Range;

use memchr::memmem;

use super::arguments::closing_quote;
use super::block::Block;
use crate::analysis::window::Rejection;
use crate::model::Timestamp;

/// Where in the buffer the parts of a line's head stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where the time stamp begins.
    pub(crate) stamp: usize,
    /// Where the database's number stands.
    pub(crate) database: Range<usize>,
    /// The source as printed: `10.0.0.1:1234`, `[::1]:1234`, `lua`, `unix:/a path`.
    pub(crate) source: Range<usize>,
    /// Where the command begins, after its opening quote.
    pub(crate) command: usize,
}

impl Head {
    /// Of the line `buffer[start..end]`, which has neither its line end nor a `+` any more.
    #[inline(always)]
    pub(crate) fn read(buffer: &[u8], start: usize, end: usize) -> Result<Self, Rejection> {
        match Self::common(buffer, start, end) {
            Some(head) => Ok(head),
            None => Self::any(&buffer[..end], start),
        }
    }

    /// The form nearly every line has: ten digits of seconds, one of the database, an IPv4 client or Lua.
    #[inline(always)]
    fn common(buffer: &[u8], start: usize, end: usize) -> Option<Self> {
        let front: &[u8; 21] = buffer.get(start..start + 21)?.try_into().ok()?;
        let seconds = u64::from_le_bytes(front[..8].try_into().ok()?);
        // The point between seconds and microseconds becomes a zero, so that one test serves for all.
        let point = u64::from(b'.' ^ b'0') << 16;
        let middle = u64::from_le_bytes(front[8..16].try_into().ok()?) ^ point;
        let tail = front[16].is_ascii_digit() && front[17] == b' ' && front[18] == b'[';
        let database = front[19].is_ascii_digit() && front[20] == b' ';
        if !(all_digits(seconds) && all_digits(middle) && tail && database) {
            return None;
        }
        let source = start + 21;
        let block = Block::at(buffer, source);
        let first = *buffer.get(source)?;
        let close = block.places_of(b']').trailing_zeros() as usize;
        let command = source + close + 3;
        if command >= end || buffer.get(source + close..command) != Some(b"] \"") {
            return None;
        }
        let known = first.is_ascii_digit() && block.places_of(b':').trailing_zeros() < close as u32
            || &buffer[source..source + close] == b"lua";
        known.then_some(Self {
            stamp: start,
            database: start + 19..start + 20,
            source: source..source + close,
            command,
        })
    }

    /// Every form, byte by byte.
    #[cold]
    fn any(line: &[u8], start: usize) -> Result<Self, Rejection> {
        let stamp = stamp_length(&line[start..]).ok_or(Rejection::Timestamp)?;
        let bracket = start + stamp;
        if line.get(bracket..bracket + 2) != Some(b" [") {
            return Err(Rejection::Timestamp);
        }
        let number = bracket + 2;
        let digits = line[number..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let source = number + digits + 1;
        if digits == 0 || line.get(source - 1) != Some(&b' ') {
            return Err(Rejection::Source);
        }
        let close = source + source_length(&line[source..])?;
        Ok(Self {
            stamp: start,
            database: number..number + digits,
            source: source..close,
            command: close + 3,
        })
    }
}

/// Seconds, a point and six digits: how many bytes.
fn stamp_length(text: &[u8]) -> Option<usize> {
    let seconds = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let fraction = text.get(seconds + 1..seconds + 7)?;
    let right = (1..=12).contains(&seconds) && text[seconds] == b'.' && fraction.iter().all(u8::is_ascii_digit);
    right.then_some(seconds + 7)
}

/// How long the source is that `text` begins with.
///
/// An IPv6 client and a socket's path hold `]` themselves, and a path may even hold `] "`; so the source ends at the first `] "`
/// from which an argument can be read.
fn source_length(text: &[u8]) -> Result<usize, Rejection> {
    let mut ends = memmem::find_iter(text, b"] \"").peekable();
    ends.peek().ok_or(Rejection::Source)?;
    let length = ends
        .find(|&close| begins_arguments(&text[close + 2..]))
        .ok_or(Rejection::Arguments)?;
    let source = &text[..length];
    let address = source
        .iter()
        .rposition(|&byte| byte == b':')
        .is_some_and(|colon| colon > 0);
    if source == b"lua" || address {
        Ok(length)
    } else {
        Err(Rejection::Source)
    }
}

/// Whether a quoted argument stands here, followed by another or by the end.
fn begins_arguments(text: &[u8]) -> bool {
    closing_quote(text, 1, text.len())
        .is_none_or(|closing| closing + 1 == text.len() || text[closing + 1..].starts_with(b" \""))
}

/// Whether all eight bytes are ASCII digits.
#[inline(always)]
fn all_digits(bytes: u64) -> bool {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    // Adding six carries `:` to `?` into the next row of the code table.
    bytes & HIGH == ZEROS && bytes.wrapping_add(0x0606_0606_0606_0606) & HIGH == ZEROS
}

/// The time stamp at the beginning of `text`, which was checked to hold one.
pub(crate) fn time(text: &[u8]) -> Timestamp {
    let digits = |micros: u64, byte: &u8| micros.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
    let stamp = text.iter().filter(|byte| **byte != b'.');
    Timestamp(stamp.take_while(|byte| byte.is_ascii_digit()).fold(0, digits))
}
