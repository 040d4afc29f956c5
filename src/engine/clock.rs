//! The wall clock, the only place that asks it; tests set their own.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::model::Timestamp;

/// Tells what time it is.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that was set once and moves with tokio's time, so that paused time pauses it too.
    Set {
        /// What it showed then.
        began: Timestamp,
        /// When it was set.
        anchor: Instant,
    },
}

impl Clock {
    /// A clock that shows `began` now.
    pub fn starting_at(began: Timestamp) -> Self {
        Self::Set {
            began,
            anchor: Instant::now(),
        }
    }

    /// The moment it shows.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_time(),
            Self::Set { began, anchor } => *began + anchor.elapsed(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
fn system_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(0) + since_epoch.unwrap_or(Duration::ZERO)
}
