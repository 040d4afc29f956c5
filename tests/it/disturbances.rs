//! Restarts, failovers, resets and resharding on a real cluster under steady load: none of them may look like load, neither in a status
//! nor in any rate as a real Prometheus computes it, and every node and shard keeps its name.

use std::time::Duration;

use crate::harness::cluster::{Cluster, Shard};
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::prometheus::Prometheus;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const SECONDS: u64 = 45;
/// Commands a second on each shard.
const RATE: f64 = 300.0;
const DEADLINE: Duration = Duration::from_secs(60);
/// A poll, and time for a loaded machine to show what it brought.
const ONE_POLL: Duration = Duration::from_secs(3);
/// Slots that are moved from the first shard to the second.
const MOVED: usize = 10;

#[tokio::test]
async fn disturbances_are_never_taken_for_load() {
    let cluster = Cluster::of(Server::redis().set("cluster-require-full-coverage", "no")).await;
    let shards = cluster.shards().await;
    let keys = keys_by_shard(&cluster, &shards).await;
    let traffic = reads(&keys);
    tokio::join!(traffic.run(&cluster), watch(&cluster, &shards, &keys));
}

/// Watches the cluster, whose load is steady from the beginning, and disturbs it.
async fn watch(cluster: &Cluster, shards: &[Shard], keys: &[Vec<String>]) {
    let daemon = Hotshard::serve(&configuration(cluster)).await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    let before = shard_names(cluster, &daemon).await;
    counted(&daemon, 3.0 * RATE * 5.0).await;
    fail_over(cluster, &shards[0], &daemon).await;
    for place in shards[1].replicas.iter().chain([&shards[1].primary]) {
        cluster.servers[*place].call(&["CONFIG", "RESETSTAT"]).await;
    }
    let _restarted = crash_and_restart(cluster, &shards[2], &daemon).await;
    reshard(cluster, keys, &daemon).await;
    counted(&daemon, 3.0 * RATE * 25.0).await;
    assert_eq!(before, shard_names(cluster, &daemon).await, "names stay");
    nothing_looked_like_load(&prometheus).await;
    daemon.stop().await;
}

fn configuration(cluster: &Cluster) -> String {
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\ntimeout = \"1s\"\n\
         [discovery]\ninterval = \"2s\"\n[monitor]\nenabled = false\n",
        cluster.servers[1].address
    )
}

async fn keys_by_shard(cluster: &Cluster, shards: &[Shard]) -> Vec<Vec<String>> {
    let candidates: Vec<String> = (0..60).map(|number| format!("user:{number}:profile")).collect();
    let slots = cluster.slots_of(&candidates).await;
    let owned = |shard: &Shard| {
        let of_shard = candidates.iter().zip(&slots).filter(|(_, slot)| shard.owns(**slot));
        of_shard.map(|(key, _)| key.clone()).take(5).collect()
    };
    shards.iter().map(owned).collect()
}

/// The same load on each shard, over connections to what are replicas now: they go on reading when they are promoted.
fn reads(keys: &[Vec<String>]) -> Traffic {
    let calls = RATE as u64 * SECONDS;
    keys.iter().fold(Traffic::new(4), |traffic, keys| {
        traffic.plan(Plan::spread("GET", keys.clone(), calls).per_second(RATE).on_replica())
    })
}

async fn figures(daemon: &Hotshard) -> Figures {
    Figures::of(daemon.metrics().await)
}

/// Each node's shard, as hotshard names it.
async fn shard_names(cluster: &Cluster, daemon: &Hotshard) -> Vec<Option<String>> {
    let figures = figures(daemon).await;
    let names = cluster.servers.iter().map(|server| figures.shard_of(&server.address));
    names.collect()
}

/// Waits until so many reads have been counted.
async fn counted(daemon: &Hotshard, reads: f64) {
    eventually("so much has been counted", DEADLINE, async || {
        let counted = figures(daemon)
            .await
            .sum("hotshard_shard_commands_total", &[("command", "GET")]);
        if counted >= reads { Ok(()) } else { Err(counted) }
    })
    .await;
}

async fn fail_over(cluster: &Cluster, shard: &Shard, daemon: &Hotshard) {
    let [old, new] = [&cluster.servers[shard.primary], &cluster.servers[shard.replicas[0]]];
    new.call(&["CLUSTER", "FAILOVER"]).await;
    taken_over(new).await;
    roles_follow(old, new, daemon).await;
}

async fn taken_over(new: &Server) {
    eventually("the replica is promoted", DEADLINE, async || {
        if new.is_primary().await {
            Ok(())
        } else {
            Err("a replica")
        }
    })
    .await;
}

async fn roles_follow(old: &Server, new: &Server, daemon: &Hotshard) {
    eventually("roles follow within one poll", ONE_POLL, async || {
        let figures = figures(daemon).await;
        let is = |server: &Server, role| {
            let node = server.address.to_string();
            figures.find("hotshard_node_role", &[("node", &node), ("role", role)])
        };
        match (is(old, "replica"), is(new, "primary")) {
            (Some(1.0), Some(1.0)) => Ok(()),
            roles => Err(roles),
        }
    })
    .await;
}

/// The primary dies, its replica takes over, and it comes back as a replica of that.
async fn crash_and_restart(cluster: &Cluster, shard: &Shard, daemon: &Hotshard) -> crate::harness::process::Process {
    let [old, new] = [&cluster.servers[shard.primary], &cluster.servers[shard.replicas[0]]];
    old.kill();
    taken_over(new).await;
    let restarted = old.run_again().await;
    old.linked().await;
    roles_follow(old, new, daemon).await;
    restarted
}

/// Moves slots that hold no key from the first shard to the second, and waits until that is seen.
async fn reshard(cluster: &Cluster, keys: &[Vec<String>], daemon: &Hotshard) {
    let of_key = async |key: &String| cluster.shard_of(key).await;
    let (from, to) = (of_key(&keys[0][0]).await, of_key(&keys[1][0]).await);
    let target = &cluster.servers[to.primary];
    let used = cluster.slots_of(&keys[0]).await;
    let free = from.slots.iter().cloned().flatten().filter(|slot| !used.contains(slot));
    for slot in free.take(MOVED) {
        cluster.move_slot(slot, &from, &to).await;
    }
    let slots = |shard: &Shard| -> usize { shard.slots.iter().map(|range| range.clone().count()).sum() };
    let expected = slots(&to) + MOVED;
    eventually("the shard has more slots", DEADLINE, async || {
        let figures = figures(daemon).await;
        let shard = figures.shard_of(&target.address).ok_or("the shard is gone")?;
        let seen = figures.find("hotshard_shard_slots", &[("shard", &shard)]);
        if seen == Some(expected as f64) {
            Ok(())
        } else {
            Err("other slots")
        }
    })
    .await;
}

/// Every rate of every counter stays at what was sent, and no shard was called anything but normal (or unknown, while it was).
async fn nothing_looked_like_load(prometheus: &Prometheus) {
    let bounded = [
        ("hotshard_node_commands_total", 1.5 * RATE),
        ("sum by (shard) (hotshard_shard_commands_total)", 1.5 * RATE),
        ("hotshard_node_keyspace_misses_total", 1.5 * RATE),
        ("hotshard_node_output_bytes_total", 20_000.0),
        ("hotshard_node_input_bytes_total", 60_000.0),
        ("hotshard_node_cpu_seconds_total", 1.0),
        // The test itself asks for roles fifty times a second, over new connections.
        ("hotshard_node_connections_received_total", 60.0),
    ];
    for (counter, most) in bounded {
        let rate = match counter
            .strip_prefix("sum by (shard) (")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            Some(inner) => format!("sum by (shard) (rate({inner}[5s]))"),
            None => format!("rate({counter}[5s])"),
        };
        let worst = prometheus
            .value(&format!("max(max_over_time(({rate})[2m:1s]))"), |_| true)
            .await;
        assert!(worst <= most, "{counter} rose by {worst} a second, more than {most}");
    }
    let gauge = "hotshard_shard_commands_per_second";
    let highest = prometheus
        .value(&format!("max(max_over_time({gauge}[2m]))"), |_| true)
        .await;
    assert!(highest < 1.1 * RATE, "{gauge} was {highest}");
    let judged = "sum by (status) (max_over_time(hotshard_shard_status{signal=\"commands\"}[2m]))";
    let statuses = prometheus.query(judged).await.expect("an expression");
    for (labels, shards) in statuses {
        let status = labels["status"].as_str().unwrap_or_default();
        let allowed = matches!(status, "normal" | "unknown" | "idle");
        assert!(allowed || shards == 0.0, "{shards} shards were called {status}");
    }
}
