//! Whether a reader keeps up: since when it has not once had nothing left to do. The guard asks, from its own thread, so that a reader
//! that hangs is noticed too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// One reader's.
#[derive(Debug)]
pub struct Strain {
    began: Instant,
    /// Microseconds; zero while the reader has caught up.
    since: AtomicU64,
}

impl Default for Strain {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            since: AtomicU64::new(0),
        }
    }
}

impl Strain {
    /// The reader has something to do; it may have had before.
    pub fn busy(&self) {
        if self.since.load(Ordering::Relaxed) == 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// It has nothing left to do.
    pub fn caught_up(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// How long it has had something to do.
    pub fn lasted(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(self.now().saturating_sub(since)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_is_strained_until_it_has_caught_up() {
        let strain = Strain::default();
        assert_eq!(strain.lasted(), Duration::ZERO);
        strain.busy();
        advance(Duration::from_millis(300)).await;
        strain.busy();
        advance(Duration::from_millis(300)).await;
        assert_eq!(
            strain.lasted().as_millis(),
            599,
            "the first microsecond stands for none"
        );
        strain.caught_up();
        assert_eq!(strain.lasted(), Duration::ZERO);
    }
}
