//! The settings of polls and windows. Their defaults are lines of `config/hotshard.toml` and stand nowhere else.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Ratio, written};
use crate::schedule::Schedule;

/// `[poll]`: how load figures are read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PollSettings {
    /// The time between two looks at every node.
    #[serde(with = "written::duration")]
    pub interval: Duration,
    /// How long a node may take to answer.
    #[serde(with = "written::duration")]
    pub timeout: Duration,
    /// The time between two looks at the sums of every slot, where the server has them.
    #[serde(with = "written::duration")]
    pub slot_stats_interval: Duration,
}

/// `[discovery]`: how the topology is kept up to date.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoverySettings {
    /// The time between two looks at the topology.
    #[serde(with = "written::duration")]
    pub interval: Duration,
    /// The AWS region of groups that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another address of ElastiCache's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
}

/// `[monitor]`: when and where MONITOR windows are opened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorSettings {
    /// Whether windows are opened at all.
    pub enabled: bool,
    /// When a round is due.
    pub schedule: Schedule,
    /// How long a window lasts.
    #[serde(with = "written::duration")]
    pub window: Duration,
    /// Whether a group is looked at out of turn when one of its shards turns hot.
    pub on_hot: bool,
    /// How long after that not again.
    #[serde(with = "written::duration")]
    pub on_hot_cool_down: Duration,
    /// Which nodes may be looked at.
    pub nodes: NodeChoice,
    /// The availability zone whose replicas are preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_zone: Option<String>,
    /// How many windows may be open at the same time.
    pub concurrency: NonZeroUsize,
    /// After how many commands a window ends.
    pub commands_max: NonZeroU64,
    /// After how many bytes a window ends.
    #[serde(with = "written::nonzero_size")]
    pub bytes_max: NonZeroU64,
}

/// Which nodes may be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeChoice {
    /// Replicas alone; a shard without one is skipped.
    #[default]
    Replica,
    /// Primaries alone.
    Primary,
    /// A replica where there is one, else the primary.
    ReplicaOrPrimary,
}

/// `[guards]`: when a window is not opened, and when an open one ends at once.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSettings {
    /// The time between two looks while a window is open.
    #[serde(with = "written::duration")]
    pub interval: Duration,
    /// After so long without an answer a window ends: no watch, no window.
    #[serde(with = "written::duration")]
    pub silence_max: Duration,
    /// What the server may hold for us.
    #[serde(with = "written::size")]
    pub server_buffer_max: Bytes,
    /// How many bytes a second the stream may bring.
    #[serde(with = "written::size")]
    pub read_rate_max: Bytes,
    /// How full the server's memory may be.
    pub memory_ratio_max: Ratio,
    /// How much of a core a window may be expected to cost.
    pub predicted_cost_max: Ratio,
    /// How much of a core the engine may use.
    pub cpu_max: Ratio,
    /// How far replication may be behind.
    #[serde(with = "written::size")]
    pub replication_lag_max: Bytes,
    /// How far the stream's own time stamps may be behind the server's clock.
    #[serde(with = "written::duration")]
    pub behind_max: Duration,
    /// Whether a process of its own ends windows when hotshard stands still.
    pub watchdog: bool,
    /// Where a watchdog listens that was started apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog_socket: Option<PathBuf>,
    /// How long hotshard may give no sign of life while a window is open.
    #[serde(with = "written::duration")]
    pub standstill_max: Duration,
    /// Whether a server that doesn't bound its own buffers gets no window.
    pub require_server_limit: bool,
    /// How long a window lasts at most on such a server.
    #[serde(with = "written::duration")]
    pub window_max_without_server_limit: Duration,
}

/// `[bandwidth]`: whether and how it is estimated what windows' commands were answered with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BandwidthSettings {
    /// Whether it is estimated at all.
    pub enabled: bool,
    /// How many commands may be sent after a window to learn the sizes of keys.
    pub probes_max: usize,
    /// How many bytes their answers may have.
    #[serde(with = "written::size")]
    pub probe_bytes_max: Bytes,
    /// Whether keys may be asked about where that counts as a use of them.
    pub touch: bool,
}

/// The guards' defaults, from the file where they stand.
#[cfg(test)]
pub(super) fn default_guards() -> GuardSettings {
    let manual: toml::Table = include_str!("../../config/hotshard.toml").parse().expect("it is TOML");
    let guards = manual["guards"].clone();
    guards.try_into().expect("the section is whole")
}
