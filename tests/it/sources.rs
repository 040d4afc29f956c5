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
        if figures.find("hotshard_shard_commands_per_second", &[]).is_some() {
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

/// A server that was too late for us does all the same what it was asked.
#[tokio::test]
async fn what_we_asked_of_a_silent_server_is_no_load() {
    let server = Server::redis().start().await;
    let patient = configuration(&server, "");
    let daemon =
        Hotshard::serve(&patient.replace("interval = \"1s\"\n", "interval = \"1s\"\ntimeout = \"1s\"\n")).await;
    let until = async |what, metric, labels: &[(&str, &str)], least: f64| {
        eventually(what, DEADLINE, async || {
            let figures = figures(&daemon).await;
            match figures.find(metric, labels) {
                Some(value) if value >= least => Ok(figures),
                other => Err(other),
            }
        })
        .await
    };
    until("it answers", "hotshard_node_up", &[], 1.0).await;
    server.freeze();
    let late = [("reason", "timed_out")];
    until("polls fail", "hotshard_node_poll_failures_total", &late, 4.0).await;
    server.thaw();
    until("it answers again", "hotshard_node_up", &[], 1.0).await;
    for _ in 0..10 {
        server.call(&["GET", "key"]).await;
    }
    let reads = [("command", "GET")];
    let seen = until("reads are counted", "hotshard_shard_commands_total", &reads, 10.0).await;
    assert_eq!(seen.value("hotshard_node_commands_total", &[]), 10.0);
    daemon.stop().await;
}

/// The figures of slots are an extra: a server that begins to keep them from us has answered all the same.
#[tokio::test]
async fn a_server_that_tells_no_more_of_its_slots_is_not_down() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let secret = folder.path().join("password");
    std::fs::write(&secret, "lemon").expect("it can be written");
    let auth = format!(
        "[auth]\nusername = \"watcher\"\npassword_file = \"{}\"\n",
        secret.display()
    );
    let plan = Server::valkey9()
        .set("cluster-slot-stats-enabled", "yes")
        .user("watcher", "lemon", "~* +@all");
    let cluster = Cluster::shaped(plan, 3, 0).await;
    let place = cluster.shard_of("hot").await.primary;
    let server = &cluster.servers[place];
    let daemon = Hotshard::serve(&configuration(server, &auth)).await;
    let source = [("source", "slot_stats")];
    eventually("a slot is hot", DEADLINE, async || {
        server.call(&["SET", "hot", "value"]).await;
        let figures = figures(&daemon).await;
        match (
            figures.count("hotshard_slot_cpu_ratio", &[]),
            figures.find("hotshard_node_source", &source),
        ) {
            (1.., Some(1.0)) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    server.call(&["ACL", "SETUSER", "watcher", "-cluster|slot-stats"]).await;
    let seen = eventually("the slots are gone", DEADLINE, async || {
        let figures = figures(&daemon).await;
        match (
            figures.count("hotshard_slot_cpu_ratio", &[]),
            figures.find("hotshard_node_source", &source),
        ) {
            (0, Some(0.0)) => Ok(figures),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(seen.value("hotshard_node_up", &[]), 1.0);
    assert_eq!(seen.count("hotshard_node_poll_failures_total", &[]), 0);
    let log = daemon.stop().await;
    assert_eq!(log.matches("no figures of slots any more").count(), 1, "{log}");
}

/// What a primary sent its replica, by whichever of its counters tells it.
async fn check_replication_output(plan: ServerPlan) {
    let pair = Cluster::disabled(plan, 1).await;
    let [primary, replica] = [&pair.servers[0], &pair.servers[1]];
    let daemon =
        Hotshard::serve(&configuration(primary, "").replace("\"]", &format!("\", \"{}:only\"]", replica.address)))
            .await;
    let node = primary.address.to_string();
    let labels = [("node", node.as_str())];
    let sent = async || {
        let figures = figures(&daemon).await;
        figures.find("hotshard_node_replication_output_bytes_total", &labels)
    };
    eventually("the replica is attached", DEADLINE, async || {
        sent().await.ok_or("not yet")
    })
    .await;
    let written = 100 * 1_000;
    for number in 0..100 {
        primary
            .call(&["SET", &format!("key:{number}"), &"x".repeat(1_000)])
            .await;
    }
    let sent = eventually("what was written has been sent", DEADLINE, async || {
        match sent().await {
            Some(sent) if sent >= f64::from(written) => Ok(sent),
            other => Err(other),
        }
    })
    .await;
    assert!(sent < 1.2 * f64::from(written), "{sent} bytes");
    daemon.stop().await;
}

#[tokio::test]
async fn what_goes_to_replicas_is_told_by_every_kind_of_server() {
    check_replication_output(Server::redis6()).await;
    check_replication_output(Server::redis()).await;
    check_replication_output(Server::valkey8()).await;
    check_replication_output(Server::valkey9()).await;
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
