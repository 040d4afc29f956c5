//! Seeded chance: one generator, and draws by weight in constant time.

/// A splitmix64 generator: small, quick, the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// A generator of its own for one purpose, so that drawing more here changes nothing there.
    pub(super) fn for_purpose(seed: u64, purpose: u64) -> Self {
        let mut mixed = Self(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(mixed.bits())
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`; 0 when the limit is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.bits()) * limit as u128) >> 64) as usize
    }

    /// From 0 up to, but not, 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn hits(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// So many lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text += &format!("{:016x}", self.bits());
        }
        text.truncate(digits);
        text
    }
}

/// Draws an index by weight: two draws, whatever the number of weights (the alias method).
#[derive(Clone, Debug, Default)]
pub(super) struct Weighted(Vec<(f64, u32)>);

impl Weighted {
    pub(super) fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut columns: Vec<(f64, u32)> = weights
            .iter()
            .zip(0..)
            .map(|(weight, own)| (weight / total * weights.len() as f64, own))
            .collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|&column| columns[column].0 < 1.0);
        while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
            small.pop();
            columns[poor].1 = rich as u32;
            columns[rich].0 -= 1.0 - columns[poor].0;
            if columns[rich].0 < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        // What is left over differs from 1 by rounding only.
        for column in small.into_iter().chain(large) {
            columns[column].0 = 1.0;
        }
        Self(columns)
    }

    /// Ranks from 0 on, each drawn in proportion to `1 / (rank + 1)^exponent`.
    pub(super) fn zipf(ranks: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=ranks).map(|rank| (rank as f64).powf(-exponent)).collect();
        Self::new(&weights)
    }

    /// An index; 0 when there are no weights.
    pub(super) fn draw(&self, chance: &mut Chance) -> usize {
        let column = chance.below(self.0.len());
        match self.0.get(column) {
            Some(&(own, alias)) if chance.unit() >= own => alias as usize,
            _ => column,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[f64]) {
        let drawn = Weighted::new(weights);
        let mut chance = Chance::for_purpose(7, 7);
        let mut counts = vec![0u32; weights.len()];
        for _ in 0..200_000 {
            counts[drawn.draw(&mut chance)] += 1;
        }
        let total: f64 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(weights) {
            let expected = weight / total;
            assert!((f64::from(*count) / 2e5 - expected).abs() < 0.005, "{counts:?}");
        }
    }

    #[test]
    fn indices_are_drawn_by_their_weight() {
        check(&[1.0]);
        check(&[0.0, 1.0, 3.0]);
        check(&[5.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_purpose_has_its_own_chance() {
        let [mut first, mut again, mut other] = [1, 1, 2].map(|purpose| Chance::for_purpose(42, purpose));
        let drawn = first.bits();
        assert_eq!(drawn, again.bits());
        assert_ne!(drawn, other.bits());
    }
}
