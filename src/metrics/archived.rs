//! What the archive counts about itself, shared between its thread and the engine, which puts it into the snapshot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::snapshot::ArchiveSnapshot;
use crate::model::{Bytes, Timestamp};

/// Sums since hotshard began, and the file as it is.
#[derive(Debug, Default)]
pub struct ArchiveTotals {
    rows: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    // Zero is nothing known.
    size: AtomicU64,
    oldest: AtomicU64,
}

impl ArchiveTotals {
    /// Rows were written.
    pub fn kept(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows were lost.
    pub fn dropped(&self, reason: &'static str, rows: u64) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        *dropped.entry(reason).or_default() += rows;
    }

    /// There is no file to look at.
    pub fn lost(&self) {
        self.measured(Bytes(0), None);
    }

    /// The file was looked at.
    pub fn measured(&self, size: Bytes, oldest: Option<Timestamp>) {
        self.size.store(size.0, Ordering::Relaxed);
        self.oldest.store(oldest.map_or(0, |time| time.0), Ordering::Relaxed);
    }

    /// All of it now.
    pub fn snapshot(&self) -> ArchiveSnapshot {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let [size, oldest] = [&self.size, &self.oldest].map(|known| known.load(Ordering::Relaxed));
        ArchiveSnapshot {
            rows: self.rows.load(Ordering::Relaxed),
            dropped: dropped.clone(),
            size: (size != 0).then_some(Bytes(size)),
            oldest: (oldest != 0).then_some(Timestamp(oldest)),
        }
    }
}
