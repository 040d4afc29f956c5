//! Who plays what in one shard at one moment.

use std::time::Duration;

use crate::model::PerSecond;

/// Who plays what in one shard at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cast {
    /// The member that takes the writes.
    pub(super) primary: usize,
    /// How each member fares.
    pub(super) members: Vec<Condition>,
    /// Ordinary traffic, times this.
    pub(super) load: f64,
    /// Acts that send commands: the number of the act, and how many.
    pub(super) sources: Vec<(usize, PerSecond)>,
}

/// How a node fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Condition {
    /// How often its process has died so far.
    pub(super) lives: u32,
    /// How often its connections have been cut so far.
    pub(super) cuts: u32,
    pub(super) down: bool,
    pub(super) hangs: bool,
    pub(super) refuses: bool,
    pub(super) drops: bool,
    pub(super) half_lines: bool,
    pub(super) rubbish: bool,
    /// How much later replication arrives.
    pub(super) behind: Duration,
}

impl Condition {
    /// Whether the server serves its clients.
    pub(super) fn works(&self) -> bool {
        !self.down && !self.hangs
    }
}

impl Cast {
    pub(super) fn at_rest(members: usize) -> Self {
        Self {
            primary: 0,
            members: vec![Condition::default(); members],
            load: 1.0,
            sources: Vec::new(),
        }
    }
}
