//! Which command a line is, and how often each was seen.

use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::signatures::ShapePlace;
use crate::analysis::keyspec::{Begin, Command, CommandId, Commands, Find, Keys};
use crate::analysis::line::{Block, Following, closing_quote, following};
use crate::analysis::signature::{Shape, ShapeRule};

/// What the hot path needs to know of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) keys: KeyPlan,
    pub(super) script: bool,
    /// The shape that each of its calls has.
    pub(super) only_shape: ShapePlace,
    /// How its arguments show in its signature, if not by that.
    pub(super) shape: Option<ShapeRule>,
    container: bool,
}

/// Where the keys are, for the forms that nearly all commands have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPlan {
    /// Nowhere.
    None,
    /// The argument of that place is the only one.
    One(u32),
    /// Every `step`-th argument from `first` on, but for the last `spared` arguments.
    Every { first: u32, step: u32, spared: u32 },
    /// As many as the argument at `count` says, every `step`-th from `first` on.
    Counted { count: u32, first: u32, step: u32 },
    /// Somewhere a walk must find.
    Walk,
}

/// The commands of one stream: those of the table, and a limited number of names that it doesn't have.
#[derive(Debug)]
pub(super) struct Vocabulary {
    table: Arc<Commands>,
    plans: Vec<Plan>,
    /// The command by its first sixteen bytes as they were printed: clients write a command in one or two ways.
    recent: Box<[Recent; RECENT]>,
    unknown: HashMap<Box<[u8]>, CommandId, FixedState>,
    unknown_max: usize,
    counts: Vec<Count>,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    printed: u128,
    id: CommandId,
    everyday: Everyday,
}

/// What matters of a command besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Everyday {
    /// Its first argument, the only key; the shape is always the same.
    Key(ShapePlace),
    /// The same, and the shape of its arguments.
    KeyAndShape(ShapeRule),
    /// Other arguments, or none.
    Others,
    /// More than that, or it isn't known.
    No,
}

impl Everyday {
    #[inline(always)]
    pub(super) fn takes_key_first(self) -> bool {
        matches!(self, Self::Key(_) | Self::KeyAndShape(_))
    }
}

/// How often one command was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// From clients and scripts.
    pub(super) direct: u64,
    /// By replication.
    pub(super) replicated: u64,
}

const RECENT: usize = 256;
/// The longest name that is looked up whole.
const NAME_MAX: usize = 64;

impl Vocabulary {
    /// `place` enters a shape.
    pub(super) fn new(
        table: Arc<Commands>,
        unknown_max: usize,
        seed: u64,
        mut place: impl FnMut(Shape) -> ShapePlace,
    ) -> Self {
        let plan = |command: &Command| {
            let rule = ShapeRule::of(&command.name);
            let only = rule.and_then(ShapeRule::only_shape);
            Plan {
                keys: KeyPlan::of(&command.keys),
                script: command.script,
                only_shape: only.map_or(0, &mut place),
                shape: rule.filter(|_| only.is_none()),
                container: command.container,
            }
        };
        let plans: Vec<Plan> = table.all().iter().map(plan).collect();
        Self {
            counts: vec![Count::default(); plans.len()],
            plans,
            recent: Box::new([Recent::NONE; RECENT]),
            unknown: HashMap::with_hasher(FixedState::with_seed(seed)),
            unknown_max,
            table,
        }
    }

    /// A command by its name as it was printed, if it came lately and is an everyday one.
    #[inline(always)]
    pub(super) fn recall(&self, printed: u128) -> (CommandId, Everyday) {
        let recent = &self.recent[place(printed)];
        if recent.printed == printed {
            (recent.id, recent.everyday)
        } else {
            (recent.id, Everyday::No)
        }
    }

    /// The command whose name stands in `buffer[name]`; `None` is one that neither the table has nor the limit lets in.
    #[inline(always)]
    pub(super) fn identify(&mut self, buffer: &[u8], name: Range<usize>, end: usize) -> Option<CommandId> {
        if name.len() <= 16 {
            let printed = Block::at(buffer, name.start).head(name.len() as u32);
            return self.identify_printed(printed, buffer, name, end);
        }
        let id = self.look_up(&buffer[name.clone()]);
        self.within_container(id, buffer, name, end)
    }

    /// [`Vocabulary::identify`] of a name whose sixteen bytes at most are `printed`.
    #[inline(always)]
    pub(super) fn identify_printed(
        &mut self,
        printed: u128,
        buffer: &[u8],
        name: Range<usize>,
        end: usize,
    ) -> Option<CommandId> {
        let place = place(printed);
        let recent = self.recent[place];
        let id = if recent.printed == printed {
            Some(recent.id)
        } else {
            let id = self.look_up(&buffer[name.clone()]);
            if let Some(id) = id {
                let everyday = self.plan(id).everyday();
                self.recent[place] = Recent { printed, id, everyday };
            }
            id
        };
        self.within_container(id, buffer, name, end)
    }

    #[inline(always)]
    fn within_container(
        &mut self,
        id: Option<CommandId>,
        buffer: &[u8],
        name: Range<usize>,
        end: usize,
    ) -> Option<CommandId> {
        match id {
            Some(id) if self.plans[id.index()].container => self.subcommand(id, buffer, name, end),
            _ => id,
        }
    }

    /// What to do with a command.
    #[inline(always)]
    pub(super) fn plan(&self, id: CommandId) -> Plan {
        self.plans[id.index()]
    }

    /// Where a walk finds the keys of a command whose plan says so.
    pub(super) fn keys(&self, id: CommandId) -> &Keys {
        match self.table.all().get(id.index()) {
            Some(command) => &command.keys,
            None => &Keys::None,
        }
    }

    /// Sees a command.
    #[inline(always)]
    pub(super) fn count(&mut self, id: CommandId, replicated: bool) {
        self.counts[id.index()].add(replicated);
    }

    /// A command's name in upper case.
    pub(super) fn name(&self, id: CommandId) -> Arc<str> {
        if let Some(command) = self.table.all().get(id.index()) {
            return Arc::clone(&command.name);
        }
        let unknown = self.unknown.iter().find(|(_, unknown)| **unknown == id);
        unknown.map_or("other".into(), |(name, _)| String::from_utf8_lossy(name).into())
    }

    /// Every command that was seen, with its counts and whether it reads and writes.
    pub(super) fn seen(&self) -> impl Iterator<Item = (Arc<str>, Count, (bool, bool))> {
        let kinds = |index: usize| {
            self.table
                .all()
                .get(index)
                .map_or((false, false), |row| (row.reads, row.writes))
        };
        let counts = self.counts.iter().enumerate();
        counts
            .filter(|(_, count)| count.all() > 0)
            .filter_map(move |(index, count)| Some((self.name(CommandId::new(index)?), *count, kinds(index))))
    }

    #[cold]
    fn look_up(&mut self, name: &[u8]) -> Option<CommandId> {
        let name = name[..name.len().min(NAME_MAX)].to_ascii_uppercase();
        self.table.find(&name).or_else(|| self.unknown(name))
    }

    #[cold]
    fn subcommand(&mut self, container: CommandId, buffer: &[u8], name: Range<usize>, end: usize) -> Option<CommandId> {
        let Following::Argument(from) = following(buffer, name.end, end) else {
            return Some(container);
        };
        let Some(closing) = closing_quote(buffer, from, end) else {
            return Some(container);
        };
        let sub = buffer[from..closing.min(from + NAME_MAX)].to_ascii_uppercase();
        let whole = [self.name(container).as_bytes(), b"|", &sub].concat();
        self.table.find(&whole).or_else(|| self.unknown(whole))
    }

    fn unknown(&mut self, name: Vec<u8>) -> Option<CommandId> {
        if let Some(id) = self.unknown.get(name.as_slice()) {
            return Some(*id);
        }
        if self.unknown.len() == self.unknown_max {
            return None;
        }
        let id = CommandId::new(self.plans.len())?;
        self.plans.push(Plan {
            keys: KeyPlan::None,
            script: false,
            only_shape: 0,
            shape: None,
            container: false,
        });
        self.counts.push(Count::default());
        self.unknown.insert(name.into(), id);
        Some(id)
    }
}

impl Recent {
    /// No name is empty.
    const NONE: Self = Self {
        printed: 0,
        id: CommandId::FIRST,
        everyday: Everyday::No,
    };
}

impl Plan {
    fn everyday(&self) -> Everyday {
        match self.shape {
            _ if self.container => Everyday::No,
            _ if self.script || !self.takes_key_first() => Everyday::Others,
            Some(rule) => Everyday::KeyAndShape(rule),
            None => Everyday::Key(self.only_shape),
        }
    }

    /// Whether its only key is the first argument.
    pub(super) fn takes_key_first(&self) -> bool {
        self.keys == KeyPlan::One(1)
    }
}

impl Count {
    #[inline(always)]
    pub(super) fn add(&mut self, replicated: bool) {
        let count = if replicated {
            &mut self.replicated
        } else {
            &mut self.direct
        };
        *count += 1;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.direct += other.direct;
        self.replicated += other.replicated;
    }

    pub(super) fn all(self) -> u64 {
        self.direct + self.replicated
    }
}

impl KeyPlan {
    fn of(keys: &Keys) -> Self {
        let Keys::Specs(specs) = keys else {
            return if *keys == Keys::None { Self::None } else { Self::Walk };
        };
        let [spec] = &**specs else {
            return Self::Walk;
        };
        match (&spec.begin, spec.find) {
            (&Begin::Index(index), Find::Range { last: 0, .. }) if index > 0 => Self::One(index),
            (
                &Begin::Index(first),
                Find::Range {
                    last,
                    step,
                    limit: ..=1,
                },
            ) if first > 0 && step > 0 && last < 0 => Self::Every {
                first,
                step,
                spared: last.unsigned_abs() - 1,
            },
            (&Begin::Index(begin), Find::Count { count, first, step })
                if begin + count > 0 && first > count && step > 0 =>
            {
                Self::Counted {
                    count: begin + count,
                    first: begin + first,
                    step,
                }
            }
            _ => Self::Walk,
        }
    }
}

/// Spreads names over the places of `recent`; which of them meet matters for speed alone.
#[inline(always)]
fn place(printed: u128) -> usize {
    (folded(printed) >> 56) as usize % RECENT
}

/// Sixteen bytes mixed into eight, the highest bits best.
#[inline(always)]
pub(super) fn folded(printed: u128) -> u64 {
    (printed as u64 ^ ((printed >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
