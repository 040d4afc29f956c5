//! What takes in a window's stream: a tally of all of it, lines drawn for the archive, and the lines themselves for a raw log. It refuses to
//! know where the stream comes from and when it ends.

use std::sync::Arc;

use crate::analysis::keyspec::Commands;
use crate::analysis::tally::{Tallied, Tally};
use crate::archive::{Drawn, RawLog, Sampler};

/// What takes in the stream: it counts all of it, and draws lines from it for the archive.
pub(super) struct Intake {
    pub(super) tally: Tally,
    pub(super) sampler: Option<Sampler>,
    pub(super) raw: Option<RawLog>,
}

impl Intake {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.tally.feed(bytes);
        if let Some(sampler) = &mut self.sampler {
            sampler.feed(bytes);
        }
        if let Some(raw) = &mut self.raw {
            raw.feed(bytes);
        }
    }

    /// Whether something that is handed lines doesn't take them.
    pub(super) fn is_full(&self) -> bool {
        self.raw.as_ref().is_some_and(RawLog::is_full)
    }

    pub(super) fn finish(self, commands: Arc<Commands>) -> (Tallied, Drawn) {
        let sample = self.sampler.map(Sampler::finish);
        let drawn = Drawn {
            sample: sample.unwrap_or_default(),
            commands,
            upkeep: self.tally.upkeep().clone(),
            learned: Arc::default(),
        };
        (self.tally.close(), drawn)
    }
}
