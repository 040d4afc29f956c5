//! What windows have learned of each group's keys, so that the next window calls them as the last one did.
//!
//! Shared by windows when they open and when they are over, never while they read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use crate::analysis::pattern::{Learned, PatternSettings};
use crate::model::GroupKey;

/// What is known of each group. Clones lead to the same.
#[derive(Clone, Debug, Default)]
pub struct Lessons(Arc<Mutex<BTreeMap<GroupKey, Known>>>);

#[derive(Debug, Default)]
struct Known {
    learned: Arc<Learned>,
    /// Whether it was said that there is no room for more.
    full: bool,
}

impl Lessons {
    /// What was kept of earlier processes.
    pub fn new(kept: impl IntoIterator<Item = (GroupKey, Learned)>) -> Self {
        let known = |(group, learned)| {
            let learned = Arc::new(learned);
            (group, Known { learned, full: false })
        };
        Self(Arc::new(Mutex::new(kept.into_iter().map(known).collect())))
    }

    /// What is known of a group.
    pub fn of(&self, group: &GroupKey) -> Arc<Learned> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(group)
            .map(|known| Arc::clone(&known.learned))
            .unwrap_or_default()
    }

    /// Takes in what a window has learned, and tells all that is known now.
    pub(super) fn add(&self, group: &GroupKey, learned: &Learned, settings: &PatternSettings) -> Arc<Learned> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(group.clone()).or_default();
        let (joined, left_out) = known.learned.joined(learned, settings);
        if *known.learned != joined {
            known.learned = Arc::new(joined);
        }
        if left_out > 0 && !known.full {
            known.full = true;
            warn!(%group, left_out, "no room to remember all segments of keys that vary; raise patterns.segments_max");
        }
        Arc::clone(&known.learned)
    }
}
