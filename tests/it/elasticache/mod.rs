//! Groups that AWS knows: from its answers to real local servers to metrics.

mod changes;
mod endpoints;
mod passwords;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use hotshard::discovery::instance::Instance;
use hotshard::model::{GroupId, GroupKey, Region};

use crate::harness::aws::{Aws, Member, Mode, REGION, ReplicationGroup, VARIABLES, endpoint_xml, result};
use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const PASSWORD: &str = "planted-secret";

pub(crate) fn config(aws: &Aws, groups: &str) -> String {
    format!(
        "{groups}\n[discovery]\nregion = \"{REGION}\"\nendpoint_url = \"http://{}\"\ninterval = \"1s\"\n\
         [poll]\ninterval = \"1s\"\n[auth]\npassword_env = \"TOKEN\"\n",
        aws.address
    )
}

pub(crate) async fn serve(aws: &Aws, groups: &str) -> Hotshard {
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    Hotshard::serve_with(&config(aws, groups), &variables).await
}

/// The cluster as AWS would describe it: members in the order of their ports, whatever their roles.
pub(crate) async fn described(id: &str, cluster: &Cluster) -> ReplicationGroup {
    let mut shards = Vec::new();
    for (place, shard) in cluster.shards().await.iter().enumerate() {
        let mut places = shard.replicas.clone();
        places.push(shard.primary);
        places.sort_unstable();
        let name = format!("{:04}", place + 1);
        let member = |(number, &server): (usize, &usize)| Member {
            id: format!("{id}-{name}-{:03}", number + 1),
            address: Some(cluster.servers[server].address),
            role: None,
        };
        shards.push((name.clone(), places.iter().enumerate().map(member).collect()));
    }
    ReplicationGroup {
        id: id.to_owned(),
        mode: Mode::Enabled,
        tls: false,
        shards,
    }
}

pub(crate) fn alone(id: &str, server: &Server) -> ReplicationGroup {
    let member = Member {
        id: format!("{id}-001"),
        address: Some(server.address),
        role: Some("primary"),
    };
    ReplicationGroup {
        id: id.to_owned(),
        mode: Mode::Disabled,
        tls: false,
        shards: vec![("0001".into(), vec![member])],
    }
}

/// Waits until the metrics hold all of `there` and none of `gone`.
pub(crate) async fn metrics(hotshard: &Hotshard, there: &[String], gone: &[&str]) -> String {
    let complete = async || {
        let metrics = hotshard.metrics().await;
        match there.iter().find(|line| !metrics.contains(line.as_str())) {
            Some(line) => Err(format!("{line} is missing in\n{metrics}\n{}", hotshard.log())),
            None => match gone.iter().find(|text| metrics.contains(**text)) {
                Some(text) => Err(format!("{text} is still there")),
                None => Ok(metrics),
            },
        }
    };
    eventually("the metrics say so", DEADLINE, complete).await
}

pub(crate) fn group_label(id: &str) -> String {
    format!("region=\"{REGION}\",replication_group=\"{id}\"")
}

#[tokio::test]
async fn a_cluster_is_watched_by_its_name_alone() {
    let cluster = Cluster::of(Server::redis().password(PASSWORD)).await;
    let aws = Aws::start().await;
    aws.hold(&[described("orders", &cluster).await]);
    let hotshard = serve(&aws, "[[groups]]\nid = \"orders\"\n").await;
    let orders = group_label("orders");
    let mut expected: Vec<String> = Vec::new();
    for (place, shard) in cluster.shards().await.iter().enumerate() {
        let name = format!("{:04}", place + 1);
        let slots: usize = shard
            .slots
            .iter()
            .map(|range| usize::from(range.end() - range.start()) + 1)
            .sum();
        expected.push(format!("hotshard_shard_slots{{{orders},shard=\"{name}\"}} {slots}\n"));
        // The role is the node's own word: the first by name need not be the primary.
        let primary_first = shard.primary < shard.replicas[0];
        for (number, primary) in [(1, primary_first), (2, !primary_first)] {
            expected.push(format!(
                "hotshard_node_role{{{orders},shard=\"{name}\",node=\"orders-{name}-00{number}\",role=\"primary\"}} {}\n",
                u8::from(primary)
            ));
        }
    }
    let metrics = metrics(&hotshard, &expected, &[]).await;
    assert!(
        metrics.contains("cache.r7g.large") && metrics.contains(&format!("{REGION}a")),
        "{metrics}"
    );
    for output in [metrics, hotshard.stop().await] {
        assert!(
            !output.contains(PASSWORD) && !output.contains("planted-secret-key"),
            "{output}"
        );
    }
}

#[tokio::test]
async fn a_serverless_cache_is_polled_and_gets_no_window() {
    let server = Server::redis().password(PASSWORD).start().await;
    let aws = Aws::start().await;
    let inner = format!(
        "<ServerlessCaches><member><ServerlessCacheName>burst</ServerlessCacheName><Engine>valkey</Engine>\
         <Status>available</Status>{}</member></ServerlessCaches>",
        endpoint_xml("Endpoint", server.address)
    );
    aws.answer("DescribeServerlessCaches", &result("DescribeServerlessCaches", &inner));
    let hotshard = serve(
        &aws,
        "[tls]\nenabled = false\n[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\nnodes = \"replica-or-primary\"\n\
         [[groups]]\nid = \"burst\"\n",
    )
    .await;
    let burst = group_label("burst");
    let expected = [
        format!("hotshard_node_up{{{burst},shard=\"0001\",node=\"burst\"}} 1\n"),
        format!("hotshard_windows_skipped_total{{{burst},shard=\"0001\",reason=\"no_monitor\"}}"),
    ];
    metrics(&hotshard, &expected, &["hotshard_window_last_end_timestamp_seconds{"]).await;
    hotshard.stop().await;
}

/// Takes connections and never says a word.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

#[tokio::test]
async fn nodes_that_hang_delay_neither_their_group_nor_another() {
    let (first, second) = (Server::redis().start().await, Server::redis().start().await);
    let hanging: Vec<TcpListener> = (0..3).map(|_| silent()).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
    let member = |id: &str, address| Member {
        id: id.into(),
        address: Some(address),
        role: None,
    };
    let members = |shard: &str, addresses: [SocketAddr; 2]| {
        let named = addresses.into_iter().enumerate();
        let members = named.map(|(number, address)| member(&format!("orders-{shard}-00{}", number + 1), address));
        (shard.to_owned(), members.collect())
    };
    let aws = Aws::start().await;
    // Whoever asks the nodes in the order of their names meets the three first.
    let orders = ReplicationGroup {
        id: "orders".into(),
        mode: Mode::Enabled,
        tls: false,
        shards: vec![
            members("0001", [address(&hanging[0]), address(&hanging[1])]),
            members("0002", [address(&hanging[2]), first.address]),
        ],
    };
    aws.hold(&[orders, alone("shop", &second)]);
    let groups = "[[groups]]\nid = \"orders\"\n[[groups]]\nid = \"shop\"\n";
    let config = config(&aws, groups).replace("[poll]\n", "[poll]\ntimeout = \"60s\"\n");
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let up = |group: &str, shard: &str, node: &str| {
        let group = group_label(group);
        format!("hotshard_node_up{{{group},shard=\"{shard}\",node=\"{node}\"}} 1\n")
    };
    let expected = [up("orders", "0002", "orders-0002-002"), up("shop", "0001", "shop-001")];
    // Three time-outs would be three minutes.
    metrics(&hotshard, &expected, &[]).await;
    hotshard.stop().await;
}

#[tokio::test]
async fn each_group_of_a_glob_is_watched_by_one_instance() {
    let server = Server::redis().password(PASSWORD).start().await;
    let aws = Aws::start().await;
    let ids: Vec<String> = (0..8).map(|number| format!("shop-{number}")).collect();
    let groups: Vec<ReplicationGroup> = ids.iter().map(|id| alone(id, &server)).collect();
    aws.hold(&groups);
    let config = config(&aws, "[[groups]]\nid = \"shop-*\"\n[[groups]]\nid = \"none\"\n");
    let owned = |index: u32, id: &str| {
        let group = GroupKey {
            region: Region::new(REGION),
            id: GroupId::new(id),
        };
        Instance::new(index, 2).expect("one of two").owns(&group)
    };
    let mut told_missing = 0;
    for index in 0..2 {
        let number = index.to_string();
        let own = [
            ("TOKEN", PASSWORD),
            ("HOTSHARD_INSTANCE_COUNT", "2"),
            ("HOTSHARD_INSTANCE_INDEX", &number),
        ];
        let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain(own).collect();
        let hotshard = Hotshard::serve_with(&config, &variables).await;
        let (ours, others): (Vec<&String>, Vec<&String>) = ids.iter().partition(|id| owned(index, id));
        assert!(!ours.is_empty() && !others.is_empty(), "{ours:?} {others:?}");
        let up = |id: &&String| {
            let group = group_label(id);
            format!("hotshard_node_up{{{group},shard=\"0001\",node=\"{id}-001\"}} 1\n")
        };
        let expected: Vec<String> = ours.iter().map(up).collect();
        let others: Vec<String> = others.iter().map(|id| group_label(id)).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let metrics = metrics(&hotshard, &expected, &others).await;
        told_missing += usize::from(metrics.contains(&group_label("none")));
        hotshard.stop().await;
    }
    assert_eq!(told_missing, 1, "who isn't there is missed by one of them");
}

#[tokio::test]
async fn five_hundred_shards_are_found_within_seconds() {
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let member = |shard: usize, number: usize| Member {
        id: format!("big-{shard:04}-{number:03}"),
        address: Some(nobody),
        role: None,
    };
    let shard = |shard: usize| {
        (
            format!("{shard:04}"),
            (1..=6).map(|number| member(shard, number)).collect(),
        )
    };
    let aws = Aws::start().await;
    aws.hold(&[ReplicationGroup {
        id: "big".into(),
        mode: Mode::Enabled,
        tls: false,
        shards: (1..=500).map(shard).collect(),
    }]);
    let hotshard = serve(&aws, "[[groups]]\nid = \"big\"\n").await;
    let nodes = format!("hotshard_discovery_nodes{{{}}} 3000\n", group_label("big"));
    metrics(&hotshard, &[nodes], &[]).await;
    hotshard.stop().await;
}
