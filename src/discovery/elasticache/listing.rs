//! From AWS's two lists to groups. Pure: the lists in, what they say out.

mod replication;

use std::collections::HashMap;

use aws_sdk_elasticache::types::{CacheCluster, Endpoint as AwsEndpoint, ReplicationGroup, ServerlessCache};

use crate::model::{Endpoint, Group, GroupId, GroupKey, Node, NodeId, Region, Shard, ShardId};
use replication::replication_group;

/// The shard of a cache that has only one and no name for it; AWS's own name for the first.
const ONLY_SHARD: &str = "0001";

/// Everything one region of one account answered.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// DescribeReplicationGroups, all pages.
    pub replication_groups: Vec<ReplicationGroup>,
    /// DescribeCacheClusters with their nodes, all pages, members and standalone ones.
    pub cache_clusters: Vec<CacheCluster>,
    /// DescribeServerlessCaches, all pages.
    pub serverless: Vec<ServerlessCache>,
}

/// One cache as AWS describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its shards and nodes, as far as AWS names their endpoints.
    pub group: Group,
    /// What kind it is, which decides what can be asked of it.
    pub kind: Kind,
    /// `redis` or `valkey`.
    pub engine: String,
    /// Whether its connections are encrypted.
    pub tls: bool,
    /// Whether it demands an AUTH token.
    pub auth_token: bool,
    /// AWS's word for its state, such as `available` or `modifying`.
    pub status: String,
    /// Its ARN, by which tags are asked for.
    pub arn: Option<String>,
    /// The parameter group in force, which holds the output buffer limits.
    pub parameter_group: Option<String>,
    /// Members that AWS lists without an endpoint: just created, or going.
    pub without_endpoint: Vec<NodeId>,
}

/// What kind of cache it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Slots are spread over shards.
    ClusterMode,
    /// One shard, a primary and its replicas.
    Replication,
    /// One node, no replication group.
    Standalone,
    /// No nodes to see: INFO only, no MONITOR.
    Serverless,
}

impl Listing {
    /// The caches of `region`; Memcached has none of what we look at and is left out.
    pub fn assemble(&self, region: &Region) -> Vec<Found> {
        let clusters: HashMap<&str, &CacheCluster> = self
            .cache_clusters
            .iter()
            .filter_map(|cluster| Some((cluster.cache_cluster_id()?, cluster)))
            .collect();
        let groups = self
            .replication_groups
            .iter()
            .filter_map(|group| replication_group(group, &clusters, region));
        let standalone = self
            .cache_clusters
            .iter()
            .filter_map(|cluster| standalone(cluster, region));
        let serverless = self
            .serverless
            .iter()
            .filter_map(|cache| serverless_cache(cache, region));
        let mut found: Vec<_> = groups.chain(standalone).chain(serverless).collect();
        found.sort_by(|one, other| one.group.key.cmp(&other.group.key));
        found
    }

    /// Whether `id` names a Memcached cluster, which deserves a clearer word than "not found".
    pub fn is_memcached(&self, id: &GroupId) -> bool {
        self.cache_clusters
            .iter()
            .any(|cluster| cluster.cache_cluster_id() == Some(id.as_str()) && cluster.engine() == Some("memcached"))
    }
}

fn standalone(cluster: &CacheCluster, region: &Region) -> Option<Found> {
    if cluster.replication_group_id().is_some() || cluster.engine() == Some("memcached") {
        return None;
    }
    let id = cluster.cache_cluster_id()?;
    let (known, unknown): (Vec<_>, Vec<_>) = cluster
        .cache_nodes()
        .iter()
        .partition(|node| node.endpoint().and_then(endpoint).is_some());
    let nodes = known.iter().filter_map(|node| {
        Some(Node {
            id: NodeId::new(id),
            endpoint: node.endpoint().and_then(endpoint)?,
            role: None,
            zone: node
                .customer_availability_zone()
                .or(cluster.preferred_availability_zone())
                .map(str::to_owned),
            instance_type: cluster.cache_node_type().map(str::to_owned),
        })
    });
    let shard = Shard {
        id: ShardId::new(ONLY_SHARD),
        nodes: nodes.collect(),
        slots: None,
    };
    Some(Found {
        group: Group {
            key: GroupKey {
                region: region.clone(),
                id: GroupId::new(id),
            },
            shards: vec![shard],
        },
        kind: Kind::Standalone,
        engine: cluster.engine().unwrap_or("redis").to_owned(),
        tls: cluster.transit_encryption_enabled() == Some(true),
        auth_token: cluster.auth_token_enabled() == Some(true),
        status: cluster.cache_cluster_status().unwrap_or("unknown").to_owned(),
        arn: cluster.arn().map(str::to_owned),
        parameter_group: parameter_group(cluster),
        without_endpoint: unknown.iter().map(|_| NodeId::new(id)).collect(),
    })
}

fn serverless_cache(cache: &ServerlessCache, region: &Region) -> Option<Found> {
    if cache.engine() == Some("memcached") {
        return None;
    }
    let id = cache.serverless_cache_name()?;
    let node = cache.endpoint().and_then(endpoint).map(|endpoint| Node {
        id: NodeId::new(id),
        endpoint,
        role: None,
        zone: None,
        instance_type: None,
    });
    let without_endpoint = if node.is_none() {
        vec![NodeId::new(id)]
    } else {
        Vec::new()
    };
    let shard = Shard {
        id: ShardId::new(ONLY_SHARD),
        nodes: node.into_iter().collect(),
        slots: None,
    };
    Some(Found {
        group: Group {
            key: GroupKey {
                region: region.clone(),
                id: GroupId::new(id),
            },
            shards: vec![shard],
        },
        kind: Kind::Serverless,
        engine: cache.engine().unwrap_or("redis").to_owned(),
        tls: true,
        auth_token: false,
        status: cache.status().unwrap_or("unknown").to_owned(),
        arn: cache.arn().map(str::to_owned),
        parameter_group: None,
        without_endpoint,
    })
}

fn parameter_group(cluster: &CacheCluster) -> Option<String> {
    Some(
        cluster
            .cache_parameter_group()?
            .cache_parameter_group_name()?
            .to_owned(),
    )
}

fn endpoint(aws: &AwsEndpoint) -> Option<Endpoint> {
    let port = u16::try_from(aws.port()?).ok().filter(|port| *port != 0)?;
    Some(Endpoint::new(aws.address()?, port))
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticache::types::{CacheNode, NodeGroup, NodeGroupMember};

    use super::*;
    use crate::model::{Role, SlotSet};

    fn at(host: &str) -> AwsEndpoint {
        AwsEndpoint::builder().address(host).port(6379).build()
    }

    fn member(id: &str) -> aws_sdk_elasticache::types::builders::NodeGroupMemberBuilder {
        NodeGroupMember::builder()
            .cache_cluster_id(id)
            .cache_node_id("0001")
            .preferred_availability_zone("eu-west-1a")
    }

    fn cluster(id: &str) -> aws_sdk_elasticache::types::builders::CacheClusterBuilder {
        let node = CacheNode::builder()
            .cache_node_id("0001")
            .endpoint(at(&format!("{id}.cache.amazonaws.com")));
        CacheCluster::builder()
            .cache_cluster_id(id)
            .engine("valkey")
            .cache_node_type("cache.r7g.large")
            .cache_nodes(node.build())
    }

    /// One line a node, in the order of the listing.
    fn show(found: &[Found]) -> String {
        let mut lines = String::new();
        for cache in found {
            let Found {
                group,
                kind,
                engine,
                tls,
                without_endpoint,
                ..
            } = cache;
            lines += &format!(
                "{} {kind:?} {engine} tls={tls} without={}\n",
                group.key,
                without_endpoint.len()
            );
            for (shard, node) in group.nodes() {
                let slots = shard.slots.as_ref().map_or(0, SlotSet::len);
                let role = node.role.map_or("?", Role::as_str);
                lines += &format!("  {} {} {} {role} {slots}\n", shard.id, node.id, node.endpoint);
            }
        }
        lines
    }

    fn check(listing: &Listing, expected: &str) {
        assert_eq!(show(&listing.assemble(&"eu-west-1".into())), expected);
    }

    #[test]
    fn cluster_mode_members_take_their_endpoints_from_the_cache_clusters_and_no_role_from_their_names() {
        let shard = NodeGroup::builder()
            .node_group_id("0001")
            .slots("0-8191,16383")
            .node_group_members(member("orders-0001-002").build())
            .node_group_members(member("orders-0001-001").build())
            .build();
        let group = ReplicationGroup::builder()
            .replication_group_id("orders")
            .cluster_enabled(true)
            .transit_encryption_enabled(true)
            .node_groups(shard)
            .build();
        let clusters = ["orders-0001-001", "orders-0001-002"]
            .map(|id| cluster(id).replication_group_id("orders").build())
            .to_vec();
        let listing = Listing {
            replication_groups: vec![group],
            cache_clusters: clusters,
            ..Listing::default()
        };
        check(
            &listing,
            "eu-west-1/orders ClusterMode redis tls=true without=0\n  \
             0001 orders-0001-001 orders-0001-001.cache.amazonaws.com:6379 ? 8193\n  \
             0001 orders-0001-002 orders-0001-002.cache.amazonaws.com:6379 ? 8193\n",
        );
    }

    #[test]
    fn without_cluster_mode_aws_names_roles_and_endpoints() {
        let shard = NodeGroup::builder()
            .node_group_id("0001")
            .node_group_members(
                member("carts-001")
                    .read_endpoint(at("carts-001.x"))
                    .current_role("replica")
                    .build(),
            )
            .node_group_members(
                member("carts-002")
                    .read_endpoint(at("carts-002.x"))
                    .current_role("primary")
                    .build(),
            )
            .build();
        let group = ReplicationGroup::builder()
            .replication_group_id("carts")
            .engine("valkey")
            .node_groups(shard)
            .build();
        let listing = Listing {
            replication_groups: vec![group],
            ..Listing::default()
        };
        check(
            &listing,
            "eu-west-1/carts Replication valkey tls=false without=0\n  \
             0001 carts-001 carts-001.x:6379 replica 0\n  0001 carts-002 carts-002.x:6379 primary 0\n",
        );
    }

    #[test]
    fn standalone_and_serverless_caches_are_told_apart_and_memcached_is_left_out() {
        let serverless = ServerlessCache::builder()
            .serverless_cache_name("burst")
            .engine("valkey")
            .endpoint(at("burst.x"));
        let memcached = cluster("pages").engine("memcached").build();
        let listing = Listing {
            cache_clusters: vec![cluster("alone").build(), memcached],
            serverless: vec![serverless.build()],
            ..Listing::default()
        };
        check(
            &listing,
            "eu-west-1/alone Standalone valkey tls=false without=0\n  0001 alone alone.cache.amazonaws.com:6379 ? 0\n\
             eu-west-1/burst Serverless valkey tls=true without=0\n  0001 burst burst.x:6379 ? 0\n",
        );
        assert!(listing.is_memcached(&"pages".into()) && !listing.is_memcached(&"alone".into()));
    }

    #[test]
    fn half_an_answer_loses_only_the_nodes_it_lacks() {
        let shard = NodeGroup::builder()
            .node_group_id("0001")
            .slots("0-x")
            .node_group_members(member("orders-0001-001").build())
            .node_group_members(NodeGroupMember::builder().build())
            .build();
        let group = ReplicationGroup::builder()
            .replication_group_id("orders")
            .cluster_enabled(true)
            .node_groups(shard);
        let nameless = ReplicationGroup::builder().build();
        let listing = Listing {
            replication_groups: vec![group.build(), nameless],
            ..Listing::default()
        };
        check(&listing, "eu-west-1/orders ClusterMode redis tls=false without=1\n");
    }
}
