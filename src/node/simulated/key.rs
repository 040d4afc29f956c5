//! A key and what is under it. Its shape never changes, so that replies, probes and counters agree.

/// A key and what is under it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    /// How many elements; 1 for a string.
    pub(super) count: u32,
    /// Bytes of each value.
    pub(super) item: u32,
    /// Whether its commands read or write it whole.
    pub(super) whole: bool,
    /// Whether writes give it a time to live.
    pub(super) expires: bool,
}

/// The type of what is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Hash,
    List,
    SortedSet,
    /// A string of zero bytes.
    Zeros,
}

/// Names of hash fields; a hash with more has numbered ones.
const FIELDS: [&str; 12] = [
    "name", "email", "country", "plan", "locale", "tz", "phone", "avatar", "bio", "theme", "seen", "score",
];

impl Key {
    /// The field's name in this hash.
    pub(super) fn field(&self, index: u32) -> String {
        match FIELDS.get(index as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("f{index}"),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::String | Kind::Zeros => "string",
            Kind::Hash => "hash",
            Kind::List => "list",
            Kind::SortedSet => "zset",
        }
    }

    pub(super) fn encoding(&self) -> &'static str {
        match self.kind {
            Kind::String | Kind::Zeros => "raw",
            Kind::Hash => "listpack",
            Kind::List => "quicklist",
            Kind::SortedSet => "skiplist",
        }
    }

    /// The member of a sorted set.
    pub(super) fn member(index: u32) -> String {
        format!("player:{index:09}")
    }

    /// Bytes of its content, names of fields included.
    pub(super) fn content(&self) -> u64 {
        let names: u64 = match self.kind {
            Kind::Hash => (0..self.count).map(|index| self.field(index).len() as u64).sum(),
            _ => 0,
        };
        names + u64::from(self.count) * u64::from(self.item)
    }

    /// About what MEMORY USAGE says.
    pub(super) fn memory(&self) -> u64 {
        let overhead = match self.kind {
            Kind::String | Kind::Zeros => 0,
            Kind::Hash | Kind::List => 12 * u64::from(self.count),
            Kind::SortedSet => 90 * u64::from(self.count),
        };
        56 + self.name.len() as u64 + overhead + self.content()
    }
}
