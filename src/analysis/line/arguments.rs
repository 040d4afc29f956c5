//! The quoted arguments of a line, one after the other, as they were printed.

use super::block::Block;
use crate::analysis::window::Rejection;

/// Where the argument that begins at `from`, after its opening quote, has its closing quote; `None` if not before `end`.
#[inline(always)]
pub(crate) fn closing_quote(buffer: &[u8], from: usize, end: usize) -> Option<usize> {
    let mut position = from;
    while position < end {
        let block = Block::at(buffer, position);
        let quote = block.places_of(b'"').trailing_zeros();
        let backslash = block.places_of(b'\\').trailing_zeros();
        if quote < backslash {
            let closing = position + quote as usize;
            return (closing < end).then_some(closing);
        }
        // What follows a backslash belongs to it, a quote or another backslash too.
        position += if backslash < 32 {
            backslash as usize + 2
        } else {
            Block::LENGTH
        };
    }
    None
}

/// Where the argument after the one that closes at `closing` begins, after its opening quote.
#[inline(always)]
pub(crate) fn following(buffer: &[u8], closing: usize, end: usize) -> Following {
    if closing + 1 == end {
        return Following::End;
    }
    match buffer.get(closing + 1..closing + 3) {
        Some(b" \"") if closing + 3 <= end => Following::Argument(closing + 3),
        _ => Following::Broken,
    }
}

/// What comes after an argument.
pub(crate) enum Following {
    /// Another, that begins here.
    Argument(usize),
    /// The end of the line.
    End,
    /// Something that MONITOR doesn't print.
    Broken,
}

/// The arguments of a line, the command first, as MONITOR printed them, without their quotes.
#[derive(Clone, Debug)]
pub struct Arguments<'line> {
    /// From the first argument's opening quote to the end of the line; empty when all are taken.
    rest: &'line [u8],
}

impl<'line> Arguments<'line> {
    /// Of the part of a line that begins with the first argument's opening quote.
    pub(super) fn new(rest: &'line [u8]) -> Self {
        Self { rest }
    }
}

impl<'line> Iterator for Arguments<'line> {
    type Item = Result<&'line [u8], Rejection>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        if rest[0] != b'"' {
            return Some(Err(Rejection::Arguments));
        }
        let Some(closing) = closing_quote(rest, 1, rest.len()) else {
            return Some(Err(Rejection::Arguments));
        };
        match following(rest, closing, rest.len()) {
            Following::Argument(next) => self.rest = &rest[next - 1..],
            Following::End => {}
            Following::Broken => return Some(Err(Rejection::Arguments)),
        }
        Some(Ok(&rest[1..closing]))
    }
}
