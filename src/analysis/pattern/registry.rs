//! The names of patterns by number, which of them became one, and the table from a skeleton to its pattern.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// A pattern within its [`Normaliser`](super::Normaliser), dense from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PatternId(u32);

impl PatternId {
    /// Its place in a table that has one entry for each pattern.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    /// What the pattern was called first: the skeleton under which it is found.
    skeleton: Box<[u8]>,
    merged_into: Option<PatternId>,
}

#[derive(Debug)]
pub(super) struct Registry {
    entries: Vec<Entry>,
    by_skeleton: HashTable<PatternId>,
    hasher: FixedState,
}

impl Registry {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            by_skeleton: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PatternId> + use<> {
        (0..self.entries.len() as u32).map(PatternId)
    }

    pub(super) fn name(&self, id: PatternId) -> &str {
        &self.entries[self.resolve(id).index()].name
    }

    /// A pattern of that name, not yet found by a skeleton.
    pub(super) fn create(&mut self, name: &str) -> PatternId {
        let id = PatternId(u32::try_from(self.entries.len()).expect("patterns are capped far below 2³²"));
        self.entries.push(Entry {
            name: name.into(),
            skeleton: Box::default(),
            merged_into: None,
        });
        id
    }

    pub(super) fn find(&self, skeleton: &[u8], hash: u64) -> Option<PatternId> {
        self.by_skeleton
            .find(hash, |id| *self.entries[id.index()].skeleton == *skeleton)
            .map(|id| self.resolve(*id))
    }

    /// From now on `skeleton` finds `id` at once.
    pub(super) fn remember(&mut self, id: PatternId, skeleton: &[u8], hash: u64) {
        let entry = &mut self.entries[id.index()];
        if !entry.skeleton.is_empty() || skeleton.is_empty() {
            return;
        }
        entry.skeleton = skeleton.into();
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_skeleton.insert_unique(hash, id, |id| {
            let mut state = hasher.build_hasher();
            state.write(&entries[id.index()].skeleton);
            state.finish()
        });
    }

    /// `id` is called otherwise from now on. The skeleton it was found under leads to it through the tree alone, so that its new name can
    /// take that place: what most keys of a learned pattern look like.
    pub(super) fn rename(&mut self, id: PatternId, name: String) {
        self.forget_skeleton(id);
        self.entries[id.index()].name = name.into();
    }

    /// `from` is `into` from now on; its name and its skeleton are forgotten.
    pub(super) fn merge(&mut self, from: PatternId, into: PatternId) {
        self.forget_skeleton(from);
        let entry = &mut self.entries[from.index()];
        entry.name = Box::default();
        entry.merged_into = Some(into);
    }

    fn forget_skeleton(&mut self, id: PatternId) {
        let skeleton = std::mem::take(&mut self.entries[id.index()].skeleton);
        if let Ok(found) = self.by_skeleton.find_entry(self.hash(&skeleton), |known| *known == id) {
            found.remove();
        }
    }

    pub(super) fn resolve(&self, mut id: PatternId) -> PatternId {
        while let Some(into) = self.entries[id.index()].merged_into {
            id = into;
        }
        id
    }
}
