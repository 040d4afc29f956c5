//! Counts with bounds, by name: what a sketch followed, in a form that can be merged.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// Counts of what was followed, and how often at most something else was seen.
#[derive(Clone, Debug)]
pub(super) struct Sampled<Name, Extra> {
    counts: HashMap<Name, (Bounds, Extra), RandomState>,
    missed: u64,
}

/// How often something was seen: at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) lower: u64,
    pub(super) upper: u64,
}

impl Bounds {
    /// By how much the upper bound may be too high.
    pub(super) fn error(self) -> u64 {
        self.upper - self.lower
    }
}

impl<Name: Eq + Hash, Extra: Copy> Sampled<Name, Extra> {
    /// With room for so many names.
    pub(super) fn new(missed: u64, names: usize) -> Self {
        Self {
            counts: HashMap::with_capacity_and_hasher(names, RandomState::default()),
            missed,
        }
    }

    /// Adds a count that the same sketch made, of something that may have got the name of another.
    pub(super) fn add(&mut self, name: Name, bounds: Bounds, extra: Extra) {
        let zero = Bounds { lower: 0, upper: 0 };
        let (mine, _) = self.counts.entry(name).or_insert((zero, extra));
        mine.lower += bounds.lower;
        mine.upper += bounds.upper;
    }

    /// Adds the counts of another sketch: what only one of them followed, the other may have missed.
    pub(super) fn merge(&mut self, mut other: Self) {
        for (name, (mine, _)) in &mut self.counts {
            match other.counts.remove(name) {
                Some((theirs, _)) => {
                    mine.lower += theirs.lower;
                    mine.upper += theirs.upper;
                }
                None => mine.upper += other.missed,
            }
        }
        for (name, (mut theirs, extra)) in other.counts {
            theirs.upper += self.missed;
            self.counts.insert(name, (theirs, extra));
        }
        self.missed += other.missed;
    }

    /// The same counts under other names; what gets one name becomes one.
    pub(super) fn renamed<Other: Eq + Hash>(self, mut rename: impl FnMut(Name) -> Other) -> Sampled<Other, Extra> {
        let mut renamed = Sampled::new(self.missed, self.len());
        for (name, (bounds, extra)) in self.counts {
            renamed.add(rename(name), bounds, extra);
        }
        renamed
    }

    /// Whether everything was followed from its first time on.
    pub(super) fn is_complete(&self) -> bool {
        self.missed == 0
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// How many were seen more often than `count`, perhaps.
    pub(super) fn above(&self, count: u64) -> usize {
        self.counts.values().filter(|(bounds, _)| bounds.upper > count).count()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, Bounds, Extra)> {
        self.counts
            .iter()
            .map(|(name, (bounds, extra))| (name, *bounds, *extra))
    }
}
