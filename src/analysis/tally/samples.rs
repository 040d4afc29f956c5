//! Lines kept as they were printed, so that it can be worked out after the window what commands were answered with: the first ones of
//! every signature, and an even draw of all.
//!
//! A line that isn't kept costs a countdown and a comparison. When the room for drawn lines is full, every other one leaves and the
//! rest are drawn half as often.

use std::ops::Range;

use memchr::memchr;

use super::signatures::Signature;
use crate::analysis::line::{Following, closing_quote, following};

/// Of every signature so many lines are kept before the draw decides.
const FIRST: u64 = 8;
/// Lines that are kept because they are the first.
const FIRST_ROOM: Room = Room {
    lines: 2048,
    bytes: 192 * 1024,
};
/// Lines that are drawn.
const DRAWN_ROOM: Room = Room {
    lines: 4096,
    bytes: 384 * 1024,
};
/// No more of a line is kept: the commands whose reply depends on their arguments have short ones.
const LINE_MAX: usize = 320;
/// The mean distance of drawn lines at first.
const DISTANCE: u64 = 4;

/// What a buffer holds of a line: where its time stamp begins.
pub(super) type Place<'buffer> = (&'buffer [u8], usize);

#[derive(Debug)]
pub(super) struct Samples {
    /// Below this count a signature's line is kept; 0 keeps none.
    pub(super) first_below: u64,
    /// Lines until the next one is drawn.
    pub(super) until_next: u64,
    first: Kept,
    drawn: Kept,
    distance: u64,
    chance: u64,
}

/// One line that was kept.
#[derive(Clone, Debug)]
pub(super) struct KeptLine {
    pub(super) signature: Signature,
    text: Range<usize>,
    /// How many arguments the whole line had, the command among them.
    pub(super) arguments: usize,
}

#[derive(Clone, Copy, Debug)]
struct Room {
    lines: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    lines: Vec<KeptLine>,
    text: Vec<u8>,
    room: Room,
}

impl Samples {
    /// Keeps lines if `wanted`, else none.
    pub(super) fn new(wanted: bool, seed: u64) -> Self {
        Self {
            first_below: if wanted { FIRST + 1 } else { 0 },
            until_next: if wanted { DISTANCE } else { u64::MAX },
            first: Kept::new(FIRST_ROOM),
            drawn: Kept::new(DRAWN_ROOM),
            distance: DISTANCE,
            chance: seed | 1,
        }
    }

    /// Keeps a line that was drawn, or is one of its signature's first.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, signature: Signature, (buffer, stamp): Place<'_>) {
        let line = &buffer[stamp..];
        let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.until_next != 0 {
            if !self.first.take(signature, line) {
                self.first_below = 0;
            }
            return;
        }
        if !self.drawn.take(signature, line) {
            self.drawn.thin_out();
            self.distance *= 2;
        }
        self.until_next = 1 + self.below(2 * self.distance - 1);
    }

    /// The lines drawn from all, then the first of every signature, each with its text.
    pub(super) fn lines(&self) -> [impl Iterator<Item = (&KeptLine, &[u8])>; 2] {
        [&self.drawn, &self.first].map(|kept| kept.lines.iter().map(|line| (line, &kept.text[line.text.clone()])))
    }

    /// The xorshift generator: lines that come in a rhythm must not be drawn in it.
    fn below(&mut self, limit: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % limit.max(1)
    }
}

impl Kept {
    fn new(room: Room) -> Self {
        Self {
            lines: Vec::new(),
            text: Vec::new(),
            room,
        }
    }

    /// Keeps a line's beginning; `false` if there is no room.
    fn take(&mut self, signature: Signature, line: &[u8]) -> bool {
        let beginning = &line[..line.len().min(LINE_MAX)];
        let start = self.text.len();
        if self.lines.len() == self.room.lines || start + beginning.len() > self.room.bytes {
            return false;
        }
        self.text.extend_from_slice(beginning);
        self.lines.push(KeptLine {
            signature,
            text: start..self.text.len(),
            arguments: arguments(line),
        });
        true
    }

    /// Every other line leaves.
    fn thin_out(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let text = std::mem::take(&mut self.text);
        for line in lines.into_iter().step_by(2) {
            let start = self.text.len();
            self.text.extend_from_slice(&text[line.text.clone()]);
            self.lines.push(KeptLine {
                text: start..self.text.len(),
                ..line
            });
        }
    }
}

/// How many arguments a line has, the command among them.
fn arguments(line: &[u8]) -> usize {
    let Some(head) = line.windows(3).position(|three| three == b"] \"") else {
        return 0;
    };
    let (mut begin, mut count) = (head + 3, 0);
    while let Some(closing) = closing_quote(line, begin, line.len()) {
        count += 1;
        match following(line, closing, line.len()) {
            Following::Argument(next) => begin = next,
            Following::End | Following::Broken => break,
        }
    }
    count
}
