//! The touches of keys that are read but not yet counted.
//!
//! A key's counter is usually not near the processor. So each touch is announced, its counter's place is fetched while the next lines
//! are read, and a batch is counted together. The order stays that of the stream, so batches change no result.

use std::ops::Range;

use super::keys::Touched;
use super::signatures::{ShapePlace, Signatures};
use crate::analysis::keyspec::CommandId;

/// Touches of keys in one buffer, in the order of its lines.
#[derive(Debug)]
pub(super) struct Waiting {
    touches: Vec<Touch>,
}

#[derive(Debug)]
struct Touch {
    key: Range<usize>,
    /// Where the line begins with its time stamp.
    stamp: usize,
    hash: u64,
    what: What,
    /// Only read so that the counter's place comes near.
    _near: u64,
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
        Self {
            touches: Vec::with_capacity(BATCH),
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
        if self.touches.len() == BATCH {
            self.count(buffer, touched, signatures);
        }
        let key = touched.looked_at(key);
        let hash = touched.hash(&buffer[key.clone()]);
        let touch = Touch {
            key,
            stamp,
            hash,
            what,
            _near: touched.approach(hash),
        };
        self.touches.push(touch);
    }

    /// Counts what was announced, all of it in `buffer`.
    pub(super) fn count(&mut self, buffer: &[u8], touched: &mut Touched, signatures: &mut Signatures) {
        for touch in self.touches.drain(..) {
            if let What::Keyless(command, shape) = touch.what {
                signatures.count(command, None, shape, (buffer, touch.stamp));
                continue;
            }
            let pattern = touched.touch_hashed(touch.hash, &buffer[touch.key], &buffer[touch.stamp..]);
            if let What::Command(command, shape) = touch.what {
                signatures.count(command, Some(pattern), shape, (buffer, touch.stamp));
            }
        }
    }
}
