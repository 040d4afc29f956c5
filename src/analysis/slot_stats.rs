//! CLUSTER SLOT-STATS, twice → which slots were hot in between.
//!
//! The server's figures are sums since its start, so yesterday's hot slot would still lead; only differences tell. A slot that wasn't
//! in the first answer came to this node on the way and has nothing to compare with. It refuses to know how the server is asked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::model::{Bytes, PerSecond, Ratio, RunId, Slot, Timestamp};

/// One slot's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounters {
    /// CPU, where the server counts it (`cluster-slot-stats-enabled yes`).
    pub cpu: Option<Duration>,
    /// Bytes sent for it, where the server counts them; on a primary those to its replicas are among them.
    pub output: Option<Bytes>,
}

/// One answer: the sums of every slot the node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotStats {
    /// The process that answered.
    pub run_id: Option<RunId>,
    /// When, by the server's clock or by ours, but always by the same.
    pub at: Timestamp,
    /// The slots.
    pub slots: BTreeMap<Slot, SlotCounters>,
}

/// What one slot did between two answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotLoad {
    /// Which one.
    pub slot: Slot,
    /// CPU, in cores.
    pub cpu: Option<Ratio>,
    /// Bytes sent a second.
    pub output: Option<PerSecond>,
}

impl SlotStats {
    /// What each slot did since `earlier`. Nothing is known across a restart, or when no time has passed.
    pub fn since(&self, earlier: &Self) -> Vec<SlotLoad> {
        let span = self.at.since(earlier.at);
        if self.run_id != earlier.run_id || span.is_zero() {
            return Vec::new();
        }
        let load = |(slot, after): (&Slot, &SlotCounters)| {
            let before = earlier.slots.get(slot)?;
            Some(SlotLoad {
                slot: *slot,
                cpu: cpu(before, after).map(|time| Ratio(time.as_secs_f64() / span.as_secs_f64())),
                output: output(before, after).and_then(|bytes| PerSecond::of(bytes.0, span)),
            })
        };
        self.slots.iter().filter_map(load).collect()
    }
}

/// The `max` slots that used the most CPU, and those that sent the most bytes; those that did nothing never.
pub fn hottest(loads: &[SlotLoad], max: usize) -> Vec<SlotLoad> {
    let top = |figure: fn(&SlotLoad) -> f64| {
        let mut busy: Vec<&SlotLoad> = loads.iter().filter(|load| figure(load) > 0.0).collect();
        busy.sort_by(|one, other| figure(other).total_cmp(&figure(one)).then(one.slot.cmp(&other.slot)));
        busy.truncate(max);
        busy
    };
    let by_cpu = top(|load| load.cpu.map_or(0.0, |cpu| cpu.0));
    let by_output = top(|load| load.output.map_or(0.0, |output| output.0));
    let both: BTreeMap<Slot, SlotLoad> = by_cpu
        .into_iter()
        .chain(by_output)
        .map(|load| (load.slot, *load))
        .collect();
    both.into_values().collect()
}

/// One load for each slot from those of several nodes: the CPU of the busiest, and the bytes of all.
pub fn together<'loads>(loads: impl IntoIterator<Item = &'loads SlotLoad>) -> Vec<SlotLoad> {
    let mut sums: BTreeMap<Slot, SlotLoad> = BTreeMap::new();
    for load in loads {
        match sums.entry(load.slot) {
            Entry::Vacant(place) => {
                place.insert(*load);
            }
            Entry::Occupied(mut place) => {
                let sum = place.get_mut();
                let busier = |one: Ratio, other: Ratio| Ratio(one.0.max(other.0));
                let both = |one: PerSecond, other: PerSecond| PerSecond(one.0 + other.0);
                sum.cpu = sum
                    .cpu
                    .zip(load.cpu)
                    .map(|(one, other)| busier(one, other))
                    .or(sum.cpu)
                    .or(load.cpu);
                let output = sum.output.zip(load.output).map(|(one, other)| both(one, other));
                sum.output = output.or(sum.output).or(load.output);
            }
        }
    }
    sums.into_values().collect()
}

/// Both counters of a slot are reset together; what is left has been counted since.
fn cpu(before: &SlotCounters, after: &SlotCounters) -> Option<Duration> {
    let (before, after) = (before.cpu?, after.cpu?);
    Some(after.checked_sub(before).unwrap_or(after))
}

fn output(before: &SlotCounters, after: &SlotCounters) -> Option<Bytes> {
    let (before, after) = (before.output?, after.output?);
    Some(Bytes(after.0.checked_sub(before.0).unwrap_or(after.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `slot:cpu_milliseconds:bytes …`
    fn stats(process: &str, second: u64, slots: &str) -> SlotStats {
        let slot = |text: &str| {
            let [slot, cpu, output] = text.split(':').collect::<Vec<_>>()[..] else {
                panic!("a slot and two sums")
            };
            let counters = SlotCounters {
                cpu: cpu.parse().ok().map(Duration::from_millis),
                output: output.parse().ok().map(Bytes),
            };
            (Slot::new(slot.parse().expect("a number")).expect("a slot"), counters)
        };
        SlotStats {
            run_id: Some(process.into()),
            at: Timestamp(second * 1_000_000),
            slots: slots.split_whitespace().map(slot).collect(),
        }
    }

    fn shown(loads: &[SlotLoad]) -> String {
        let figure = |figure: Option<f64>| figure.map_or_else(|| "?".into(), |figure| figure.to_string());
        let show = |load: &SlotLoad| {
            format!(
                "{}:{}:{}",
                load.slot,
                figure(load.cpu.map(|cpu| cpu.0)),
                figure(load.output.map(|output| output.0))
            )
        };
        loads.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    /// Two answers a minute apart.
    fn check(before: &str, after: &str, expected: &str) {
        assert_eq!(shown(&stats("a", 60, after).since(&stats("a", 0, before))), expected);
    }

    #[test]
    fn only_what_happened_in_between_counts() {
        check("1:600000:6000 2:0:0", "1:600000:6000 2:30000:600", "1:0:0 2:0.5:10");
    }

    #[test]
    fn a_slot_that_moved_here_has_nothing_to_compare_with() {
        check("1:0:0", "1:0:0 2:90000:90000", "1:0:0");
    }

    #[test]
    fn a_reset_leaves_what_was_counted_since() {
        check("1:600000:6000", "1:6000:60", "1:0.1:1");
    }

    #[test]
    fn what_the_server_does_not_count_is_unknown() {
        check("1:-:-", "1:-:-", "1:?:?");
    }

    #[test]
    fn a_restart_tells_nothing() {
        assert_eq!(stats("b", 60, "1:60000:60").since(&stats("a", 0, "1:0:0")), []);
        assert_eq!(stats("a", 0, "1:60000:60").since(&stats("a", 0, "1:0:0")), []);
    }

    #[test]
    fn nodes_add_up_to_the_busiest_cpu_and_to_all_bytes() {
        let node = |after: &str| stats("a", 60, after).since(&stats("a", 0, "1:0:0 2:0:0 3:0:0"));
        let (primary, replica) = (node("1:60000:600 2:-:60"), node("1:6000:60 2:6000:- 3:0:0"));
        assert_eq!(shown(&together(primary.iter().chain(&replica))), "1:1:11 2:0.1:1 3:0:0");
    }

    #[test]
    fn the_hottest_by_cpu_stand_beside_the_hottest_by_bytes() {
        let loads = stats("a", 60, "1:60000:0 2:30000:0 3:0:600 4:0:60 5:0:0").since(&stats(
            "a",
            0,
            "1:0:0 2:0:0 3:0:0 4:0:0 5:0:0",
        ));
        assert_eq!(shown(&hottest(&loads, 1)), "1:1:0 3:0:10");
        assert_eq!(shown(&hottest(&loads, 9)), "1:1:0 2:0.5:0 3:0:10 4:0:1");
    }
}
