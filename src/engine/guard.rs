//! Whether an open window does harm. Pure: what was seen and the limits in, the reason to end it out.
//!
//! A guard looks a few times a second. Figures that only mean something over time (CPU, the stream's rate) are taken over a second,
//! so that a burst of one look is no alarm. It refuses to know how the figures are asked for and how a window is ended.
//!
//! ```
//! use hotshard::analysis::window::WindowEnd;
//! use hotshard::config::Settings;
//! use hotshard::engine::guard::{Readings, judge};
//! use hotshard::model::Bytes;
//!
//! let guards = Settings::defaults().guards;
//! let readings = Readings { buffer: Some(Bytes(40 << 20)), ..Readings::default() };
//! assert_eq!(judge(&readings, &guards), Some(WindowEnd::ServerBuffer));
//! assert_eq!(judge(&Readings::default(), &guards), None);
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::settings::GuardSettings;
use crate::analysis::info::Reading;
use crate::analysis::window::WindowEnd;
use crate::model::{Bytes, PerSecond, Ratio, Role};

/// Rates are taken over so long.
const RATE_SPAN: Duration = Duration::from_secs(1);

/// Before a window there must be room for so many of the server's buffers for us.
pub(super) const HEADROOM_BEFORE: u64 = 4;

/// While it is open, for so many.
const HEADROOM: u64 = 2;

/// Everything a guard sees at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// How long after the guard began, by our own clock.
    pub at: Duration,
    /// The node's INFO.
    pub reading: Reading,
    /// Its role, by ROLE.
    pub role: Role,
    /// What it holds for our stream; `None` if it doesn't know our client (any more).
    pub buffer: Option<Bytes>,
    /// Where its primary's stream is, asked of the primary.
    pub primary_offset: Option<u64>,
    /// What the stream has brought so far.
    pub read: Bytes,
    /// How far the stream's last time stamp was behind the server's clock when it was read.
    pub behind: Duration,
    /// How long the reader has not once caught up: with the socket, or what it hands lines to with it.
    pub strained: Duration,
}

/// What the looks so far amount to. `None` is unknown, and unknown trips no guard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// What the server holds for our stream.
    pub buffer: Option<Bytes>,
    /// Memory the server uses.
    pub memory_used: Option<Bytes>,
    /// Its limit, where it has one.
    pub memory_max: Option<Bytes>,
    /// Keys it evicted since the guard began.
    pub evicted_keys: u64,
    /// How much of a core its engine uses.
    pub cpu: Option<Ratio>,
    /// How far replication is behind.
    pub replication_lag: Option<Bytes>,
    /// Whether the node lost its primary.
    pub unlinked: bool,
    /// Whether its role isn't the one it had when the guard began.
    pub role_changed: bool,
    /// How many bytes a second the stream brings.
    pub read_rate: Option<PerSecond>,
    /// How far the stream is behind, at the least in two looks running.
    pub behind: Duration,
    /// How long the reader has not once caught up.
    pub strained: Duration,
}

/// The first guard that is crossed, the most dangerous first.
pub fn judge(readings: &Readings, settings: &GuardSettings) -> Option<WindowEnd> {
    let above = |value: Option<Bytes>, max: Bytes| value.is_some_and(|value| value > max);
    let crossed = [
        (readings.role_changed, WindowEnd::RoleChanged),
        (
            above(readings.buffer, settings.server_buffer_max),
            WindowEnd::ServerBuffer,
        ),
        (readings.evicted_keys > 0, WindowEnd::Evictions),
        (is_nearly_full(readings, settings, HEADROOM), WindowEnd::Memory),
        (
            readings.unlinked || above(readings.replication_lag, settings.replication_lag_max),
            WindowEnd::ReplicationLag,
        ),
        (
            readings
                .read_rate
                .is_some_and(|rate| rate.0 > settings.read_rate_max.0 as f64),
            WindowEnd::ReadRate,
        ),
        (
            readings.behind.max(readings.strained) > settings.behind_max,
            WindowEnd::Overloaded,
        ),
        (readings.cpu.is_some_and(|cpu| cpu > settings.cpu_max), WindowEnd::Cpu),
    ];
    crossed.into_iter().find(|(is, _)| *is).map(|(_, end)| end)
}

/// Whether memory is fuller than it may be, or has no room for so many of the server's buffers for us.
pub(super) fn is_nearly_full(readings: &Readings, settings: &GuardSettings, headroom: u64) -> bool {
    let (Some(used), Some(max)) = (readings.memory_used, readings.memory_max) else {
        return false;
    };
    let room = max.0.saturating_sub(used.0);
    Ratio::of(used.0, max.0).is_some_and(|ratio| ratio > settings.memory_ratio_max)
        || room < settings.server_buffer_max.0.saturating_mul(headroom)
}

/// The looks of one guard: its first, and those of the last second.
#[derive(Clone, Debug)]
pub struct History {
    role: Role,
    evicted_keys: Option<u64>,
    recent: VecDeque<Look>,
}

impl History {
    /// Everything is held against this look, from before the window.
    pub fn new(first: Look) -> Self {
        Self {
            role: first.role,
            evicted_keys: first.reading.evicted_keys,
            recent: VecDeque::from([first]),
        }
    }

    /// What the looks amount to, now that there is another one.
    pub fn add(&mut self, look: Look) -> Readings {
        // The youngest look that is a second old stays: rates are taken from it.
        while self
            .recent
            .get(1)
            .is_some_and(|second| look.at.saturating_sub(second.at) >= RATE_SPAN)
        {
            self.recent.pop_front();
        }
        let readings = self.readings(&look);
        self.recent.push_back(look);
        readings
    }

    fn readings(&self, look: &Look) -> Readings {
        let (oldest, last) = (self.recent.front(), self.recent.back());
        let oldest = oldest.filter(|oldest| look.at.saturating_sub(oldest.at) >= RATE_SPAN);
        let evicted = look.reading.evicted_keys.zip(self.evicted_keys);
        Readings {
            buffer: look.buffer,
            memory_used: look.reading.memory_used,
            memory_max: look.reading.memory_max,
            // A counter that went back was reset on the way.
            evicted_keys: evicted.map_or(0, |(now, before)| now.saturating_sub(before)),
            cpu: oldest.and_then(|oldest| cpu(oldest, look)),
            replication_lag: replication_lag(look),
            unlinked: look.role == Role::Replica && look.reading.replication.link_up == Some(false),
            role_changed: look.role != self.role,
            read_rate: oldest.and_then(|oldest| {
                PerSecond::of(
                    look.read.0.saturating_sub(oldest.read.0),
                    look.at.saturating_sub(oldest.at),
                )
            }),
            behind: last.map_or(Duration::ZERO, |last| last.behind.min(look.behind)),
            strained: look.strained,
        }
    }
}

/// What part of a core the engine used between two looks.
pub(super) fn cpu(before: &Look, after: &Look) -> Option<Ratio> {
    let (old, new) = (&before.reading, &after.reading);
    let span = match (old.server_time, new.server_time) {
        (Some(old), Some(new)) => new.since(old),
        _ => after.at.saturating_sub(before.at),
    };
    let used = new.cpu_main_thread?.checked_sub(old.cpu_main_thread?)?;
    (!span.is_zero()).then(|| Ratio(used.as_secs_f64() / span.as_secs_f64()))
}

/// The larger of what is known: by the primary's own offset and by what it last heard from its replicas.
pub(super) fn replication_lag(look: &Look) -> Option<Bytes> {
    let replication = &look.reading.replication;
    match look.role {
        Role::Replica => {
            let behind = look.primary_offset?.saturating_sub(replication.replica_offset?);
            Some(Bytes(behind))
        }
        Role::Primary => {
            let here = replication.primary_offset?;
            let online = replication.replicas.iter().filter(|replica| replica.online);
            online.map(|replica| Bytes(here.saturating_sub(replica.offset))).max()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::info::Replication;
    use crate::engine::settings::default_guards;
    use crate::model::Timestamp;

    /// Looks as `name=value` words, one line each, at `ms`; the ends that each but the first one calls for.
    fn check(looks: &str, expected: &str) {
        let guards = default_guards();
        let mut looks = looks.lines().map(str::trim).filter(|line| !line.is_empty()).map(look);
        let mut history = History::new(looks.next().expect("a first look"));
        let ends: Vec<&str> = looks
            .map(|look| judge(&history.add(look), &guards).map_or("-", WindowEnd::kind))
            .collect();
        assert_eq!(ends.join(" "), expected);
    }

    fn look(line: &str) -> Look {
        let words: Vec<(&str, &str)> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
        let value = |name: &str| words.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let number = |name: &str| value(name).map(|value| value.parse::<u64>().expect("a number"));
        let mib = |name: &str| number(name).map(|number| Bytes(number << 20));
        let at = Duration::from_millis(number("ms").expect("a time"));
        Look {
            at,
            reading: Reading {
                server_time: Some(Timestamp(0) + at),
                memory_used: mib("used"),
                memory_max: mib("max"),
                evicted_keys: number("evicted"),
                cpu_main_thread: number("cpu").map(Duration::from_millis),
                replication: Replication {
                    replica_offset: mib("offset").map(|bytes| bytes.0),
                    link_up: value("link").map(|link| link == "up"),
                    ..Replication::default()
                },
                ..Reading::default()
            },
            role: if value("role") == Some("primary") {
                Role::Primary
            } else {
                Role::Replica
            },
            buffer: mib("buffer"),
            primary_offset: mib("primary").map(|bytes| bytes.0),
            read: mib("read").unwrap_or_default(),
            behind: Duration::from_millis(number("behind").unwrap_or(0)),
            strained: Duration::from_millis(number("strained").unwrap_or(0)),
        }
    }

    #[test]
    fn a_quiet_window_goes_on() {
        check("ms=0 \n ms=200 buffer=1 used=100 max=1000 \n ms=400 buffer=32", "- -");
    }

    #[test]
    fn a_server_that_holds_too_much_for_us_ends_the_window() {
        check("ms=0 \n ms=200 buffer=32 \n ms=400 buffer=33", "- server_buffer");
    }

    #[test]
    fn memory_near_its_limit_ends_the_window() {
        check(
            "ms=0 \n ms=200 used=850 max=1000 \n ms=400 used=851 max=1000",
            "- memory",
        );
        check(
            "ms=0 \n ms=200 used=36 max=100 \n ms=400 used=37 max=100 \n ms=600 used=37",
            "- memory -",
        );
    }

    #[test]
    fn one_evicted_key_ends_the_window() {
        check("ms=0 evicted=7 \n ms=200 evicted=7 \n ms=400 evicted=8", "- evictions");
        check("ms=0 evicted=7 \n ms=200 evicted=0 \n ms=400", "- -");
    }

    #[test]
    fn cpu_is_judged_over_a_second_not_over_a_burst() {
        check("ms=0 cpu=0 \n ms=200 cpu=200 \n ms=1000 cpu=700", "- -");
        check("ms=0 cpu=0 \n ms=500 cpu=500 \n ms=1000 cpu=900", "- cpu");
        check(
            "ms=0 cpu=0 \n ms=500 cpu=10 \n ms=1000 cpu=20 \n ms=1500 cpu=900",
            "- - cpu",
        );
    }

    #[test]
    fn a_stream_that_comes_too_fast_ends_the_window() {
        check("ms=0 read=0 \n ms=200 read=20 \n ms=1000 read=32", "- -");
        check("ms=0 read=0 \n ms=200 read=20 \n ms=1000 read=33", "- read_rate");
    }

    #[test]
    fn replication_that_falls_behind_ends_the_window() {
        check(
            "ms=0 \n ms=200 primary=100 offset=68 \n ms=400 primary=101 offset=68",
            "- replication_lag",
        );
        check("ms=0 \n ms=200 offset=1 \n ms=400 link=down", "- replication_lag");
    }

    #[test]
    fn another_role_ends_the_window() {
        check("ms=0 \n ms=200 \n ms=400 role=primary buffer=99", "- role_changed");
    }

    #[test]
    fn a_reader_that_never_catches_up_ends_the_window() {
        check("ms=0 \n ms=200 strained=500 \n ms=400 strained=501", "- overloaded");
    }

    #[test]
    fn a_stream_is_overloaded_when_it_is_behind_in_two_looks_running() {
        check(
            "ms=0 \n ms=200 behind=900 \n ms=400 behind=0 \n ms=600 behind=501 \n ms=800 behind=501",
            "- - - overloaded",
        );
    }
}
