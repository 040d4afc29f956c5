//! Which keys' replies make a shard hot in bytes, by what was estimated for each pattern.

use super::EXPLAINED_MIN;
use super::comparison::Comparison;
use super::evidence::{Seen, ShardEvidence};
use super::finding::{Cause, Suspect};
use super::words::{bytes, per_second, percent};
use crate::analysis::bandwidth::OutputEstimate;
use crate::model::Bytes;

/// Replies of a pattern are fat if they are so many times the usual reply of the other shards.
const FATTER: f64 = 2.0;

/// An estimate that is further off than this tells nothing.
const ERROR_MAX: f64 = 0.5;

/// The pattern whose replies account for what this shard sends more than the others, if they are larger than the usual ones.
pub(super) fn fat(compared: &Comparison<'_>) -> Option<Suspect> {
    let window = compared.here.window?;
    let output = good(&window)?;
    let elsewhere = |pattern: &str| compared.elsewhere(|shard| part_of(shard, pattern));
    let usual = compared.elsewhere(mean_reply)?;
    let candidates = output.patterns.iter().filter_map(|(pattern, sum)| {
        let part = part_of(compared.here, pattern)?;
        let explained = compared.explained(part, elsewhere(pattern)?);
        let mean = sum.0 as f64 / touches(&window, pattern)?;
        (explained >= EXPLAINED_MIN && mean >= FATTER * usual).then_some((explained, part, mean, pattern))
    });
    let (explained, part, mean, pattern) = candidates.max_by(|one, other| one.0.total_cmp(&other.0))?;
    let seconds = compared.here.seconds()?;
    let calls = touches(&window, pattern)? / seconds;
    let mut evidence = vec![format!(
        "keys like {pattern} are read {} times a second and answered with {} on average, {} of what this node sends; in the other \
         shards a reply has {}",
        per_second(calls),
        bytes(mean),
        percent(part),
        bytes(usual)
    )];
    evidence.extend(by_signature(output, pattern));
    evidence.extend(
        window
            .stats
            .patterns
            .iter()
            .find(|known| known.pattern == *pattern)
            .map(|known| format!("one of its keys is {}", known.example_key)),
    );
    let error = output.error().unwrap_or(ERROR_MAX).abs();
    evidence.push(match output.error() {
        Some(error) => format!(
            "the sizes are estimated from sampled keys; the sum is {} off the node's own counter",
            percent(error.abs())
        ),
        None => "the sizes are estimated from sampled keys; the node's own counter can't tell how well".to_owned(),
    });
    Some(Suspect {
        cause: Cause::FatReplies,
        share: Some(part),
        subject: Some(pattern.to_string()),
        explained,
        certainty: 0.95 * (1.0 - error),
        evidence,
    })
}

/// The kind of read that has most of a pattern's bytes.
fn by_signature(output: &OutputEstimate, pattern: &str) -> Option<String> {
    let whole = output.of_pattern(pattern)?;
    let within = format!(" | {pattern}");
    let of_pattern = |signature: &str| {
        signature
            .split_once(&within)
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(" |"))
    };
    let (signature, sum) = output.signatures.iter().find(|(signature, _)| of_pattern(signature))?;
    let part = sum.0 as f64 / (whole.0 as f64).max(1.0);
    Some(format!("{} of that is {signature}", percent(part)))
}

/// The estimate of a window, if it is near what was measured.
fn good<'a>(window: &Seen<'a>) -> Option<&'a OutputEstimate> {
    let output = window.stats.output.as_ref()?;
    output
        .error()
        .is_none_or(|error| error.abs() <= ERROR_MAX)
        .then_some(output)
}

/// All that a node sent in the window: by its counter, else by the estimate.
fn sent(output: &OutputEstimate) -> Option<f64> {
    let Bytes(sent) = output.measured.unwrap_or(output.attributed);
    (sent > 0).then_some(sent as f64)
}

/// What part of a shard's bytes a pattern has; none of those of a shard that has no such keys.
fn part_of(shard: &ShardEvidence<'_>, pattern: &str) -> Option<f64> {
    let output = good(&shard.window?)?;
    let of_pattern = output.of_pattern(pattern).unwrap_or_default();
    Some((of_pattern.0 as f64 / sent(output)?).min(1.0))
}

fn mean_reply(shard: &ShardEvidence<'_>) -> Option<f64> {
    let window = shard.window?;
    let commands = (window.stats.commands - window.stats.replicated) as f64;
    (commands > 0.0).then_some(sent(good(&window)?)? / commands)
}

fn touches(window: &Seen<'_>, pattern: &str) -> Option<f64> {
    let known = window.stats.patterns.iter().find(|known| &*known.pattern == pattern)?;
    (known.count > 0).then_some(known.count as f64)
}
