//! Many bytes at a time: where in a stretch of the stream does a byte occur?

use wide::u8x16;

/// Sixteen bytes of the stream.
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(u8x16);

impl Sixteen {
    /// How many bytes it holds.
    pub(crate) const LENGTH: usize = 16;
    /// A bit for each of them.
    pub(crate) const ALL: u32 = (1 << Self::LENGTH) - 1;

    #[inline(always)]
    pub(crate) fn of(bytes: &[u8; 16]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// One bit for each place where `byte` stands, the first in the lowest bit.
    #[inline(always)]
    pub(crate) fn places_of(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// One bit for each place where a byte from `first` to `last` stands.
    #[inline(always)]
    pub(crate) fn places_among(self, first: u8, last: u8) -> u32 {
        let from_first = self.0 - u8x16::splat(first);
        from_first
            .min(u8x16::splat(last - first))
            .simd_eq(from_first)
            .to_bitmask()
    }

    /// One bit for each place where a byte stands that is neither less than the one bound's there nor greater than the other's.
    #[inline(always)]
    pub(crate) fn places_within(self, least: Self, greatest: Self) -> u32 {
        self.0.max(least.0).min(greatest.0).simd_eq(self.0).to_bitmask()
    }

    /// The same bytes, but all those that stand in hexadecimal numbers are one.
    #[inline(always)]
    pub(crate) fn without_hex(self) -> Self {
        let among = |first: u8, last: u8| {
            let from_first = self.0 - u8x16::splat(first);
            from_first.min(u8x16::splat(last - first)).simd_eq(from_first)
        };
        Self(self.0 | among(b'0', b'9') | among(b'a', b'f'))
    }

    /// One bit for each place where one of two bytes stands.
    #[inline(always)]
    pub(crate) fn places_of_either(self, one: u8, other: u8) -> u32 {
        (self.0.simd_eq(u8x16::splat(one)) | self.0.simd_eq(u8x16::splat(other))).to_bitmask()
    }

    /// The first `length` bytes, at most sixteen, as a number that tells them from all other such stretches of that length.
    #[inline(always)]
    pub(crate) fn head(self, length: usize) -> u128 {
        u128::from_le_bytes(self.0.to_array()) & HEADS[length.min(16)]
    }
}

/// The lowest so many bytes of a number.
static HEADS: [u128; 17] = heads();

const fn heads() -> [u128; 17] {
    let mut heads = [u128::MAX; 17];
    let mut length = 0;
    while length < 16 {
        heads[length] = (1 << (length * 8)) - 1;
        length += 1;
    }
    heads
}

/// Sixty-four bytes of the stream.
#[derive(Clone, Copy)]
pub(crate) struct Window([Sixteen; 4]);

/// One bit for each of its bytes, from those of its parts.
#[inline(always)]
fn joined([first, second, third, fourth]: [u32; 4]) -> u64 {
    u64::from(first | second << 16) | u64::from(third | fourth << 16) << 32
}

impl Window {
    /// How many bytes it holds.
    pub(crate) const LENGTH: usize = 64;

    #[inline(always)]
    pub(crate) fn of(bytes: &[u8; Self::LENGTH]) -> Self {
        let (parts, _) = bytes.as_chunks();
        Self([0, 1, 2, 3].map(|part: usize| Sixteen::of(&parts[part])))
    }

    /// Its first bytes.
    #[inline(always)]
    pub(crate) fn first(self) -> Sixteen {
        self.0[0]
    }

    /// One bit for each place where `byte` stands, the first in the lowest bit.
    #[inline(always)]
    pub(crate) fn places_of(self, byte: u8) -> u64 {
        joined(self.0.map(|part| part.places_of(byte)))
    }

    /// One bit for each place where a byte from `first` to `last` stands.
    #[inline(always)]
    pub(crate) fn places_among(self, first: u8, last: u8) -> u64 {
        joined(self.0.map(|part| part.places_among(first, last)))
    }

    /// One bit for each place where one of two bytes stands.
    #[inline(always)]
    pub(crate) fn places_of_either(self, one: u8, other: u8) -> u64 {
        joined(self.0.map(|part| part.places_of_either(one, other)))
    }

    /// Whether no byte is less than the one bound's at its place or greater than the other's.
    #[inline(always)]
    pub(crate) fn is_within(self, least: &[u8; Self::LENGTH], greatest: &[u8; Self::LENGTH]) -> bool {
        let (Self(least), Self(greatest)) = (Self::of(least), Self::of(greatest));
        let part = |part: usize| self.0[part].places_within(least[part], greatest[part]);
        part(0) & part(1) & part(2) & part(3) == Sixteen::ALL
    }
}

/// Thirty-two bytes of the stream; past its end, zeros.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    low: Sixteen,
    high: Sixteen,
}

impl Block {
    /// How many bytes it holds.
    pub(crate) const LENGTH: usize = 32;

    /// The bytes from `position` on.
    #[inline(always)]
    pub(crate) fn at(buffer: &[u8], position: usize) -> Self {
        match buffer.get(position..position + Self::LENGTH) {
            Some(bytes) => Self::of(bytes),
            None => Self::past_the_end(buffer, position),
        }
    }

    /// One bit for each place where `byte` stands, the first in the lowest bit.
    #[inline(always)]
    pub(crate) fn places_of(self, byte: u8) -> u32 {
        self.low.places_of(byte) | self.high.places_of(byte) << 16
    }

    /// The first `length` bytes, at most sixteen, as a number that tells them from all other such stretches of that length.
    #[inline(always)]
    pub(crate) fn head(self, length: u32) -> u128 {
        self.low.head(length as usize)
    }

    /// The first `length` bytes, at most all, as words with zeros behind them.
    #[inline(always)]
    pub(crate) fn words(self, length: usize) -> [u64; 4] {
        static KEPT: [u8; 2 * Block::LENGTH] = {
            let mut kept = [0; 2 * Block::LENGTH];
            let mut place = 0;
            while place < Block::LENGTH {
                kept[place] = u8::MAX;
                place += 1;
            }
            kept
        };
        let kept = Self::of(&KEPT[Self::LENGTH - length.min(Self::LENGTH)..][..Self::LENGTH]);
        let halves = [self.low.0 & kept.low.0, self.high.0 & kept.high.0];
        let [low, high] = halves.map(|half| u128::from_le_bytes(half.to_array()));
        [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64]
    }

    #[inline(always)]
    fn of(bytes: &[u8]) -> Self {
        let (parts, _) = bytes.as_chunks();
        Self {
            low: Sixteen::of(&parts[0]),
            high: Sixteen::of(&parts[1]),
        }
    }

    #[cold]
    fn past_the_end(buffer: &[u8], position: usize) -> Self {
        let mut bytes = [0; Self::LENGTH];
        let rest = buffer.get(position..).unwrap_or_default();
        let length = rest.len().min(Self::LENGTH);
        bytes[..length].copy_from_slice(&rest[..length]);
        Self::of(&bytes)
    }
}

/// Where in a stretch of the stream the line feeds stand, found for many lines at once.
#[derive(Debug)]
pub(crate) struct LineFeeds {
    places: Box<[u32; LineFeeds::STRETCH + 2]>,
    found: usize,
}

impl LineFeeds {
    /// So many bytes are looked through at a time.
    pub(crate) const STRETCH: usize = 4096;

    pub(crate) fn new() -> Self {
        Self {
            places: Box::new([0; Self::STRETCH + 2]),
            found: 0,
        }
    }

    /// Looks through `bytes`, at most a stretch, and says how many there are.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> usize {
        let (windows, rest) = bytes[..bytes.len().min(Self::STRETCH)].as_chunks::<{ Window::LENGTH }>();
        self.found = 0;
        for (number, window) in windows.iter().enumerate() {
            let mut feeds = Window::of(window).places_of(b'\n');
            // Whether a window has none, one or two can't be foreseen, so it isn't asked; more than two are rare.
            feeds = self.take(number, feeds);
            feeds = self.take(number, feeds);
            while feeds != 0 {
                feeds = self.take(number, feeds);
            }
        }
        let begin = windows.len() * Window::LENGTH;
        for (place, _) in rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            self.places[self.found] = (begin + place) as u32;
            self.found += 1;
        }
        self.found
    }

    /// One of those found.
    #[inline(always)]
    pub(crate) fn place(&self, number: usize) -> usize {
        self.places[number] as usize
    }

    /// Takes the first of a window's line feeds, if it has any, and gives the others.
    #[inline(always)]
    fn take(&mut self, window: usize, feeds: u64) -> u64 {
        self.places[self.found] = window as u32 * Window::LENGTH as u32 + feeds.trailing_zeros();
        self.found += usize::from(feeds != 0);
        feeds & feeds.wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_line_feed_is_found(bytes in proptest::collection::vec(proptest::sample::select(&b"\n\na\x8a"[..]), 0..9000)) {
            let mut feeds = LineFeeds::new();
            let mut found = Vec::new();
            for (number, stretch) in bytes.chunks(LineFeeds::STRETCH).enumerate() {
                let many = feeds.find(stretch);
                found.extend((0..many).map(|place| number * LineFeeds::STRETCH + feeds.place(place)));
            }
            let there: Vec<_> = memchr::memchr_iter(b'\n', &bytes).collect();
            proptest::prop_assert_eq!(found, there);
        }
    }
}
