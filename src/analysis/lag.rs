//! How far a replica is behind, in bytes and in seconds, derived from offsets.
//!
//! What servers say themselves (`lag=`, `master_last_io_seconds_ago`) only tells when they last heard from each other: it was 0 or 1
//! while a replica was 12 seconds behind. So the primary's offsets are remembered with their times, and a replica is as late as the
//! moment is old at which the primary passed the replica's offset.
//!
//! ```
//! use hotshard::analysis::lag::OffsetHistory;
//! use hotshard::model::{Seconds, Timestamp};
//!
//! let mut primary = OffsetHistory::default();
//! primary.observe("history", Timestamp(0), 0);
//! primary.observe("history", Timestamp(10_000_000), 1_000);
//! let lag = primary.lag("history", Timestamp(10_000_000), 400).expect("the same history");
//! assert_eq!((lag.bytes.0, lag.time), (600, Seconds(6.0)));
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{Bytes, Seconds, Timestamp};

/// So many offsets are remembered; at the default poll that is four hours.
const POINTS_MAX: usize = 960;

/// How far a replica is behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// How much of the primary's stream it had not processed.
    pub bytes: Bytes,
    /// How old what it had processed last was; at least so old if that was before our time.
    pub time: Seconds,
}

/// When a primary's stream was where.
#[derive(Clone, Debug, Default)]
pub struct OffsetHistory {
    history: Option<Arc<str>>,
    points: VecDeque<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Timestamp,
    offset: u64,
}

impl OffsetHistory {
    /// Remembers where the primary's stream was. Another history (`master_replid`) begins anew.
    pub fn observe(&mut self, history: &str, at: Timestamp, offset: u64) {
        let goes_on = self.history.as_deref() == Some(history)
            && self
                .points
                .back()
                .is_none_or(|last| last.at < at && last.offset <= offset);
        if !goes_on {
            self.history = Some(history.into());
            self.points.clear();
        }
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(Point { at, offset });
    }

    /// How far a replica was behind that had processed the stream up to `offset` at `at`. `None` if it follows another history.
    pub fn lag(&self, history: &str, at: Timestamp, offset: u64) -> Option<Lag> {
        if self.history.as_deref() != Some(history) {
            return None;
        }
        let ahead = self.offset_at(at)?.saturating_sub(offset);
        let time = if ahead == 0 {
            0.0
        } else {
            at.since(self.passed(offset)?).as_secs_f64()
        };
        Some(Lag {
            bytes: Bytes(ahead),
            time: Seconds(time),
        })
    }

    /// Where the stream was at `at`; before and after what is remembered, where it was nearest to that.
    fn offset_at(&self, at: Timestamp) -> Option<u64> {
        let next = self.points.partition_point(|point| point.at <= at);
        let (Some(before), Some(after)) = (
            next.checked_sub(1).map(|before| self.points[before]),
            self.points.get(next),
        ) else {
            return Some(
                if next == 0 {
                    self.points.front()
                } else {
                    self.points.back()
                }?
                .offset,
            );
        };
        let part = at.since(before.at).as_secs_f64() / after.at.since(before.at).as_secs_f64();
        Some(before.offset + ((after.offset - before.offset) as f64 * part) as u64)
    }

    /// When the stream went past `offset`.
    fn passed(&self, offset: u64) -> Option<Timestamp> {
        let next = self.points.partition_point(|point| point.offset <= offset);
        let (Some(before), Some(after)) = (
            next.checked_sub(1).map(|before| self.points[before]),
            self.points.get(next),
        ) else {
            return Some(
                if next == 0 {
                    self.points.front()
                } else {
                    self.points.back()
                }?
                .at,
            );
        };
        let part = (offset - before.offset) as f64 / (after.offset - before.offset) as f64;
        Some(before.at + after.at.since(before.at).mul_f64(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A primary's `(second, offset)`, and how far behind a replica is that was at `offset` at `second`: `bytes seconds`.
    fn check(primary: &[(u64, u64)], (second, offset): (u64, u64), expected: &str) {
        let mut history = OffsetHistory::default();
        for &(second, offset) in primary {
            history.observe("one", Timestamp(second * 1_000_000), offset);
        }
        let shown = match history.lag("one", Timestamp(second * 1_000_000), offset) {
            Some(lag) => format!("{} {}", lag.bytes.0, lag.time.0),
            None => "unknown".into(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_replica_is_as_late_as_the_moment_is_old_when_the_primary_passed_its_offset() {
        let primary = [(0, 0), (10, 1_000), (20, 1_000), (30, 4_000)];
        check(&primary, (30, 4_000), "0 0");
        check(&primary, (30, 2_500), "1500 5");
        check(&primary, (30, 1_000), "3000 10");
        check(&primary, (30, 500), "3500 25");
    }

    #[test]
    fn a_primary_asked_a_little_later_does_not_make_its_replica_late() {
        check(&[(0, 0), (10, 1_000)], (9, 900), "0 0");
        check(&[(0, 0), (10, 1_000)], (11, 1_100), "0 0");
    }

    #[test]
    fn what_was_before_our_time_is_at_least_as_old_as_that() {
        check(&[(100, 5_000), (110, 6_000)], (110, 10), "5990 10");
        check(&[], (110, 10), "unknown");
    }

    #[test]
    fn another_history_begins_anew() {
        let mut history = OffsetHistory::default();
        history.observe("one", Timestamp(0), 1_000);
        history.observe("two", Timestamp(1), 2_000);
        assert_eq!(history.lag("one", Timestamp(1), 500), None);
        assert_eq!(
            history.lag("two", Timestamp(1), 2_000).map(|lag| lag.bytes),
            Some(Bytes(0))
        );
    }

    #[test]
    fn the_past_is_bounded() {
        let mut history = OffsetHistory::default();
        for second in 0..2 * POINTS_MAX as u64 {
            history.observe("one", Timestamp(second * 1_000_000), second);
        }
        assert_eq!(history.points.len(), POINTS_MAX);
    }
}
