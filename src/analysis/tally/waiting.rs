//! The touches of keys that are read but not yet counted.
//!
//! A key's counter is usually not near the processor, and whether the key has one can't be foreseen. So touches are counted by batches: all
//! counters of a batch are looked for at once, without a branch; then the keys that weren't found are met; then each touch is counted.
//! As long as no key leaves its counter meanwhile, the result is that of one touch after the other; else they are counted so.

use std::ops::Range;

use super::keys::Touched;
use super::signatures::{ShapePlace, Signature, Signatures};
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
    /// The key's length, at most [`KEY_MAX`](super::keys::KEY_MAX).
    length: u16,
    what: What,
}

/// What is counted with a touch. Which it is follows no rule, so it is counted without asking: what isn't there, no times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct What {
    command: CommandId,
    shape: ShapePlace,
    keys: u8,
    commands: u8,
}

impl What {
    /// A further key, or the key of a command that isn't counted by name.
    pub(super) const KEY_ALONE: Self = Self {
        command: CommandId::FIRST,
        shape: 0,
        keys: 1,
        commands: 0,
    };

    /// A command, whose first or only key this is.
    #[inline(always)]
    pub(super) fn command(command: CommandId, shape: ShapePlace) -> Self {
        Self {
            command,
            shape,
            keys: 1,
            commands: 1,
        }
    }

    /// A command that touches no key.
    pub(super) fn keyless(command: CommandId, shape: ShapePlace) -> Self {
        Self {
            keys: 0,
            ..Self::command(command, shape)
        }
    }
}

const BATCH: usize = 64;

impl Waiting {
    pub(super) fn new() -> Self {
        let none = Touch {
            hash: 0,
            key: 0,
            stamp: 0,
            length: 0,
            what: What::default(),
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
            length: (key.end - key.start) as u16,
            what,
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
                let pattern = touch.count_key(place, touched);
                touch.count_command(pattern, buffer, signatures);
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
    // The counters first: none of these steps waits for another, so many are fetched at once.
    let mut patterns = [0; BATCH];
    for ((touch, place), pattern) in touches.iter().zip(&places).zip(&mut patterns) {
        *pattern = touch.count_key(*place, touched);
    }
    for (touch, pattern) in touches.iter().zip(patterns) {
        touch.count_command(pattern, buffer, signatures);
    }
}

impl Touch {
    /// The place of the key's counter; a new one, if it has none.
    #[inline(always)]
    fn place(&self, buffer: &[u8], touched: &mut Touched) -> usize {
        if self.what.keys == 0 {
            return NOBODYS;
        }
        let key = self.key..self.key + usize::from(self.length);
        touched.place(self.hash, (buffer, key), &buffer[self.stamp..])
    }

    /// Counts the key, and tells its pattern's place plus one; 0 if there is none.
    #[inline(always)]
    fn count_key(&self, place: usize, touched: &mut Touched) -> u32 {
        let keys = self.what.keys;
        (touched.add(place, u64::from(keys)) + 1) * u32::from(keys)
    }

    #[inline(always)]
    fn count_command(&self, pattern: u32, buffer: &[u8], signatures: &mut Signatures) {
        let What {
            command,
            shape,
            commands,
            ..
        } = self.what;
        let signature = Signature::new(command, shape, pattern);
        signatures.count(signature, u64::from(commands), (buffer, self.stamp));
    }
}
