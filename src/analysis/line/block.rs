//! Many bytes at a time: where in a stretch of the stream does a byte occur?

use wide::u8x16;

/// Sixteen bytes of the stream.
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(u8x16);

impl Sixteen {
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8; 16]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// One bit for each place where `byte` stands, the first in the lowest bit.
    #[inline(always)]
    pub(crate) fn places_of(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// One bit for each place where a digit stands.
    #[inline(always)]
    pub(crate) fn digits(self) -> u32 {
        let from_zero = self.0 - u8x16::splat(b'0');
        from_zero.min(u8x16::splat(9)).simd_eq(from_zero).to_bitmask()
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

impl Window {
    /// How many bytes it holds.
    pub(crate) const LENGTH: usize = 64;

    #[inline(always)]
    pub(crate) fn of(bytes: &[u8; Self::LENGTH]) -> Self {
        let (parts, _) = bytes.as_chunks();
        Self([0, 1, 2, 3].map(|part: usize| Sixteen::of(&parts[part])))
    }

    /// One bit for each place where `byte` stands, the first in the lowest bit.
    #[inline(always)]
    pub(crate) fn places_of(self, byte: u8) -> u64 {
        let [first, second, third, fourth] = self.0.map(|part| u64::from(part.places_of(byte)));
        first | second << 16 | third << 32 | fourth << 48
    }
}

impl Window {
    /// [`Window::places_of`] among the first thirty-two bytes.
    #[inline(always)]
    pub(crate) fn low_places_of(self, byte: u8) -> u32 {
        self.0[0].places_of(byte) | self.0[1].places_of(byte) << 16
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

/// Where in `bytes` the line feeds stand, in order.
#[inline(always)]
pub(crate) fn line_feeds(bytes: &[u8], mut found: impl FnMut(usize)) {
    let (windows, rest) = bytes.as_chunks::<{ Window::LENGTH }>();
    let mut begin = 0;
    for window in windows {
        let mut feeds = Window::of(window).places_of(b'\n');
        while feeds != 0 {
            found(begin + feeds.trailing_zeros() as usize);
            feeds &= feeds - 1;
        }
        begin += Window::LENGTH;
    }
    for (place, _) in rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        found(begin + place);
    }
}
