//! What can happen to a cluster.

use std::time::Duration;

use super::cast::Condition;
use crate::model::{Bytes, PerSecond};

/// A node: the shard's number and the node's number within it, both from 0. Member 0 is the primary at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The shard's number.
    pub shard: usize,
    /// The node's number within the shard.
    pub member: usize,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plot {
    /// So many reads of a single key.
    HotKey {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// So many commands on five keys that share a hash tag, and so a slot.
    HotTag {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// So many readings of a whole sorted set, each answered with so many bytes.
    FatReplies {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
        /// How large a reply, about.
        reply: Bytes,
    },
    /// One client that reads keys all over the shard.
    WildClient {
        /// Where.
        shard: usize,
        /// How many commands.
        rate: PerSecond,
    },
    /// A command that takes long.
    ExpensiveCommand {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
        /// How long each takes.
        cost: Duration,
    },
    /// Writes of large binary values: lines of up to four times their size.
    BigValues {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
        /// How large, up to 1 MiB.
        value: Bytes,
    },
    /// Clients that connect, say one thing, and go.
    ConnectionChurn {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// Keys evicted for memory.
    Evictions {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// The shard's ordinary traffic times a factor; 0 leaves it idle.
    Load {
        /// Where.
        shard: usize,
        /// Times what.
        factor: f64,
    },
    /// The next member becomes the primary, at the act's beginning.
    Failover {
        /// Where.
        shard: usize,
    },
    /// The process dies at the act's beginning and is back, with nothing counted yet, at its end (at once, if it has none).
    Restart(Place),
    /// The process stands still: connections open, nothing is answered.
    Hang(Place),
    /// Connections are refused and those that exist are cut; the server itself works on.
    Refuse(Place),
    /// Connections are cut at the act's beginning, in the middle of a line, and new ones as soon as they speak while it lasts.
    Drop(Place),
    /// MONITOR's bytes come in pieces that end within lines.
    HalfLines(Place),
    /// Every fortieth line of MONITOR is preceded by one that is none.
    Rubbish(Place),
    /// Replication reaches this node so much later.
    Lag {
        /// Which replica.
        place: Place,
        /// How much later.
        behind: Duration,
    },
}

impl Plot {
    /// The shard it plays in.
    pub fn shard(&self) -> usize {
        match *self {
            Self::HotKey { shard, .. }
            | Self::HotTag { shard, .. }
            | Self::FatReplies { shard, .. }
            | Self::WildClient { shard, .. }
            | Self::ExpensiveCommand { shard, .. }
            | Self::BigValues { shard, .. }
            | Self::ConnectionChurn { shard, .. }
            | Self::Evictions { shard, .. }
            | Self::Load { shard, .. }
            | Self::Failover { shard } => shard,
            Self::Restart(place)
            | Self::Hang(place)
            | Self::Refuse(place)
            | Self::Drop(place)
            | Self::HalfLines(place)
            | Self::Rubbish(place)
            | Self::Lag { place, .. } => place.shard,
        }
    }

    /// What the verdict should call it; `None` for what makes no shard hot.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::HotKey { .. } => Some("single_key"),
            Self::HotTag { .. } => Some("hash_tag"),
            Self::FatReplies { .. } => Some("fat_replies"),
            Self::WildClient { .. } => Some("client"),
            Self::ExpensiveCommand { .. } => Some("expensive_command"),
            Self::ConnectionChurn { .. } => Some("connection_churn"),
            _ => None,
        }
    }

    /// Who or what is behind it; `key` is the first of its keys.
    pub(super) fn subject(&self, key: Option<String>) -> String {
        match (self, key) {
            (Self::WildClient { .. }, _) => "10.0.66.6".to_owned(),
            (Self::ExpensiveCommand { .. }, _) => "KEYS".to_owned(),
            (Self::HotTag { .. }, Some(key)) => {
                let tag = key.split(['{', '}']).nth(1).unwrap_or_default();
                format!("{{{tag}}}")
            }
            (_, key) => key.unwrap_or_default(),
        }
    }

    pub(super) fn rate(&self) -> Option<PerSecond> {
        match *self {
            Self::HotKey { rate, .. }
            | Self::HotTag { rate, .. }
            | Self::FatReplies { rate, .. }
            | Self::WildClient { rate, .. }
            | Self::ExpensiveCommand { rate, .. }
            | Self::BigValues { rate, .. }
            | Self::ConnectionChurn { rate, .. }
            | Self::Evictions { rate, .. } => Some(rate),
            _ => None,
        }
    }

    pub(super) fn member(&self) -> Option<usize> {
        match *self {
            Self::Restart(place)
            | Self::Hang(place)
            | Self::Refuse(place)
            | Self::Drop(place)
            | Self::HalfLines(place)
            | Self::Rubbish(place)
            | Self::Lag { place, .. } => Some(place.member),
            _ => None,
        }
    }

    pub(super) fn befall(&self, condition: &mut Condition, plays: bool, begun: u32, ends: bool) {
        match *self {
            Self::Restart(_) => {
                condition.lives += begun;
                condition.cuts += begun;
                condition.down |= plays && ends;
            }
            Self::Refuse(_) => {
                condition.cuts += begun;
                condition.refuses |= plays;
            }
            Self::Drop(_) => {
                condition.cuts += begun;
                condition.drops |= plays && ends;
            }
            Self::Hang(_) => condition.hangs |= plays,
            Self::HalfLines(_) => condition.half_lines |= plays,
            Self::Rubbish(_) => condition.rubbish |= plays,
            Self::Lag { behind, .. } if plays => condition.behind = condition.behind.max(behind),
            _ => {}
        }
    }
}
