//! What servers of each kind serve beside INFO, and what hotshard makes of it.

use std::time::Duration;

use crate::harness::cluster::Cluster;
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

fn configuration(server: &Server, more: &str) -> String {
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}:only\"]\n[poll]\ninterval = \"1s\"\nslot_stats_interval = \"2s\"\n\
         [monitor]\nenabled = false\n{more}",
        server.address
    )
}

async fn figures(daemon: &Hotshard) -> Figures {
    Figures::of(daemon.metrics().await)
}

/// Which sources a server of this plan serves, and that finding out counts neither as load nor as errors.
async fn check(plan: ServerPlan, more: &str, expected: &str) {
    let server = plan.start().await;
    let daemon = Hotshard::serve(&configuration(&server, more)).await;
    let total = "hotshard_node_commands_total";
    let seen = eventually("two polls have been compared", DEADLINE, async || {
        let figures = figures(&daemon).await;
        if figures.find(total, &[]).is_some() {
            Ok(figures)
        } else {
            Err("not yet")
        }
    })
    .await;
    let source = |name| seen.find("hotshard_node_source", &[("source", name)]);
    let said = ["monitor", "slot_stats", "commandlog", "client_list"].map(|name| match source(name) {
        Some(1.0) => name.to_owned(),
        Some(_) => format!("no {name}"),
        None => format!("{name}?"),
    });
    assert_eq!(said.join(", "), expected);
    // Our own commands, their answers and their errors are nobody's load.
    assert_eq!(
        (seen.value(total, &[]), seen.sum("hotshard_node_errors_total", &[])),
        (0.0, 0.0)
    );
    if let Some(bytes) = seen.find("hotshard_node_output_bytes_total", &[]) {
        assert_eq!(bytes, 0.0);
    }
    let log = daemon.stop().await;
    assert_eq!(log.matches("sources of the node").count(), 1, "{log}");
}

#[tokio::test]
async fn what_a_server_serves_is_found_out_and_said_once() {
    check(
        Server::redis6(),
        "",
        "monitor, no slot_stats, no commandlog, no client_list",
    )
    .await;
    check(
        Server::redis(),
        "",
        "monitor, no slot_stats, no commandlog, no client_list",
    )
    .await;
    check(
        Server::valkey8(),
        "",
        "monitor, no slot_stats, no commandlog, client_list",
    )
    .await;
    check(Server::valkey9(), "", "monitor, no slot_stats, commandlog, client_list").await;
}

#[tokio::test]
async fn a_user_without_monitor_is_told_apart() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let secret = folder.path().join("password");
    std::fs::write(&secret, "lemon").expect("it can be written");
    let auth = format!(
        "[auth]\nusername = \"watcher\"\npassword_file = \"{}\"\n",
        secret.display()
    );
    let plan = |rules| Server::redis().user("watcher", "lemon", rules);
    check(
        plan("+@all -monitor"),
        &auth,
        "no monitor, no slot_stats, no commandlog, no client_list",
    )
    .await;
    check(
        plan("+@all -multi"),
        &auth,
        "monitor?, no slot_stats, no commandlog, no client_list",
    )
    .await;
}

/// Before each window the server is asked for limits that this user, as everybody on ElastiCache, may not see.
#[tokio::test]
async fn what_a_server_refuses_us_is_no_error_of_its_clients() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let secret = folder.path().join("password");
    std::fs::write(&secret, "lemon").expect("it can be written");
    let server = Server::valkey9()
        .user("watcher", "lemon", "~* +@all -config")
        .start()
        .await;
    let settings = format!(
        "nodes = \"primary\"\nschedule = \"every 2s\"\nwindow = \"1s\"\n[guards]\nsilence_max = \"5s\"\ncpu_max = 10.0\n\
         behind_max = \"10s\"\n[auth]\nusername = \"watcher\"\npassword_file = \"{}\"\n",
        secret.display()
    );
    let daemon = Hotshard::serve(&configuration(&server, "").replace("enabled = false\n", &settings)).await;
    let opened = async |so_many: f64| {
        eventually("windows were open", DEADLINE, async || {
            let figures = figures(&daemon).await;
            let windows = figures.sum("hotshard_windows_total", &[]);
            if windows >= so_many { Ok(figures) } else { Err(windows) }
        })
        .await
    };
    opened(1.0).await;
    let mut client = server.connect().await;
    client.call(&["NOSUCH"]).await.expect("it is answered");
    let seen = opened(4.0).await.sum("hotshard_node_errors_total", &[]);
    assert_eq!(seen, 1.0);
    daemon.stop().await;
}

/// The hot slot by the server's own counters, held against the traffic.
async fn check_hot_slot(plan: ServerPlan) {
    let cluster = Cluster::shaped(plan.set("cluster-slot-stats-enabled", "yes"), 3, 0).await;
    let hot = cluster.shard_of("hot").await;
    let server = &cluster.servers[hot.primary];
    let slot = cluster.slots_of(&["hot".to_owned()]).await[0].to_string();
    server.call(&["SET", "hot", &"x".repeat(1_000)]).await;
    let traffic = Traffic::new(6).plan(Plan::new("GET", "hot", 600 * 14).per_second(600.0));
    let look = async {
        let daemon = Hotshard::serve(&configuration(server, "")).await;
        let output = eventually("the slot's bytes show", DEADLINE, async || {
            let figures = figures(&daemon).await;
            let label = [("slot", slot.as_str())];
            let output = figures
                .find("hotshard_slot_output_bytes_per_second", &label)
                .ok_or("none")?;
            let cpu = figures.value("hotshard_slot_cpu_ratio", &label);
            if output > 0.0 && cpu > 0.0 {
                Ok(output)
            } else {
                Err("nothing")
            }
        })
        .await;
        daemon.stop().await;
        output
    };
    let (_, output) = tokio::join!(traffic.run(&cluster), look);
    let truth = 600.0 * 1_009.0;
    assert!(
        (output - truth).abs() < 0.05 * truth,
        "{output} bytes a second, and {truth} were asked for"
    );
}

#[tokio::test]
async fn the_hot_slot_of_valkey_8_shows() {
    check_hot_slot(Server::valkey8()).await;
}

#[tokio::test]
async fn the_hot_slot_of_valkey_9_shows() {
    check_hot_slot(Server::valkey9()).await;
}
