//! A group whose nodes all stand in the configuration: taken as given, only the roles are asked of the nodes.

use std::collections::BTreeMap;

use crate::model::{Endpoint, Group, GroupKey, Node, NodeId, Shard, ShardId};

/// The group that consists of these nodes; one written twice is one.
pub fn group(key: GroupKey, nodes: &[(Endpoint, ShardId)]) -> Group {
    let mut shards: BTreeMap<&ShardId, Vec<Node>> = BTreeMap::new();
    for (endpoint, shard) in nodes {
        let members = shards.entry(shard).or_default();
        if members.iter().all(|node| node.endpoint != *endpoint) {
            members.push(node(endpoint.clone()));
        }
    }
    let shards = shards.into_iter().map(|(id, mut nodes)| {
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        Shard {
            id: id.clone(),
            nodes,
            slots: None,
        }
    });
    Group {
        key,
        shards: shards.collect(),
    }
}

/// A node of which nothing is known but where it listens: that is its name.
pub(super) fn node(endpoint: Endpoint) -> Node {
    Node {
        id: NodeId::new(endpoint.to_string()),
        endpoint,
        role: None,
        zone: None,
        instance_type: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, Region};

    fn check(written: &[&str], expected: &str) {
        let key = GroupKey {
            region: Region::new(""),
            id: GroupId::new("orders"),
        };
        let nodes: Vec<(Endpoint, ShardId)> = written
            .iter()
            .map(|text| {
                let (endpoint, shard) = Endpoint::parse_named(text).expect("a test's endpoint");
                (endpoint, ShardId::new(shard.expect("a test's shard")))
            })
            .collect();
        let shown: Vec<String> = group(key, &nodes)
            .shards
            .iter()
            .map(|shard| {
                let nodes: Vec<&str> = shard.nodes.iter().map(|node| node.id.as_str()).collect();
                format!("{}: {}", shard.id, nodes.join(" "))
            })
            .collect();
        assert_eq!(shown.join("; "), expected);
    }

    #[test]
    fn configured_nodes_are_taken_as_given() {
        check(
            &["b:2:0002", "[fd00::7]:1:0001", "a:2:0002", "b:2:0002"],
            "0001: [fd00::7]:1; 0002: a:2 b:2",
        );
    }
}
