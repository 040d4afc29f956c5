//! What may be asked about a key, and what the answer can be. None of it costs a server more than a few steps.

use serde::{Deserialize, Serialize};

use super::Range;

/// What asking for sizes meant for the keys, and how good the answers are for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probing {
    /// Nothing: the server can be asked without using a key (CLIENT NO-TOUCH).
    #[default]
    Untouched,
    /// Nothing either, since only what uses no key was asked: strings are known by their memory, collections not at all.
    Rough,
    /// It counted as a use of the keys, as the operator allowed.
    Touched,
}

/// Something to be learned about a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The database it lives in.
    pub database: u32,
    /// Its name.
    pub key: Box<[u8]>,
    /// What is asked.
    pub kind: Kind,
}

/// What is asked about a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The length of a string.
    Length,
    /// The length of one field of a hash.
    FieldLength(Box<[u8]>),
    /// How many fields a hash has, and how large some are.
    Hash,
    /// The same of a set's members.
    Set,
    /// The same of a sorted set's members and their scores.
    SortedSet,
    /// The same of a list's elements, near a range that is read.
    List(Range),
    /// How many members of a sorted set have a score between these two.
    Between(Box<[u8]>, Box<[u8]>),
}

/// What was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// A length, exactly; 0 is also that of nothing.
    Length(u64),
    /// About that length.
    AboutLength(u64),
    /// The elements of a collection.
    Elements(Elements),
    /// A count.
    Count(u64),
}

/// A collection: how many elements, and how large those were that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elements {
    /// How many there are.
    pub count: u64,
    /// The mean of the bytes that a field, a member or an element takes in a reply.
    pub item: f64,
    /// The same of the value or the score that belongs to it; 0 where none does.
    pub partner: f64,
    /// Whether all of it was looked at.
    pub whole: bool,
}

impl Elements {
    /// Of items and what belongs to each, by their lengths.
    pub fn of(count: u64, items: &[usize], partners: &[usize]) -> Self {
        Self {
            count,
            item: mean(items),
            partner: mean(partners),
            whole: !items.is_empty() && items.len() as u64 >= count,
        }
    }

    /// Of elements of which only their mean length is known, about.
    pub fn about(count: u64, length: u64) -> Self {
        Self {
            count,
            item: super::bulk(length) as f64,
            partner: 0.0,
            whole: false,
        }
    }
}

impl Question {
    /// How many commands it takes to answer it, at most.
    pub fn cost(&self) -> usize {
        match self.kind {
            Kind::Length | Kind::FieldLength(_) | Kind::Between(..) => 1,
            Kind::Hash | Kind::Set | Kind::SortedSet => 3,
            Kind::List(_) => 2 + Self::LIST_SAMPLES,
        }
    }

    /// How many elements of a list are looked at: each takes a command.
    pub const LIST_SAMPLES: usize = 6;
}

fn mean(lengths: &[usize]) -> f64 {
    if lengths.is_empty() {
        return 0.0;
    }
    let sum: u64 = lengths.iter().map(|length| super::bulk(*length as u64)).sum();
    sum as f64 / lengths.len() as f64
}
