//! An even sample of a stream's lines, drawn while it flows by: at most so many, each line as likely as any other.
//!
//! Pure: bytes in, lines out. Once the sample is full, lines that won't be drawn are only counted, so a stream costs little more than
//! looking for line ends. What a line means it refuses to know: that it can do without its values is [`super::elision`]'s to say.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use hotshard::archive::Sampler;
//!
//! let mut sampler = Sampler::new(NonZeroUsize::MIN, 100, 7);
//! sampler.feed(b"one\ntw");
//! sampler.feed(b"o\nthree");
//! let sample = sampler.finish();
//! assert_eq!((sample.seen, sample.lines.len()), (2, 1));
//! ```

use std::num::NonZeroUsize;
use std::sync::Arc;

use memchr::{memchr, memchr_iter};

use super::elision::without_values;
use crate::analysis::keyspec::Commands;

/// Draws lines from a stream, each with the same chance (Li's reservoir, which computes how many lines to let pass).
#[derive(Debug)]
pub struct Sampler {
    lines_max: usize,
    line_bytes_max: usize,
    bytes_max: usize,
    /// What tells keys from values, where values aren't kept.
    commands: Option<Arc<Commands>>,
    /// Of the lines that are kept.
    bytes: usize,
    chance: Chance,
    lines: Vec<Box<[u8]>>,
    seen: u64,
    /// The line to be drawn next, counted from 0.
    next: u64,
    threshold: f64,
    /// What has come of the line to be drawn.
    begun: Vec<u8>,
}

/// What was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The lines without their line ends, cut where they were too long; in no order.
    pub lines: Vec<Box<[u8]>>,
    /// How many lines flowed by.
    pub seen: u64,
}

impl Sample {
    /// What the lines take in memory, about.
    pub fn bytes(&self) -> usize {
        self.lines.iter().map(|line| size_of_val(line) + line.len()).sum()
    }
}

impl Sampler {
    /// A sampler of at most `lines_max` lines, of each at most `line_bytes_max` bytes.
    pub fn new(lines_max: NonZeroUsize, line_bytes_max: usize, seed: u64) -> Self {
        Self {
            lines_max: lines_max.get(),
            line_bytes_max,
            bytes_max: usize::MAX,
            commands: None,
            bytes: 0,
            chance: Chance(seed),
            lines: Vec::new(),
            seen: 0,
            next: 0,
            threshold: 1.0,
            begun: Vec::new(),
        }
    }

    /// Keeps about so many bytes at most: with long lines there are fewer of them.
    #[must_use]
    pub fn bounded(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Keeps of each line no more than its command and its keys: lines wait in memory until their window is written.
    #[must_use]
    pub fn without_values(self, commands: Arc<Commands>) -> Self {
        Self {
            commands: Some(commands),
            ..self
        }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.next - self.seen {
                0 => self.draw(bytes),
                passing => self.pass(bytes, passing),
            };
        }
    }

    /// The stream has ended; a line without its end is none.
    pub fn finish(self) -> Sample {
        Sample {
            lines: self.lines,
            seen: self.seen,
        }
    }

    /// Lets lines pass, and returns what follows them.
    fn pass<'stream>(&mut self, bytes: &'stream [u8], passing: u64) -> &'stream [u8] {
        let mut ends = memchr_iter(b'\n', bytes);
        let here = ends.clone().count() as u64;
        if here < passing {
            self.seen += here;
            return &[];
        }
        self.seen += passing;
        let last = usize::try_from(passing - 1).ok().and_then(|last| ends.nth(last));
        last.map_or(&[], |end| &bytes[end + 1..])
    }

    /// Takes the line that begins or goes on here, and returns what follows it.
    fn draw<'stream>(&mut self, bytes: &'stream [u8]) -> &'stream [u8] {
        let end = memchr(b'\n', bytes);
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        let room = self.line_bytes_max.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
        let Some(end) = end else { return &[] };
        let elided = self
            .commands
            .as_ref()
            .and_then(|commands| without_values(&self.begun, commands));
        let line = elided.map_or_else(|| self.begun.as_slice().into(), Vec::into_boxed_slice);
        self.begun.clear();
        self.keep(line);
        &bytes[end + 1..]
    }

    fn keep(&mut self, line: Box<[u8]>) {
        self.seen += 1;
        self.bytes += line.len();
        if self.lines.len() < self.lines_max {
            self.lines.push(line);
        } else {
            let place = self.chance.below(self.lines_max);
            self.bytes -= std::mem::replace(&mut self.lines[place], line).len();
        }
        self.next = self.seen;
        if self.bytes > self.bytes_max {
            // Half of them, any half, is as even a draw as all of them was.
            self.lines_max = (self.lines.len() / 2).max(1);
        }
        if self.lines.len() >= self.lines_max {
            self.make_room();
            let gap = (self.chance.fraction().ln() / (1.0 - self.threshold).ln()).floor();
            // A gap past what a number holds is the end of every stream.
            self.next = self.seen.saturating_add(gap as u64);
        }
    }
}

impl Sampler {
    /// The next line must beat the worst of those that stay: of as many chances as there are lines, each leaving line takes the largest.
    fn make_room(&mut self) {
        for rank in (self.lines_max..=self.lines.len()).rev() {
            self.threshold *= (self.chance.fraction().ln() / rank as f64).exp();
        }
        while self.lines.len() > self.lines_max {
            let place = self.chance.below(self.lines.len());
            self.bytes -= self.lines.swap_remove(place).len();
        }
    }
}

/// The splitmix64 generator.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Above 0 and below 1.
    fn fraction(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    fn below(&mut self, count: usize) -> usize {
        (self.fraction() * count as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(stream: &[u8], piece: usize, lines_max: usize, seed: u64) -> Sample {
        let lines_max = NonZeroUsize::new(lines_max).expect("a sample holds something");
        let mut sampler = Sampler::new(lines_max, 8, seed);
        stream.chunks(piece).for_each(|piece| sampler.feed(piece));
        sampler.finish()
    }

    #[test]
    fn every_line_is_as_likely_as_any_other() {
        let stream: String = (0..100).map(|number| format!("{number}\n")).collect();
        let mut drawn = [0_u32; 100];
        for seed in 0..4000 {
            for line in sample(stream.as_bytes(), 7, 10, seed * 977).lines {
                let number: usize = std::str::from_utf8(&line).expect("digits").parse().expect("a number");
                drawn[number] += 1;
            }
        }
        // 400 each, give or take five standard deviations.
        assert!(drawn.iter().all(|count| (300..500).contains(count)), "{drawn:?}");
    }

    #[test]
    fn a_sample_of_bounded_size_is_even_too() {
        let stream: String = (10..90).map(|number| format!("{number}\n")).collect();
        let (mut drawn, mut kept) = ([0_u32; 90], 0);
        for seed in 0..8000 {
            let lines_max = NonZeroUsize::new(60).expect("a sample holds something");
            let mut sampler = Sampler::new(lines_max, 8, seed * 977).bounded(40);
            sampler.feed(stream.as_bytes());
            let sample = sampler.finish();
            kept += sample.lines.len();
            assert!((5..=20).contains(&sample.lines.len()), "{sample:?}");
            for line in sample.lines {
                let number: usize = std::str::from_utf8(&line).expect("digits").parse().expect("a number");
                drawn[number] += 1;
            }
        }
        let mean = kept as f64 / 80.0;
        let spread = 5.0 * mean.sqrt();
        let is_even = |count: &u32| (f64::from(*count) - mean).abs() < spread;
        assert!(drawn[10..].iter().all(is_even), "{mean} ± {spread}: {drawn:?}");
    }

    #[test]
    fn values_that_are_not_kept_take_no_memory() {
        let head = r#"1795202082.056681 [0 10.0.0.9:35656]"#;
        let stream = format!(
            "{head} \"SET\" \"user:1\" \"{}\"\r\n{head} \"GET\" \"user:2\"\r\nOK\r\n",
            "x".repeat(900)
        );
        let mut sampler = Sampler::new(NonZeroUsize::MAX, 1024, 7).without_values(Commands::builtin());
        sampler.feed(stream.as_bytes());
        let lines = sampler.finish().lines;
        let shown: Vec<_> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).replace(head, ""))
            .collect();
        assert_eq!(shown, [r#" "SET" "user:1" "?""#, r#" "GET" "user:2""#, "OK\r"]);
    }

    #[test]
    fn a_long_line_is_cut_and_a_torn_one_is_none() {
        let sample = sample(b"0123456789\nab\ncd", 3, 5, 1);
        assert_eq!(sample.lines, [b"01234567".as_slice().into(), b"ab".as_slice().into()]);
        assert_eq!(sample.seen, 2);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(stream in "[a-c\n]{0,200}", piece in 1..20_usize, lines_max in 1..10_usize, seed: u64) {
            let stream = stream.as_bytes();
            let whole = sample(stream, stream.len().max(1), lines_max, seed);
            prop_assert_eq!(&sample(stream, piece, lines_max, seed), &whole);
            let ends = stream.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!((whole.seen, whole.lines.len()), (ends as u64, ends.min(lines_max)));
        }
    }
}
