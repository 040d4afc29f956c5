//! Which arguments of one command are keys, found while its arguments go by one at a time.
//!
//! So a line of any length needs only what can't be decided yet: the last arguments of `BLPOP`, the streams of `XREAD`.

use super::Keys;
use super::spec::{Begin, Find, Spec};

/// The arguments of one command on their way; `Handle` is whatever the caller needs to find an argument again.
#[derive(Debug)]
pub struct Walk<Handle> {
    finders: Finders<Handle>,
    /// The number of the next argument.
    index: u32,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one line, and a box would be allocated for each"
)]
enum Finders<Handle> {
    Specs([Option<Finder<Handle>>; SPECS_MAX]),
    Sort(Sort<Handle>),
    Migrate(Migrate<Handle>),
}

/// How many specifications of one command are followed; no command has more than three.
const SPECS_MAX: usize = 4;

/// How many arguments a walk holds back at most; `XREAD` of more streams than that loses the rest of its keys.
const HELD_MAX: usize = 1024;

impl<Handle> Walk<Handle> {
    /// Of a command whose keys are found so; the first argument to come is the one after the command.
    pub fn new(keys: &Keys) -> Self {
        let finders = match keys {
            Keys::None => Finders::Specs([const { None }; SPECS_MAX]),
            Keys::Specs(specs) => {
                let mut specs = specs.iter();
                Finders::Specs([(); SPECS_MAX].map(|()| specs.next().map(Finder::new)))
            }
            Keys::Sort => Finders::Sort(Sort::default()),
            Keys::Migrate => Finders::Migrate(Migrate::default()),
        };
        Self { finders, index: 1 }
    }

    /// Takes the next argument and gives each key that is certain now to `key`.
    pub fn argument(&mut self, text: &[u8], mut handle: impl FnMut() -> Handle, mut key: impl FnMut(Handle)) {
        let index = self.index;
        self.index += 1;
        match &mut self.finders {
            Finders::Specs(finders) => {
                for finder in finders.iter_mut().flatten() {
                    finder.argument(index, text, &mut handle, &mut key);
                }
            }
            Finders::Sort(sort) => sort.argument(index, text, &mut handle, &mut key),
            Finders::Migrate(migrate) => migrate.argument(index, text, &mut handle, &mut key),
        }
    }

    /// The command has no more arguments: gives the keys that were held back.
    pub fn end(self, mut key: impl FnMut(Handle)) {
        match self.finders {
            Finders::Specs(finders) => {
                for finder in finders.into_iter().flatten() {
                    finder.end(&mut key);
                }
            }
            Finders::Sort(sort) => sort.stored.into_iter().for_each(key),
            Finders::Migrate(migrate) => migrate.empty.into_iter().for_each(key),
        }
    }

    /// Whether no argument to come can be a key.
    pub fn is_over(&self) -> bool {
        match &self.finders {
            Finders::Specs(finders) => finders
                .iter()
                .flatten()
                .all(|finder| matches!(finder.state, State::Over)),
            Finders::Sort(_) | Finders::Migrate(_) => false,
        }
    }
}

/// One specification on its way.
#[derive(Debug)]
struct Finder<Handle> {
    spec: Spec,
    state: State,
    held: Vec<Handle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The word isn't found yet.
    Searching,
    /// It begins at this argument.
    From(u32),
    /// Its keys are every `step`-th from `next` to `last`.
    Counted { next: u32, last: u32, step: u32 },
    /// None of the arguments to come is a key.
    Over,
}

impl<Handle> Finder<Handle> {
    fn new(spec: &Spec) -> Self {
        let state = match spec.begin {
            Begin::Index(index) => State::From(index),
            Begin::Keyword { .. } => State::Searching,
        };
        Self {
            spec: spec.clone(),
            state,
            held: Vec::new(),
        }
    }

    fn argument(&mut self, index: u32, text: &[u8], handle: &mut impl FnMut() -> Handle, key: &mut impl FnMut(Handle)) {
        match self.state {
            State::Searching => self.search(index, text),
            State::From(begin) => match self.spec.find {
                Find::Range { last, step, limit } => {
                    self.range(index, (begin, last, step, limit), handle, key);
                }
                Find::Count { count, first, step } if index == begin + count => {
                    self.state = counted(number(text), begin + first, step);
                }
                Find::Count { .. } => {}
            },
            State::Counted { next, last, step } if index == next => {
                key(handle());
                let next = next.saturating_add(step);
                self.state = if next > last {
                    State::Over
                } else {
                    State::Counted { next, last, step }
                };
            }
            State::Counted { .. } | State::Over => {}
        }
    }

    fn search(&mut self, index: u32, text: &[u8]) {
        if let Begin::Keyword { word, from } = &self.spec.begin
            && index >= *from
            && text.eq_ignore_ascii_case(word)
        {
            self.state = State::From(index + 1);
        }
    }

    fn range(
        &mut self,
        index: u32,
        (begin, last, step, limit): (u32, i32, u32, u32),
        handle: &mut impl FnMut() -> Handle,
        key: &mut impl FnMut(Handle),
    ) {
        if index < begin {
            return;
        }
        let from_begin = index - begin;
        if last >= 0 {
            if from_begin.is_multiple_of(step) {
                key(handle());
            }
            if from_begin + step > last as u32 {
                self.state = State::Over;
            }
        } else if limit > 1 {
            if self.held.len() < HELD_MAX {
                self.held.push(handle());
            }
            self.state = State::From(begin);
        } else {
            // The last arguments aren't keys: each is held until as many have followed it.
            self.held.push(handle());
            if self.held.len() > (-1 - last) as usize {
                let certain = self.held.remove(0);
                if (from_begin - self.held.len() as u32).is_multiple_of(step) {
                    key(certain);
                }
            }
        }
    }

    fn end(self, key: &mut impl FnMut(Handle)) {
        if let Find::Range { limit, step, .. } = self.spec.find
            && limit > 1
        {
            let keys = self.held.len() / limit as usize;
            self.held.into_iter().take(keys).step_by(step as usize).for_each(key);
        }
    }
}

fn counted(count: Option<u32>, first: u32, step: u32) -> State {
    match count {
        Some(count) if count > 0 => State::Counted {
            next: first,
            last: first.saturating_add((count - 1).saturating_mul(step)),
            step,
        },
        _ => State::Over,
    }
}

/// How many keys an argument says there are.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE destination]`: the last STORE holds.
#[derive(Debug)]
struct Sort<Handle> {
    /// How many arguments to come belong to a word before them.
    skipped: u32,
    store: bool,
    stored: Option<Handle>,
}

impl<Handle> Default for Sort<Handle> {
    fn default() -> Self {
        Self {
            skipped: 0,
            store: false,
            stored: None,
        }
    }
}

impl<Handle> Sort<Handle> {
    fn argument(&mut self, index: u32, text: &[u8], handle: &mut impl FnMut() -> Handle, key: &mut impl FnMut(Handle)) {
        if index == 1 {
            return key(handle());
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        if std::mem::take(&mut self.store) {
            self.stored = Some(handle());
            return;
        }
        match text.to_ascii_uppercase().as_slice() {
            b"LIMIT" => self.skipped = 2,
            b"BY" | b"GET" => self.skipped = 1,
            b"STORE" => self.store = true,
            _ => {}
        }
    }
}

/// `MIGRATE host port key|"" database timeout [COPY] [REPLACE] [AUTH p] [AUTH2 u p] [KEYS key …]`.
#[derive(Debug)]
struct Migrate<Handle> {
    /// The empty key, which is one only if no others follow after KEYS.
    empty: Option<Handle>,
    skipped: u32,
    keys: bool,
}

impl<Handle> Default for Migrate<Handle> {
    fn default() -> Self {
        Self {
            empty: None,
            skipped: 0,
            keys: false,
        }
    }
}

impl<Handle> Migrate<Handle> {
    fn argument(&mut self, index: u32, text: &[u8], handle: &mut impl FnMut() -> Handle, key: &mut impl FnMut(Handle)) {
        match index {
            3 if text.is_empty() => self.empty = Some(handle()),
            3 => key(handle()),
            ..6 => {}
            _ if self.keys => {
                self.empty = None;
                key(handle());
            }
            _ if self.skipped > 0 => self.skipped -= 1,
            _ => match text.to_ascii_uppercase().as_slice() {
                b"AUTH" => self.skipped = 1,
                b"AUTH2" => self.skipped = 2,
                b"KEYS" => self.keys = self.empty.is_some(),
                _ => {}
            },
        }
    }
}
