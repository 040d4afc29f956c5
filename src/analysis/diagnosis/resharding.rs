//! Whether more shards would help. A slot can't be split, so the heaviest slot is the least that the hottest shard has to carry.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::comparison::{Comparison, median};
use super::evidence::ShardEvidence;
use super::finding::{Cause, Suspect};
use super::words::percent;
use crate::analysis::slot_stats::SlotLoad;
use crate::analysis::status::Signal;
use crate::model::Slot;

/// With a hottest shard below this many times the others' load, a split has helped.
pub(super) const EVEN_ENOUGH: f64 = 1.5;

/// Commands are bound to slots if slots account for at least this part of the shard's CPU.
const BOUND_MIN: f64 = 0.5;

/// What a split could reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outlook {
    pub(super) helps: Option<bool>,
    pub(super) evidence: Option<String>,
}

/// What splits of the group could reach in each signal; worked out when it is asked for.
#[derive(Debug, Default)]
pub(super) struct Prospects {
    of_signals: [OnceCell<Option<Prospect>>; Signal::ALL.len()],
}

/// What the best splits could reach in one signal.
#[derive(Debug)]
struct Prospect {
    heaviest: Slot,
    heaviest_share: f64,
    of: &'static str,
    is_exact: bool,
    /// With as many shards as now, one more, and twice as many.
    best: [(usize, f64); 3],
}

/// What the best split into as many shards as now, one more, and twice as many could reach.
pub(super) fn outlook(compared: &Comparison<'_>, suspect: &Suspect) -> Outlook {
    let prospect = || compared.prospects.of(compared.all, compared.signal);
    // What the windows saw says nothing here: neither what was unseen, nor how many bytes or how much time each slot took.
    let exact = || prospect().filter(|prospect| prospect.is_exact);
    match suspect.cause {
        Cause::ConnectionChurn | Cause::OtherMonitor | Cause::Pubsub => unbound(),
        Cause::ExpensiveCommand if !is_bound_to_slots(compared) => unbound(),
        Cause::Unexplained => exact().map(|prospect| prospect.outlook(None)).unwrap_or_default(),
        Cause::FatReplies | Cause::ExpensiveCommand => {
            let outlook = exact().map(|prospect| prospect.outlook(suspect.subject.as_deref()));
            outlook.unwrap_or_default()
        }
        _ => {
            let outlook = prospect().map(|prospect| prospect.outlook(suspect.subject.as_deref()));
            outlook.unwrap_or_default()
        }
    }
}

fn unbound() -> Outlook {
    Outlook {
        helps: Some(false),
        evidence: Some("more shards: no, this load isn't bound to slots that could be moved".to_owned()),
    }
}

/// Whether the shard's CPU goes into commands on keys, by what the servers count for each slot.
fn is_bound_to_slots(compared: &Comparison<'_>) -> bool {
    let cores: f64 = compared.here.slot_loads.iter().filter_map(cores).sum();
    compared
        .here
        .rate(Signal::Cpu)
        .is_some_and(|all| cores > 0.0 && cores >= BOUND_MIN * all)
}

impl Prospects {
    fn of(&self, shards: &[ShardEvidence<'_>], signal: Signal) -> Option<&Prospect> {
        let prospect = self.of_signals[signal as usize].get_or_init(|| {
            let load = Load::counted(shards, signal).or_else(|| Load::seen(shards))?;
            load.prospect(shards.len())
        });
        prospect.as_ref()
    }
}

impl Prospect {
    fn outlook(&self, subject: Option<&str>) -> Outlook {
        let [same, more, double] = self.best;
        let helps = double.1 <= EVEN_ENOUGH;
        let slot = format!(
            "slot {} alone carries {} of the group's {}",
            self.heaviest.number(),
            percent(self.heaviest_share),
            self.of,
        );
        let figure = |(shards, skew): (usize, f64)| format!("{skew:.1} × with {shards}");
        let figures = format!(
            "at best {:.1} × the median of the others with {} shards, {}, {}",
            same.1,
            same.0,
            figure(more),
            figure(double)
        );
        let evidence = if helps {
            format!("more shards: yes, the hottest would carry {figures}; {slot}")
        } else {
            let cause = subject
                .map(|subject| format!(", caused by {subject},"))
                .unwrap_or_default();
            format!("more shards: no, {slot}{cause} and a slot can't be split; the hottest would carry {figures}")
        };
        Outlook {
            helps: Some(helps),
            evidence: Some(evidence),
        }
    }
}

/// What the group's slots carry.
#[derive(Debug, PartialEq)]
struct Load {
    slots: Vec<(Slot, f64)>,
    /// The slots' sum, and what can't be told by slot: it is taken to be spread over many.
    whole: f64,
    of: &'static str,
    is_exact: bool,
}

impl Load {
    /// As the servers count it for each slot. They don't count commands; the CPU these take is what moves with a slot. `None` unless each
    /// shard tells.
    fn counted(shards: &[ShardEvidence<'_>], signal: Signal) -> Option<Self> {
        let (figure, of): (fn(&SlotLoad) -> Option<f64>, _) = match signal {
            Signal::BytesOut => (|load| load.output.map(|bytes| bytes.0), "bytes out"),
            Signal::Commands | Signal::Cpu => (cores, "CPU time for commands"),
        };
        let mut slots = Vec::new();
        for shard in shards {
            let known = slots.len();
            slots.extend(
                shard
                    .slot_loads
                    .iter()
                    .filter_map(|load| Some((load.slot, figure(load)?))),
            );
            if slots.len() == known {
                return None;
            }
        }
        Some(Self {
            whole: slots.iter().map(|(_, load)| load).sum(),
            slots,
            of,
            is_exact: true,
        })
    }

    /// Commands of each slot: the windows' touches, scaled to what each shard does in all.
    fn seen(shards: &[ShardEvidence<'_>]) -> Option<Self> {
        let mut slots: HashMap<Slot, f64> = HashMap::new();
        let mut whole = 0.0;
        for shard in shards {
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
        Some(Self {
            slots: slots.into_iter().collect(),
            whole,
            of: "commands",
            is_exact: false,
        })
    }

    fn prospect(mut self, shards: usize) -> Option<Prospect> {
        self.slots
            .sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let (heaviest, load) = *self.slots.first()?;
        let best = [shards, shards + 1, 2 * shards].map(|shards| (shards, self.best_skew(shards)));
        (self.whole > 0.0).then(|| Prospect {
            heaviest,
            heaviest_share: load / self.whole,
            of: self.of,
            is_exact: self.is_exact,
            best,
        })
    }

    /// The hottest shard over the median of the others, when each slot in turn, the heaviest first, goes where there is the least. (No
    /// split is much better: what a slot weighs less than the room that is left can always be evened out by those after it.)
    fn best_skew(&self, shards: usize) -> f64 {
        let mut room: BinaryHeap<Reverse<Weight>> = (0..shards.max(2)).map(|_| Reverse(Weight(0.0))).collect();
        for (_, load) in &self.slots {
            if let Some(mut least) = room.peek_mut() {
                least.0.0 += load;
            }
        }
        let mut carried: Vec<f64> = room.into_iter().map(|Reverse(Weight(load))| load).collect();
        carried.sort_by(f64::total_cmp);
        let told: f64 = carried.iter().sum();
        fill(&mut carried, (self.whole - told).max(0.0));
        let hottest = carried.pop().unwrap_or_default();
        match median(carried) {
            Some(others) if others > 0.0 => hottest / others,
            _ => f64::INFINITY,
        }
    }
}

fn cores(load: &SlotLoad) -> Option<f64> {
    load.cpu.map(|cpu| cpu.0)
}

/// Spreads so much more over the shards (the least first), so that the least carry the same.
fn fill(carried: &mut [f64], more: f64) {
    let mut sum = 0.0;
    for place in 0..carried.len() {
        sum += carried[place];
        let level = (sum + more) / (place + 1) as f64;
        if carried.get(place + 1).is_none_or(|next| *next >= level) {
            return carried[..=place].fill(level);
        }
    }
}

/// What a shard carries, in order of it.
#[derive(Debug, PartialEq)]
struct Weight(f64);

impl Eq for Weight {}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots with these loads, of a whole of 1, over so many shards.
    fn check(loads: &[f64], shards: usize, expected: &str) {
        let slots = (0..).map_while(Slot::new).zip(loads.iter().copied());
        let load = Load {
            slots: slots.collect(),
            whole: 1.0,
            of: "commands",
            is_exact: false,
        };
        assert_eq!(
            format!("{:.2}", load.best_skew(shards)),
            expected,
            "{loads:?} over {shards}"
        );
    }

    #[test]
    fn a_slot_cannot_be_split() {
        check(&[0.38], 6, "3.06");
        check(&[0.38], 12, "6.74");
        check(&[0.01], 6, "1.00");
        check(&[1.0], 6, "inf");
    }

    #[test]
    fn several_heavy_slots_each_take_a_shard() {
        check(&[0.4, 0.4], 4, "4.00");
        check(&[0.4, 0.4], 6, "8.00");
        check(&[0.25, 0.25, 0.25, 0.25], 4, "1.00");
        check(&[0.25, 0.25, 0.25, 0.25], 8, "inf");
        check(&[0.25, 0.25, 0.25, 0.25], 3, "2.00");
    }

    #[test]
    fn many_light_slots_even_out() {
        check(&[1.0 / 16_384.0; 16_384], 6, "1.00");
        check(&[0.000_1; 9_000], 5, "1.00");
    }
}
