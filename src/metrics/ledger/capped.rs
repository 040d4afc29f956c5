//! Totals by label, for so many labels and no more.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

/// The label of what has none of its own.
pub(super) const OTHER: &str = "other";

/// Monotone totals. A label that comes when all places are taken counts under `other`.
#[derive(Clone, Debug)]
pub(super) struct CappedTotals<Amount> {
    labels_max: usize,
    by_label: BTreeMap<Arc<str>, Amount>,
    other: Option<Amount>,
}

impl<Amount: AddAssign + Copy + Default> CappedTotals<Amount> {
    pub(super) fn new(labels_max: usize) -> Self {
        Self {
            labels_max,
            by_label: BTreeMap::new(),
            other: None,
        }
    }

    /// So many labels from now on; those that have a place keep it.
    pub(super) fn cap(&mut self, labels_max: usize) {
        self.labels_max = labels_max;
    }

    /// Counts under `label` if it has a place or finds one.
    pub(super) fn add(&mut self, label: &Arc<str>, amount: Amount) {
        if let Some(total) = self.by_label.get_mut(label) {
            *total += amount;
        } else if self.by_label.len() < self.labels_max && &**label != OTHER {
            self.by_label.insert(Arc::clone(label), amount);
        } else {
            self.add_other(amount);
        }
    }

    /// Counts what has no label.
    pub(super) fn add_other(&mut self, amount: Amount) {
        *self.other.get_or_insert_default() += amount;
    }

    pub(super) fn has(&self, label: &str) -> bool {
        self.by_label.contains_key(label)
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_label.len() >= self.labels_max
    }

    /// Takes a label's place away. Its total is gone for good: `other` doesn't take it over, and a later return begins at zero.
    pub(super) fn evict(&mut self, label: &str) {
        self.by_label.remove(label);
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_label.keys()
    }

    /// All totals with `other`, if anything went there.
    pub(super) fn totals(&self) -> BTreeMap<Arc<str>, Amount> {
        let mut totals = self.by_label.clone();
        totals.extend(self.other.map(|amount| (Arc::from(OTHER), amount)));
        totals
    }
}
