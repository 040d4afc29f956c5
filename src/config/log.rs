//! `[log]`: what is said on standard error.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// Text or JSON.
    pub format: LogFormat,
    /// How much.
    pub level: LogLevel,
    /// What becomes of a line that nobody has room for.
    pub when_full: WhenFull,
}

/// What to do while whoever reads the log stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// Drop lines, and count them.
    #[default]
    Drop,
    /// Wait, with everything that has something to say.
    Wait,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A level, and levels by module: `info,hotshard::node=debug`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogLevel(String);

/// A text that is no level. The subscriber would take a mistyped level for a module, and say nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no level; write error, warn, info, debug, trace or off, also by module as in \"info,hotshard::node=debug\""
)]
pub struct LogLevelError(String);

impl TryFrom<String> for LogLevel {
    type Error = LogLevelError;

    fn try_from(text: String) -> Result<Self, LogLevelError> {
        let is_level = |part: &str| {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            !level.is_empty() && level.parse::<u8>().is_err() && LevelFilter::from_str(level).is_ok()
        };
        match text.split(',').find(|part| !is_level(part.trim())) {
            Some(part) => Err(LogLevelError(part.trim().to_owned())),
            None => Ok(Self(text)),
        }
    }
}

impl From<LogLevel> for String {
    fn from(level: LogLevel) -> Self {
        level.0
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let refused = LogLevel::try_from(text.to_owned())
            .err()
            .map(|LogLevelError(part)| part);
        assert_eq!(refused.as_deref(), expected, "{text}");
    }

    #[test]
    fn a_mistyped_level_is_refused_and_not_taken_for_a_module() {
        check("info", None);
        check("WARN, hotshard::node=debug,hotshard::engine=off", None);
        check("inf", Some("inf"));
        check("info,hotshard::node", Some("hotshard::node"));
        check("info,", Some(""));
        check("hotshard=verbose", Some("hotshard=verbose"));
        check("3", Some("3"));
    }
}
