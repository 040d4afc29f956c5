//! How often the keys of each slot were touched.
//!
//! Slots come in no order, and all their counts don't fit next to the processor. So small counts stand in a byte each, which do, and move when
//! they are no longer small.

use crate::model::Slot;

#[derive(Debug)]
pub(super) struct SlotTouches {
    few: Box<[u8; SLOTS]>,
    many: Box<[u64; SLOTS]>,
}

const SLOTS: usize = Slot::COUNT as usize;

impl Default for SlotTouches {
    fn default() -> Self {
        Self {
            few: Box::new([0; SLOTS]),
            many: Box::new([0; SLOTS]),
        }
    }
}

impl SlotTouches {
    #[inline(always)]
    pub(super) fn add(&mut self, slot: Slot, count: u64) {
        let place = usize::from(slot.number());
        let few = u64::from(self.few[place]).wrapping_add(count);
        match u8::try_from(few) {
            Ok(few) => self.few[place] = few,
            Err(_) => self.settle(place, few),
        }
    }

    /// Of each slot, in order.
    pub(super) fn all(&self) -> Vec<u64> {
        let both = self.few.iter().zip(self.many.iter());
        both.map(|(few, many)| u64::from(*few) + many).collect()
    }

    #[cold]
    fn settle(&mut self, place: usize, count: u64) {
        self.many[place] += count;
        self.few[place] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn slots_have_all_their_touches(counts in proptest::collection::vec((0_u16..5, proptest::sample::select(&[0_u64, 1, 2, 100, 255, 256, 1 << 40])), 0..200)) {
            let mut touches = SlotTouches::default();
            let mut expected = vec![0; SLOTS];
            for (slot, count) in counts {
                touches.add(Slot::of_checksum(slot), count);
                expected[usize::from(slot)] += count;
            }
            proptest::prop_assert_eq!(touches.all(), expected);
        }
    }
}
