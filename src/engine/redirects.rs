//! Clients that were sent elsewhere (MOVED): the slots may have moved. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::analysis::info::Reading;
use crate::model::{GroupKey, NodeId, Timestamp};

/// Clients that know no clusters are redirected all day; the slots aren't asked for each time.
const PAUSE: Duration = Duration::from_secs(60);

/// What nodes counted, and when it was last looked into.
#[derive(Debug, Default)]
pub struct Redirects {
    counted: HashMap<(GroupKey, NodeId), u64>,
    looked: HashMap<GroupKey, Timestamp>,
}

impl Redirects {
    /// Takes what a node counted; `true` if it is time to ask who owns which slots.
    pub fn take(&mut self, group: &GroupKey, node: &NodeId, reading: &Reading, now: Timestamp) -> bool {
        let Some(errors) = &reading.errors else { return false };
        let count = errors.get("MOVED").copied().unwrap_or(0);
        let before = self.counted.insert((group.clone(), node.clone()), count);
        let looked = self.looked.get(group);
        let rested = looked.is_none_or(|looked| now.since(*looked) >= PAUSE);
        let due = before.is_some_and(|before| count > before) && rested;
        if due {
            self.looked.insert(group.clone(), now);
        }
        due
    }

    /// Keeps only the nodes for which `is_there` holds.
    pub fn retain(&mut self, group: &GroupKey, is_there: impl Fn(&NodeId) -> bool) {
        self.counted.retain(|(key, node), _| key != group || is_there(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, Region};

    /// Each step: seconds since the start, MOVED errors (none where the server doesn't count them); `!` where slots are asked for.
    fn check(steps: &[(u64, Option<u64>)], expected: &str) {
        let (mut redirects, group) = (
            Redirects::default(),
            GroupKey {
                region: Region::new(""),
                id: GroupId::new("orders"),
            },
        );
        let mut shown = String::new();
        for (second, count) in steps {
            let mut text = String::from("# Server\r\n");
            if let Some(count) = count {
                text += &format!("# Errorstats\r\nerrorstat_ERR:count=9\r\nerrorstat_MOVED:count={count}\r\n");
            }
            let at = Timestamp((1000 + second) * 1_000_000);
            let due = redirects.take(&group, &NodeId::new("a"), &Reading::parse(&text), at);
            shown.push(if due { '!' } else { '.' });
        }
        assert_eq!(shown, expected, "{steps:?}");
    }

    #[test]
    fn slots_are_asked_for_when_clients_are_sent_elsewhere_but_not_all_day() {
        check(&[(0, Some(5)), (15, Some(5)), (30, Some(6))], "..!");
        check(&[(0, Some(5)), (15, Some(6)), (30, Some(7)), (80, Some(8))], ".!.!");
        // A restart begins to count again.
        check(&[(0, Some(5)), (15, Some(0)), (30, Some(1))], "..!");
        check(&[(0, None), (15, None)], "..");
    }
}
