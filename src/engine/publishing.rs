//! What the engine knows, given out: a snapshot after what happened, but no more than ten in a second.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::metrics::snapshot::Snapshot;

/// Snapshots are at least so far apart: with 3,000 nodes answering at once, one snapshot an answer would be all we do.
const PUBLISH_PAUSE: Duration = Duration::from_millis(100);

impl Engine {
    pub(super) fn publish(&mut self, idle: bool) {
        let rested = self.published_at.is_none_or(|last| last.elapsed() >= PUBLISH_PAUSE);
        if idle || rested {
            self.published.store(self.snapshot());
            self.published_at = Some(Instant::now());
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            untried: self.untried.len() + self.searches.untried(),
            ..self.conductor.snapshot(self.clock.now())
        }
    }
}
