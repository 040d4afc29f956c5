//! Events → totals → [`Snapshot`].
//!
//! The engine tells what happened, one [`Event`] at a time; the ledger adds up. Handling is synchronous and depends on nothing but the
//! events, so the same events give the same figures. Every total here is our own and only grows while its series exists. It refuses to
//! know how events come about and how figures leave.
//!
//! ```
//! use hotshard::metrics::ledger::{Event, Ledger, LedgerSettings};
//! use hotshard::model::Timestamp;
//!
//! let mut ledger = Ledger::new(LedgerSettings::default());
//! ledger.apply(&Event::Paused(true));
//! assert!(ledger.snapshot(Timestamp(0)).paused);
//! ```

mod capped;
mod event;
mod gathered;
mod group;
mod node;
mod recent;
mod shard;
mod totals;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use event::{Event, PollAnswer};

use self::group::GroupAccount;
use self::node::NodeAccount;
use self::shard::ShardAccount;
use super::snapshot::{ArchiveSnapshot, Snapshot};
use crate::analysis::status::StatusSettings;
use crate::analysis::window::ClosedWindow;
use crate::model::{GroupKey, NodeId, Ratio, ShardId, Timestamp};

/// What the ledger is to go by.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerSettings {
    /// Rates are means over so long.
    pub rate_window: Duration,
    /// So long a figure stands that no interval tells any more.
    pub stands_max: Duration,
    /// When a shard is called hot or cold.
    pub status: StatusSettings,
    /// How many series there may be.
    pub limits: LimitSettings,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            rate_window: Duration::from_secs(60),
            stands_max: Duration::from_secs(300),
            status: StatusSettings::default(),
            limits: LimitSettings::default(),
        }
    }
}

/// `[limits]`: how many series a shard may have. What has none counts under `other`, or isn't shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Patterns.
    pub patterns_max: usize,
    /// A pattern gets a series after two windows in a row with at least this share.
    pub pattern_share_min: Ratio,
    /// Commands.
    pub commands_max: usize,
    /// Slots.
    pub slots_max: usize,
    /// Slots with a smaller share have no series.
    pub slot_share_min: Ratio,
    /// Keys; they are personal data as often as not, so nobody gets them unasked.
    pub keys_max: usize,
    /// Clients; the same.
    pub clients_max: usize,
    /// Error names, of each node: scripts can invent them.
    pub errors_max: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            patterns_max: 30,
            pattern_share_min: Ratio(0.01),
            commands_max: 40,
            slots_max: 5,
            slot_share_min: Ratio(0.05),
            keys_max: 0,
            clients_max: 0,
            errors_max: 32,
        }
    }
}

/// Everything that is known, kept up by events.
#[derive(Debug)]
pub struct Ledger {
    settings: LedgerSettings,
    groups: BTreeMap<GroupKey, GroupAccount>,
    paused: bool,
    last_reload_successful: bool,
    archive: Option<ArchiveSnapshot>,
    log_dropped: u64,
}

impl Ledger {
    /// A ledger that knows nothing yet, but that its own settings were taken.
    pub fn new(settings: LedgerSettings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            paused: false,
            last_reload_successful: true,
            archive: None,
            log_dropped: 0,
        }
    }

    /// Goes by other settings from now on. A cap that is lower than before takes no series away: it holds for labels to come.
    pub fn configure(&mut self, settings: LedgerSettings) {
        self.settings = settings;
        for group in self.groups.values_mut() {
            group.configure(&self.settings);
        }
    }

    /// Takes what happened. What concerns a node, shard or group that isn't watched any more is nothing.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Discovered { group, at } => {
                let account = self.groups.entry(group.key.clone()).or_default();
                account.discovered(group, *at, &self.settings);
            }
            Event::DiscoveryFailed { group, reason, .. } => self.group(group).discovery_failed(reason),
            Event::GroupRemoved(group) => {
                self.groups.remove(group);
            }
            Event::Polled {
                group,
                node,
                at,
                took,
                outcome,
            } => {
                if let Some(account) = self.groups.get_mut(group) {
                    account.polled(node, *at, *took, outcome, &self.settings);
                }
            }
            Event::WindowOpened { group, shard, node, at } => {
                self.shard(group, shard)
                    .into_iter()
                    .for_each(|shard| shard.windows.opened());
                self.node(group, node)
                    .into_iter()
                    .for_each(|node| node.window_opened(*at));
            }
            Event::WindowClosed(window) => self.window_closed(window),
            Event::Circuit { group, node, open } => {
                self.node(group, node)
                    .into_iter()
                    .for_each(|node| node.set_circuit(*open));
            }
            Event::WindowSkipped {
                group,
                shard,
                reason,
                text,
            } => self.window_skipped(group, shard, (reason, text)),
            Event::WindowFailed {
                group,
                shard,
                node,
                reason,
                text,
            } => {
                self.window_skipped(group, shard, (reason, text));
                self.node(group, node)
                    .into_iter()
                    .for_each(|node| node.window_failed(reason));
            }
            Event::RoundEnded(group) => {
                if let Some(account) = self.groups.get_mut(group) {
                    account.round_ended(group);
                }
            }
            Event::Paused(paused) => self.paused = *paused,
            Event::Reloaded { successful } => self.last_reload_successful = *successful,
            Event::LogDropped(lines) => self.log_dropped = *lines,
            Event::Archived(archive) => self.archive = Some(archive.clone()),
            Event::Tick(at) => self
                .groups
                .values_mut()
                .for_each(|group| group.tick(*at, &self.settings)),
        }
    }

    /// What is known at this moment.
    pub fn snapshot(&self, at: Timestamp) -> Snapshot {
        Snapshot {
            at,
            groups: self.groups.iter().map(|(key, group)| group.snapshot(key)).collect(),
            untried: 0,
            paused: self.paused,
            last_reload_successful: self.last_reload_successful,
            archive: self.archive.clone(),
            log_dropped: self.log_dropped,
        }
    }

    fn window_skipped(&mut self, group: &GroupKey, shard: &ShardId, (reason, text): (&'static str, &str)) {
        self.shard(group, shard)
            .into_iter()
            .for_each(|shard| shard.windows.skipped(reason, text));
    }

    fn window_closed(&mut self, window: &Arc<ClosedWindow>) {
        if let Some(node) = self.node(&window.group, &window.node) {
            node.window_closed(window.opened, window.closed);
        }
        if let Some(shard) = self.shard(&window.group, &window.shard) {
            shard.windows.closed(window);
        }
    }

    /// The group's account, a new one if it has none.
    fn group(&mut self, key: &GroupKey) -> &mut GroupAccount {
        self.groups.entry(key.clone()).or_default()
    }

    fn shard(&mut self, group: &GroupKey, shard: &ShardId) -> Option<&mut ShardAccount> {
        self.groups.get_mut(group)?.shard_mut(shard)
    }

    fn node(&mut self, group: &GroupKey, node: &NodeId) -> Option<&mut NodeAccount> {
        self.groups.get_mut(group)?.node_mut(node)
    }
}

#[cfg(test)]
mod tests;
