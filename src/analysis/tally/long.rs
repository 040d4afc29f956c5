//! A line longer than is held: read as it comes, its arguments cut, so that it needs no more room than any other.

use memchr::memchr2;

use super::keys::{KEY_MAX, PatternPlace};
use crate::analysis::keyspec::{CommandId, Keys, Walk};
use crate::analysis::line::Head;
use crate::analysis::window::Rejection;

/// A line that is being read. Its keys are taken as they come by, so if it turns out broken further on, they have been counted.
#[derive(Debug)]
pub(super) struct LongLine {
    /// Its head and the command's name.
    beginning: Vec<u8>,
    /// What was understood of the beginning.
    pub(super) understood: Result<(Head, Option<CommandId>), Rejection>,
    /// The pattern of its first key.
    pub(super) pattern: Option<PatternPlace>,
    /// How many arguments followed the command, if they are to be counted.
    pub(super) arguments: usize,
    counts_arguments: bool,
    walk: Walk<Vec<u8>>,
    place: Place,
    argument: Vec<u8>,
    /// The last two bytes.
    last: [u8; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Within an argument.
    Inside,
    /// Within an argument, after a backslash.
    Escaped,
    /// After a closing quote.
    Closed,
    /// After the blank that follows it.
    Blank,
    /// Where no key can follow.
    Rest,
    /// After something that MONITOR doesn't print.
    Broken,
}

impl LongLine {
    /// A line of which nothing more is read than its end.
    pub(super) fn rejected(rejection: Rejection) -> Self {
        Self {
            beginning: Vec::new(),
            understood: Err(rejection),
            pattern: None,
            arguments: 0,
            counts_arguments: false,
            walk: Walk::new(&Keys::None),
            place: Place::Rest,
            argument: Vec::new(),
            last: [0; 2],
        }
    }

    /// A line whose `beginning` ends with the command's closing quote.
    pub(super) fn new(
        beginning: Vec<u8>,
        understood: (Head, Option<CommandId>),
        walk: Walk<Vec<u8>>,
        counts_arguments: bool,
    ) -> Self {
        Self {
            understood: Ok(understood),
            place: Place::Closed,
            beginning,
            walk,
            counts_arguments,
            ..Self::rejected(Rejection::Arguments)
        }
    }

    /// Takes what follows, up to the line's end at most, and gives each key to `key`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut key: impl FnMut(&[u8])) {
        match *bytes {
            [.., before, last] => self.last = [before, last],
            [last] => self.last = [self.last[1], last],
            [] => return,
        }
        let mut rest = bytes;
        while let [first, after @ ..] = rest {
            rest = match self.place {
                Place::Inside => self.read_argument(rest, &mut key),
                Place::Escaped => {
                    self.keep(&[*first]);
                    self.place = Place::Inside;
                    after
                }
                // The line's end is looked at when it has come.
                Place::Closed if *first == b'\r' => after,
                Place::Closed => self.expect(b' ', *first, Place::Blank, after),
                Place::Blank => self.expect(b'"', *first, Place::Inside, after),
                Place::Rest | Place::Broken => return,
            };
        }
    }

    /// The time stamp, and the command if it is known.
    pub(super) fn stamp_and_command(&self) -> Result<(Vec<u8>, Option<CommandId>), Rejection> {
        let (head, command) = self.understood.as_ref().map_err(|rejection| *rejection)?;
        Ok((self.beginning[head.stamp..].to_vec(), *command))
    }

    /// The line has ended: gives the keys that could only be told now, then the beginning and its head.
    pub(super) fn end(self, mut key: impl FnMut(&[u8])) -> Result<(Vec<u8>, Head), Rejection> {
        let (head, _) = self.understood?;
        let whole = self.last[1] == b'"' || self.last == *b"\"\r";
        if self.place == Place::Broken || !whole {
            return Err(Rejection::Arguments);
        }
        self.walk.end(|held| key(&held));
        Ok((self.beginning, head))
    }

    fn read_argument<'rest>(&mut self, rest: &'rest [u8], key: &mut impl FnMut(&[u8])) -> &'rest [u8] {
        let Some(position) = memchr2(b'"', b'\\', rest) else {
            self.keep(rest);
            return &[];
        };
        if rest[position] == b'\\' {
            self.keep(&rest[..=position]);
            self.place = Place::Escaped;
            return &rest[position + 1..];
        }
        self.keep(&rest[..position]);
        let argument = &self.argument;
        self.walk.argument(argument, || argument.clone(), |found| key(&found));
        self.argument.clear();
        self.arguments += 1;
        self.place = if self.walk.is_over() && !self.counts_arguments {
            Place::Rest
        } else {
            Place::Closed
        };
        &rest[position + 1..]
    }

    /// One byte more than a key may have is kept, so that a cut one is known.
    fn keep(&mut self, text: &[u8]) {
        let room = (KEY_MAX + 1).saturating_sub(self.argument.len());
        self.argument.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn expect<'rest>(&mut self, wanted: u8, found: u8, then: Place, after: &'rest [u8]) -> &'rest [u8] {
        if found != wanted {
            self.place = Place::Broken;
            return &[];
        }
        self.place = then;
        after
    }
}
