//! `[archive]`: what is kept, how much of it, and for how long. The defaults are lines of `config/hotshard.toml`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, written};

/// The settings of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSettings {
    /// The file; without one, nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What of a line is kept.
    pub record: Record,
    /// How many lines of a window are kept at most, evenly drawn from all of it.
    pub rows_per_window_max: NonZeroUsize,
    /// How long a round is kept.
    #[serde(with = "written::duration")]
    pub retention: Duration,
    /// How large the file may grow before the oldest rounds leave it.
    #[serde(with = "written::size")]
    pub size_max: Bytes,
    /// With less free space than this on its disk, nothing more is written.
    #[serde(with = "written::size")]
    pub free_space_min: Bytes,
}

/// What of a line is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// The counts of windows alone.
    Off,
    /// Time, client, command and key.
    #[default]
    Keys,
    /// The whole line, values among it.
    Full,
}
