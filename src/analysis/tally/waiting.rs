//! The touches of keys that are read but not yet counted.
//!
//! A key's counter is usually not near the processor, and whether the key has one can't be foreseen. So touches are counted by batches: all
//! counters of a batch are looked for at once, without a branch; then the keys that weren't found are met; then each touch is counted.
//! As long as no key leaves its counter meanwhile, the result is that of one touch after the other; else they are counted so.

use std::ops::Range;

use super::keys::Touched;
use super::signatures::{ShapePlace, Signatures};
use crate::analysis::keyspec::CommandId;
use crate::analysis::sketch::NOBODYS;

/// Touches of keys in one buffer, in the order of its lines.
#[derive(Debug)]
pub(super) struct Waiting {
    touches: Box<[Touch; BATCH]>,
    length: usize,
}

#[derive(Clone, Copy, Debug)]
struct Touch {
    hash: u64,
    /// Where the key begins.
    key: usize,
    /// Where the line begins with its time stamp.
    stamp: usize,
    what: What,
    /// The key's length, at most [`KEY_MAX`](super::keys::KEY_MAX).
    length: u16,
}

/// What is counted with a touch.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// The command, whose first or only key this is.
    Command(CommandId, ShapePlace),
    /// A command that touches no key.
    Keyless(CommandId, ShapePlace),
    /// Nothing: a further key, or the key of a command that isn't counted by name.
    Nothing,
}

const BATCH: usize = 64;

impl Waiting {
    pub(super) fn new() -> Self {
        let none = Touch {
            hash: 0,
            key: 0,
            stamp: 0,
            what: What::Nothing,
            length: 0,
        };
        Self {
            touches: Box::new([none; BATCH]),
            length: 0,
        }
    }

    /// Announces the touch of `buffer[key]`.
    #[inline(always)]
    pub(super) fn announce(
        &mut self,
        (buffer, key): (&[u8], Range<usize>),
        stamp: usize,
        what: What,
        (touched, signatures): (&mut Touched, &mut Signatures),
    ) {
        let key = touched.looked_at(key);
        self.touches[self.length] = Touch {
            hash: touched.hash(buffer, key.clone()),
            key: key.start,
            stamp,
            what,
            length: (key.end - key.start) as u16,
        };
        self.length += 1;
        if self.length == BATCH {
            self.count(buffer, touched, signatures);
        }
    }

    /// Counts what was announced, all of it in `buffer`.
    #[inline(never)]
    pub(super) fn count(&mut self, buffer: &[u8], touched: &mut Touched, signatures: &mut Signatures) {
        let touches = &self.touches[..self.length];
        if touched.has_room_for(touches.len()) {
            count_together(touches, buffer, touched, signatures);
        } else {
            for touch in touches {
                let place = touch.place(buffer, touched);
                touch.count(place, buffer, touched, signatures);
            }
        }
        self.length = 0;
    }
}

#[inline(always)]
fn count_together(touches: &[Touch], buffer: &[u8], touched: &mut Touched, signatures: &mut Signatures) {
    let mut places = [NOBODYS; BATCH];
    let mut not_seen = [0_u8; BATCH];
    let mut not_seen_many = 0;
    for ((number, touch), place) in touches.iter().enumerate().zip(&mut places) {
        *place = touched.place_at_once(touch.hash);
        not_seen[not_seen_many] = number as u8;
        not_seen_many += usize::from(*place == NOBODYS);
    }
    for number in &not_seen[..not_seen_many] {
        let number = usize::from(*number);
        places[number] = touches[number].place(buffer, touched);
    }
    for (touch, place) in touches.iter().zip(&places) {
        touch.count(*place, buffer, touched, signatures);
    }
}

impl Touch {
    /// The place of the key's counter; a new one, if it has none.
    #[inline(always)]
    fn place(&self, buffer: &[u8], touched: &mut Touched) -> usize {
        if matches!(self.what, What::Keyless(..)) {
            return NOBODYS;
        }
        let key = self.key..self.key + usize::from(self.length);
        touched.place(self.hash, (buffer, key), &buffer[self.stamp..])
    }

    #[inline(always)]
    fn count(&self, place: usize, buffer: &[u8], touched: &mut Touched, signatures: &mut Signatures) {
        let line = (buffer, self.stamp);
        match self.what {
            What::Keyless(command, shape) => signatures.count(command, None, shape, line),
            What::Command(command, shape) => signatures.count(command, Some(touched.add(place)), shape, line),
            What::Nothing => {
                touched.add(place);
            }
        }
    }
}
