//! How much of what makes a shard hot its window could see. Reads on the primary are invisible to a replica.

use super::comparison::Comparison;
use super::evidence::ShardEvidence;
use super::finding::{Cause, Suspect};
use super::words::{per_second, percent};
use super::{EXPLAINED_MIN, SEEN_MIN, VISIBLE_MIN};
use crate::analysis::status::Signal;
use crate::model::Ratio;

/// The subject of a verdict that lacks sight.
const COVERAGE: &str = "coverage";

/// `unexplained`, if there is no window or it saw too little.
pub(super) fn too_little(compared: &Comparison<'_>) -> Option<Suspect> {
    let evidence = match compared.here.window {
        None => {
            let reason = compared.here.absence.as_ref().map(|reason| format!(" ({reason})"));
            format!(
                "no window looked at this shard, so nothing can be said about what its load is made of{}",
                reason.unwrap_or_default()
            )
        }
        Some(_) => {
            let visible = visible(compared).filter(|part| *part < VISIBLE_MIN)?;
            format!(
                "the window saw {} of the {} that make the shard hot, and at least {} are needed to name a cause",
                percent(visible),
                kind(compared),
                percent(VISIBLE_MIN)
            )
        }
    };
    Some(Suspect {
        cause: Cause::Unexplained,
        share: None,
        subject: Some(COVERAGE.to_owned()),
        explained: 1.0,
        certainty: 0.9,
        evidence: vec![evidence],
    })
}

/// `unexplained`: nothing accounts for enough, or a window that could see enough ended before it had.
pub(super) fn unexplained(compared: &Comparison<'_>) -> Suspect {
    let few = compared
        .here
        .window
        .map(|window| (window.stats.commands, window.duration));
    let evidence = match few.filter(|(commands, _)| *commands < SEEN_MIN) {
        Some((commands, duration)) => format!(
            "the window saw {commands} commands in {:.2} seconds, and parts of fewer than {SEEN_MIN} are chance: no cause is named by them",
            duration.as_secs_f64()
        ),
        None => format!(
            "no key, tag, slot, pattern, client or command that is hot here and not in the other shards accounts for {} of the difference",
            percent(EXPLAINED_MIN)
        ),
    };
    Suspect {
        cause: Cause::Unexplained,
        share: None,
        subject: Some(compared.signal.kind().to_owned()),
        explained: 1.0,
        certainty: 0.5,
        evidence: vec![evidence],
    }
}

/// What part of that which makes the shard hot its window saw; `None` if it can't be told.
pub(super) fn visible(compared: &Comparison<'_>) -> Option<f64> {
    let window = compared.here.window?;
    let Some(coverage) = window.coverage else {
        return Some(1.0);
    };
    let known = if reads_dominate(compared) {
        coverage.reads
    } else {
        coverage.writes
    };
    known.map(|ratio| ratio.0).or_else(|| by_rates(compared.here))
}

/// How far the window could see, for whoever doubts.
pub(super) fn sentence(compared: &Comparison<'_>) -> Option<String> {
    let window = compared.here.window?;
    let coverage = window.coverage?;
    let part = |ratio: Option<Ratio>, kind: &str| ratio.map(|ratio| format!("{} of its {kind}", percent(ratio.0)));
    let parts: Vec<String> = [part(coverage.reads, "reads"), part(coverage.writes, "writes")]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() {
        return Some("which part of the shard's traffic the window could see isn't known exactly".to_owned());
    }
    let commands = per_second(window.stats.commands as f64 / compared.here.seconds()?);
    Some(format!(
        "the window saw {commands} commands a second: {}",
        parts.join(" and ")
    ))
}

fn kind(compared: &Comparison<'_>) -> &'static str {
    if reads_dominate(compared) { "reads" } else { "writes" }
}

/// Whether this shard is hot by its reads: by what it has of each more than the others. Replies to reads are nearly all bytes that go out.
fn reads_dominate(compared: &Comparison<'_>) -> bool {
    if compared.signal == Signal::BytesOut {
        return true;
    }
    let beyond = |part: fn(&ShardEvidence<'_>) -> Option<f64>| {
        part(compared.here).unwrap_or_default() - compared.elsewhere(part).unwrap_or_default()
    };
    beyond(reads) >= beyond(writes)
}

/// Reads a second, seen or not.
fn reads(shard: &ShardEvidence<'_>) -> Option<f64> {
    let (window, seconds) = (shard.window?, shard.seconds()?);
    let seen = window.stats.reads as f64 / seconds;
    let covered = window
        .coverage
        .and_then(|coverage| coverage.reads)
        .filter(|ratio| ratio.0 > 0.0);
    let by_coverage = seen / covered.map_or(1.0, |ratio| ratio.0);
    // Nothing seen of many reads says nothing about how many; the counters do.
    let by_counters = shard.rate(Signal::Commands).unwrap_or_default() - writes(shard).unwrap_or_default();
    Some(if covered.is_some() {
        by_coverage
    } else {
        by_coverage.max(by_counters)
    })
}

/// Writes a second, seen or not.
fn writes(shard: &ShardEvidence<'_>) -> Option<f64> {
    let (window, seconds) = (shard.window?, shard.seconds()?);
    let covered = window
        .coverage
        .and_then(|coverage| coverage.writes)
        .filter(|ratio| ratio.0 > 0.0);
    Some(window.stats.writes as f64 / seconds / covered.map_or(1.0, |ratio| ratio.0))
}

/// Commands seen over commands the counters say there were.
fn by_rates(shard: &ShardEvidence<'_>) -> Option<f64> {
    let all = shard.rate(Signal::Commands).filter(|rate| *rate > 0.0)?;
    let seen = shard.window?.stats.commands as f64 / shard.seconds()?;
    Some((seen / all).min(1.0))
}
