//! What a node's slots did between two looks at all of them.

use std::sync::Arc;
use std::time::Duration;

use crate::analysis::slot_stats::{SlotLoad, SlotStats};
use crate::model::Timestamp;

/// The last look, if there was one.
#[derive(Debug, Default)]
pub(super) struct Slots(Option<Look>);

#[derive(Debug)]
struct Look {
    stats: Arc<SlotStats>,
    /// What each did since the look before, and how long that was.
    loads: Vec<SlotLoad>,
    span: Duration,
}

impl Slots {
    /// Takes the next look.
    pub(super) fn compare(&mut self, stats: &Arc<SlotStats>) {
        let earlier = self.0.take().map(|look| look.stats);
        self.0 = Some(Look {
            loads: earlier.as_ref().map(|earlier| stats.since(earlier)).unwrap_or_default(),
            span: earlier.map_or(Duration::ZERO, |earlier| stats.at.since(earlier.at)),
            stats: Arc::clone(stats),
        });
    }

    /// What each did; nothing before the second look.
    pub(super) fn loads(&self) -> &[SlotLoad] {
        self.0.as_ref().map_or(&[], |look| &look.loads)
    }

    /// Forgets what they did once two looks have been missed.
    pub(super) fn forget_old(&mut self, at: Timestamp) {
        let missed = |look: &&mut Look| at.since(look.stats.at) > look.span * 3;
        if let Some(look) = self.0.as_mut().filter(missed) {
            look.loads.clear();
        }
    }
}
