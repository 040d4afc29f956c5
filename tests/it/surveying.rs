//! Real clusters found from one seed, and their names over failovers.

use std::sync::Arc;
use std::time::Duration;

use hotshard::model::{Endpoint, Group, GroupId, GroupKey, Region, Role, Slot};
use hotshard::node::survey::{Reach, survey};
use hotshard::node::{Accounts, Credentials, Dialer, LinkSettings};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::cli::{hotshard, told};
use crate::harness::cluster::Cluster;
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::link::{SETTINGS, encrypted, endpoint, login, plain, trusting};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(20);

fn reach(dialer: Dialer, credentials: Credentials) -> Reach {
    Reach {
        dialer,
        credentials,
        accounts: Accounts::default(),
        settings: SETTINGS,
        parameters: None,
    }
}

fn key() -> GroupKey {
    GroupKey {
        region: Region::new(""),
        id: GroupId::new("orders"),
    }
}

/// Nodes written down one by one: the cluster still says who owns which slots, and one that hangs delays nobody.
#[tokio::test]
async fn shards_that_are_given_node_by_node_know_their_slots() {
    let cluster = Cluster::shaped(Server::redis(), 3, 0).await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = hanging.local_addr().expect("it is bound");
    let shards = cluster.shards().await;
    let given = shards.iter().enumerate().map(|(number, shard)| {
        let address = cluster.servers[shard.primary].address;
        format!("\"{address}:shard-{number}\"")
    });
    let given: Vec<String> = given.collect();
    let daemon = Hotshard::serve(&format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{silent}:a\", {}]\n[poll]\ninterval = \"1s\"\n[monitor]\nenabled = false\n",
        given.join(", ")
    ))
    .await;
    for (number, shard) in shards.iter().enumerate() {
        let (name, owned): (_, usize) = (
            format!("shard-{number}"),
            shard.slots.iter().map(ExactSizeIterator::len).sum(),
        );
        let slots = eventually("its slots are known", SOON, async || {
            let figures = Figures::of(daemon.metrics().await);
            figures
                .find("hotshard_shard_slots", &[("shard", &name)])
                .ok_or("not yet")
        });
        assert_eq!(slots.await, owned as f64);
    }
    daemon.stop().await;
}

async fn found(reach: &Reach, seeds: &[Endpoint], previous: Option<&Group>) -> Group {
    survey(reach, &key(), seeds, previous).await.expect("a seed answers")
}

/// Members by shard, without roles.
fn names(group: &Group) -> Vec<String> {
    let shown = group.shards.iter().map(|shard| {
        let nodes: Vec<&str> = shard.nodes.iter().map(|node| node.id.as_str()).collect();
        format!("{}: {}", shard.id, nodes.join(" "))
    });
    shown.collect()
}

fn primary_of(group: &Group, shard: usize) -> Endpoint {
    let mut primaries = group.shards[shard]
        .nodes
        .iter()
        .filter(|node| node.role == Some(Role::Primary));
    primaries.next().expect("it has a primary").endpoint.clone()
}

/// The survey against the cluster's own shards; `host` is what every node is to be called by.
async fn check_cluster(cluster: &Cluster, group: &Group, host: &str) {
    let truth = cluster.shards().await;
    assert_eq!(group.shards.len(), truth.len());
    for shard in &truth {
        let here = |place: usize| Endpoint::new(host, cluster.servers[place].address.port());
        let slot = Slot::new(*shard.slots[0].start()).expect("a slot");
        let owns = |shard: &&hotshard::model::Shard| shard.slots.as_ref().is_some_and(|slots| slots.contains(slot));
        let found = group.shards.iter().find(owns).expect("a shard of the group owns it");
        let mut members: Vec<Endpoint> = shard
            .replicas
            .iter()
            .copied()
            .chain([shard.primary])
            .map(here)
            .collect();
        members.sort();
        let found_members: Vec<Endpoint> = found.nodes.iter().map(|node| node.endpoint.clone()).collect();
        assert_eq!(found_members, members);
        let slots: u32 = shard.slots.iter().map(|range| range.len() as u32).sum();
        assert_eq!(found.slots.as_ref().map(hotshard::model::SlotSet::len), Some(slots));
        for node in &found.nodes {
            let expected = if node.endpoint == here(shard.primary) {
                Role::Primary
            } else {
                Role::Replica
            };
            assert_eq!(node.role, Some(expected), "{}", node.id);
        }
    }
}

#[tokio::test]
async fn a_cluster_is_found_from_any_node_and_keeps_its_names_through_a_failover() {
    let mut cluster = Cluster::of(Server::redis()).await;
    let reach = reach(plain(), Credentials::none());
    let seeds: Vec<Endpoint> = cluster.servers.iter().map(endpoint).collect();
    let group = found(&reach, &seeds[..1], None).await;
    check_cluster(&cluster, &group, "127.0.0.1").await;
    assert_eq!(names(&found(&reach, &seeds[5..], None).await), names(&group));
    let ids: Vec<&str> = group.shards.iter().map(|shard| shard.id.as_str()).collect();
    assert_eq!(ids, ["0001", "0002", "0003"]);

    // The primary of the seed's own shard dies, and the seed with it if it is that.
    let victim = primary_of(&group, 0);
    let place = seeds
        .iter()
        .position(|seed| *seed == victim)
        .expect("one of the cluster's");
    cluster.servers[place].crash().await;
    let replaced = async || {
        let now = found(&reach, &seeds[place..=place], Some(&group)).await;
        assert_eq!(names(&now), names(&group), "no name changes");
        let mut primaries = now.shards[0]
            .nodes
            .iter()
            .filter(|node| node.role == Some(Role::Primary));
        let is_new = primaries.next().is_some_and(|node| node.endpoint != victim);
        if is_new { Ok(()) } else { Err(now) }
    };
    eventually("the replica takes over", SOON, replaced).await;
}

#[tokio::test]
async fn valkey_names_its_shards_itself() {
    let cluster = Cluster::of(Server::valkey9()).await;
    let reach = reach(plain(), Credentials::none());
    let group = found(&reach, &[endpoint(&cluster.servers[3])], None).await;
    check_cluster(&cluster, &group, "127.0.0.1").await;
    for shard in &group.shards {
        let server = cluster
            .servers
            .iter()
            .find(|server| endpoint(server) == shard.nodes[0].endpoint);
        let own = server
            .expect("one of the cluster's")
            .call(&["CLUSTER", "MYSHARDID"])
            .await
            .text();
        assert_eq!(shard.id.as_str(), &own[..8]);
    }
}

#[tokio::test]
async fn under_tls_nodes_go_by_their_names() {
    let authority = Arc::new(Authority::new());
    let plan = Server::redis()
        .tls(&authority)
        .password("orange")
        .set("cluster-announce-hostname", "localhost");
    let cluster = Cluster::of(plan).await;
    let reach = reach(encrypted(&trusting(&authority)), login(None, "orange"));
    let seed = Endpoint::new("localhost", cluster.servers[0].address.port());
    let agreed = async || {
        let group = found(&reach, std::slice::from_ref(&seed), None).await;
        // Host names spread by gossip.
        let named = group.nodes().all(|(_, node)| node.endpoint.host() == "localhost");
        if named { Ok(group) } else { Err(group) }
    };
    let group = eventually("every node announces its name", SOON, agreed).await;
    check_cluster(&cluster, &group, "localhost").await;
}

#[tokio::test]
async fn a_primary_and_its_replicas_are_found_from_one_of_them() {
    let mut trio = Cluster::disabled(Server::redis6(), 2).await;
    let reach = reach(plain(), Credentials::none());
    let seeds: Vec<Endpoint> = trio.servers.iter().map(endpoint).collect();
    let everyone = async || {
        let group = found(&reach, &seeds[1..2], None).await;
        if group.nodes().count() == 3 {
            Ok(group)
        } else {
            Err(group)
        }
    };
    let group = eventually("the primary knows its replicas", SOON, everyone).await;
    assert_eq!(group.shards.len(), 1);
    assert_eq!(primary_of(&group, 0), seeds[0]);
    assert_eq!(group.shards[0].slots, None);
    trio.servers[2].crash().await;
    let after = found(&reach, &seeds, Some(&group)).await;
    assert_eq!(names(&after), names(&group), "a configured node stays");
}

/// A primary that never gets round to sending them the data: its ROLE leaves them out.
fn reluctant() -> ServerPlan {
    let plan = Server::redis().set("repl-diskless-sync", "yes");
    plan.set("repl-diskless-sync-delay", "3600")
}

async fn attach(replica: &Server, primary: &Server) {
    let port = primary.address.port().to_string();
    replica.call(&["REPLICAOF", "127.0.0.1", &port]).await;
    let attached = async || {
        let replication = primary.info("replication").await;
        let told = replication
            .values()
            .any(|value| value.contains(&format!("port={}", replica.address.port())));
        if told { Ok(()) } else { Err(replication) }
    };
    eventually("the primary has heard of its replica", SOON, attached).await;
}

#[tokio::test]
async fn a_replica_that_still_copies_everything_is_one() {
    let (primary, replica) = (reluctant().start().await, Server::redis().start().await);
    attach(&replica, &primary).await;
    let listed = primary.call(&["ROLE"]).await;
    assert!(listed.items()[2].items().is_empty(), "ROLE would have told: {listed:?}");
    let reach = reach(plain(), Credentials::none());
    for seed in [&primary, &replica] {
        let group = found(&reach, &[endpoint(seed)], None).await;
        let mut both = [endpoint(&primary).to_string(), endpoint(&replica).to_string()];
        both.sort();
        assert_eq!(names(&group), [format!("0001: {}", both.join(" "))]);
        assert_eq!(primary_of(&group, 0), endpoint(&primary));
    }
}

/// Long before the next look at the whole group.
#[tokio::test]
async fn a_replica_that_attaches_itself_is_watched_at_once() {
    let (primary, replica) = (reluctant().start().await, Server::redis().start().await);
    let daemon = Hotshard::serve(&format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[discovery]\ninterval = \"1h\"\n\
         [monitor]\nenabled = false\n",
        primary.address
    ))
    .await;
    let known = async || {
        let figures = Figures::of(daemon.metrics().await);
        figures.count("hotshard_node_up", &[])
    };
    assert_eq!(known().await, 1);
    attach(&replica, &primary).await;
    let watched = async || match known().await {
        2 => Ok(()),
        nodes => Err(nodes),
    };
    eventually("the replica is watched", SOON, watched).await;
    daemon.stop().await;
}

#[tokio::test]
async fn no_seed_that_answers_is_an_error_that_names_the_first() {
    let port = crate::harness::port::Port::lease();
    let seed = Endpoint::new("127.0.0.1", port.number());
    let reach = reach(plain(), Credentials::none());
    let error = survey(&reach, &key(), std::slice::from_ref(&seed), None)
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), "refused");
    assert_eq!(
        error.to_string(),
        format!(
            "no node of orders could be asked for its topology (1 tried): cannot reach {seed}: connection refused; \
             check the port and that the server runs"
        )
    );
}

/// So long nobody would wait for one node that hangs.
const PATIENT: Duration = Duration::from_secs(60);

fn patient() -> Reach {
    let settings = LinkSettings {
        answer_timeout: PATIENT,
    };
    Reach {
        settings,
        ..reach(plain(), Credentials::none())
    }
}

#[tokio::test]
async fn members_and_seeds_that_hang_delay_nobodys_discovery() {
    let cluster = Cluster::of(Server::redis()).await;
    let shards = cluster.shards().await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = hanging.local_addr().expect("it is bound");
    let silent = Endpoint::new(silent.ip().to_string(), silent.port());
    // Whoever asks a shard's members one after another meets one of these first.
    for replica in shards.iter().flat_map(|shard| &shard.replicas) {
        cluster.servers[*replica].freeze();
    }
    let seed = endpoint(&cluster.servers[shards[0].primary]);
    let group = timeout(PATIENT / 2, found(&patient(), &[silent, seed], None)).await;
    for replica in shards.iter().flat_map(|shard| &shard.replicas) {
        cluster.servers[*replica].thaw();
    }
    assert_eq!(group.expect("in time").shards.len(), 3);
}

#[tokio::test]
async fn replicas_that_hang_are_given_up_at_the_same_time() {
    let group = Cluster::disabled(Server::redis(), 4).await;
    let [primary, replicas @ ..] = &group.servers[..] else {
        panic!("five servers")
    };
    replicas.iter().for_each(Server::freeze);
    let begun = Instant::now();
    let seeds = [endpoint(primary)];
    let known = found(&reach(plain(), Credentials::none()), &seeds, None).await;
    let took = begun.elapsed();
    replicas.iter().for_each(Server::thaw);
    assert_eq!(known.nodes().count(), 5);
    assert!(took < SETTINGS.answer_timeout * 2, "{took:?}");
}

#[tokio::test]
async fn groups_whose_seeds_hang_are_asked_side_by_side() {
    let server = Server::redis().start().await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = hanging.local_addr().expect("it is bound");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("h.toml");
    let mut groups = format!(
        "[poll]\ntimeout = \"3s\"\n[[groups]]\nid = \"near\"\nendpoints = [\"{}\"]\n",
        server.address
    );
    for number in 0..6 {
        groups += &format!("[[groups]]\nid = \"far-{number}\"\nendpoints = [\"{silent}\"]\n");
    }
    std::fs::write(&file, groups).expect("a temporary folder takes a file");
    for command in [&["endpoints", "-f", "endpoints"][..], &["check", "--connect"]] {
        let mut command = hotshard(command);
        command.arg("--config").arg(&file);
        let begun = Instant::now();
        let said = tokio::task::spawn_blocking(move || told(&mut command))
            .await
            .expect("it ends");
        let took = begun.elapsed();
        assert!(said.contains(&server.address.to_string()), "{said}");
        assert_eq!(said.matches("did not answer").count(), 6, "{said}");
        // One after another they would take 18 seconds.
        assert!(took < Duration::from_secs(12), "{took:?}: {said}");
    }
}
