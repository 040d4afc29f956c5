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
