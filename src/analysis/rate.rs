//! A rate over the last minute, from intervals that may have gaps between them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Timestamp;

/// The intervals of the last minute. What isn't pushed leaves a gap, and the last rate stands.
#[derive(Clone, Debug)]
pub struct RateWindow {
    length: Duration,
    intervals: VecDeque<Interval>,
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    ended: Timestamp,
    seconds: f64,
    amount: f64,
}

impl RateWindow {
    /// A window that looks back so far.
    pub fn new(length: Duration) -> Self {
        Self {
            length,
            intervals: VecDeque::new(),
            rate: None,
        }
    }

    /// Adds what happened in the `span` that ended at `ended`. An empty span has no rate and is left out.
    pub fn push(&mut self, ended: Timestamp, span: Duration, amount: f64) {
        if span.is_zero() || self.length.is_zero() {
            return;
        }
        // A longer interval counts with its mean, but no longer than the window looks back.
        let seconds = span.min(self.length).as_secs_f64();
        self.intervals.push_back(Interval {
            ended,
            seconds,
            amount: amount * seconds / span.as_secs_f64(),
        });
        self.forget(ended);
        let sum = |part: fn(&Interval) -> f64| self.intervals.iter().map(part).sum::<f64>();
        self.rate = Some(sum(|interval| interval.amount) / sum(|interval| interval.seconds));
    }

    /// The mean over the window when it was last added to.
    pub fn per_second(&self) -> Option<f64> {
        self.rate
    }

    /// Begins again: what came before says nothing about what comes.
    pub fn clear(&mut self) {
        self.intervals.clear();
        self.rate = None;
    }

    /// Drops intervals of which less than half lies within the window.
    fn forget(&mut self, now: Timestamp) {
        let length = self.length.as_secs_f64();
        self.intervals
            .retain(|interval| now.since(interval.ended).as_secs_f64() <= length - interval.seconds / 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Pushes `(end, span, amount)` in seconds and says the rate after each.
    fn check(intervals: &[(u64, u64, f64)], expected: &[f64]) {
        let mut window = RateWindow::new(MINUTE);
        let rates: Vec<f64> = intervals
            .iter()
            .map(|&(end, span, amount)| {
                window.push(Timestamp(end * 1_000_000), Duration::from_secs(span), amount);
                window.per_second().expect("something was pushed")
            })
            .collect();
        assert_eq!(rates, expected);
    }

    #[test]
    fn a_rate_is_the_mean_of_the_last_minute() {
        check(
            &[
                (15, 15, 0.0),
                (30, 15, 0.0),
                (45, 15, 0.0),
                (60, 15, 600.0),
                (75, 15, 600.0),
            ],
            &[0.0, 0.0, 0.0, 10.0, 20.0],
        );
    }

    #[test]
    fn a_gap_counts_neither_as_time_nor_as_work() {
        check(&[(15, 15, 150.0), (60, 15, 300.0)], &[10.0, 15.0]);
    }

    #[test]
    fn an_interval_longer_than_the_window_counts_with_its_mean() {
        check(
            &[(15, 15, 150.0), (315, 300, 6_000.0), (330, 15, 300.0)],
            &[10.0, 20.0, 20.0],
        );
    }

    #[test]
    fn an_empty_span_has_no_rate() {
        let mut window = RateWindow::new(MINUTE);
        window.push(Timestamp(1), Duration::ZERO, 5.0);
        assert_eq!(window.per_second(), None);
    }
}
