//! Commands that take long, by the servers' own counters.

use super::comparison::Comparison;
use super::evidence::{CommandCost, ShardEvidence};
use super::finding::{Cause, Suspect};
use super::words::{per_second, percent};
use super::{EXPLAINED_MIN, SHARE_MIN};

/// A command that takes this many seconds keeps everybody else waiting.
pub(super) const LONG: f64 = 0.001;

/// So many times what a command costs in the other shards on average is expensive, too.
pub(super) const TIMES_USUAL: f64 = 10.0;

/// The command whose CPU time is here and not elsewhere, if each of its calls takes long. One that reads the fat replies is them.
pub(super) fn expensive_command(compared: &Comparison<'_>, fat: Option<&Suspect>) -> Option<Suspect> {
    let here = total(compared.here)?;
    let ranked = compared.here.costs.iter().map(|(name, cost)| {
        let usual = compared.elsewhere(|shard| of_command(shard, name)).unwrap_or_default();
        (name, cost, cost.cores - usual)
    });
    let (name, cost, beyond) = ranked.max_by(|one, other| one.2.total_cmp(&other.2))?;
    let share = cost.cores / here.cores;
    let all_beyond = here.cores
        - compared
            .elsewhere(|shard| total(shard).map(|all| all.cores))
            .unwrap_or_default();
    let explained = if all_beyond > 0.0 {
        (beyond / all_beyond).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let each = each(cost)?;
    let usual = compared.elsewhere(|shard| total(shard).and_then(|all| self::each(&all)));
    let expensive = each >= LONG || usual.is_some_and(|usual| each >= TIMES_USUAL * usual);
    if !expensive || explained < EXPLAINED_MIN || share < SHARE_MIN {
        return None;
    }
    let evidence = vec![
        format!(
            "{name} takes {} of the shard's command time: {} calls a second of {} ms each",
            percent(share),
            per_second(cost.calls),
            millis(each)
        ),
        match usual {
            Some(usual) => format!("in the other shards a command takes {} ms on average", millis(usual)),
            None => "there is no other shard to compare with".to_owned(),
        },
    ];
    let suspect = Suspect {
        cause: Cause::ExpensiveCommand,
        share: Some(share),
        subject: Some(name.to_string()),
        explained,
        certainty: 0.95,
        evidence,
    };
    Some(
        match fat.filter(|fat| fat.evidence.iter().any(|text| text.contains(&format!("{name} |")))) {
            Some(fat) => Suspect {
                cause: Cause::FatReplies,
                subject: fat.subject.clone(),
                ..suspect
            },
            None => with_signature(compared, suspect, name),
        },
    )
}

/// What such a command looks like, if the window saw one.
fn with_signature(compared: &Comparison<'_>, mut suspect: Suspect, name: &str) -> Suspect {
    let seen = compared.here.window.and_then(|window| {
        let of_command = |text: &str| text.split(" | ").next() == Some(name);
        window
            .stats
            .signatures
            .iter()
            .find(|signature| of_command(&signature.signature))
    });
    if let Some(signature) = seen {
        let scan = if signature.full_scan {
            ", which reads everything"
        } else {
            ""
        };
        suspect
            .evidence
            .push(format!("it is called as {}{scan}", signature.signature));
    }
    suspect
}

fn total(shard: &ShardEvidence<'_>) -> Option<CommandCost> {
    let all = shard
        .costs
        .values()
        .fold(CommandCost::default(), |all, cost| CommandCost {
            calls: all.calls + cost.calls,
            cores: all.cores + cost.cores,
        });
    (all.cores > 0.0).then_some(all)
}

fn of_command(shard: &ShardEvidence<'_>, name: &str) -> Option<f64> {
    total(shard)?;
    Some(shard.costs.get(name).map_or(0.0, |cost| cost.cores))
}

/// Seconds a call.
fn each(cost: &CommandCost) -> Option<f64> {
    (cost.calls > 0.0).then(|| cost.cores / cost.calls)
}

fn millis(seconds: f64) -> String {
    let millis = seconds * 1000.0;
    if millis >= 1.0 {
        format!("{millis:.0}")
    } else {
        format!("{millis:.3}")
    }
}
