//! A replication group as AWS lists it: its shards and their members.
//!
//! With cluster mode enabled a member has neither role nor endpoint in DescribeReplicationGroups; its endpoint stands in
//! DescribeCacheClusters, joined here by the cache cluster's id, and its role is the node's own to say. A name says nothing.

use std::collections::HashMap;

use aws_sdk_elasticache::types::{CacheCluster, CacheNode, ClusterMode, NodeGroup, NodeGroupMember, ReplicationGroup};

use super::{Found, Kind, endpoint, parameter_group};
use crate::model::{
    Endpoint, Group, GroupId, GroupKey, Node, NodeId, Region, Role, Shard, ShardId, Slot, SlotRange, SlotSet,
};

pub(super) fn replication_group(
    group: &ReplicationGroup,
    clusters: &HashMap<&str, &CacheCluster>,
    region: &Region,
) -> Option<Found> {
    let key = GroupKey {
        region: region.clone(),
        id: GroupId::new(group.replication_group_id()?),
    };
    let mut without_endpoint = Vec::new();
    let mut shards: Vec<Shard> = group
        .node_groups()
        .iter()
        .filter_map(|shard| node_group(shard, group, clusters, &mut without_endpoint))
        .collect();
    shards.sort_by(|one, other| one.id.cmp(&other.id));
    let member = group.member_clusters().iter().find_map(|id| clusters.get(id.as_str()));
    Some(Found {
        group: Group { key, shards },
        kind: if is_cluster_mode(group) {
            Kind::ClusterMode
        } else {
            Kind::Replication
        },
        engine: group
            .engine()
            .or_else(|| member?.engine())
            .unwrap_or("redis")
            .to_owned(),
        tls: group.transit_encryption_enabled() == Some(true),
        auth_token: group.auth_token_enabled() == Some(true),
        status: group.status().unwrap_or("unknown").to_owned(),
        arn: group.arn().map(str::to_owned),
        parameter_group: member.and_then(|cluster| parameter_group(cluster)),
        without_endpoint,
    })
}

/// `compatible` is a cluster on its way from one mode to the other: it already answers to both.
fn is_cluster_mode(group: &ReplicationGroup) -> bool {
    group.cluster_enabled() == Some(true)
        || matches!(
            group.cluster_mode(),
            Some(ClusterMode::Enabled | ClusterMode::Compatible)
        )
}

fn node_group(
    shard: &NodeGroup,
    group: &ReplicationGroup,
    clusters: &HashMap<&str, &CacheCluster>,
    without_endpoint: &mut Vec<NodeId>,
) -> Option<Shard> {
    let mut nodes = Vec::new();
    for member in shard.node_group_members() {
        let Some(id) = member_id(member, shard) else { continue };
        let cluster = member.cache_cluster_id().and_then(|id| clusters.get(id).copied());
        match member_endpoint(member, cluster) {
            Some(endpoint) => nodes.push(Node {
                id,
                endpoint,
                role: member.current_role().and_then(role),
                zone: member.preferred_availability_zone().map(str::to_owned),
                instance_type: cluster
                    .and_then(CacheCluster::cache_node_type)
                    .or(group.cache_node_type())
                    .map(str::to_owned),
            }),
            None => without_endpoint.push(id),
        }
    }
    nodes.sort_by(|one, other| one.id.cmp(&other.id));
    Some(Shard {
        id: ShardId::new(shard.node_group_id()?),
        nodes,
        slots: shard.slots().and_then(slots),
    })
}

/// The cache cluster's id; the node's id is added where the shard has several nodes of one cache cluster.
fn member_id(member: &NodeGroupMember, shard: &NodeGroup) -> Option<NodeId> {
    let cluster = member.cache_cluster_id()?;
    let siblings = shard
        .node_group_members()
        .iter()
        .filter(|other| other.cache_cluster_id() == Some(cluster))
        .count();
    match member.cache_node_id() {
        Some(node) if siblings > 1 => Some(NodeId::new(format!("{cluster}-{node}"))),
        _ => Some(NodeId::new(cluster)),
    }
}

fn member_endpoint(member: &NodeGroupMember, cluster: Option<&CacheCluster>) -> Option<Endpoint> {
    let own = member.read_endpoint().and_then(endpoint);
    own.or_else(|| {
        let nodes = cluster?.cache_nodes();
        let named = nodes.iter().find(|node| node.cache_node_id() == member.cache_node_id());
        named
            .or(nodes.first().filter(|_| nodes.len() == 1))
            .and_then(CacheNode::endpoint)
            .and_then(endpoint)
    })
}

fn role(word: &str) -> Option<Role> {
    match word {
        "primary" => Some(Role::Primary),
        "replica" => Some(Role::Replica),
        _ => None,
    }
}

/// `0-5460,10923-16383`; anything else is no answer, and the cluster itself is asked anyway.
fn slots(text: &str) -> Option<SlotSet> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse().ok().and_then(Slot::new);
        Some(SlotRange {
            first: number(first)?,
            last: number(last)?,
        })
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    Some(SlotSet::new(ranges?))
}
