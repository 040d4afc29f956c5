//! Whole clusters of real servers, and traffic whose truth the servers' own counters confirm.

use std::sync::Arc;

use crate::harness::cluster::Cluster;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;
use crate::harness::traffic::{Plan, Traffic};

#[tokio::test]
async fn redis_cluster_counts_what_the_traffic_says() {
    check_truth(Server::redis()).await;
}

#[tokio::test]
async fn valkey_cluster_counts_what_the_traffic_says() {
    check_truth(Server::valkey9()).await;
}

#[tokio::test]
async fn cluster_with_password_counts_what_the_traffic_says() {
    check_truth(Server::redis().password("orange")).await;
}

#[tokio::test]
async fn cluster_with_tls_counts_what_the_traffic_says() {
    check_truth(Server::redis().tls(&Arc::new(Authority::new())).password("orange")).await;
}

/// Drives a hot key, many others and reads of replicas, and compares each node's commandstats and bytes with the truth.
async fn check_truth(plan: ServerPlan) {
    let cluster = Cluster::of(plan).await;
    let many: Vec<String> = (0..500).map(|number| format!("user:{number}:profile")).collect();
    let traffic = Traffic::new(7)
        .plan(Plan::spread("SET", many.clone(), 2000).with(&["some value"]))
        .plan(Plan::spread("GET", many, 1500).on_replica().from("127.0.0.3"))
        .plan(
            Plan::new("HINCRBY", "hot", 3000)
                .with(&["field", "1"])
                .from("127.0.0.4"),
        );
    let truth = traffic.run(&cluster).await;
    cluster.replicated().await;
    for shard in cluster.shards().await {
        let [primary, replica] = [&cluster.servers[shard.primary], &cluster.servers[shard.replicas[0]]];
        let (sent, calls) = (truth.node(primary.address), primary.calls().await);
        for command in ["SET", "HINCRBY"] {
            let counted = calls.get(&command.to_lowercase()).copied().unwrap_or(0);
            assert_eq!(
                sent.commands.get(command).copied().unwrap_or(0),
                counted,
                "{command} on a primary"
            );
        }
        let (sent, calls) = (truth.node(replica.address), replica.calls().await);
        assert_eq!(sent.commands["GET"], calls["get"]);
        assert_eq!(sent.commands["READONLY"], calls["readonly"]);
    }
    let hot = cluster.shard_of("hot").await;
    assert_eq!(truth.node(cluster.servers[hot.primary].address).keys["hot"], 3000);
}
