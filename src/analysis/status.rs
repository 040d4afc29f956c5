//! What a shard's rate means beside its siblings': deviation from the mean, skew against the others' median, and a status that
//! doesn't flutter. The same for each signal. It refuses to know why a shard is hot.
//!
//! ```
//! use hotshard::analysis::status::{Signal, Status, StatusSettings, StatusTracker, compare};
//!
//! let settings = StatusSettings::default();
//! let standings = compare(&[Some(900.0), Some(300.0), None], settings.floor(Signal::Commands));
//! let mut tracker = StatusTracker::default();
//! assert_eq!(tracker.observe(&standings[0], &settings), Status::Hot); // half as much again is not *more* than half
//! assert_eq!(standings[0].skew().map(|skew| skew.0), Some(3.0));
//! assert_eq!(standings[2].deviation(), None);
//! ```

use serde::{Deserialize, Serialize};

use crate::model::{PerSecond, Ratio};

/// What is compared between shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Commands executed a second.
    Commands,
    /// Client bytes out a second.
    BytesOut,
    /// CPU of the main thread of the busiest node, in cores.
    Cpu,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Commands, Self::BytesOut, Self::Cpu];

    /// The metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::BytesOut => "bytes_out",
            Self::Cpu => "cpu",
        }
    }
}

/// How a shard's signal compares with its siblings'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Far above the mean.
    VeryHot,
    /// Above the mean.
    Hot,
    /// Near the mean.
    Normal,
    /// Below the mean.
    Cold,
    /// The whole group does too little to compare.
    Idle,
    /// There is nothing to compare with, or no figure.
    #[default]
    Unknown,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::VeryHot,
        Self::Hot,
        Self::Normal,
        Self::Cold,
        Self::Idle,
        Self::Unknown,
    ];

    /// The metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::VeryHot => "very_hot",
            Self::Hot => "hot",
            Self::Normal => "normal",
            Self::Cold => "cold",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is hot or very hot.
    pub fn is_hot(self) -> bool {
        matches!(self, Self::Hot | Self::VeryHot)
    }
}

/// `[status]`: from where on a shard is called hot or cold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusSettings {
    /// Very hot from this deviation on.
    pub very_hot: Ratio,
    /// Hot from this deviation on.
    pub hot: Ratio,
    /// Cold from so far below the mean.
    pub cold: Ratio,
    /// How far below the threshold by which it was entered a status is left.
    pub hysteresis: Ratio,
    /// After how many polls beyond that a status is left.
    pub leave_after: u32,
    /// Below so many commands a second nothing is hot.
    pub commands_min: PerSecond,
    /// Below so many client bytes out a second nothing is hot.
    pub bytes_out_min: PerSecond,
    /// Below so many cores nothing is hot.
    pub cpu_min: Ratio,
}

impl Default for StatusSettings {
    fn default() -> Self {
        Self {
            very_hot: Ratio(0.5),
            hot: Ratio(0.25),
            cold: Ratio(0.25),
            hysteresis: Ratio(0.05),
            leave_after: 2,
            commands_min: PerSecond(100.0),
            bytes_out_min: PerSecond(1e6),
            cpu_min: Ratio(0.1),
        }
    }
}

impl StatusSettings {
    /// Below this rate nothing is hot.
    pub fn floor(&self, signal: Signal) -> f64 {
        match signal {
            Signal::Commands => self.commands_min.0,
            Signal::BytesOut => self.bytes_out_min.0,
            Signal::Cpu => self.cpu_min.0,
        }
    }
}

/// Where one shard stands among its siblings at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// No figure, or no other shard that has one.
    Unknown,
    /// No shard of the group reaches the floor.
    Idle {
        /// How far it is from the mean, if there is a mean.
        deviation: Option<Ratio>,
        /// Its rate over the others' median.
        skew: Ratio,
    },
    /// It can be compared.
    Compared {
        /// How far it is from the mean.
        deviation: Ratio,
        /// Its rate over the others' median.
        skew: Ratio,
        /// Whether it does enough to be called hot.
        reaches_floor: bool,
    },
}

impl Standing {
    /// How far from the mean of the group's shards: 0.5 is half as much again.
    pub fn deviation(&self) -> Option<Ratio> {
        match *self {
            Self::Unknown => None,
            Self::Idle { deviation, .. } => deviation,
            Self::Compared { deviation, .. } => Some(deviation),
        }
    }

    /// The rate over the median of the *other* shards, which is never taken to be less than the floor.
    pub fn skew(&self) -> Option<Ratio> {
        match *self {
            Self::Unknown => None,
            Self::Idle { skew, .. } | Self::Compared { skew, .. } => Some(skew),
        }
    }
}

/// Where each shard stands, by its rate; `None` is a shard that isn't observed, which bends neither mean nor median.
pub fn compare(rates: &[Option<f64>], floor: f64) -> Vec<Standing> {
    let known: Vec<f64> = rates.iter().copied().flatten().collect();
    if known.len() < 2 {
        return vec![Standing::Unknown; rates.len()];
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let idle = known.iter().all(|rate| *rate < floor);
    let mut sorted = known;
    sorted.sort_unstable_by(f64::total_cmp);
    let standing = |rate: f64| {
        let skew = Ratio(rate / median_without(&sorted, rate).max(floor));
        let deviation = (mean > 0.0).then(|| Ratio(rate / mean - 1.0));
        match deviation {
            Some(deviation) if !idle => Standing::Compared {
                deviation,
                skew,
                reaches_floor: rate >= floor,
            },
            _ => Standing::Idle { deviation, skew },
        }
    };
    rates
        .iter()
        .map(|rate| rate.map_or(Standing::Unknown, standing))
        .collect()
}

/// The median of `sorted` with one `rate` taken out; at least two rates.
fn median_without(sorted: &[f64], rate: f64) -> f64 {
    let out = sorted.partition_point(|other| *other < rate);
    let others = sorted.len() - 1;
    let nth = |n: usize| sorted[if n < out { n } else { n + 1 }];
    if others % 2 == 1 {
        nth(others / 2)
    } else {
        (nth(others / 2 - 1) + nth(others / 2)) / 2.0
    }
}

/// Remembers a shard's status in one signal. Hotter or colder is said at once; a status is left when the shard has been past the
/// hysteresis at so many polls in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusTracker {
    status: Status,
    leaving: u32,
}

impl StatusTracker {
    /// The status after one more poll.
    pub fn observe(&mut self, standing: &Standing, settings: &StatusSettings) -> Status {
        let next = self.status.settle(standing, settings);
        if next == self.status {
            self.leaving = 0;
        } else {
            self.leaving += 1;
            if self.status.is_left_at_once_for(next) || self.leaving >= settings.leave_after {
                *self = Self {
                    status: next,
                    leaving: 0,
                };
            }
        }
        self.status
    }

    /// The status as it is.
    pub fn status(&self) -> Status {
        self.status
    }
}

impl Status {
    /// Where a shard of this status rests, were it not for the polls it has to wait.
    fn settle(self, standing: &Standing, settings: &StatusSettings) -> Self {
        let (deviation, reaches_floor) = match *standing {
            Standing::Unknown => return Self::Unknown,
            Standing::Idle { .. } => return Self::Idle,
            Standing::Compared {
                deviation,
                reaches_floor,
                ..
            } => (deviation.0, reaches_floor),
        };
        let stays_above = |threshold: Ratio| reaches_floor && deviation >= threshold.0 - settings.hysteresis.0;
        if reaches_floor && deviation > settings.very_hot.0 {
            Self::VeryHot
        } else if self == Self::VeryHot && stays_above(settings.very_hot) {
            self
        } else if (reaches_floor && deviation > settings.hot.0) || (self.is_hot() && stays_above(settings.hot)) {
            Self::Hot
        } else if deviation < -settings.cold.0
            || (self == Self::Cold && deviation <= settings.hysteresis.0 - settings.cold.0)
        {
            Self::Cold
        } else {
            Self::Normal
        }
    }

    /// What is entered is entered at once; only hot, cold and normal are left slowly, towards less.
    fn is_left_at_once_for(self, next: Self) -> bool {
        match (self, next) {
            (Self::Unknown | Self::Idle, _) | (_, Self::Unknown) => true,
            (Self::VeryHot, _) | (_, Self::Idle) => false,
            (Self::Hot, next) => next == Self::VeryHot,
            (Self::Normal, _) => true,
            (Self::Cold, next) => next.is_hot(),
        }
    }
}

#[cfg(test)]
mod tests;
