//! Which keys' replies make a shard hot in bytes, by what was estimated for each pattern.

use super::comparison::Comparison;
use super::evidence::{Seen, ShardEvidence};
use super::finding::{Cause, Suspect};
use super::words::{bytes, per_second, percent};
use super::{EXPLAINED_MIN, SHARE_MIN};
use crate::analysis::bandwidth::OutputEstimate;
use crate::model::Bytes;

/// Replies of a pattern are fat if they are so many times the usual reply of the other shards.
pub(super) const FATTER: f64 = 2.0;

/// An estimate that is further off than this tells nothing.
pub(super) const ERROR_MAX: f64 = 0.5;

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

/// The same cause by the bytes of what it is about, where those were estimated: what is asked for often may be answered with little. `None`
/// if by them it doesn't account for what this shard sends more than the others.
pub(super) fn weighed(compared: &Comparison<'_>, mut suspect: Suspect) -> Option<Suspect> {
    let Some((share, usual)) = shares(compared, &suspect) else {
        return Some(suspect);
    };
    let explained = compared.explained(share, usual);
    if share < SHARE_MIN || explained < EXPLAINED_MIN {
        return None;
    }
    let told = format!(
        "by the sizes of sampled keys that is {} of what this node sends",
        percent(share)
    );
    suspect.evidence.insert(1, told);
    Some(Suspect {
        share: Some(share),
        explained,
        ..suspect
    })
}

/// What part of the bytes a key or a pattern has here, and the hottest key or the same pattern elsewhere.
fn shares(compared: &Comparison<'_>, suspect: &Suspect) -> Option<(f64, f64)> {
    let subject = suspect.subject.as_deref()?;
    let output = good(compared.here.window.as_ref()?)?;
    match suspect.cause {
        Cause::SingleKey => {
            let (_, Bytes(sum)) = output.keys.iter().find(|(key, _)| &**key == subject)?;
            let hottest = |shard: &ShardEvidence<'_>| {
                let output = good(shard.window.as_ref()?)?;
                let (_, Bytes(sum)) = output.keys.first()?;
                Some((*sum as f64 / sent(output)?).min(1.0))
            };
            let share = (*sum as f64 / sent(output)?).min(1.0);
            Some((share, compared.elsewhere(hottest).unwrap_or_default()))
        }
        Cause::Pattern => {
            output.of_pattern(subject)?;
            let usual = compared.elsewhere(|shard| part_of(shard, subject));
            Some((part_of(compared.here, subject)?, usual.unwrap_or_default()))
        }
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::analysis::diagnosis::resharding::Prospects;
    use crate::analysis::report::{SignalFigures, SignalReading};
    use crate::analysis::status::{Signal, Status};
    use crate::analysis::window::{PatternCount, WindowStats};
    use crate::model::{Ratio, ShardId};

    /// A window of ten seconds: of each pattern its reads and their bytes. The estimate is so many times what was measured.
    fn window(patterns: &[(&str, u64, u64)], off: f64) -> WindowStats {
        let measured: u64 = patterns.iter().map(|(_, _, bytes)| bytes).sum();
        let reads = patterns.iter().map(|(_, reads, _)| reads).sum();
        let counted = |&(pattern, count, _): &(&str, u64, u64)| PatternCount {
            pattern: pattern.into(),
            count,
            error: 0,
            example_key: format!("one of {pattern}").into(),
        };
        let signature = |&(pattern, _, bytes): &(&str, u64, u64)| (format!("GET | {pattern}").into(), Bytes(bytes));
        WindowStats {
            commands: reads,
            reads,
            key_touches: reads,
            patterns: patterns.iter().map(counted).collect(),
            output: Some(OutputEstimate {
                estimated: Bytes((measured as f64 * off) as u64),
                measured: Some(Bytes(measured)),
                attributed: Bytes(measured),
                patterns: patterns
                    .iter()
                    .map(|(name, _, sum)| ((*name).into(), Bytes(*sum)))
                    .collect(),
                signatures: patterns.iter().map(signature).collect(),
                ..OutputEstimate::default()
            }),
            ..WindowStats::default()
        }
    }

    /// What fat replies the first shard has by its estimate, beside two shards like the other.
    fn found(here: &WindowStats, elsewhere: &WindowStats) -> Option<Suspect> {
        beside(here, elsewhere, fat)
    }

    fn beside(
        here: &WindowStats,
        elsewhere: &WindowStats,
        ask: impl Fn(&Comparison<'_>) -> Option<Suspect>,
    ) -> Option<Suspect> {
        let sent = |stats: &WindowStats| {
            stats
                .output
                .as_ref()
                .and_then(|output| output.measured)
                .unwrap_or_default()
                .0 as f64
        };
        let mean = (sent(here) + 2.0 * sent(elsewhere)) / 3.0;
        let shard = |name: &str, stats| ShardEvidence {
            shard: ShardId::new(name),
            slots: None,
            signals: SignalFigures {
                bytes_out: SignalReading {
                    rate: Some(sent(stats) / 10.0),
                    deviation: Some(Ratio(sent(stats) / mean - 1.0)),
                    skew: None,
                    status: Status::VeryHot,
                },
                ..SignalFigures::default()
            },
            window: Some(Seen {
                role: None,
                duration: Duration::from_secs(10),
                stats,
                completeness: None,
                coverage: None,
            }),
            costs: BTreeMap::new(),
            connections_per_second: None,
            slot_loads: &[],
            other_monitor: false,
            streamed: None,
            absence: None,
        };
        let shards = [shard("a", here), shard("b", elsewhere), shard("c", elsewhere)];
        let prospects = Prospects::default();
        ask(&Comparison::new(&shards, &prospects, 0, Signal::BytesOut))
    }

    /// What becomes of a cause with more than half of the accesses, here where `stock` has so many bytes and `other` the rest of what is
    /// sent more than elsewhere.
    #[track_caller]
    fn check_weighed(cause: Cause, subject: &str, (stock, other): (u64, u64), expected: Option<f64>) {
        let keyed = |mut stats: WindowStats, key: &str, sum: u64| {
            let output = stats.output.as_mut().expect("it has an estimate");
            output.keys = vec![(key.into(), Bytes(sum))];
            stats
        };
        let here = window(&[("stock:{ID}", 12_000, stock), PAGES, ("other", 10, other)], 1.0);
        let here = keyed(here, "stock:1", stock);
        let elsewhere = keyed(window(&[PAGES], 1.0), "page:1", 60_000);
        let suspect = Suspect {
            cause,
            share: Some(0.55),
            subject: Some(subject.to_owned()),
            explained: 1.0,
            certainty: 1.0,
            evidence: vec!["asked for often".to_owned(), "elsewhere less".to_owned()],
        };
        let found = beside(&here, &elsewhere, |compared| weighed(compared, suspect.clone()));
        let share = found.as_ref().and_then(|found| found.share);
        assert_eq!(
            share.map(|share| (share * 100.0).round() / 100.0),
            expected,
            "{found:?}"
        );
        let is_told = found.is_some_and(|found| found.evidence[1].contains("of what this node sends"));
        assert_eq!(is_told, expected.is_some_and(|share| share != 0.55));
    }

    #[test]
    fn what_is_asked_for_often_has_the_share_of_its_bytes() {
        for (cause, subject) in [(Cause::SingleKey, "stock:1"), (Cause::Pattern, "stock:{ID}")] {
            check_weighed(cause, subject, (3_000_000, 0), Some(0.5));
            check_weighed(cause, subject, (2_000_000, 1_000_000), Some(0.33));
            // Its answers are short, and others make the shard hot.
            check_weighed(cause, subject, (1_000_000, 2_000_000), None);
            check_weighed(cause, subject, (30_000, 2_970_000), None);
        }
        // Of these no bytes were estimated.
        check_weighed(Cause::SingleKey, "stock:2", (3_000_000, 0), Some(0.55));
        check_weighed(Cause::Slot, "5506", (3_000_000, 0), Some(0.55));
    }

    fn check(here: &[(&str, u64, u64)], elsewhere: &[(&str, u64, u64)], expected: Option<&str>) {
        let suspect = found(&window(here, 1.0), &window(elsewhere, 1.0));
        assert_eq!(suspect.and_then(|suspect| suspect.subject).as_deref(), expected);
    }

    const PAGES: (&str, u64, u64) = ("page:{ID}", 10_000, 3_000_000);

    #[test]
    fn the_pattern_with_the_bytes_is_named_though_it_is_seldom_read() {
        check(
            &[("board:{DATE}", 30, 300_000_000), PAGES],
            &[PAGES],
            Some("board:{DATE}"),
        );
        check(
            &[
                ("board:{DATE}", 30, 300_000_000),
                ("export:{ID}", 30, 30_000_000),
                PAGES,
            ],
            &[PAGES],
            Some("board:{DATE}"),
        );
    }

    #[test]
    fn what_is_as_fat_elsewhere_makes_no_shard_hot() {
        let boards = ("board:{DATE}", 30, 300_000_000);
        check(&[boards, ("export:{ID}", 200, 400_000_000)], &[boards], None);
        check(
            &[boards, ("export:{ID}", 20, 400_000_000)],
            &[boards],
            Some("export:{ID}"),
        );
    }

    #[test]
    fn more_replies_of_the_usual_size_are_not_fat() {
        check(&[("page:{ID}", 90_000, 27_000_000)], &[PAGES], None);
        check(&[("cart:{ID}", 90_000, 27_000_000), PAGES], &[PAGES], None);
    }

    #[test]
    fn an_estimate_that_is_far_off_tells_nothing_and_a_rough_one_less() {
        let patterns = [("board:{DATE}", 30, 300_000_000), PAGES];
        let elsewhere = window(&[PAGES], 1.0);
        assert!(found(&window(&patterns, 1.6), &elsewhere).is_none());
        assert!(found(&window(&patterns, 0.4), &elsewhere).is_none());
        let rough = found(&window(&patterns, 0.75), &elsewhere).expect("it is near enough");
        let good = found(&window(&patterns, 1.0), &elsewhere).expect("it is right");
        assert!(rough.certainty < good.certainty, "{rough:?} {good:?}");
        assert!(rough.evidence.iter().any(|text| text.contains("25 % off")), "{rough:?}");
    }

    #[test]
    fn it_says_how_often_how_large_and_by_which_command() {
        let here = window(&[("board:{DATE}", 30, 300_000_000), PAGES], 1.0);
        let suspect = found(&here, &window(&[PAGES], 1.0)).expect("it is fat");
        assert_eq!(suspect.cause, Cause::FatReplies);
        assert_eq!(
            suspect.evidence[..3],
            [
                "keys like board:{DATE} are read 3.0 times a second and answered with 10.0 MB on average, 99 % of what this node sends; \
                 in the other shards a reply has 300 bytes",
                "100 % of that is GET | board:{DATE}",
                "one of its keys is one of board:{DATE}",
            ]
        );
    }
}
