//! Commands over time, by the server's own time stamps, in memory that doesn't grow with the length of the stream.
//!
//! Begins with intervals of a second; when there are too many of them they are made twice as long. What comes out doesn't depend on how
//! a stream was cut into pieces. It refuses to know what the commands were.
//!
//! ```
//! use hotshard::analysis::timeline::Timeline;
//! use hotshard::model::Timestamp;
//!
//! let mut timeline = Timeline::default();
//! [1_000_000, 1_900_000, 3_000_000].map(|at| timeline.add(Timestamp(at), 1));
//! let rates = timeline.rates(Timestamp(1_000_000), Timestamp(4_000_000));
//! assert_eq!(rates.iter().map(|(_, rate)| rate.0).collect::<Vec<_>>(), [2.0, 0.0, 1.0]);
//! ```

use std::collections::BTreeMap;

use crate::model::{PerSecond, Timestamp};

/// With more intervals than this, they become longer.
const INTERVALS_MAX: usize = 120;

/// A shorter piece of an interval, at the beginning or the end, has no rate worth showing.
const PIECE_MIN: f64 = 0.1;

const SECOND: u64 = 1_000_000;

/// Commands by interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Seconds of each interval: a power of two.
    seconds: u64,
    /// By the number of the interval, counted from the epoch.
    counts: BTreeMap<u64, u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            seconds: 1,
            counts: BTreeMap::new(),
        }
    }
}

impl Timeline {
    /// So many commands at that time.
    pub fn add(&mut self, at: Timestamp, commands: u64) {
        if commands == 0 {
            return;
        }
        *self.counts.entry(at.0 / SECOND / self.seconds).or_default() += commands;
        self.shorten();
    }

    /// Adds what another saw.
    pub fn merge(&mut self, other: Self) {
        for (interval, count) in other.counts {
            self.add(Timestamp(interval * other.seconds * SECOND), count);
            while self.seconds < other.seconds {
                self.lengthen();
            }
        }
    }

    /// The rate in each interval between these two moments, and when it began.
    pub fn rates(&self, first: Timestamp, last: Timestamp) -> Vec<(Timestamp, PerSecond)> {
        let length = self.seconds * SECOND;
        let (Some((from, _)), Some((to, _))) = (self.counts.first_key_value(), self.counts.last_key_value()) else {
            return Vec::new();
        };
        // A clock that was set may leave a hole of years: what lies in it isn't worth a point each.
        let is_whole = to - from < 2 * INTERVALS_MAX as u64;
        let intervals: Vec<u64> = if is_whole {
            (*from..=*to).collect()
        } else {
            self.counts.keys().copied().collect()
        };
        let rate = |interval: u64| {
            let began = Timestamp((interval * length).max(first.0));
            let ended = Timestamp(((interval + 1) * length).min(last.0.max(first.0)));
            let seconds = ended.since(began).as_secs_f64();
            let count = self.counts.get(&interval).copied().unwrap_or_default();
            (seconds >= PIECE_MIN).then(|| (began, PerSecond(count as f64 / seconds)))
        };
        intervals.into_iter().filter_map(rate).collect()
    }

    fn shorten(&mut self) {
        while self.counts.len() > INTERVALS_MAX {
            self.lengthen();
        }
    }

    fn lengthen(&mut self) {
        self.seconds *= 2;
        let counts = std::mem::take(&mut self.counts);
        for (interval, count) in counts {
            *self.counts.entry(interval / 2).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands at these seconds, one each.
    fn of(seconds: impl IntoIterator<Item = u64>) -> Timeline {
        let mut timeline = Timeline::default();
        for second in seconds {
            timeline.add(Timestamp(second * SECOND), 1);
        }
        timeline
    }

    fn check(timeline: &Timeline, first: u64, last: u64, expected: &[(u64, f64)]) {
        let rates = timeline.rates(Timestamp(first), Timestamp(last));
        let rates: Vec<(u64, f64)> = rates.into_iter().map(|(at, rate)| (at.0, rate.0)).collect();
        assert_eq!(rates, expected);
    }

    #[test]
    fn a_piece_of_an_interval_counts_for_its_own_length() {
        let timeline = of([10, 10, 11, 11]);
        check(
            &timeline,
            10_500_000,
            12_000_000,
            &[(10_500_000, 4.0), (11_000_000, 2.0)],
        );
        check(&timeline, 10_950_000, 11_500_000, &[(11_000_000, 4.0)]);
        check(&timeline, 10_000_000, 10_000_000, &[]);
        check(&Timeline::default(), 0, 5, &[]);
    }

    #[test]
    fn a_long_stream_has_longer_intervals_and_loses_nothing() {
        let timeline = of(0..1000);
        assert_eq!((timeline.seconds, timeline.counts.len()), (16, 63));
        assert_eq!(timeline.counts.values().sum::<u64>(), 1000);
        let (_, rate) = timeline.rates(Timestamp(0), Timestamp(1000 * SECOND))[5];
        assert_eq!(rate.0, 1.0);
    }

    #[test]
    fn parts_make_the_same_whole_in_any_order() {
        let whole = of(0..1000);
        for cut in [1, 100, 500, 999] {
            let (mut early, late) = (of(0..cut), of(cut..1000));
            let mut back = late.clone();
            back.merge(early.clone());
            early.merge(late);
            assert_eq!((early, back), (whole.clone(), whole.clone()), "{cut}");
        }
    }

    #[test]
    fn a_hole_of_years_has_no_points() {
        let timeline = of([1, 2, 900_000_000]);
        let rates = timeline.rates(Timestamp(SECOND), Timestamp(900_000_001 * SECOND));
        assert_eq!(rates.len(), 3);
    }
}
