//! What a window sees of its node and its shard, and what it knows that it can not see.

use std::collections::BTreeSet;
use std::time::Duration;

use hotshard::analysis::window::WindowEnd;
use hotshard::model::{Ratio, Role};

use crate::harness::cluster::Cluster;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::window::{Window, bounded, check_gone, read};

#[tokio::test]
async fn a_window_on_a_replica_misses_nothing_and_knows_what_it_can_not_see() {
    check_replica(Server::redis()).await;
    check_replica(Server::redis6()).await;
    check_replica(Server::valkey9()).await;
}

/// Of the shard's reads three quarters go to the primary.
async fn check_replica(plan: ServerPlan) {
    let pair = Cluster::disabled(bounded(plan), 1).await;
    let [primary, replica] = &pair.servers[..] else {
        panic!("two servers")
    };
    let traffic = Traffic::new(7)
        .plan(Plan::new("SET", "a", 600).with(&["1"]).per_second(300.0))
        .plan(Plan::new("GET", "a", 1500).per_second(750.0))
        .plan(Plan::new("GET", "a", 500).per_second(250.0).on_replica());
    let window = Window::on(replica, Duration::from_secs(2)).beside(primary, Role::Primary);
    let (window, _) = tokio::join!(async { read(window.opened().await).await }, traffic.run(&pair));
    assert_eq!(window.end, WindowEnd::Duration);
    assert_eq!(window.role, Role::Replica);
    let stats = &window.stats;
    assert!(stats.writes > 50 && stats.reads > 50, "{stats:?}");
    assert_eq!(stats.replicated, stats.writes, "all writes came by replication");
    let commands: BTreeSet<&str> = stats.commands_by_name.iter().map(|command| &*command.name).collect();
    assert_eq!(
        commands,
        BTreeSet::from(["GET", "SET"]),
        "the guard's and the stream's own looks are no load"
    );
    assert!(window.server_buffer_peak.is_some(), "the guard saw our client");
    let reads = window.coverage.reads.expect("both nodes were heard").0;
    assert!((0.15..0.4).contains(&reads), "coverage of reads {reads}");
    let writes = window.coverage.writes.expect("both nodes were heard").0;
    assert!(writes > 0.9, "coverage of writes {writes}");
    assert_eq!(window.completeness, Some(Ratio(1.0)));
    check_gone(replica).await;
}

#[tokio::test]
async fn a_window_on_a_primary_is_complete() {
    for plan in [Server::redis(), Server::valkey9()] {
        let pair = Cluster::disabled(bounded(plan), 1).await;
        let traffic = Traffic::new(7)
            .plan(Plan::new("SET", "a", 500).with(&["1"]).per_second(500.0))
            .plan(
                Plan::new("EVAL", "return redis.call('GET', 'a')", 500)
                    .with(&["0"])
                    .per_second(500.0),
            );
        let window = Window::on(&pair.servers[0], Duration::from_secs(1)).beside(&pair.servers[1], Role::Replica);
        let (window, _) = tokio::join!(async { read(window.opened().await).await }, traffic.run(&pair));
        assert_eq!(
            (window.end, window.completeness),
            (WindowEnd::Duration, Some(Ratio(1.0)))
        );
        assert_eq!(window.coverage.writes, Some(Ratio(1.0)));
    }
}

#[tokio::test]
async fn somebody_elses_monitor_on_the_primary_is_noticed_by_a_window_on_the_replica() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    let [primary, replica] = &pair.servers[..] else {
        panic!("two servers")
    };
    let noticed = async || {
        let window = Window::on(replica, Duration::from_millis(500)).beside(primary, Role::Primary);
        read(window.opened().await).await.stats.testimony.other_monitor
    };
    assert!(!noticed().await);
    let mut other = primary.connect().await;
    other.call(&["MONITOR"]).await.expect("an answer");
    assert!(noticed().await);
}
