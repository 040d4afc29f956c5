//! Which commands met which patterns in which shape: the command's signature, counted.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::commands::folded;
use super::samples::{Place, Samples};
use crate::analysis::keyspec::CommandId;
use crate::analysis::line::{Block, Following, closing_quote, following};
use crate::analysis::signature::{Shape, ShapeRule};
use crate::analysis::sketch::{Frequent, Limits};

/// One command on one pattern, in one shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Signature {
    pub(super) command: CommandId,
    shape: ShapePlace,
    /// A pattern's place plus one; 0 where there is no key.
    pub(super) pattern: u32,
}

/// A place in the table of shapes; 0 where the arguments don't matter, or the table is full.
pub(super) type ShapePlace = u16;

#[derive(Debug)]
pub(super) struct Signatures {
    frequent: Frequent<Signature>,
    seed: u64,
    shapes: Vec<Shape>,
    places: HashMap<Shape, ShapePlace, FixedState>,
    /// The shapes of commands by what decides them, which is what follows their key as it was printed, or how many arguments they have:
    /// most come again and again.
    recent: Vec<(CommandId, u128, ShapePlace)>,
    samples: Samples,
}

const RECENT: usize = 64;
const SHAPES_MAX: usize = 1024;
/// More arguments than any rule looks at.
const ARGUMENTS_MAX: usize = 16;

impl Signatures {
    pub(super) fn new(signatures_max: usize, keeps_lines: bool, seed: u64) -> Self {
        let limits = Limits {
            entries_max: signatures_max,
            text_max: 0,
        };
        Self {
            frequent: Frequent::new(limits),
            seed,
            shapes: vec![Shape::default()],
            places: HashMap::with_hasher(FixedState::with_seed(seed)),
            recent: vec![(CommandId::default(), u128::MAX, 0); RECENT],
            samples: Samples::new(keeps_lines, seed),
        }
    }

    /// Sees a command so many times, or none, on a line that may be kept.
    #[inline(always)]
    pub(super) fn count(&mut self, signature: Signature, times: u64, line: Place<'_>) {
        let count = self.count_unkept(signature, times);
        self.samples.until_next -= times;
        let is_kept = (count < self.samples.first_below) | (self.samples.until_next == 0);
        if is_kept & (times != 0) {
            self.samples.keep(signature, line);
        }
    }

    /// The same of a line that is too long to be kept; tells how often the signature was seen.
    #[inline(always)]
    pub(super) fn count_unkept(&mut self, signature: Signature, times: u64) -> u64 {
        let hash = signature.hash(self.seed);
        let place = self.frequent.place_looked_at_first(hash);
        let counter = self.frequent.at(place);
        // What is seen no times may be counted as anything.
        if counter.is_of(hash) | (times == 0) {
            counter.add(times);
            return counter.count();
        }
        self.count_displaced(signature, hash, times)
    }

    /// The lines that were kept.
    pub(super) fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The shape of a command whose name closes at `ends.0` and whose line ends at `ends.1`, when it doesn't depend on its first
    /// argument, which closes at `closing`.
    pub(super) fn shape_after_key(
        &mut self,
        (command, rule): (CommandId, ShapeRule),
        buffer: &[u8],
        closing: usize,
        ends: (usize, usize),
    ) -> ShapePlace {
        let length = ends.1 - closing;
        if length > 16 {
            return self.shape_of(rule, buffer, ends);
        }
        let rest = Block::at(buffer, closing).head(length as u32);
        self.recall((command, rest), |signatures| signatures.shape_of(rule, buffer, ends))
    }

    /// The shape of a command that has so many arguments, when all of them were looked at.
    pub(super) fn shape_after_all(
        &mut self,
        (command, rule): (CommandId, ShapeRule),
        buffer: &[u8],
        total: usize,
        ends: (usize, usize),
    ) -> ShapePlace {
        if rule.arguments_max() > 0 {
            return self.shape_of(rule, buffer, ends);
        }
        self.recall((command, total as u128), |signatures| {
            signatures.shape_of_total(rule, total)
        })
    }

    /// The shape of a command by what decides it; of one command that is always the same.
    #[inline(always)]
    fn recall(&mut self, by: (CommandId, u128), make: impl FnOnce(&mut Self) -> ShapePlace) -> ShapePlace {
        let place = (folded(by.1) >> 32) as usize % RECENT;
        let (command, what, shape) = self.recent[place];
        if (command, what) == by {
            return shape;
        }
        let shape = make(self);
        self.recent[place] = (by.0, by.1, shape);
        shape
    }

    /// The shape of a command whose name closes at `name_end`.
    #[inline(never)]
    pub(super) fn shape_of(&mut self, rule: ShapeRule, buffer: &[u8], (name_end, end): (usize, usize)) -> ShapePlace {
        let mut arguments = [&b""[..]; ARGUMENTS_MAX];
        let (mut closing, mut total) = (name_end, 0);
        while let Following::Argument(begin) = following(buffer, closing, end)
            && let Some(next) = closing_quote(buffer, begin, end)
        {
            if let Some(argument) = arguments.get_mut(total) {
                *argument = &buffer[begin..next];
            }
            closing = next;
            total += 1;
        }
        let seen = total.min(rule.arguments_max()).min(ARGUMENTS_MAX);
        self.place(rule.shape(&arguments[..seen], total))
    }

    /// The shape of a command of which only the number of arguments is known.
    pub(super) fn shape_of_total(&mut self, rule: ShapeRule, total: usize) -> ShapePlace {
        if rule.arguments_max() == 0 {
            self.place(rule.shape(&[], total))
        } else {
            0
        }
    }

    /// A signature's shape.
    pub(super) fn shape(&self, signature: Signature) -> Shape {
        self.shapes[usize::from(signature.shape)]
    }

    /// Every signature that is followed: how often it was counted since, and how often it was at most.
    pub(super) fn seen(&self) -> impl Iterator<Item = (Signature, u64, u64)> {
        self.frequent
            .iter()
            .map(|(_, counter)| (counter.extra, counter.count(), counter.upper()))
    }

    /// How many are followed.
    pub(super) fn len(&self) -> usize {
        self.frequent.len()
    }

    /// How often at most a signature was seen that isn't followed.
    pub(super) fn missed(&self) -> u64 {
        self.frequent.offset()
    }

    /// Of a signature that has no counter, or not where it is looked for first.
    #[inline(never)]
    fn count_displaced(&mut self, signature: Signature, hash: u64, times: u64) -> u64 {
        if let Some(counter) = self.frequent.find(hash) {
            counter.add(times);
            return counter.count();
        }
        if self.frequent.is_full(b"") {
            self.frequent.purge(|_| {});
        }
        self.frequent.insert(hash, b"", times, signature);
        times
    }

    /// The place of a shape in the table, which it gets if there is room.
    pub(super) fn place(&mut self, shape: Shape) -> ShapePlace {
        if let Some(place) = self.places.get(&shape) {
            return *place;
        }
        if self.shapes.len() == SHAPES_MAX {
            return 0;
        }
        let place = self.shapes.len() as ShapePlace;
        self.shapes.push(shape);
        self.places.insert(shape, place);
        place
    }
}

impl Signature {
    /// Of a pattern's place plus one; 0 where there is no key.
    #[inline(always)]
    pub(super) fn new(command: CommandId, shape: ShapePlace, pattern: u32) -> Self {
        Self {
            command,
            shape,
            pattern,
        }
    }

    /// Different for different signatures, so that the table needs no text to tell them apart.
    #[inline(always)]
    fn hash(self, seed: u64) -> u64 {
        let whole = (self.command.index() as u64) << 48 | u64::from(self.shape) << 32 | u64::from(self.pattern);
        // An odd factor and a shifted exclusive or can both be undone, so nothing is lost.
        let mixed = (whole ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    }
}
