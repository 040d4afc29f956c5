//! Whether more shards would help. A slot can't be split, so the heaviest slot is the least that the hottest shard has to carry.

use std::collections::HashMap;

use super::comparison::Comparison;
use super::finding::{Cause, Suspect};
use super::words::percent;
use crate::analysis::status::Signal;
use crate::model::Slot;

/// With a hottest shard below this many times the others' load, a split has helped.
const EVEN_ENOUGH: f64 = 1.5;

/// What a split could reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outlook {
    pub(super) helps: Option<bool>,
    pub(super) evidence: Option<String>,
}

/// What the best split into as many shards as now, one more, and twice as many could reach.
pub(super) fn outlook(compared: &Comparison<'_>, suspect: &Suspect) -> Outlook {
    match suspect.cause {
        Cause::Unexplained => Outlook::default(),
        Cause::ConnectionChurn | Cause::OtherMonitor | Cause::Pubsub | Cause::ExpensiveCommand => Outlook {
            helps: Some(false),
            evidence: Some("more shards: no, this load isn't bound to slots that could be moved".to_owned()),
        },
        // How many bytes each slot sends isn't known, so only a pattern of a single key is certain not to be spread.
        Cause::FatReplies => Outlook::default(),
        _ => of_slots(compared, suspect).unwrap_or_default(),
    }
}

fn of_slots(compared: &Comparison<'_>, suspect: &Suspect) -> Option<Outlook> {
    let load = Load::of(compared)?;
    let shards = compared.all.len();
    let [same, more, double] = [shards, shards + 1, 2 * shards].map(|count| load.best_skew(count));
    let helps = double <= EVEN_ENOUGH;
    let slot = format!(
        "slot {} alone carries {} of the group's commands",
        load.heaviest.number(),
        percent(load.heaviest_share)
    );
    let figures = format!(
        "at best {same:.1} × the others' load with {shards} shards, {more:.1} × with {}, {double:.1} × with {}",
        shards + 1,
        2 * shards
    );
    let evidence = if helps {
        format!("more shards: yes, the hottest would carry {figures}; {slot}")
    } else {
        let subject = suspect.subject.as_deref().unwrap_or("what is in it");
        format!(
            "more shards: no, {slot}, caused by {subject}, and a slot can't be split; the hottest would carry {figures}"
        )
    };
    Some(Outlook {
        helps: Some(helps),
        evidence: Some(evidence),
    })
}

/// What the group's slots carry; the whole is 1.
struct Load {
    heaviest: Slot,
    heaviest_share: f64,
}

impl Load {
    /// Commands of each slot: the window's touches, scaled to what the shard does in all.
    fn of(compared: &Comparison<'_>) -> Option<Self> {
        let mut slots: HashMap<Slot, f64> = HashMap::new();
        let mut whole = 0.0;
        for shard in compared.all {
            let seen = shard.window.map(|window| window.stats);
            let rate = shard
                .rate(Signal::Commands)
                .or_else(|| Some(seen?.commands as f64 / shard.seconds()?))
                .unwrap_or_default();
            whole += rate;
            let Some(stats) = seen.filter(|stats| stats.key_touches > 0) else {
                continue;
            };
            for (slot, count) in &stats.slots {
                *slots.entry(*slot).or_default() += rate * *count as f64 / stats.key_touches as f64;
            }
        }
        let (heaviest, load) = slots
            .into_iter()
            .max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)))?;
        (whole > 0.0).then(|| Self {
            heaviest,
            heaviest_share: load / whole,
        })
    }

    /// The least that the hottest of so many shards carries, over what the others then carry on average.
    fn best_skew(&self, shards: usize) -> f64 {
        let shards = shards.max(2) as f64;
        let hottest = self.heaviest_share.max(1.0 / shards);
        let others = (1.0 - hottest) / (shards - 1.0);
        if others > 0.0 { hottest / others } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(heaviest_share: f64, shards: usize, expected: &str) {
        let load = Load {
            heaviest: Slot::of_checksum(1),
            heaviest_share,
        };
        assert_eq!(format!("{:.2}", load.best_skew(shards)), expected);
    }

    #[test]
    fn a_slot_cannot_be_split() {
        check(0.38, 6, "3.06");
        check(0.38, 12, "6.74");
        check(0.01, 6, "1.00");
        check(1.0, 6, "inf");
    }
}
