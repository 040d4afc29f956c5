//! What changes while a group is watched: caches that come and go, roles, slots, and AWS itself.

use super::{DEADLINE, PASSWORD, alone, config, described, group_label, metrics, serve};
use crate::harness::aws::{Aws, Member, Mode, ReplicationGroup, VARIABLES};
use crate::harness::cluster::{Cluster, Shard};
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::resp::Value;
use crate::harness::server::Server;
use crate::harness::wait::eventually;

#[tokio::test]
async fn groups_of_a_glob_come_and_go_and_stay_while_aws_fails() {
    let (first, second) = (
        Server::redis().password(PASSWORD).start().await,
        Server::redis().password(PASSWORD).start().await,
    );
    let aws = Aws::start().await;
    aws.hold(&[alone("shop-a", &first), alone("other", &second)]);
    let hotshard = serve(&aws, "[[groups]]\nid = \"shop-*\"\n[[groups]]\nid = \"none\"\n").await;
    let up = |id: &str| {
        format!(
            "hotshard_node_up{{{},shard=\"0001\",node=\"{id}-001\"}} 1\n",
            group_label(id)
        )
    };
    let not_found = format!(
        "hotshard_discovery_failures_total{{{},reason=\"not_found\"}}",
        group_label("none")
    );
    metrics(&hotshard, &[up("shop-a"), not_found], &["shop-b", "\"other\""]).await;

    aws.hold(&[alone("shop-a", &first), alone("shop-b", &second)]);
    metrics(&hotshard, &[up("shop-a"), up("shop-b")], &[]).await;

    let last_success = async || {
        let labels = [("replication_group", "shop-b")];
        let figures = Figures::of(hotshard.metrics().await);
        figures.value("hotshard_discovery_last_success_timestamp_seconds", &labels)
    };
    aws.refuse("DescribeCacheClusters", "Throttling");
    let throttled = format!(
        "hotshard_discovery_failures_total{{{},reason=\"throttled\"}}",
        group_label("shop-b")
    );
    metrics(&hotshard, &[throttled], &[]).await;
    let known_since = last_success().await;
    for code in ["Throttling", "InternalFailure", "AccessDenied"] {
        aws.refuse("DescribeCacheClusters", code);
        let reason = match code {
            "Throttling" => "throttled",
            "AccessDenied" => "denied",
            _ => "refused",
        };
        let failed = format!(
            "hotshard_discovery_failures_total{{{},reason=\"{reason}\"}}",
            group_label("shop-b")
        );
        metrics(&hotshard, &[up("shop-a"), up("shop-b"), failed], &[]).await;
    }
    aws.answer("DescribeCacheClusters", "<half");
    let malformed = format!(
        "hotshard_discovery_failures_total{{{},reason=\"malformed\"}}",
        group_label("shop-b")
    );
    metrics(&hotshard, &[up("shop-a"), up("shop-b"), malformed], &[]).await;
    assert_eq!(last_success().await, known_since, "the age of what is known shows");

    aws.hold(&[alone("shop-b", &second)]);
    metrics(&hotshard, &[up("shop-b")], &["shop-a"]).await;
    let (asked, looked) = (
        aws.calls("DescribeReplicationGroups"),
        aws.calls("DescribeServerlessCaches"),
    );
    assert!(asked.abs_diff(looked) <= 1, "{asked} {looked}: one list for all groups");
    hotshard.stop().await;
}

#[tokio::test]
async fn a_change_of_roles_shows_at_the_next_poll_and_aws_is_asked_again() {
    let pair = Cluster::disabled(Server::redis().password(PASSWORD), 1).await;
    let [old, new] = [&pair.servers[0], &pair.servers[1]];
    let aws = Aws::start().await;
    let hold = |roles: [&'static str; 2]| {
        let members = [old, new].into_iter().zip(roles).enumerate();
        let member = |(number, (server, role)): (usize, (&Server, _))| Member {
            id: format!("orders-00{}", number + 1),
            address: Some(server.address),
            role: Some(role),
        };
        aws.hold(&[ReplicationGroup {
            id: "orders".into(),
            mode: Mode::Disabled,
            tls: false,
            shards: vec![("0001".into(), members.map(member).collect())],
        }]);
    };
    hold(["primary", "replica"]);
    let config = config(&aws, "[[groups]]\nid = \"orders\"\n").replace("\"1s\"\n[poll]", "\"1h\"\n[poll]");
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let primary_is = async |number: u8| {
        let role = |node: u8| {
            let orders = group_label("orders");
            let is_primary = u8::from(node == number);
            format!(
                "hotshard_node_role{{{orders},shard=\"0001\",node=\"orders-00{node}\",role=\"primary\"}} {is_primary}\n"
            )
        };
        metrics(&hotshard, &[role(1), role(2)], &[]).await;
    };
    primary_is(1).await;
    assert_eq!(aws.calls("DescribeReplicationGroups"), 1);
    new.call(&["REPLICAOF", "NO", "ONE"]).await;
    old.follow(new).await;
    // AWS still tells the former roles: a node's own word counts.
    primary_is(2).await;
    hold(["replica", "primary"]);
    eventually(
        "AWS is asked again long before its interval",
        DEADLINE,
        async || match aws.calls("DescribeReplicationGroups") {
            2 => Ok(()),
            calls => Err(calls),
        },
    )
    .await;
    primary_is(2).await;
    hotshard.stop().await;
}

#[tokio::test]
async fn slots_that_moved_are_known_when_the_first_client_is_sent_elsewhere() {
    let cluster = Cluster::of(Server::redis().password(PASSWORD)).await;
    let aws = Aws::start().await;
    aws.hold(&[described("orders", &cluster).await]);
    let config = config(&aws, "[[groups]]\nid = \"orders\"\n").replace("\"1s\"\n[poll]", "\"1h\"\n[poll]");
    let variables: Vec<(&str, &str)> = VARIABLES.into_iter().chain([("TOKEN", PASSWORD)]).collect();
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let before = cluster.shards().await;
    let size = |shard: &Shard| -> usize { shard.slots.iter().map(|range| range.clone().count()).sum() };
    let expect = async |moved: usize| {
        let slots = |number: usize, slots| {
            let orders = group_label("orders");
            format!("hotshard_shard_slots{{{orders},shard=\"000{number}\"}} {slots}\n")
        };
        let expected = [slots(1, size(&before[0]) - moved), slots(2, size(&before[1]) + moved)];
        metrics(&hotshard, &expected, &[]).await;
    };
    expect(0).await;
    let slot = *before[0].slots[0].start();
    cluster.move_slot(slot, &before[0], &before[1]).await;
    let (mut key, mut found) = (0, String::new());
    while found.is_empty() {
        let name = format!("key:{key}");
        if cluster.slots_of(std::slice::from_ref(&name)).await == [slot] {
            found = name;
        }
        key += 1;
    }
    let mut client = cluster.servers[before[0].primary].connect().await;
    let answer = client.call(&["GET", &found]).await.expect("it answers");
    assert!(
        matches!(&answer, Value::Error(text) if text.starts_with("MOVED")),
        "{answer:?}"
    );
    expect(1).await;
    assert_eq!(
        aws.calls("DescribeReplicationGroups"),
        1,
        "AWS has nothing to do with it"
    );
    hotshard.stop().await;
}
