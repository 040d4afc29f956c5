//! The most frequent things of a stream, in bounded memory, each with the most its count can be wrong.
//!
//! Counters in the order in which their things came, and one open-addressed table of places among them. When they are full, the less frequent half leaves at once, and the largest count that a thing which left can
//! have had is remembered as the `offset`. A thing that comes (again) starts from there: its count since is exact, and it was missed at
//! most `offset` times. With K entries and N things counted the offset is at most 2 N ÷ K.

use std::hint::select_unpredictable;
use std::ops::Range;

/// How much of a text is kept.
const KEPT_MAX: usize = 256;

/// By so many bytes the room for texts grows.
const TEXTS_STEP: usize = 4096;

/// A text up to here is copied with what follows it: nearly all are shorter, and no length takes longer than another.
const COPIED: usize = 64;

/// Counts so little above the offset are ranked without being sorted.
const NEAR: usize = 64;

/// The place of the counter that is nobody's.
pub const NOBODYS: usize = 0;

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
/// A thing is known by the 64 bits of its hash. The hash needs a secret seed: then among 10,000 counters and a thousand million things the
/// chance that any two are taken for one is below one in a million, and nobody can choose them so.
#[derive(Clone, Debug)]
pub struct Frequent<Extra> {
    /// In the order of their texts; the first is nobody's.
    counters: Vec<Counter<Extra>>,
    table: Table,
    limits: Limits,
    /// Up to `texts_end`; behind that is room.
    texts: Vec<u8>,
    texts_end: usize,
    offset: u64,
    ranks: Vec<u64>,
}

/// Places among the counters, found by hash.
#[derive(Clone, Debug)]
struct Table {
    /// The lower bits are a counter's place, 0 where there is none; those above are the hash's, so that few wrong counters are looked at.
    places: Vec<u32>,
    place_bits: u32,
}

/// One thing's counter.
#[derive(Clone, Copy, Debug)]
pub struct Counter<Extra> {
    hash: u64,
    /// How often since it came.
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

    /// Whether it is that thing's.
    #[inline(always)]
    pub fn is_of(&self, hash: u64) -> bool {
        self.hash == hash
    }

    /// Sees it again.
    #[inline(always)]
    pub fn add(&mut self, weight: u64) {
        self.count += weight;
    }

    fn kept(&self) -> usize {
        usize::from(self.length).min(KEPT_MAX)
    }

    fn place_of_text(&self) -> Range<usize> {
        let begin = self.text as usize;
        begin..begin + self.kept()
    }
}

impl<Extra: Copy + Default> Frequent<Extra> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        let entries_max = limits.entries_max.max(1);
        // Never fuller than a half, so that most things are found where they are looked for first.
        let places = (2 * entries_max + 1).next_power_of_two();
        Self {
            counters: vec![Counter::nobodys()],
            table: Table::new(places),
            limits: Limits {
                entries_max,
                text_max: limits.text_max.max(KEPT_MAX),
            },
            texts: Vec::new(),
            texts_end: 0,
            offset: 0,
            ranks: Vec::new(),
        }
    }

    /// The counter of a thing, if it has one.
    #[inline(always)]
    pub fn find(&mut self, hash: u64) -> Option<&mut Counter<Extra>> {
        let place = match self.place_at_once(hash) {
            NOBODYS => self.place(hash),
            place => place,
        };
        (place != NOBODYS).then(|| &mut self.counters[place])
    }

    /// Where the counter of a thing stands until the next purge; [`NOBODYS`] if it has none.
    #[inline(always)]
    pub fn place(&self, hash: u64) -> usize {
        let is_it = |place: usize| self.counters[place].hash == hash;
        self.table.find(hash, is_it)
    }

    /// The same if it stands where it is looked for first, else [`NOBODYS`]. A stream's touches follow no rule, so the processor, were it to
    /// guess, would guess wrong as often as not.
    #[inline(always)]
    pub fn place_at_once(&self, hash: u64) -> usize {
        let place = self.table.first(hash);
        select_unpredictable(self.counters[place].hash == hash, place, NOBODYS)
    }

    /// The only place where a thing's counter may stand at once; it may be another's, or [`NOBODYS`].
    #[inline(always)]
    pub fn place_looked_at_first(&self, hash: u64) -> usize {
        self.table.first(hash)
    }

    /// The counter at a place.
    #[inline(always)]
    pub fn at(&mut self, place: usize) -> &mut Counter<Extra> {
        &mut self.counters[place]
    }

    /// Whether a thing with this text needs [`Frequent::purge`] first.
    pub fn is_full(&self, text: &[u8]) -> bool {
        self.len() == self.limits.entries_max || self.texts_end + text.len().min(KEPT_MAX) > self.limits.text_max
    }

    /// Whether so many things find room without a purge, whatever their texts.
    #[inline(always)]
    pub fn has_room_for(&self, things: usize) -> bool {
        self.len() + things <= self.limits.entries_max && self.texts_end + things * KEPT_MAX <= self.limits.text_max
    }

    /// Begins to count a thing that has no counter, in a table that isn't full; says at which place.
    pub fn insert(&mut self, hash: u64, text: &[u8], weight: u64, extra: Extra) -> usize {
        self.insert_within(hash, (text, 0..text.len()), weight, extra)
    }

    /// [`Frequent::insert`] of a thing whose text stands in a buffer.
    #[inline(always)]
    pub fn insert_within(
        &mut self,
        hash: u64,
        (buffer, text): (&[u8], Range<usize>),
        weight: u64,
        extra: Extra,
    ) -> usize {
        debug_assert!(!self.is_full(&buffer[text.clone()]));
        let kept = text.len().min(KEPT_MAX);
        let counter = Counter {
            hash,
            count: weight,
            // 2 N ÷ K passes 32 bits after some 10^13 things.
            missed: u32::try_from(self.offset).unwrap_or(u32::MAX),
            text: self.texts_end as u32,
            length: u16::try_from(text.len()).unwrap_or(u16::MAX),
            extra,
        };
        let texts_end = self.texts_end + kept;
        if texts_end + COPIED > self.texts.len() {
            self.texts.resize(texts_end + TEXTS_STEP, 0);
        }
        copy((buffer, text.start), &mut self.texts[self.texts_end..], kept);
        self.texts_end = texts_end;
        let place = self.counters.len();
        self.table.insert(hash, place);
        self.counters.push(counter);
        place
    }

    /// Makes room: the less frequent half leaves; which these are is told to `leaving`, perhaps in parts.
    #[inline(never)]
    pub fn purge(&mut self, mut leaving: impl FnMut(&Leaving<Extra>)) {
        loop {
            self.purge_half(&mut leaving);
            if self.texts_end <= self.limits.text_max / 2 {
                return;
            }
        }
    }

    /// How often at most a thing that has no counter was seen.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Every counter with its kept text, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Counter<Extra>)> {
        let counters = self.counters[1..].iter();
        counters.map(|counter| (text_of(&self.texts, counter), counter))
    }

    /// How many things have a counter.
    pub fn len(&self) -> usize {
        self.counters.len() - 1
    }

    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All things, as if they left.
    pub fn all(&self) -> Leaving<'_, Extra> {
        Leaving {
            counters: &self.counters[1..],
            texts: &self.texts,
            up_to: u64::MAX,
        }
    }

    fn purge_half(&mut self, leaving: &mut impl FnMut(&Leaving<Extra>)) {
        self.offset = self.offset.max(self.middle());
        leaving(&Leaving {
            up_to: self.offset,
            ..self.all()
        });
        self.let_go();
        self.table.clear();
        let mut texts_end = 0;
        for (place, counter) in self.counters.iter_mut().enumerate().skip(1) {
            let text = counter.place_of_text();
            counter.text = texts_end as u32;
            texts_end += text.len();
            move_down(&mut self.texts, text, counter.text as usize);
            self.table.insert(counter.hash, place);
        }
        self.texts_end = texts_end;
    }

    /// Keeps the counters of more than the offset alone. Which these are follows no rule, so each is written to where the next that
    /// stays belongs, and the processor has nothing to guess.
    fn let_go(&mut self) {
        let mut stayed = 1;
        for place in 1..self.counters.len() {
            let counter = self.counters[place];
            self.counters[stayed] = counter;
            stayed += usize::from(counter.upper() > self.offset);
        }
        self.counters.truncate(stayed);
    }

    /// The count that half of the things don't pass.
    fn middle(&mut self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let uppers = self.counters[1..].iter().map(Counter::upper);
        let half = self.len() / 2;
        // Nearly always it is little more than that of things that came once, so it is enough to count how many have each of these.
        // Neighbours are counted apart, so that none waits for the one before it.
        let mut having = [[0_u32; NEAR]; 4];
        for (number, upper) in uppers.clone().enumerate() {
            let above = upper.saturating_sub(self.offset).min(NEAR as u64 - 1);
            having[number % 4][above as usize] += 1;
        }
        let mut passed = 0;
        for above in 0..NEAR - 1 {
            passed += having.iter().map(|having| having[above] as usize).sum::<usize>();
            if passed > half {
                return self.offset + above as u64;
            }
        }
        self.ranks.clear();
        self.ranks.extend(uppers);
        *self.ranks.select_nth_unstable(half).1
    }
}

/// The things that leave a table.
pub struct Leaving<'table, Extra> {
    /// Theirs, and those of things that stay.
    counters: &'table [Counter<Extra>],
    texts: &'table [u8],
    up_to: u64,
}

impl<Extra> Leaving<'_, Extra> {
    /// Every counter of the table, with how often its thing was seen if that leaves, else 0: who leaves follows no rule, so nothing is left
    /// to a guess of the processor's.
    pub fn counts(&self) -> impl Iterator<Item = (&Counter<Extra>, u64)> {
        (0..self.len()).map(|number| self.at(number))
    }

    /// One of these.
    #[inline(always)]
    pub fn at(&self, number: usize) -> (&Counter<Extra>, u64) {
        let counter = &self.counters[number];
        let count = select_unpredictable(counter.upper() <= self.up_to, counter.count, 0);
        (counter, count)
    }

    /// How many counters the table has.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// Where a thing's kept text stands, and in what.
    pub fn text_of(&self, counter: &Counter<Extra>) -> (&[u8], Range<usize>) {
        (self.texts, counter.place_of_text())
    }
}

impl Table {
    fn new(places: usize) -> Self {
        Self {
            places: vec![0; places],
            place_bits: places.ilog2(),
        }
    }

    /// The place of the counter with this hash for which `is_it` holds.
    #[inline(always)]
    fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> usize {
        let mask = self.places.len() - 1;
        let mark = self.mark(hash);
        let mut at = hash as usize & mask;
        loop {
            let entry = self.places[at & mask];
            if entry == 0 {
                return NOBODYS;
            }
            let place = self.place(entry);
            if entry ^ place as u32 == mark && is_it(place) {
                return place;
            }
            at += 1;
        }
    }

    /// The place that is looked at first for a hash.
    #[inline(always)]
    fn first(&self, hash: u64) -> usize {
        self.place(self.places[hash as usize & (self.places.len() - 1)])
    }

    fn insert(&mut self, hash: u64, place: usize) {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at] != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = self.mark(hash) | place as u32;
    }

    fn clear(&mut self) {
        self.places.fill(0);
    }

    #[inline(always)]
    fn place(&self, entry: u32) -> usize {
        entry as usize & (self.places.len() - 1)
    }

    /// The bits of the hash that an entry holds.
    #[inline(always)]
    fn mark(&self, hash: u64) -> u32 {
        ((hash >> 32) as u32) >> self.place_bits << self.place_bits
    }
}

impl<Extra: Default> Counter<Extra> {
    fn nobodys() -> Self {
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

/// Copies a text of that length from a place in a buffer to the beginning of `to`, where more may be written than that.
#[inline(always)]
fn copy((buffer, from): (&[u8], usize), to: &mut [u8], length: usize) {
    let seen = buffer.get(from..).and_then(|rest| rest.first_chunk::<COPIED>());
    match (seen, to.first_chunk_mut::<COPIED>()) {
        (Some(seen), Some(to)) if length <= COPIED => *to = *seen,
        _ => to[..length].copy_from_slice(&buffer[from..from + length]),
    }
}

/// Moves a text to an earlier place, or none; up to where it stood, more may be written than that.
#[inline(always)]
fn move_down(texts: &mut [u8], text: Range<usize>, to: usize) {
    let seen = texts
        .get(text.start..)
        .and_then(|rest| rest.first_chunk::<COPIED>())
        .copied();
    match seen {
        // Those before the first that leaves stay where they are.
        Some(seen) if text.len() <= COPIED && (to == text.start || to + COPIED <= text.start) => {
            texts[to..to + COPIED].copy_from_slice(&seen);
        }
        _ => texts.copy_within(text, to),
    }
}

fn text_of<'texts, Extra>(texts: &'texts [u8], counter: &Counter<Extra>) -> &'texts [u8] {
    &texts[counter.place_of_text()]
}

#[cfg(test)]
mod tests;
