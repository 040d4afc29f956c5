//! The one place where the engine leaves its last snapshot and where exporters find it.
//!
//! Reading never waits and never makes the engine wait. It refuses to know who reads.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::exports::ExportTotals;
use super::snapshot::Snapshot;

/// The last snapshot, shared by the engine and everything that shows figures. Clones show the same.
#[derive(Clone, Debug)]
pub struct Published {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    exports: ExportTotals,
    // Carries when it was stored, by a clock that no one sets: the age of the heartbeat survives a step of the wall clock.
    stored: watch::Sender<Instant>,
}

impl Published {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                snapshot: ArcSwap::from_pointee(Snapshot::default()),
                exports: ExportTotals::default(),
                stored: watch::Sender::new(Instant::now()),
            }),
        }
    }

    /// What was stored last.
    pub fn load(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Replaces what is known and wakes those who wait for it.
    pub fn store(&self, snapshot: Snapshot) {
        self.shared.snapshot.store(Arc::new(snapshot));
        self.shared.stored.send_replace(Instant::now());
    }

    /// How long ago something was stored, or since the beginning if nothing was.
    pub fn age(&self) -> Duration {
        self.shared.stored.borrow().elapsed()
    }

    /// Changes whenever something is stored.
    pub fn changes(&self) -> watch::Receiver<Instant> {
        self.shared.stored.subscribe()
    }

    /// How many wait for changes.
    #[cfg(test)]
    pub(crate) fn listeners(&self) -> usize {
        self.shared.stored.receiver_count()
    }

    /// What the exporters count about themselves.
    pub fn exports(&self) -> &ExportTotals {
        &self.shared.exports
    }
}

impl Default for Published {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn a_stored_snapshot_is_seen_at_once_and_ages() {
        let published = Published::new();
        let mut changes = published.clone().changes();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(published.age(), Duration::from_secs(5));
        published.store(Snapshot {
            at: Timestamp(7),
            ..Snapshot::default()
        });
        changes.changed().await.expect("the publisher lives");
        assert_eq!((published.load().at, published.age()), (Timestamp(7), Duration::ZERO));
    }
}
