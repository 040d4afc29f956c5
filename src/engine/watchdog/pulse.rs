//! Whether this process stood still: it can tell only afterwards, by the time between two of its own signs of life.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Signs of life of a window's guard. The reader asks before it believes any other reason for a window's end.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    /// Microseconds; zero until the first sign, and after the end.
    last: AtomicU64,
    longest_pause: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            longest_pause: AtomicU64::new(0),
        }
    }
}

impl Pulse {
    /// A sign of life, and how long it was after the last one.
    pub fn beat(&self) -> Duration {
        let pause = self.pause();
        // Before the new sign, so that whoever sees that one sees the pause too.
        self.longest_pause.fetch_max(micros(pause), Ordering::Release);
        self.last.store(micros(self.began.elapsed()).max(1), Ordering::Release);
        pause
    }

    /// The last sign of life: whoever gave them has ended the window, and what follows is no pause.
    pub fn end(&self) {
        self.beat();
        self.last.store(0, Ordering::Release);
    }

    /// The longest time without a sign of life, this moment's included.
    pub fn longest_pause(&self) -> Duration {
        let pause = self.pause();
        pause.max(Duration::from_micros(self.longest_pause.load(Ordering::Acquire)))
    }

    fn pause(&self) -> Duration {
        match self.last.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            last => self.began.elapsed().saturating_sub(Duration::from_micros(last)),
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_seen_while_it_lasts_and_afterwards() {
        let pulse = Pulse::default();
        advance(Duration::from_secs(60)).await;
        assert_eq!(pulse.longest_pause(), Duration::ZERO, "it hasn't begun");
        pulse.beat();
        advance(Duration::from_millis(300)).await;
        assert_eq!(pulse.beat(), Duration::from_millis(300));
        advance(Duration::from_secs(7)).await;
        assert_eq!(pulse.longest_pause(), Duration::from_secs(7));
        pulse.beat();
        advance(Duration::from_millis(300)).await;
        assert_eq!(
            (pulse.beat(), pulse.longest_pause()),
            (Duration::from_millis(300), Duration::from_secs(7))
        );
        pulse.end();
        advance(Duration::from_secs(60)).await;
        assert_eq!(pulse.longest_pause(), Duration::from_secs(7), "it has ended");
    }
}
