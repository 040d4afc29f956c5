//! Numbers, from zero, for what occurs again and again in one window.

use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// What has a number, by it.
#[derive(Debug)]
pub(super) struct Numbers<Name> {
    known: HashMap<Name, u32, foldhash::fast::RandomState>,
    names: Vec<Name>,
}

impl<Name> Default for Numbers<Name> {
    fn default() -> Self {
        Self {
            known: HashMap::default(),
            names: Vec::new(),
        }
    }
}

impl<Name: Clone + Eq + Hash> Numbers<Name> {
    /// The number of this, the next one if it has none.
    pub(super) fn of(&mut self, name: Name) -> u32 {
        match self.known.entry(name) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                // A sample that fits into memory has no more names than this holds.
                let number = self.names.len() as u32;
                self.names.push(unknown.key().clone());
                *unknown.insert(number)
            }
        }
    }

    /// All of them, in the order of their numbers.
    pub(super) fn into_names(self) -> impl Iterator<Item = Name> {
        self.names.into_iter()
    }
}
