//! Replicas that attach themselves to a primary: nodes that their group may not know yet. Pure.

use std::collections::{BTreeSet, HashMap};

use crate::analysis::info::Reading;
use crate::model::{Endpoint, Group, GroupKey, NodeId, Role};

/// Who is known, and who was attached when a primary was last heard of.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Each node's fellows in its shard.
    fellows: HashMap<(GroupKey, NodeId), Vec<Endpoint>>,
    attached: HashMap<(GroupKey, NodeId), BTreeSet<Endpoint>>,
}

impl Arrivals {
    /// The group is this now.
    pub fn know(&mut self, group: &Group) {
        self.fellows.retain(|(key, _), _| key != &group.key);
        for (shard, node) in group.nodes() {
            let others = shard.nodes.iter().filter(|other| other.id != node.id);
            let others = others.map(|other| other.endpoint.clone()).collect();
            self.fellows.insert((group.key.clone(), node.id.clone()), others);
        }
        let fellows = &self.fellows;
        self.attached
            .retain(|name, _| name.0 != group.key || fellows.contains_key(name));
    }

    /// The group isn't watched any more.
    pub fn forget(&mut self, group: &GroupKey) {
        self.fellows.retain(|(key, _), _| key != group);
        self.attached.retain(|(key, _), _| key != group);
    }

    /// Takes what a node says; `true` if somebody has come since who isn't known. Whoever stays a stranger is so once.
    pub fn take(&mut self, group: &GroupKey, node: &NodeId, role: Role, reading: &Reading) -> bool {
        let name = (group.clone(), node.clone());
        let Some(fellows) = self.fellows.get(&name).filter(|_| role == Role::Primary) else {
            self.attached.remove(&name);
            return false;
        };
        // What takes the stream and listens nowhere is a program that copies.
        let attached = reading.replication.replicas.iter().map(|replica| &replica.endpoint);
        let attached: BTreeSet<Endpoint> = attached.filter(|endpoint| endpoint.port() != 0).cloned().collect();
        let is_crowded = attached.len() > fellows.len();
        let before = self.attached.insert(name.clone(), attached);
        let mut new = self.attached[&name]
            .iter()
            .filter(|endpoint| before.as_ref().is_none_or(|before| !before.contains(endpoint)));
        // A replica may tell its primary another address than the one it is known by, so at first only their number counts.
        match before {
            None => is_crowded,
            Some(_) => new.any(|endpoint| !fellows.contains(endpoint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::fixed;
    use crate::model::{GroupId, Region, ShardId};

    /// What a primary `a` of the fellows `b` and `c` says of who is attached, step by step; `!` where the group is to be looked at.
    fn check(steps: &[&str], expected: &str) {
        let key = GroupKey {
            region: Region::new(""),
            id: GroupId::new("orders"),
        };
        let nodes = ["a:1", "b:1", "c:1"].map(|text| (text.parse().expect("an endpoint"), ShardId::new("0001")));
        let mut arrivals = Arrivals::default();
        arrivals.know(&fixed::group(key.clone(), &nodes));
        let mut shown = String::new();
        for step in steps {
            let role = if *step == "replica" {
                Role::Replica
            } else {
                Role::Primary
            };
            let lines = step.split_whitespace().enumerate().map(|(number, endpoint)| {
                let (host, port) = endpoint.split_once(':').unwrap_or((endpoint, "1"));
                format!("slave{number}:ip={host},port={port},state=wait_bgsave,offset=0,lag=0\r\n")
            });
            let text = format!("# Replication\r\n{}", lines.collect::<String>());
            let due = arrivals.take(&key, &NodeId::new("a:1"), role, &Reading::parse(&text));
            shown.push(if due { '!' } else { '.' });
        }
        assert_eq!(shown, expected, "{steps:?}");
    }

    #[test]
    fn a_stranger_that_attaches_is_looked_for_once() {
        check(&["b c", "b c d", "b c d", "b c", "b c d"], ".!..!");
        // One in another's place.
        check(&["b c", "b", "b d"], "..!");
        check(&["b c d", "b c d"], "!.");
    }

    #[test]
    fn whoever_is_known_is_no_stranger() {
        check(&["b c", "b", "b c"], "...");
        // The same two by other names, from the first word on.
        check(&["10.0.0.2 10.0.0.3", "10.0.0.2 10.0.0.3"], "..");
        check(&["b c", "b c d:0"], "..");
        check(&["replica", "b c"], "..");
    }

    #[test]
    fn of_a_node_that_is_gone_nothing_is_kept() {
        check(&["b c", "replica", "b c d"], "..!");
        let mut arrivals = Arrivals::default();
        let key = GroupKey {
            region: Region::new(""),
            id: GroupId::new("orders"),
        };
        let node = ("a:1".parse().expect("an endpoint"), ShardId::new("0001"));
        arrivals.know(&fixed::group(key.clone(), &[node]));
        arrivals.take(&key, &NodeId::new("a:1"), Role::Primary, &Reading::default());
        arrivals.know(&fixed::group(key.clone(), &[]));
        assert!(arrivals.fellows.is_empty() && arrivals.attached.is_empty());
        arrivals.forget(&key);
    }
}
