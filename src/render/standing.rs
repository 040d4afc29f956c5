//! How a shard stands in each signal, and how its diagnosis is to be taken: what all forms of a report say alike.

use super::figure::{dash, rate, short, status};
use crate::analysis::report::{Diagnosis, PerSignal, Report, ShardReport, Source};
use crate::analysis::status::{Signal, Status};

/// The signals that stand beside commands, where the servers' counters are known.
pub(super) const BESIDE: [Signal; 2] = [Signal::BytesOut, Signal::Cpu];

/// Whether the servers' own counters are known, so that more than commands can be compared.
pub(super) fn has_signals(report: &Report) -> bool {
    report.shards.iter().any(|shard| shard.signals.is_some())
}

/// What is compared: the shard's own rate, by the counters of all its nodes; without them what its window saw.
pub(super) fn load(shard: &ShardReport, signal: Signal) -> Option<f64> {
    match (signal, &shard.signals) {
        (Signal::Commands, Some(signals)) => signals.commands_per_second,
        (Signal::Commands, None) => shard.commands_per_second,
        (Signal::BytesOut, signals) => signals.as_ref()?.bytes_out_per_second,
        (Signal::Cpu, signals) => signals.as_ref()?.cpu_ratio,
    }
}

/// `14.2k/s`, `30.1 MB/s`, `0.42 cores`.
pub(super) fn amount(signal: Signal, load: Option<f64>) -> String {
    match signal {
        Signal::Commands => rate(load),
        Signal::BytesOut => load.map_or_else(dash, |bytes| format!("{}B/s", spaced(short(bytes)))),
        Signal::Cpu => load.map_or_else(dash, |cores| format!("{cores:.2} cores")),
    }
}

/// `30.1 M` from `30.1M`.
fn spaced(figure: String) -> String {
    let digits = figure.trim_end_matches(char::is_alphabetic).len();
    format!("{} {}", &figure[..digits], &figure[digits..])
}

pub(super) fn of<Figure: Copy>(figures: &PerSignal<Figure>, signal: Signal) -> Figure {
    match signal {
        Signal::Commands => figures.commands,
        Signal::BytesOut => figures.bytes_out,
        Signal::Cpu => figures.cpu,
    }
}

pub(super) fn deviation_ratio(shard: &ShardReport, signal: Signal) -> Option<f64> {
    match &shard.signals {
        Some(signals) => of(&signals.deviation_ratio, signal),
        None if signal == Signal::Commands => shard.deviation_ratio,
        None => None,
    }
}

/// The status of the signal in which it is hottest; where it is hot in none, that of its commands.
pub(super) fn hottest(shard: &ShardReport) -> Status {
    let hot = Signal::ALL.map(|signal| of(&shard.status, signal));
    let hot = hot.into_iter().filter(|status| status.is_hot());
    hot.min().unwrap_or(shard.status.commands)
}

/// `very hot in commands, bytes out; hot in CPU`; where it is hot in none, how it stands in commands, if that is known.
pub(super) fn verdict(shard: &ShardReport) -> Option<String> {
    let hot = [Status::VeryHot, Status::Hot].into_iter().filter_map(|heat| {
        let signals = Signal::ALL
            .into_iter()
            .filter(|signal| of(&shard.status, *signal) == heat);
        let names: Vec<&str> = signals.map(name).collect();
        (!names.is_empty()).then(|| format!("{} in {}", status(heat), names.join(", ")))
    });
    let hot: Vec<String> = hot.collect();
    match (hot.is_empty(), shard.status.commands) {
        (false, _) if shard.signals.is_some() => Some(hot.join("; ")),
        (_, Status::Unknown) => None,
        (_, commands) => Some(status(commands).to_owned()),
    }
}

/// The same where something must stand.
pub(super) fn verdict_or_unknown(shard: &ShardReport) -> String {
    verdict(shard).unwrap_or_else(|| status(Status::Unknown).to_owned())
}

pub(super) fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Commands => "commands",
        Signal::BytesOut => "bytes out",
        Signal::Cpu => "CPU",
    }
}

/// How sure a finding is, and whether the round before had it, where there was one.
pub(super) fn trust(diagnosis: &Diagnosis, report: &Report) -> Option<String> {
    let sure = diagnosis
        .confidence
        .map(|confidence| format!("confidence {:.0}%", confidence * 100.0));
    // One round alone, and one that is read back, have none before them.
    let has_before = report.source == Source::Serve && has_signals(report);
    let known = has_before.then(|| match diagnosis.new_since_last_round {
        true => "not found in the round before".to_owned(),
        false => "found in the round before, too".to_owned(),
    });
    let parts: Vec<String> = sure.into_iter().chain(known).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
