//! What event streams tell, written once however many listen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::export::open::{self, OpenWindows, Seen};
use crate::export::view;
use crate::metrics::published::Published;
use crate::metrics::snapshot::Snapshot;

/// The least time between two changes that are told, and between two looks at open windows.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// What is told is told less often with each shard, since more shards make larger messages.
const PAUSE_PER_SHARD: Duration = Duration::from_millis(10);
/// Who looks at open windows so soon after another sees the same.
const GLANCE_AGE_MAX: Duration = Duration::from_millis(500);
/// So many may listen at the same time.
pub(super) const LISTENERS_MAX: usize = 100;

/// The documents that are told. Clones tell the same.
#[derive(Clone, Debug)]
pub(in crate::export::http) struct Feed {
    published: Published,
    windows: OpenWindows,
    written: Arc<Mutex<Option<Written>>>,
    glance: Arc<Mutex<Option<Glance>>>,
    free: Arc<Semaphore>,
}

#[derive(Debug)]
struct Written {
    of: Arc<Snapshot>,
    document: Arc<str>,
}

/// One look at the windows that are open.
#[derive(Clone, Debug)]
pub(super) struct Glance {
    at: Instant,
    seen: Seen,
    pub(super) count: usize,
    pub(super) document: Arc<str>,
}

impl Feed {
    pub(in crate::export::http) fn new(published: Published, windows: OpenWindows) -> Self {
        Self {
            published,
            windows,
            written: Arc::default(),
            glance: Arc::default(),
            free: Arc::new(Semaphore::new(LISTENERS_MAX)),
        }
    }

    /// Lets one more listen, as long as the permit is held; `None` if too many do.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// Changes whenever there is something new to tell.
    pub(super) fn changes(&self) -> watch::Receiver<Instant> {
        self.published.changes()
    }

    /// What is known now, as JSON on one line.
    pub(in crate::export::http) fn document(&self) -> Arc<str> {
        let snapshot = self.published.load();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*written
            && Arc::ptr_eq(&last.of, &snapshot)
        {
            return last.document.clone();
        }
        let document: Arc<str> = view::document(&snapshot).into();
        *written = Some(Written {
            of: snapshot,
            document: document.clone(),
        });
        document
    }

    /// What open windows see now, or saw a moment ago.
    pub(super) fn glance(&self) -> Glance {
        let mut glance = self.glance.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*glance
            && last.at.elapsed() < GLANCE_AGE_MAX
        {
            return last.clone();
        }
        let windows = self.windows.look();
        let before = glance.take().map(|last| last.seen).unwrap_or_default();
        let next = Glance {
            at: Instant::now(),
            seen: open::seen(&windows),
            count: windows.len(),
            document: open::document(&windows, &before).into(),
        };
        *glance = Some(next.clone());
        next
    }

    /// How long to wait between two messages of everything.
    pub(super) fn pause(&self) -> Duration {
        let shards = self
            .published
            .load()
            .groups
            .iter()
            .map(|group| group.shards.len())
            .sum();
        pause(shards)
    }

    /// How long to wait between two looks at open windows.
    pub(super) fn glance_pause(&self) -> Duration {
        let glance = self.glance.lock().unwrap_or_else(PoisonError::into_inner);
        pause(glance.as_ref().map_or(0, |glance| glance.count))
    }
}

fn pause(shards: usize) -> Duration {
    PAUSE_MIN.max(PAUSE_PER_SHARD * u32::try_from(shards).unwrap_or(u32::MAX))
}
