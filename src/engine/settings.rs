//! The settings of polls and windows. Their defaults are lines of `config/hotshard.toml` and stand nowhere else.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::written;
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
}

/// `[discovery]`: how the topology is kept up to date.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoverySettings {
    /// The time between two looks at the topology.
    #[serde(with = "written::duration")]
    pub interval: Duration,
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
