//! Replies much larger than elsewhere, and which reads ask for them.

use super::comparison::Comparison;
use super::evidence::{Seen, ShardEvidence};
use super::finding::{Cause, Suspect};
use super::visibility;
use super::words::{bytes, per_second, percent};
use super::{EXPLAINED_MIN, SHARE_MIN};
use crate::analysis::status::Signal;
use crate::analysis::window::SignatureCount;

/// A command is answered with so many times the bytes of one in the other shards.
pub(super) const LARGER: f64 = 2.0;

/// A read that is so many times as frequent here as elsewhere is peculiar to this shard.
pub(super) const PECULIAR: f64 = 3.0;

/// Whether a command is answered with much more than in the other shards.
pub(super) fn are_larger(compared: &Comparison<'_>) -> bool {
    let usual = compared.elsewhere(mean_reply);
    mean_reply(compared.here)
        .zip(usual)
        .is_some_and(|(here, usual)| here >= LARGER * usual)
}

/// Large replies that the nodes logged, if they are what the shard sends more than the others. All nodes tell, so this doesn't depend on
/// what a window could see.
pub(super) fn logged(compared: &Comparison<'_>) -> Option<Suspect> {
    let share_of = |shard: &ShardEvidence<'_>, signature: &str| {
        let all = shard.rate(Signal::BytesOut).filter(|rate| *rate > 0.0)?;
        let logged = &shard.window?.stats.testimony.large_replies;
        let found = logged.iter().find(|kind| &*kind.signature == signature);
        Some((found.map_or(0.0, |kind| kind.bytes_per_second) / all).min(1.0))
    };
    let logged = &compared.here.window?.stats.testimony.large_replies;
    let ranked = logged.iter().filter_map(|kind| {
        let usual = compared
            .elsewhere(|shard| share_of(shard, &kind.signature))
            .unwrap_or_default();
        Some((kind, share_of(compared.here, &kind.signature)?, usual))
    });
    let (kind, share, usual) = ranked.max_by(|one, other| (one.1 - one.2).total_cmp(&(other.1 - other.2)))?;
    let explained = compared.explained(share, usual);
    if share < SHARE_MIN || explained < EXPLAINED_MIN {
        return None;
    }
    let mut evidence = vec![format!(
        "the nodes logged {} large replies a minute to {}, {} each: {} of the bytes that the shard sends",
        per_second(kind.per_second * 60.0),
        kind.signature,
        bytes(kind.bytes_per_second / kind.per_second),
        percent(share)
    )];
    evidence.extend(kind.example_key.iter().map(|key| format!("one of its keys is {key}")));
    Some(Suspect {
        cause: Cause::FatReplies,
        share: Some(share),
        subject: Some(kind.pattern.as_ref().unwrap_or(&kind.signature).to_string()),
        explained,
        certainty: 0.95,
        evidence,
    })
}

/// The reads that are here and not elsewhere, if replies here are much larger.
pub(super) fn fat(compared: &Comparison<'_>) -> Option<Suspect> {
    if !are_larger(compared) {
        return None;
    }
    let window = compared.here.window?;
    let excess = compared.excess()?;
    let (here, _) = compared.rates()?;
    let (read, calls) = peculiar_scan(compared, &window).or_else(|| peculiar_pattern(compared, &window))?;
    let calls = calls / visibility::visible(compared).filter(|part| *part > 0.0).unwrap_or(1.0);
    let mut evidence = vec![
        format!(
            "a command is answered with {} on average, in the other shards with {}",
            bytes(mean_reply(compared.here)?),
            bytes(compared.elsewhere(mean_reply)?)
        ),
        format!(
            "{} is read {} times a second here and hardly elsewhere; if the difference is its, each reply has {}",
            read.text,
            per_second(calls),
            bytes(excess * here / calls)
        ),
    ];
    evidence.extend(read.example.map(|key| format!("one of its keys is {key}")));
    Some(Suspect {
        cause: Cause::FatReplies,
        share: Some(excess),
        subject: Some(read.pattern),
        explained: 1.0,
        certainty: if read.full_scan { 0.85 } else { 0.6 },
        evidence,
    })
}

/// A kind of read.
struct Read {
    text: String,
    pattern: String,
    example: Option<String>,
    full_scan: bool,
}

/// The most frequent of the reads of whole collections that are peculiar to this shard, with its calls a second.
fn peculiar_scan(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<(Read, f64)> {
    let scans = window.stats.signatures.iter().filter(|signature| signature.full_scan);
    let peculiar = scans.filter_map(|scan| {
        let rate = |shard: &ShardEvidence<'_>| signature_rate(shard, &scan.signature);
        let pattern = pattern_of(window, scan)?;
        let example = window.stats.patterns.iter().find(|known| *known.pattern == *pattern);
        let read = Read {
            text: scan.signature.to_string(),
            example: example.map(|known| known.example_key.to_string()),
            pattern,
            full_scan: true,
        };
        Some((read, beyond(compared, rate)?))
    });
    peculiar.max_by(|one, other| one.1.total_cmp(&other.1))
}

/// The pattern that is most peculiar to this shard, when no whole collection is read: large strings.
fn peculiar_pattern(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<(Read, f64)> {
    let peculiar = window
        .stats
        .patterns
        .iter()
        .filter(|pattern| &*pattern.pattern != "other")
        .filter_map(|pattern| {
            let rate = |shard: &ShardEvidence<'_>| pattern_rate(shard, &pattern.pattern);
            let read = Read {
                text: pattern.pattern.to_string(),
                pattern: pattern.pattern.to_string(),
                example: Some(pattern.example_key.to_string()),
                full_scan: false,
            };
            Some((read, beyond(compared, rate)?))
        });
    peculiar.max_by(|one, other| one.1.total_cmp(&other.1))
}

/// By how much it is more frequent here than elsewhere, if that is peculiar.
fn beyond(compared: &Comparison<'_>, rate: impl Fn(&ShardEvidence<'_>) -> Option<f64>) -> Option<f64> {
    let here = rate(compared.here)?;
    let usual = compared.elsewhere(&rate).unwrap_or_default();
    (here > 0.0 && here >= PECULIAR * usual).then_some(here - usual)
}

fn signature_rate(shard: &ShardEvidence<'_>, name: &str) -> Option<f64> {
    let signatures = &shard.window?.stats.signatures;
    let count = signatures
        .iter()
        .find(|signature| &*signature.signature == name)
        .map_or(0, |signature| signature.count);
    Some(count as f64 / shard.seconds()?)
}

fn pattern_rate(shard: &ShardEvidence<'_>, name: &str) -> Option<f64> {
    let patterns = &shard.window?.stats.patterns;
    let count = patterns
        .iter()
        .find(|pattern| &*pattern.pattern == name)
        .map_or(0, |pattern| pattern.count);
    Some(count as f64 / shard.seconds()?)
}

/// Bytes out over commands, by the counters.
fn mean_reply(shard: &ShardEvidence<'_>) -> Option<f64> {
    let commands = shard.rate(Signal::Commands).filter(|rate| *rate > 0.0)?;
    Some(shard.rate(Signal::BytesOut)? / commands)
}

/// The pattern in a signature: what stands between the command and the shape, which has no bar.
fn pattern_of(window: &Seen<'_>, signature: &SignatureCount) -> Option<String> {
    let (_, rest) = signature.signature.split_once(" | ")?;
    let known = |name: &str| window.stats.patterns.iter().any(|pattern| &*pattern.pattern == name);
    let name = match rest.rsplit_once(" | ") {
        Some((before, _)) if !known(rest) => before,
        _ => rest,
    };
    (name != "-").then(|| name.to_owned())
}
