//! Thirty-two bytes at a time: where in a stretch of the stream does a byte occur?

use wide::u8x16;

/// Thirty-two bytes of the stream; past its end, zeros.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    low: u8x16,
    high: u8x16,
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
        let wanted = u8x16::splat(byte);
        self.low.simd_eq(wanted).to_bitmask() | self.high.simd_eq(wanted).to_bitmask() << 16
    }

    /// The first `length` bytes, at most sixteen, as a number that tells them from all other such stretches.
    #[inline(always)]
    pub(crate) fn head(self, length: u32) -> u128 {
        let all = u128::from_le_bytes(self.low.to_array());
        if length >= 16 {
            all
        } else {
            all & ((1 << (length * 8)) - 1)
        }
    }

    #[inline(always)]
    fn of(bytes: &[u8]) -> Self {
        let half = |from: usize| {
            let mut half = [0; 16];
            half.copy_from_slice(&bytes[from..from + 16]);
            u8x16::new(half)
        };
        Self {
            low: half(0),
            high: half(16),
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
