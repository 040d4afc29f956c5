//! The daemon as its user runs it, on real clusters, seen through a real Prometheus.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::cli::{hotshard, told};
use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::prometheus::{Prometheus, promtool};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::truth::Truth;
use crate::harness::wait::eventually;

/// Long enough for a few polls and one round of windows on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);
const HOT_KEY: &str = "product:4711:stock";
const SECONDS: u64 = 16;

/// A configuration for `cluster`, found from its first node, that looks often.
fn configuration(cluster: &Cluster, more: &str) -> String {
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n\
         [monitor]\nschedule = \"every 3s\"\nwindow = \"2s\"\n{more}",
        cluster.servers[0].address
    )
}

/// Reads of one key on a replica that make its shard hot, beside others everywhere.
fn traffic() -> Traffic {
    let profiles: Vec<String> = (100..400).map(|number| format!("user:{number}:profile")).collect();
    let others = |plan: Plan| plan.per_second(150.0).from("127.0.0.7");
    Traffic::new(11)
        .plan(others(
            Plan::spread("SET", profiles.clone(), 150 * SECONDS).with(&["some value"]),
        ))
        .plan(others(Plan::spread("GET", profiles, 150 * SECONDS).on_replica()))
        .plan(
            Plan::new("GET", HOT_KEY, 600 * SECONDS)
                .per_second(600.0)
                .on_replica()
                .from("127.0.0.66"),
        )
}

/// Drives the traffic on a cluster of `plan` while the daemon watches it, and holds what Prometheus saw against the truth.
async fn check_hot_shard(plan: ServerPlan, settings: &str) {
    let cluster = Cluster::of(plan).await;
    let daemon = Hotshard::serve(&configuration(&cluster, settings)).await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    let hot = cluster.shard_of(HOT_KEY).await;
    let node = cluster.servers[hot.replicas[0]].address;
    let shard = shard_of(&prometheus, &node.to_string()).await;
    let (truth, ()) = tokio::join!(async { traffic().run(&cluster).await }, async {
        see(&prometheus, &shard).await
    },);
    let metrics = daemon.metrics().await;
    promtool(&["check", "metrics"], &metrics).expect("promtool finds nothing to complain about");
    assert_clean(&metrics);
    assert!(sent(&truth, &cluster) > 0);
    daemon.stop().await;
    nothing_of_ours_is_left(&cluster).await;
}

/// The name hotshard gave to the shard of the node at this address.
async fn shard_of(prometheus: &Prometheus, node: &str) -> String {
    let expression = format!("hotshard_node_role{{node=\"{node}\", role=\"replica\"}} == 1");
    let found = eventually("the node has its role", DEADLINE, async || {
        let series = prometheus.query(&expression).await?;
        series
            .first()
            .map(|(labels, _)| labels["shard"].clone())
            .ok_or_else(|| format!("no {expression}"))
    });
    found.await.as_str().expect("a shard's name").to_owned()
}

/// Waits for what must show while the traffic runs: status, rate, and what the windows found.
async fn see(prometheus: &Prometheus, shard: &str) {
    let status = "sum by (shard) (hotshard_shard_status{signal=\"commands\", status=\"very_hot\"} == 1)";
    eventually("the hot shard alone is very hot", DEADLINE, async || {
        let hot = prometheus.query(status).await?;
        let names: Vec<_> = hot.iter().filter_map(|(labels, _)| labels["shard"].as_str()).collect();
        if names == [shard] {
            Ok(())
        } else {
            Err(format!("{names:?} instead of {shard}"))
        }
    })
    .await;
    let of = |metric: &str| format!("{metric}, shard=\"{shard}\"}}");
    let pattern = of("hotshard_pattern_share_ratio{pattern=\"product:{ID}:stock\"");
    prometheus.value(&pattern, |share| share > 0.6).await;
    prometheus
        .value(
            &of("hotshard_window_completeness_ratio{replication_group=\"orders\""),
            |ratio| ratio == 1.0,
        )
        .await;
    prometheus
        .value(&of("hotshard_windows_total{end=\"duration\""), |windows| windows >= 1.0)
        .await;
    let rate = format!("rate(hotshard_shard_commands_total{{command=\"GET\", shard=\"{shard}\"}}[6s])");
    // The hot key's reads, and this shard's part of the others, which is a third of 150 more or less.
    prometheus.value(&rate, |gets| (600.0..750.0).contains(&gets)).await;
}

/// A figure that is not known is left out, and no label holds what it must not.
fn assert_clean(metrics: &str) {
    assert!(!metrics.contains("NaN") && !metrics.contains("some value"), "{metrics}");
}

fn sent(truth: &Truth, cluster: &Cluster) -> u64 {
    cluster
        .servers
        .iter()
        .filter_map(|server| truth.node(server.address).keys.get(HOT_KEY).copied())
        .sum()
}

async fn nothing_of_ours_is_left(cluster: &Cluster) {
    for server in &cluster.servers {
        eventually("our connections are gone", DEADLINE, async || {
            let clients = server.call(&["CLIENT", "LIST"]).await.text();
            if clients.contains("name=hotshard") {
                Err(clients)
            } else {
                Ok(())
            }
        })
        .await;
    }
}

#[tokio::test]
async fn the_hot_shard_of_a_real_cluster_shows_in_prometheus() {
    check_hot_shard(Server::redis(), "").await;
}

#[tokio::test]
async fn the_hot_shard_shows_through_tls_and_a_password_file() {
    let authority = Arc::new(Authority::new());
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let secret = folder.path().join("password");
    std::fs::write(&secret, "planted-secret\n").expect("it can be written");
    let settings = format!(
        "[auth]\npassword_file = \"{}\"\n[tls]\nenabled = true\nca_file = \"{}\"\n",
        secret.display(),
        authority.ca_file().display()
    );
    check_hot_shard(Server::redis().tls(&authority).password("planted-secret"), &settings).await;
}

#[tokio::test]
async fn the_hot_shard_of_a_valkey_cluster_shows_in_prometheus() {
    check_hot_shard(Server::valkey9(), "").await;
}

#[tokio::test]
async fn a_node_that_dies_is_a_metric_and_a_line_of_the_log() {
    let mut cluster = Cluster::disabled(Server::redis(), 1).await;
    let daemon = Hotshard::serve(&configuration(&cluster, "")).await;
    let replica = cluster.servers[1].address.to_string();
    let up = async |expected: &str| {
        let line = format!("node=\"{replica}\"}} {expected}");
        eventually("node_up follows", DEADLINE, async || {
            let metrics = daemon.metrics().await;
            let found = metrics
                .lines()
                .any(|one| one.starts_with("hotshard_node_up{") && one.ends_with(&line));
            if found { Ok(()) } else { Err(metrics) }
        })
        .await;
    };
    up("1").await;
    cluster.servers[1].crash().await;
    up("0").await;
    assert_eq!(daemon.get("/readyz").await.expect("it answers").status, 200);
    let log = daemon.log();
    // Once that it closed the connection, once that it refuses the next.
    let told = log
        .lines()
        .filter(|line| line.contains("WARN") && line.contains(&replica))
        .count();
    assert!((1..=2).contains(&told), "said {told} times:\n{log}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_keeps_the_daemon_alive() {
    let settings = "[[groups]]\nid = \"gone\"\nendpoints = [\"127.0.0.1:1\"]\n[poll]\ninterval = \"1s\"\n";
    let daemon = Hotshard::serve(settings).await;
    let metrics = daemon.metrics().await;
    let failures = "hotshard_discovery_failures_total{replication_group=\"gone\",reason=\"refused\"} 1";
    assert!(metrics.contains(failures), "{metrics}");
    assert!(
        daemon.log().contains("cannot reach 127.0.0.1:1: connection refused"),
        "{}",
        daemon.log()
    );
    daemon.stop().await;
}

#[tokio::test]
async fn nothing_is_ready_before_a_silent_cluster_was_given_up() {
    // Its backlog takes connections; nobody ever answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = silent.local_addr().expect("it is bound");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hotshard.toml");
    let settings = format!(
        "[[groups]]\nid = \"silent\"\nendpoints = [\"{address}\"]\n[poll]\ninterval = \"6s\"\ntimeout = \"5s\"\n"
    );
    std::fs::write(&file, settings).expect("a temporary folder takes a file");
    let daemon = Hotshard::listening(&["serve", "--config", &file.display().to_string()]).await;
    let answer = daemon.get("/readyz").await.expect("it answers");
    assert_eq!(answer.status, 503, "{}", answer.body);
    eventually(
        "it is ready once the cluster was tried",
        DEADLINE,
        async || match daemon.get("/readyz").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(other),
        },
    )
    .await;
    let failed = "hotshard_discovery_failures_total{replication_group=\"silent\",reason=\"timed_out\"} 1";
    let metrics = daemon.metrics().await;
    assert!(metrics.contains(failed), "{metrics}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_demo_answers_on_every_route_and_stops_when_told() {
    let daemon = Hotshard::start(&["demo", "--monitor.schedule", "every 2s", "--monitor.window", "1s"]).await;
    for (path, within) in [
        ("/", "<!doctype html>"),
        ("/metrics", "hotshard_build_info"),
        ("/healthz", "ok"),
        ("/readyz", "ready"),
        ("/api/v1/groups", "demo"),
    ] {
        let answer = daemon.get(path).await.expect("it answers");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.to_lowercase().contains(within), "{path}: {}", answer.body);
    }
    eventually(
        "a planted shard is very hot and its windows closed",
        DEADLINE,
        async || {
            let metrics = daemon.metrics().await;
            let has = |name: &str, labels: &str| {
                metrics
                    .lines()
                    .any(|line| line.starts_with(name) && line.contains(labels) && !line.ends_with(" 0"))
            };
            let seen = has("hotshard_shard_status{", "signal=\"commands\",status=\"very_hot\"")
                && has("hotshard_windows_total{", "end=\"duration\"");
            if seen { Ok(()) } else { Err(metrics) }
        },
    )
    .await;
    promtool(&["check", "metrics"], &daemon.metrics().await).expect("promtool finds nothing to complain about");
    daemon.signal(Signal::INT);
    daemon.stop().await;
}

/// Runs a daemon that can't begin: one line says why, and nothing is on the disk that wasn't there.
fn check_refused(arguments: &[&str], said: &str) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let kept = [
        "--archive.path",
        "h.db",
        "--privacy.keys",
        "hash",
        "--privacy.secret-file",
        "secret",
    ];
    let words = told(hotshard(&[arguments, &kept].concat()).current_dir(folder.path()));
    assert!(words.contains(&format!("hotshard: {said}")), "{words}");
    assert!(words.ends_with("exit code 2\n"), "{words}");
    assert_eq!(words.lines().count(), 2, "{words}");
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "{arguments:?} left something behind");
}

#[tokio::test]
async fn a_daemon_that_cannot_begin_says_so_in_one_line_and_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hotshard.toml");
    std::fs::write(&file, "[[groups]]\nid = \"a\"\nendpoints = [\"127.0.0.1:1\"]\n").expect("it can be written");
    let serve = ["serve", "--config", &file.display().to_string()];
    for command in [&serve[..], &["demo"]] {
        let check = |more: &[&str], said: &str| check_refused(&[command, more].concat(), said);
        check(
            &["--web.listen-address", &address],
            &format!("cannot listen on {address}: it is in use"),
        );
        check(
            &["--web.listen-address", "127.0.0.1:0", "--otlp.endpoint", "nowhere"],
            "`nowhere` is no address of a collector",
        );
        check(
            &[
                "--web.listen-address",
                "127.0.0.1:0",
                "--web.config.file",
                "nowhere.yml",
            ],
            "cannot read nowhere.yml (web.config.file)",
        );
    }
}
