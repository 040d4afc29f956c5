//! Words: runs of letters and digits, and what they are made of, by one table of bytes.

use std::ops::Range;

pub(super) const DIGIT: u8 = 1;
const BEYOND_HEX: u8 = 2;
pub(super) const LOWER: u8 = 4;
pub(super) const UPPER: u8 = 8;
const SEPARATOR: u8 = 16;
const BRACE: u8 = 32;
pub(super) const WORD: u8 = DIGIT | LOWER | UPPER;

pub(super) static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => LOWER,
            b'g'..=b'z' => LOWER | BEYOND_HEX,
            b'A'..=b'F' => UPPER,
            b'G'..=b'Z' => UPPER | BEYOND_HEX,
            b':' | b'/' | b'.' | b'|' | b'#' | b'_' | b'-' => SEPARATOR,
            b'{' | b'}' => BRACE,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// Whether the byte ends a segment: a separator, or a brace of a hash tag.
pub(in crate::analysis::pattern) fn ends_segment(byte: u8) -> bool {
    KINDS[usize::from(byte)] & (SEPARATOR | BRACE) != 0
}

/// Whether the byte belongs to a word.
pub(in crate::analysis::pattern) fn in_word(byte: u8) -> bool {
    KINDS[usize::from(byte)] & WORD != 0
}

pub(super) fn is_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

pub(super) fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| in_word(*byte))
}

/// A run of letters and digits, and what it is made of.
#[derive(Clone, Copy)]
pub(in crate::analysis::pattern) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kinds: u8,
}

impl Word {
    pub(super) fn at(key: &[u8], start: usize) -> Self {
        let mut kinds = 0;
        let mut end = start;
        while let Some(&byte) = key.get(end) {
            let kind = KINDS[usize::from(byte)];
            if kind & WORD == 0 {
                break;
            }
            kinds |= kind;
            end += 1;
        }
        Self { start, end, kinds }
    }

    /// A word whose kinds of bytes are known.
    #[inline(always)]
    pub(in crate::analysis::pattern) fn of_kinds(
        at: Range<usize>,
        digit: bool,
        upper: bool,
        lower: bool,
        beyond_hex: bool,
    ) -> Self {
        let kind = |has: bool, kind: u8| if has { kind } else { 0 };
        Self {
            start: at.start,
            end: at.end,
            kinds: kind(digit, DIGIT) | kind(upper, UPPER) | kind(lower, LOWER) | kind(beyond_hex, BEYOND_HEX),
        }
    }

    /// Where it begins.
    pub(in crate::analysis::pattern) fn start(self) -> usize {
        self.start
    }

    /// Where it ends.
    #[inline(always)]
    pub(in crate::analysis::pattern) fn end(self) -> usize {
        self.end
    }

    /// Most words are names: lower case, nothing a class could begin with.
    #[inline(always)]
    pub(in crate::analysis::pattern) fn is_name(self) -> bool {
        self.kinds & (DIGIT | UPPER) == 0 && self.kinds & BEYOND_HEX != 0
    }

    pub(super) fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it is digits alone.
    pub(in crate::analysis::pattern) fn is_number(self) -> bool {
        self.kinds == DIGIT
    }

    pub(super) fn is_hex(self) -> bool {
        self.kinds & BEYOND_HEX == 0
    }
}
