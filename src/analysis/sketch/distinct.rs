//! How many different things there were, estimated from their hashes (HyperLogLog).

/// A register for each of so many parts of the hashes.
const REGISTERS: usize = 1 << BITS;
const BITS: u32 = 12;

/// The number of different hashes, within about 1.6 % (one standard deviation).
#[derive(Clone, Debug)]
pub struct Distinct {
    /// The longest run of zeros, plus one, among the hashes of each part.
    registers: Box<[u8]>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self {
            registers: vec![0; REGISTERS].into(),
        }
    }
}

impl Distinct {
    /// Takes a hash; one that was taken before changes nothing.
    pub fn add(&mut self, hash: u64) {
        // The tables that share the hash pick their places by its bits too: mixing keeps the two apart.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = mixed ^ mixed >> 32;
        let part = (mixed >> (64 - BITS)) as usize;
        let run = ((mixed << BITS) | 1 << (BITS - 1)).leading_zeros() as u8 + 1;
        self.registers[part] = self.registers[part].max(run);
    }

    /// Takes all that `other` took; both must have been given hashes of the same seed.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// How many different hashes it took.
    pub fn estimate(&self) -> u64 {
        let count = REGISTERS as f64;
        let sum: f64 = self.registers.iter().map(|&run| (-f64::from(run)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
        let empty = self.registers.iter().filter(|&&run| run == 0).count();
        // Few hashes leave registers empty, and how many says more than the runs do.
        let estimate = if raw <= 2.5 * count && empty > 0 {
            count * (count / empty as f64).ln()
        } else {
            raw
        };
        estimate.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn check(different: u64) {
        let seeded = foldhash::fast::FixedState::with_seed(7);
        let mut distinct = Distinct::default();
        for thing in (0..different).chain(0..different / 2) {
            distinct.add(seeded.hash_one(thing));
        }
        let off = distinct.estimate().abs_diff(different) as f64 / different.max(1) as f64;
        assert!(off < 0.05, "{} for {different}", distinct.estimate());
    }

    #[test]
    fn different_things_are_counted_within_a_few_per_cent() {
        for different in [0, 1, 10, 1_000, 9_000, 12_000, 100_000, 1_000_000] {
            check(different);
        }
    }
}
