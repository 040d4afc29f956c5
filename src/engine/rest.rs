//! Which nodes are left alone for a while, because windows on them failed or did harm. Pure.
//!
//! After each failure in a row the rest doubles; after several the circuit is open, and stays so until a window goes well.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::analysis::window::WindowEnd;
use crate::model::{GroupKey, NodeId, Timestamp};

use super::round::Skip;

/// The rest after the first failure.
const REST_MIN: Duration = Duration::from_secs(300);

/// However often it failed, a node is tried again after this.
const REST_MAX: Duration = Duration::from_secs(4 * 3600);

/// After so many failures in a row the circuit is open.
const CIRCUIT_OPENS_AFTER: u32 = 3;

/// The nodes that rest.
#[derive(Debug, Default)]
pub struct Rests {
    failing: HashMap<(GroupKey, NodeId), Failing>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    in_a_row: u32,
    until: Timestamp,
}

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It went as planned.
    Good,
    /// It failed, or a guard ended it.
    Bad,
    /// It was ended for reasons that aren't the node's.
    Neither,
}

impl Outcome {
    /// What the end of a window says of its node.
    pub fn of(end: WindowEnd) -> Self {
        match end {
            WindowEnd::Duration | WindowEnd::Commands | WindowEnd::Bytes => Self::Good,
            WindowEnd::Paused | WindowEnd::Shutdown | WindowEnd::RoleChanged | WindowEnd::Frozen => Self::Neither,
            WindowEnd::ServerBuffer
            | WindowEnd::ReadRate
            | WindowEnd::Memory
            | WindowEnd::Evictions
            | WindowEnd::Cpu
            | WindowEnd::ReplicationLag
            | WindowEnd::GuardLost
            | WindowEnd::Overloaded
            | WindowEnd::ServerClosed
            | WindowEnd::ConnectionFailed => Self::Bad,
        }
    }
}

impl Rests {
    /// Why the node gets no window now; `None` if it may have one.
    pub fn of(&self, group: &GroupKey, node: &NodeId, now: Timestamp) -> Option<Skip> {
        let failing = self.failing.get(&(group.clone(), node.clone()))?;
        match (now < failing.until, failing.in_a_row >= CIRCUIT_OPENS_AFTER) {
            (false, _) => None,
            (true, false) => Some(Skip::BackingOff),
            (true, true) => Some(Skip::CircuitOpen),
        }
    }

    /// Takes what became of a window on the node. Whether its circuit is open now, if that has changed.
    pub fn take(&mut self, group: &GroupKey, node: &NodeId, outcome: Outcome, now: Timestamp) -> Option<bool> {
        let name = (group.clone(), node.clone());
        match outcome {
            Outcome::Neither => None,
            Outcome::Good => {
                let failing = self.failing.remove(&name)?;
                (failing.in_a_row >= CIRCUIT_OPENS_AFTER).then_some(false)
            }
            Outcome::Bad => {
                let in_a_row = self.failing.get(&name).map_or(1, |failing| failing.in_a_row + 1);
                let until = now + rest(&name, in_a_row);
                self.failing.insert(name, Failing { in_a_row, until });
                (in_a_row == CIRCUIT_OPENS_AFTER).then_some(true)
            }
        }
    }

    /// Forgets groups that are gone.
    pub fn keep(&mut self, exists: impl Fn(&GroupKey) -> bool) {
        self.failing.retain(|(group, _), _| exists(group));
    }
}

/// Twice as long each time, and for each node a little different, so that they don't all come back at once.
fn rest(node: &(impl Hash + ?Sized), in_a_row: u32) -> Duration {
    let doubled = REST_MIN.saturating_mul(1 << (in_a_row - 1).min(16)).min(REST_MAX);
    let chance = FixedState::with_seed(u64::from(in_a_row)).hash_one(node) % 1000;
    doubled.mul_f64(0.8 + 0.4 * chance as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At each `minute:outcome` a window ends; what the node gets then, and a `!` where its circuit changes.
    fn check(ends: &str, expected: &str) {
        let (group, node) = (
            GroupKey {
                region: "".into(),
                id: "orders".into(),
            },
            NodeId::from("a"),
        );
        let mut rests = Rests::default();
        let mut shown = Vec::new();
        for end in ends.split(' ') {
            let (minute, outcome) = end.split_once(':').expect("minute:outcome");
            let now = Timestamp(minute.parse::<u64>().expect("a minute") * 60_000_000);
            let outcome = match outcome {
                "good" => Outcome::Good,
                "bad" => Outcome::Bad,
                _ => Outcome::Neither,
            };
            let changed = rests.take(&group, &node, outcome, now);
            let skip = rests.of(&group, &node, now).map_or("open", Skip::kind);
            let mark = changed.map_or("", |open| if open { "!" } else { "?" });
            shown.push(format!("{skip}{mark}"));
        }
        assert_eq!(shown.join(" "), expected, "{ends}");
    }

    #[test]
    fn a_node_on_which_windows_fail_is_left_alone_for_longer_and_longer() {
        check("0:bad 3:none 7:none", "backing_off backing_off open");
        check(
            "0:bad 6:bad 13:none 19:none",
            "backing_off backing_off backing_off open",
        );
    }

    #[test]
    fn three_failures_in_a_row_open_the_circuit_and_one_success_closes_it() {
        check(
            "0:bad 6:bad 19:bad 30:none 50:none 51:good 52:none",
            "backing_off backing_off circuit_open! circuit_open open open? open",
        );
        check("0:bad 6:bad 19:good 20:bad", "backing_off backing_off open backing_off");
    }

    #[test]
    fn no_rest_is_longer_than_the_longest() {
        let longest = rest("a", 4_000_000);
        assert!(
            longest <= REST_MAX.mul_f64(1.2) && longest >= REST_MAX.mul_f64(0.8),
            "{longest:?}"
        );
    }
}
