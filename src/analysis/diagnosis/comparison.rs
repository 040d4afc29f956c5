//! One shard in one signal beside the group's others.

use super::SHARE_MIN;
use super::evidence::ShardEvidence;
use super::resharding::Prospects;
use crate::analysis::status::Signal;

/// A shard, the others, and what is compared.
pub(super) struct Comparison<'a> {
    pub(super) here: &'a ShardEvidence<'a>,
    pub(super) all: &'a [ShardEvidence<'a>],
    place: usize,
    pub(super) signal: Signal,
    pub(super) prospects: &'a Prospects,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(all: &'a [ShardEvidence<'a>], prospects: &'a Prospects, place: usize, signal: Signal) -> Self {
        Self {
            here: &all[place],
            all,
            place,
            signal,
            prospects,
        }
    }

    /// Whether it is called hot, and still is.
    pub(super) fn is_hot(&self) -> bool {
        // A status is left only after a while, and what is over by then has no cause that could be found.
        let still = self.excess().is_some_and(|excess| excess >= SHARE_MIN);
        self.here.reading(self.signal).status.is_hot() && still
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &'a ShardEvidence<'a>> {
        let place = self.place;
        self.all
            .iter()
            .enumerate()
            .filter(move |(other, _)| *other != place)
            .map(|(_, shard)| shard)
    }

    /// The shard's rate in the signal, and what is usual elsewhere.
    pub(super) fn rates(&self) -> Option<(f64, f64)> {
        let here = self.here.rate(self.signal).filter(|rate| *rate > 0.0)?;
        let elsewhere = self.elsewhere(|shard| shard.rate(self.signal))?;
        Some((here, elsewhere))
    }

    /// The median over the other shards of what is known of them.
    pub(super) fn elsewhere(&self, figure: impl Fn(&ShardEvidence<'_>) -> Option<f64>) -> Option<f64> {
        median(self.others().filter_map(figure).collect())
    }

    /// What part of the shard's rate is more than the others have: by their median, or by the mean of all if that says more.
    pub(super) fn excess(&self) -> Option<f64> {
        let beyond_median = self.rates().map(|(here, elsewhere)| 1.0 - elsewhere / here);
        let deviation = self.here.reading(self.signal).deviation.map(|deviation| deviation.0);
        let beyond_mean = deviation.map(|deviation| deviation / (1.0 + deviation).max(f64::EPSILON));
        [beyond_median, beyond_mean]
            .into_iter()
            .flatten()
            .reduce(f64::max)
            .filter(|excess| *excess > 0.0)
    }

    /// What part of the excess a part of the traffic accounts for, that has the share `here` in this shard and `elsewhere` in the others.
    /// If it alone were added to traffic like theirs, its share would rise by the excess of what others do.
    pub(super) fn explained(&self, here: f64, elsewhere: f64) -> f64 {
        let room = self.excess().unwrap_or(1.0) * (1.0 - elsewhere);
        if room <= 0.0 {
            0.0
        } else {
            ((here - elsewhere) / room).clamp(0.0, 1.0)
        }
    }
}

/// The middle; of an even number the mean of the two in the middle.
pub(super) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}
