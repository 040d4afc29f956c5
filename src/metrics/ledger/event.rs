//! What can happen, as the ledger hears of it.

use std::sync::Arc;
use std::time::Duration;

use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::analysis::slot_stats::SlotStats;
use crate::analysis::window::ClosedWindow;
use crate::metrics::snapshot::{ArchiveSnapshot, Sources};
use crate::model::{Group, GroupKey, NodeId, OwnCost, Role, ShardId, SlotSet, Timestamp};

/// Something that happened. Times are by our clock.
#[derive(Clone, Debug)]
pub enum Event {
    /// A group was discovered, or discovered again.
    Discovered {
        /// What it looks like now.
        group: Group,
        /// When.
        at: Timestamp,
    },
    /// A discovery failed; what was known stands.
    DiscoveryFailed {
        /// Which group's.
        group: GroupKey,
        /// The metric label.
        reason: &'static str,
        /// When.
        at: Timestamp,
    },
    /// A group is no longer watched.
    GroupRemoved(GroupKey),
    /// A node was asked how it is.
    Polled {
        /// The group.
        group: GroupKey,
        /// The node.
        node: NodeId,
        /// When the answer was there, or was given up.
        at: Timestamp,
        /// How long that took.
        took: Duration,
        /// The answer, or why there is none (the metric label).
        outcome: Result<Box<PollAnswer>, &'static str>,
    },
    /// A window is about to open: from `at` on the node's CPU and output are not its own.
    WindowOpened {
        /// The group.
        group: GroupKey,
        /// The shard it stands for.
        shard: ShardId,
        /// The node.
        node: NodeId,
        /// When.
        at: Timestamp,
    },
    /// A window is over.
    WindowClosed(Arc<ClosedWindow>),
    /// A shard got no window.
    WindowSkipped {
        /// The group.
        group: GroupKey,
        /// The shard.
        shard: ShardId,
        /// The metric label.
        reason: &'static str,
        /// The same for people, with a cure.
        text: String,
    },
    /// Every window of a group's round is over.
    RoundEnded(GroupKey),
    /// A window could not be opened: the connection failed, or the server refused the stream.
    WindowFailed {
        /// The group.
        group: GroupKey,
        /// The shard.
        shard: ShardId,
        /// The node.
        node: NodeId,
        /// The metric label.
        reason: &'static str,
        /// The same for people, with a cure.
        text: String,
    },
    /// Windows on a node failed or did harm so often that it is left alone, or one went well again.
    Circuit {
        /// The group.
        group: GroupKey,
        /// The node.
        node: NodeId,
        /// Whether it is left alone.
        open: bool,
    },
    /// The operator paused or resumed windows.
    Paused(bool),
    /// The configuration was read again.
    Reloaded {
        /// Whether it was taken.
        successful: bool,
    },
    /// So many lines of the log were dropped since hotshard began.
    LogDropped(u64),
    /// The archive was asked how it is.
    Archived(ArchiveSnapshot),
    /// Time went by.
    Tick(Timestamp),
}

impl Event {
    /// The group whose discovery is over by it, whatever came of it.
    pub fn looked_for(&self) -> Option<&GroupKey> {
        match self {
            Self::Discovered { group, .. } => Some(&group.key),
            Self::DiscoveryFailed { group, .. } | Self::GroupRemoved(group) => Some(group),
            _ => None,
        }
    }
}

/// What a node answered.
#[derive(Clone, Debug)]
pub struct PollAnswer {
    /// INFO.
    pub reading: Reading,
    /// ROLE.
    pub role: Role,
    /// The commands it knows.
    pub commands: Arc<Commands>,
    /// What we caused on it since the last answer.
    pub own: OwnCost,
    /// Which sources it serves, as far as that was found out this time.
    pub sources: Sources,
    /// The slots its shard owns, if it was asked this time.
    pub slots: Option<SlotSet>,
    /// The sums of each slot, if it was asked for them this time.
    pub slot_stats: Option<Arc<SlotStats>>,
}
