//! What the exporters count about themselves: requests answered, connections refused, pushes and what became of them.
//!
//! They are no part of the snapshot, because the engine that makes it knows no exporter.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Sums since hotshard began.
#[derive(Debug, Default)]
pub struct ExportTotals {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    connections_refused: AtomicU64,
    pushes: Mutex<BTreeMap<&'static str, u64>>,
}

impl ExportTotals {
    /// Counts a request that was answered; `route` is the route's pattern, never the path a client chose.
    pub fn answered(&self, route: &'static str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
    }

    /// Counts a connection that was closed at once because too many were open.
    pub fn refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a push to a collector by what became of it.
    pub fn pushed(&self, outcome: &'static str) {
        let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        *pushes.entry(outcome).or_default() += 1;
    }

    /// Pushes by what became of them.
    pub fn pushes(&self) -> BTreeMap<&'static str, u64> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests by route and status.
    pub fn requests(&self) -> BTreeMap<(&'static str, u16), u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections that were refused.
    pub fn connections_refused(&self) -> u64 {
        self.connections_refused.load(Ordering::Relaxed)
    }
}
