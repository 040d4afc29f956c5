//! What the windows of the last round are doing right now, for whoever watches them while they are open.
//!
//! Workers leave a note when something changes; figures that change with every read are looked up where the reader leaves them.
//! It refuses to know who looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::precheck::Granted;
use super::progress::Progress;
use crate::analysis::window::{ClosedWindow, WindowEnd};
use crate::archive::Sample;
use crate::export::open::{Guarded, OpenWindow};
use crate::model::{Bytes, GroupKey, NodeId, ShardId};

/// The windows of each group's last round. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<BTreeMap<(GroupKey, ShardId), LiveWindow>>>);

/// One window.
#[derive(Clone, Debug)]
pub struct LiveWindow {
    /// The node it is for.
    pub node: NodeId,
    /// How far it is.
    pub stage: Stage,
}

/// How far a window is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// The node is asked whether it can bear one.
    Asking,
    /// Its stream is read.
    Open {
        /// Since when.
        since: Instant,
        /// How long it was meant to be.
        wanted: Duration,
        /// How long it will be: less where the node can't bear more.
        granted: Granted,
        /// What was read so far.
        progress: Arc<Progress>,
    },
    /// It is over.
    Closed {
        /// Why.
        end: WindowEnd,
        /// How long it was.
        lasted: Duration,
        /// Commands it saw.
        commands: u64,
        /// Bytes it read.
        bytes: Bytes,
        /// How long it was meant to be.
        wanted: Duration,
        /// How long it might be.
        granted: Granted,
        /// Lines that were kept for the archive, of how many.
        kept: (u64, u64),
    },
    /// There was none, for this reason.
    Refused(String),
}

impl LiveWindow {
    /// As others may see it, if its stream is read.
    fn open(&self, (group, shard): &(GroupKey, ShardId), now: Instant) -> Option<OpenWindow> {
        let Stage::Open {
            since,
            wanted,
            granted,
            progress,
            ..
        } = &self.stage
        else {
            return None;
        };
        Some(OpenWindow {
            group: group.clone(),
            shard: shard.clone(),
            node: self.node.clone(),
            open: now.duration_since(*since),
            lasts: granted.duration,
            wanted: *wanted,
            commands: progress.commands(),
            bytes: progress.bytes(),
            guard: Guarded {
                server_buffer: progress.buffered(),
                behind: progress.behind(),
                strained: progress.strain.lasted(),
            },
        })
    }
}

impl Live {
    /// All windows, in the order of groups and shards.
    pub fn windows(&self) -> BTreeMap<(GroupKey, ShardId), LiveWindow> {
        self.lock().clone()
    }

    /// Those whose stream is read at this moment.
    pub fn open(&self, now: Instant) -> Vec<OpenWindow> {
        let windows = self.lock();
        let open = windows.iter().filter_map(|(name, window)| window.open(name, now));
        open.collect()
    }

    pub(super) fn asking(&self, group: &GroupKey, shard: &ShardId, node: &NodeId) {
        self.note(group, shard, node, Stage::Asking);
    }

    pub(super) fn refused(&self, group: &GroupKey, shard: &ShardId, node: &NodeId, reason: String) {
        self.note(group, shard, node, Stage::Refused(reason));
    }

    pub(super) fn closed(&self, window: &ClosedWindow, sample: &Sample) {
        let (wanted, granted) = self.planned(window);
        let stage = Stage::Closed {
            end: window.end,
            lasted: window.duration(),
            commands: window.stats.commands,
            bytes: window.stats.bytes_read,
            wanted,
            granted,
            kept: (sample.lines.len() as u64, sample.seen),
        };
        self.note(&window.group, &window.shard, &window.node, stage);
    }

    /// How long the window was meant to be, and how long it might be.
    fn planned(&self, window: &ClosedWindow) -> (Duration, Granted) {
        let windows = self.lock();
        let known = windows.get(&(window.group.clone(), window.shard.clone()));
        match known.map(|known| &known.stage) {
            Some(Stage::Open { wanted, granted, .. }) => (*wanted, *granted),
            // Its group was forgotten meanwhile.
            _ => {
                let duration = window.duration();
                let shortened = None;
                (duration, Granted { duration, shortened })
            }
        }
    }

    pub(super) fn note(&self, group: &GroupKey, shard: &ShardId, node: &NodeId, stage: Stage) {
        let window = LiveWindow {
            node: node.clone(),
            stage,
        };
        self.lock().insert((group.clone(), shard.clone()), window);
    }

    /// Forgets groups that are gone.
    pub(super) fn forget(&self, group: &GroupKey) {
        self.lock().retain(|(known, _), _| known != group);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(GroupKey, ShardId), LiveWindow>> {
        // What is noted is whole at every moment, whoever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
