//! Values that can be read and can't be meant: a percentage where a part is asked for, a time of nothing, limits that undo each other. A
//! guard that such a value switches off would do so in silence.

use std::time::Duration;

use super::Settings;
use crate::model::written::show_duration;

/// A section, a key, and what is wrong with it.
pub(super) type Refused = ([&'static str; 2], String);

/// More than so many cores no server's engine uses, and so many times the mean no shard is meant to reach: a percentage was.
const FAR_TOO_MUCH: f64 = 10.0;

/// All such values.
pub(super) fn refused(settings: &Settings) -> Vec<Refused> {
    [times(settings), figures(settings), contradictions(settings)].concat()
}

/// Times that are too short: nothing can happen so often.
fn times(settings: &Settings) -> Vec<Refused> {
    const SECOND: Duration = Duration::from_secs(1);
    let Settings {
        poll,
        monitor,
        guards,
        discovery,
        archive,
        ..
    } = settings;
    let too_short = |(at, span, least): ([&'static str; 2], Duration, Duration)| {
        let text = || {
            format!(
                "{} is {}; write at least {}",
                at.join("."),
                show_duration(span),
                show_duration(least)
            )
        };
        (span < least).then(|| (at, text()))
    };
    [
        (["poll", "interval"], poll.interval, SECOND),
        (["poll", "timeout"], poll.timeout, SECOND),
        (["poll", "slot_stats_interval"], poll.slot_stats_interval, SECOND),
        (["monitor", "window"], monitor.window, SECOND),
        (["discovery", "interval"], discovery.interval, SECOND),
        (["guards", "interval"], guards.interval, Duration::from_millis(10)),
        (
            ["guards", "standstill_max"],
            guards.standstill_max,
            Duration::from_millis(100),
        ),
        (["archive", "retention"], archive.retention, SECOND),
    ]
    .into_iter()
    .filter_map(too_short)
    .collect()
}

/// Figures outside of what they can be.
fn figures(settings: &Settings) -> Vec<Refused> {
    const PART: &str = "a part of 1";
    const CORES: &str = "cores, 1 is a whole one";
    const DEVIATION: &str = "how far from the mean, 0.5 is half as much again";
    const RATE: &str = "a number that is not negative";
    let Settings {
        guards, status, limits, ..
    } = settings;
    let far = FAR_TOO_MUCH;
    let outside = |(at, figure, most, what): ([&'static str; 2], f64, f64, &str)| {
        let is_zero_meant = at[0] != "guards";
        let fits = figure <= most && (figure > 0.0 || figure == 0.0 && is_zero_meant);
        let bound = match most.is_finite() {
            true => format!(" (no more than {most})"),
            false => String::new(),
        };
        (!fits).then(|| (at, format!("{} is {figure}; write {what}{bound}", at.join("."))))
    };
    [
        (["guards", "memory_ratio_max"], guards.memory_ratio_max.0, 1.0, PART),
        (
            ["guards", "predicted_cost_max"],
            guards.predicted_cost_max.0,
            far,
            CORES,
        ),
        (["guards", "cpu_max"], guards.cpu_max.0, far, CORES),
        (["status", "very_hot"], status.very_hot.0, far, DEVIATION),
        (["status", "hot"], status.hot.0, far, DEVIATION),
        (["status", "cold"], status.cold.0, 1.0, DEVIATION),
        (["status", "hysteresis"], status.hysteresis.0, 1.0, PART),
        (["status", "commands_min"], status.commands_min.0, f64::INFINITY, RATE),
        (["status", "bytes_out_min"], status.bytes_out_min.0, f64::INFINITY, RATE),
        (["status", "cpu_min"], status.cpu_min.0, 1.0, CORES),
        (["limits", "pattern_share_min"], limits.pattern_share_min.0, 1.0, PART),
        (["limits", "slot_share_min"], limits.slot_share_min.0, 1.0, PART),
    ]
    .into_iter()
    .filter_map(outside)
    .collect()
}

/// Values of which each could be meant, but not both.
fn contradictions(settings: &Settings) -> Vec<Refused> {
    let Settings {
        monitor,
        guards,
        status,
        ..
    } = settings;
    let mut refused: Vec<Refused> = Vec::new();
    if monitor.window >= monitor.schedule.shortest() {
        let text = format!(
            "monitor.window of {} never ends before the next round, {}; write a shorter window: it is the exception in a node's life",
            show_duration(monitor.window),
            monitor.schedule,
        );
        refused.push((["monitor", "window"], text));
    }
    if guards.interval >= guards.silence_max {
        let text = format!(
            "guards.interval of {} is no shorter than guards.silence_max of {}, so every window would end for silence; write a shorter interval",
            show_duration(guards.interval),
            show_duration(guards.silence_max),
        );
        refused.push((["guards", "interval"], text));
    }
    if status.very_hot < status.hot {
        let text = format!(
            "status.very_hot of {} is below status.hot of {}; write at least as much",
            status.very_hot.0, status.hot.0
        );
        refused.push((["status", "very_hot"], text));
    }
    if status.hysteresis.0 > status.hot.0.min(status.cold.0) {
        let text = format!(
            "status.hysteresis of {} is above status.hot of {} or status.cold of {}, so a shard that was hot or cold once would stay so at the mean; \
             write less",
            status.hysteresis.0, status.hot.0, status.cold.0
        );
        refused.push((["status", "hysteresis"], text));
    }
    refused
}

#[cfg(test)]
mod tests {
    use crate::config::Sources;

    /// What is said of flags such as `guards.cpu_max=80`, without its place.
    fn check(flags: &str, expected: &str) {
        let flags = flags.split("; ").map(|flag| {
            let (path, value) = flag.split_once('=').expect("a path and a value");
            (path.to_owned(), vec![value.to_owned()])
        });
        let sources = Sources {
            flags: flags.collect(),
            ..Sources::default()
        };
        let said = sources.load().map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            said.contains(expected) && said.is_empty() == expected.is_empty(),
            "{expected}: {said}"
        );
    }

    #[test]
    fn a_percentage_is_not_taken_for_a_part() {
        check(
            "guards.memory_ratio_max=85",
            "guards.memory_ratio_max is 85; write a part of 1 (no more than 1)",
        );
        check(
            "guards.cpu_max=80",
            "guards.cpu_max is 80; write cores, 1 is a whole one (no more than 10)",
        );
        check("guards.predicted_cost_max=70", "guards.predicted_cost_max is 70");
        check(
            "status.hot=25; status.very_hot=50",
            "status.hot is 25; write how far from the mean",
        );
        check("status.cold=25", "status.cold is 25");
        check("status.cpu_min=10", "status.cpu_min is 10");
        check("limits.slot_share_min=5", "limits.slot_share_min is 5");
        check(
            "guards.memory_ratio_max=1; guards.cpu_max=0.9; status.hot=0.1; status.commands_min=0",
            "",
        );
    }

    #[test]
    fn what_is_negative_or_no_number_is_refused() {
        check("guards.memory_ratio_max=-1", "guards.memory_ratio_max is -1");
        check("guards.cpu_max=0", "guards.cpu_max is 0");
        check(
            "status.commands_min=nan",
            "status.commands_min is NaN; write a number that is not negative",
        );
        check("status.bytes_out_min=-1", "status.bytes_out_min is -1");
        check("status.hysteresis=-0.1", "status.hysteresis is -0.1");
    }

    #[test]
    fn times_of_nothing_are_refused() {
        check("discovery.interval=0s", "discovery.interval is 0s; write at least 1s");
        check("guards.interval=0s", "guards.interval is 0s; write at least 10ms");
        check(
            "guards.standstill_max=0s",
            "guards.standstill_max is 0s; write at least 100ms",
        );
        check(
            "poll.slot_stats_interval=0s",
            "poll.slot_stats_interval is 0s; write at least 1s",
        );
        check("archive.retention=0s", "archive.retention is 0s; write at least 1s");
    }

    #[test]
    fn limits_that_undo_each_other_are_refused() {
        check(
            "guards.interval=2s",
            "guards.interval of 2s is no shorter than guards.silence_max of 1s",
        );
        check(
            "monitor.window=1m; monitor.schedule=*/5,6 * * * *",
            "monitor.window of 1m never ends before the next round, */5,6 * * * *",
        );
        check("monitor.window=50s; monitor.schedule=* * * * *", "");
        check("status.hot=0.6", "status.very_hot of 0.5 is below status.hot of 0.6");
        check(
            "status.hysteresis=0.3",
            "status.hysteresis of 0.3 is above status.hot of 0.25",
        );
        check(
            "status.hot=0.6; status.very_hot=0.9; guards.interval=2s; guards.silence_max=5s",
            "",
        );
    }
}
