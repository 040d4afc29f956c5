//! The hash by which a text is known: 64 bits, seeded, since keys are anybody's choice and their texts aren't compared.
//!
//! Most keys are short, and how short follows no rule. So up to 32 bytes are read as four words with zeros behind their end, whatever
//! their number, and multiplied in pairs as foldhash does; longer texts are left to foldhash itself.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::fast::FixedState;

use crate::analysis::line::Block;

#[derive(Clone, Debug)]
pub(super) struct TextHash {
    state: FixedState,
    /// What nobody knows, and so can't choose words by.
    secrets: [u64; 4],
}

impl TextHash {
    pub(super) fn new(seed: u64) -> Self {
        let state = FixedState::with_seed(seed);
        Self {
            secrets: [1_u64, 2, 3, 4].map(|number| state.hash_one(number)),
            state,
        }
    }

    pub(super) fn of(&self, text: &[u8]) -> u64 {
        self.of_within(text, 0..text.len())
    }

    /// The same of a text that stands in a buffer.
    #[inline(always)]
    pub(super) fn of_within(&self, buffer: &[u8], text: Range<usize>) -> u64 {
        let length = text.end - text.start;
        let mixed = if length <= Block::LENGTH {
            let [first, second, third, fourth] = Block::at(buffer, text.start).words(length);
            let [one, two, three, four] = self.secrets;
            folded(first ^ one, second ^ two) ^ folded(third ^ three, fourth ^ four)
        } else {
            self.of_long(&buffer[text])
        };
        // Zeros behind the end are none of the text, so the length is told.
        mixed ^ (length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[inline(never)]
    fn of_long(&self, text: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(text);
        hasher.finish()
    }
}

/// Both halves of a product in one.
#[inline(always)]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_differ_in_little_have_different_hashes() {
        let hash = TextHash::new(7);
        let mut seen = HashSet::new();
        let mut different = HashSet::new();
        for length in 0..80 {
            let base = vec![b'0'; length];
            seen.insert(hash.of(&base));
            different.insert(base.clone());
            for place in 0..length {
                for byte in [0, b'1', b'a', 0xff] {
                    let mut text = base.clone();
                    text[place] = byte;
                    seen.insert(hash.of(&text));
                    different.insert(text);
                }
            }
        }
        for number in 0..200_000 {
            let text = format!("user:{number}:profile").into_bytes();
            seen.insert(hash.of(&text));
            different.insert(text);
        }
        assert_eq!(seen.len(), different.len());
    }

    /// Tables take the lower bits, and those above 32 tell counters apart.
    #[test]
    fn keys_spread_over_tables_as_by_chance() {
        let hash = TextHash::new(7);
        let forms: [fn(u64) -> String; 4] = [
            |number| format!("{number}"),
            |number| format!("user:{number}:profile"),
            |number| format!("cart:{{{}}}:items:of:{number}", number % 7),
            |number| format!("{:x}:{number}", number << 40),
        ];
        for form in forms {
            for from in [0, 16, 32, 52] {
                let mut places = [0_u32; 4096];
                (0..409_600).for_each(|number| places[(hash.of(form(number).as_bytes()) >> from & 4095) as usize] += 1);
                // A hundred each; by chance none of 4,096 is seven deviations of ten off.
                let (least, greatest) = (places.iter().min(), places.iter().max());
                assert!(
                    least > Some(&30) && greatest < Some(&170),
                    "{}, {from}: {least:?} to {greatest:?}",
                    form(1)
                );
            }
        }
    }

    #[test]
    fn another_seed_gives_other_hashes() {
        assert_ne!(TextHash::new(1).of(b"key"), TextHash::new(2).of(b"key"));
        assert_ne!(TextHash::new(1).of(&[b'k'; 40]), TextHash::new(2).of(&[b'k'; 40]));
    }

    proptest::proptest! {
        #[test]
        fn a_text_has_one_hash_wherever_it_stands(before: Vec<u8>, text: Vec<u8>, after: Vec<u8>) {
            let buffer = [&before[..], &text, &after].concat();
            let within = before.len()..before.len() + text.len();
            let hash = TextHash::new(7);
            proptest::prop_assert_eq!(hash.of_within(&buffer, within), hash.of(&text));
        }
    }
}
