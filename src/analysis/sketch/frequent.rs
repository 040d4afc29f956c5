//! The most frequent things of a stream, in bounded memory, each with the most its count can be wrong.
//!
//! One open-addressed table. When it is full, the less frequent half leaves at once, and the largest count that a thing which left can
//! have had is remembered as the `offset`. A thing that comes (again) starts from there: its count since is exact, and it was missed at
//! most `offset` times. With K entries and N things counted the offset is at most 2 N ÷ K.

/// How much of a text is kept.
const KEPT_MAX: usize = 256;

/// How large a table may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many things.
    pub entries_max: usize,
    /// How many bytes of their texts in all.
    pub text_max: usize,
}

/// The most frequent things, each with something of the caller's.
///
/// A thing is known by the 64 bits of its hash and the length of its text. The hash needs a secret seed: then among 10,000 counters and
/// a thousand million things the chance that any two are taken for one is below one in a million, and nobody can choose them so.
#[derive(Clone, Debug)]
pub struct Frequent<Extra> {
    slots: Vec<Counter<Extra>>,
    entries: usize,
    limits: Limits,
    texts: Vec<u8>,
    offset: u64,
    /// Where counters wait while the table is built anew.
    staying: Vec<Counter<Extra>>,
    ranks: Vec<u64>,
}

/// One thing's counter.
#[derive(Clone, Copy, Debug)]
pub struct Counter<Extra> {
    hash: u64,
    /// How often since it came; 0 marks an empty place.
    count: u64,
    /// How often at most it was missed before it came.
    missed: u32,
    text: u32,
    length: u16,
    /// The caller's.
    pub extra: Extra,
}

impl<Extra> Counter<Extra> {
    /// How often it was seen since it came: exact, and a lower bound of how often it was seen at all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How often it was seen at most.
    pub fn upper(&self) -> u64 {
        self.count + u64::from(self.missed)
    }

    /// Sees it again.
    #[inline(always)]
    pub fn add(&mut self, weight: u64) {
        self.count += weight;
    }

    fn kept(&self) -> usize {
        usize::from(self.length).min(KEPT_MAX)
    }
}

impl<Extra: Copy + Default> Frequent<Extra> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        let entries_max = limits.entries_max.max(1);
        // Never fuller than a half to three quarters, so that a place is found in a step or two.
        let slots = (entries_max + entries_max / 3 + 1).next_power_of_two();
        Self {
            slots: vec![Counter::empty(); slots],
            entries: 0,
            limits: Limits {
                entries_max,
                text_max: limits.text_max.max(KEPT_MAX),
            },
            texts: Vec::new(),
            offset: 0,
            staying: Vec::new(),
            ranks: Vec::new(),
        }
    }

    /// The counter of a thing, if it has one.
    #[inline(always)]
    pub fn find(&mut self, hash: u64, text: &[u8]) -> Option<&mut Counter<Extra>> {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let counter = &self.slots[place];
            if counter.count == 0 {
                return None;
            }
            if counter.hash == hash && usize::from(counter.length) == text.len() {
                return Some(&mut self.slots[place]);
            }
            place = (place + 1) & mask;
        }
    }

    /// Brings the place where a thing's counter would be near, long before it is needed.
    #[inline(always)]
    pub fn approach(&self, hash: u64) -> u64 {
        self.slots[hash as usize & (self.slots.len() - 1)].count
    }

    /// Whether a thing with this text needs [`Frequent::purge`] first.
    pub fn is_full(&self, text: &[u8]) -> bool {
        self.entries == self.limits.entries_max || self.texts.len() + text.len().min(KEPT_MAX) > self.limits.text_max
    }

    /// Begins to count a thing that has no counter, in a table that isn't full.
    pub fn insert(&mut self, hash: u64, text: &[u8], weight: u64, extra: Extra) {
        debug_assert!(!self.is_full(text) && weight > 0);
        let counter = Counter {
            hash,
            count: weight,
            // 2 N ÷ K passes 32 bits after some 10^13 things.
            missed: u32::try_from(self.offset).unwrap_or(u32::MAX),
            text: self.texts.len() as u32,
            length: u16::try_from(text.len()).unwrap_or(u16::MAX),
            extra,
        };
        self.texts.extend_from_slice(&text[..text.len().min(KEPT_MAX)]);
        self.entries += 1;
        self.place(counter);
    }

    /// Makes room: the less frequent half leaves, each with its kept text told to `leaving`.
    pub fn purge(&mut self, mut leaving: impl FnMut(&[u8], &Counter<Extra>)) {
        loop {
            self.purge_half(&mut leaving);
            if self.texts.len() <= self.limits.text_max / 2 {
                return;
            }
        }
    }

    /// How often at most a thing that has no counter was seen.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Every counter with its kept text, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Counter<Extra>)> {
        let counters = self.slots.iter().filter(|counter| counter.count > 0);
        counters.map(|counter| (text_of(&self.texts, counter), counter))
    }

    /// How many things have a counter.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    fn place(&mut self, counter: Counter<Extra>) {
        let mask = self.slots.len() - 1;
        let mut place = counter.hash as usize & mask;
        while self.slots[place].count > 0 {
            place = (place + 1) & mask;
        }
        self.slots[place] = counter;
    }

    fn purge_half(&mut self, leaving: &mut impl FnMut(&[u8], &Counter<Extra>)) {
        self.offset = self.offset.max(self.middle());
        for slot in &mut self.slots {
            let counter = std::mem::replace(slot, Counter::empty());
            if counter.count == 0 {
                continue;
            }
            if counter.upper() > self.offset {
                self.staying.push(counter);
            } else {
                leaving(text_of(&self.texts, &counter), &counter);
            }
        }
        self.entries = self.staying.len();
        self.close_gaps();
        while let Some(counter) = self.staying.pop() {
            self.place(counter);
        }
    }

    /// The count that half of the things don't pass.
    fn middle(&mut self) -> u64 {
        self.ranks.clear();
        let counters = self.slots.iter().filter(|counter| counter.count > 0);
        self.ranks.extend(counters.map(Counter::upper));
        if self.ranks.is_empty() {
            return 0;
        }
        let middle = self.ranks.len() / 2;
        *self.ranks.select_nth_unstable(middle).1
    }

    /// Moves the texts that stay together.
    fn close_gaps(&mut self) {
        self.staying.sort_unstable_by_key(|counter| counter.text);
        let mut end = 0;
        for counter in &mut self.staying {
            let from = counter.text as usize;
            self.texts.copy_within(from..from + counter.kept(), end);
            counter.text = end as u32;
            end += counter.kept();
        }
        self.texts.truncate(end);
    }
}

impl<Extra: Default> Counter<Extra> {
    fn empty() -> Self {
        Self {
            hash: 0,
            count: 0,
            missed: 0,
            text: 0,
            length: 0,
            extra: Extra::default(),
        }
    }
}

#[inline(always)]
fn text_of<'texts, Extra>(texts: &'texts [u8], counter: &Counter<Extra>) -> &'texts [u8] {
    let from = counter.text as usize;
    &texts[from..from + counter.kept()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Counts a stream of letters and holds every answer against the truth.
    fn check(entries_max: usize, text_max: usize, stream: &[u8]) {
        let mut table = Frequent::<()>::new(Limits { entries_max, text_max });
        let mut truth = HashMap::<u8, u64>::new();
        let mut left = 0;
        for &letter in stream {
            *truth.entry(letter).or_default() += 1;
            let text = [letter];
            // A bad hash on purpose: all share a place.
            if let Some(counter) = table.find(u64::from(letter) << 32, &text) {
                counter.add(1);
                continue;
            }
            if table.is_full(&text) {
                table.purge(|_, counter| left += counter.count());
            }
            table.insert(u64::from(letter) << 32, &text, 1, ());
        }
        let bound = 2 * stream.len() as u64 / entries_max as u64;
        assert!(table.offset() <= bound, "{stream:?}: {} > {bound}", table.offset());
        let stayed: u64 = table.iter().map(|(_, counter)| counter.count()).sum();
        assert_eq!(stayed + left, stream.len() as u64, "{stream:?}");
        for (&letter, &count) in &truth {
            let counter = table.find(u64::from(letter) << 32, &[letter]).map(|counter| *counter);
            let (lower, upper) = counter.map_or((0, table.offset()), |counter| (counter.count(), counter.upper()));
            assert!(
                lower <= count && count <= upper,
                "{stream:?}: {letter} is {count}, not {lower} to {upper}"
            );
        }
    }

    #[test]
    fn every_stream_of_six_letters_is_counted_within_the_stated_error() {
        for entries_max in 1..=4 {
            for number in 0..6_u32.pow(6) {
                let stream: Vec<u8> = (0..6).map(|place| (number / 6_u32.pow(place) % 6) as u8).collect();
                check(entries_max, usize::MAX, &stream);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn long_streams_are_counted_within_the_stated_error(
            entries_max in 1_usize..40,
            stream in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000),
        ) {
            check(entries_max, usize::MAX, &stream);
            let skewed: Vec<u8> = stream.iter().map(|letter| letter & letter >> 3).collect();
            check(entries_max, usize::MAX, &skewed);
        }
    }

    #[test]
    fn texts_take_no_more_room_than_they_may() {
        let mut table = Frequent::<()>::new(Limits {
            entries_max: 1000,
            text_max: 4096,
        });
        for number in 0..10_000_u64 {
            let text = format!("{number:0>300}");
            if table.is_full(text.as_bytes()) {
                table.purge(|text, _| assert_eq!(text.len(), 256));
            }
            table.insert(number, text.as_bytes(), 1, ());
            assert!(table.texts.len() <= 4096 && table.texts.len() == table.len() * 256);
        }
    }
}
