//! Units as types: a number never travels without saying what it counts.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 || value.fract() == 0.0 {
            return write!(formatter, "{value:.0} {}", UNITS[unit]);
        }
        write!(formatter, "{value:.1} {}", UNITS[unit])
    }
}

/// So many a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerSecond(pub f64);

impl PerSecond {
    /// `count` within `span`; `None` for an empty span, which has no rate.
    pub fn of(count: u64, span: Duration) -> Option<Self> {
        (!span.is_zero()).then(|| Self(count as f64 / span.as_secs_f64()))
    }
}

/// A part of a whole, or one quantity over another: 1.0 is all of it. Never a percentage.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(pub f64);

impl Ratio {
    /// `part` of `whole`; `None` when there is no whole.
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        (whole != 0).then(|| Self(part as f64 / whole as f64))
    }
}

/// Seconds as a server counts them (CPU time, ages).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub f64);

/// A moment: microseconds since the Unix epoch, by whichever clock the context names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment as seconds since the epoch.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// How much later this moment is than `earlier`; zero if it isn't.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// One of a cluster's 16,384 hash slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Slot(u16);

impl Slot {
    /// How many there are.
    pub const COUNT: u16 = 16_384;

    /// The slot of that number, if there is one.
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The slot that a key's checksum falls into.
    pub const fn of_checksum(crc16: u16) -> Self {
        Self(crc16 % Self::COUNT)
    }

    /// Its number, below [`Slot::COUNT`].
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_like_a_person_writes_them() {
        let shown: Vec<String> = [0, 1023, 1024, 1536, 64 << 20].map(|n| Bytes(n).to_string()).to_vec();
        assert_eq!(shown, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "64 MiB"]);
    }

    #[test]
    fn no_rate_without_time_and_no_ratio_without_a_whole() {
        assert_eq!(PerSecond::of(5, Duration::ZERO), None);
        assert_eq!(Ratio::of(0, 0), None);
        assert_eq!(PerSecond::of(5, Duration::from_millis(500)), Some(PerSecond(10.0)));
    }
}
