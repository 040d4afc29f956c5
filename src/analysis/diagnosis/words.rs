//! Figures and findings in words.

use super::comparison::Comparison;
use super::finding::{Cause, Finding};
use crate::analysis::status::Signal;

/// A finding in one sentence.
pub(super) fn sentence(finding: &Finding) -> String {
    let Finding { shard, cause, .. } = finding;
    let what = match finding.signal {
        Signal::Commands => "commands",
        Signal::BytesOut => "bytes out",
        Signal::Cpu => "CPU",
    };
    let share = finding.share.map_or_else(|| "a part".to_owned(), percent);
    let subject = finding.subject.as_deref().unwrap_or_default();
    // Of what a key costs the processor nobody knows more than how often it was touched.
    let (load, sent) = match finding.signal {
        Signal::Commands | Signal::BytesOut => ("its load", "its load"),
        Signal::Cpu => ("its key accesses", "its commands"),
    };
    match cause {
        Cause::SingleKey => {
            format!("Shard {shard} is hot in {what}: the single key {subject} takes {share} of {load}")
        }
        Cause::HashTag => {
            format!("Shard {shard} is hot in {what}: keys with the hash tag {subject} take {share} of {load}")
        }
        Cause::Slot => format!("Shard {shard} is hot in {what}: slot {subject} takes {share} of {load}"),
        Cause::Pattern => format!("Shard {shard} is hot in {what}: keys like {subject} take {share} of {load}"),
        Cause::FatReplies => {
            format!("Shard {shard} is hot in {what}: fat replies to reads of {subject} make up {share} of it")
        }
        Cause::ExpensiveCommand => {
            format!("Shard {shard} is hot in {what}: {subject} is expensive and takes {share} of its command time")
        }
        Cause::Client => format!("Shard {shard} is hot in {what}: client {subject} sends {share} of {sent}"),
        Cause::ConnectionChurn => format!("Shard {shard} is hot in {what}: clients connect again and again"),
        Cause::OtherMonitor => format!("Shard {shard} is hot in {what}: somebody else reads a MONITOR stream of it"),
        Cause::Pubsub => format!("Shard {shard} is hot in {what}: {subject} makes up {share} of its load"),
        Cause::SlotOwnership => {
            format!("Shard {shard} is hot in {what}: it owns more slots than the others ({subject})")
        }
        Cause::Unexplained if subject == "coverage" => {
            format!("Shard {shard} is hot in {what}, and too little of its traffic was seen to tell why")
        }
        Cause::Unexplained => format!("Shard {shard} is hot in {what}, and nothing that was seen explains it"),
    }
}

/// What makes it hot at all.
pub(super) fn beside_the_others(compared: &Comparison<'_>) -> String {
    let figure = |rate: f64| match compared.signal {
        Signal::Commands => format!("{} commands a second", per_second(rate)),
        Signal::BytesOut => format!("{} a second to clients", bytes(rate)),
        Signal::Cpu => format!("{rate:.2} cores"),
    };
    match compared.rates() {
        Some((here, elsewhere)) => format!(
            "{} here, {} in the other shards (median)",
            figure(here),
            figure(elsewhere)
        ),
        None => "there is no other shard to compare with".to_owned(),
    }
}

/// `61 %`; what is small keeps a digit.
pub(super) fn percent(share: f64) -> String {
    let share = share * 100.0;
    if share != 0.0 && share.abs() < 10.0 {
        format!("{share:.1} %")
    } else {
        format!("{share:.0} %")
    }
}

/// `3,270`; what is small keeps a digit.
pub(super) fn per_second(rate: f64) -> String {
    if rate.abs() < 10.0 {
        return format!("{rate:.1}");
    }
    let digits = format!("{rate:.0}");
    let grouped: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|part| std::str::from_utf8(part).ok())
        .collect();
    grouped.join(",")
}

/// `9.8 MB`.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match UNITS.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes / size),
        None => format!("{bytes:.0} bytes"),
    }
}
