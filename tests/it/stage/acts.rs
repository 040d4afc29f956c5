//! Every act of a scenario leaves its trace.

use std::io;
use std::time::Duration;

use hotshard::model::{Bytes, PerSecond};
use hotshard::node::simulated::{Act, Plot, Scenario};
use tokio::time::{sleep, timeout};

use super::{PRIMARY, REPLICA, bracket, connect, dial, fields, grown, info, stage};

/// What ten seconds of an act add to a counter of its shard's nodes, within a tenth.
async fn check(plot: Plot, field: &str, expected: f64) {
    async fn played(scenario: Scenario, field: &str) -> f64 {
        let stage = stage(scenario);
        sleep(Duration::from_secs(10)).await;
        let mut sum = 0.0;
        for place in [PRIMARY, REPLICA] {
            sum += info(&mut connect(&stage, place)).await.get(field).unwrap_or(&0.0);
        }
        sum
    }
    let quiet = Scenario::new(2).rate(PerSecond(100.0));
    let added = played(quiet.clone().with(plot), field).await - played(quiet, field).await;
    assert!(
        (added / expected - 1.0).abs() < 0.1,
        "{plot:?} adds {added} to {field}, not {expected}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_act_shows_in_the_counters_it_should() {
    let (shard, rate) = (0, PerSecond(500.0));
    check(Plot::HotKey { shard, rate }, "cmdstat_get", 5000.0).await;
    check(Plot::HotTag { shard, rate }, "cmdstat_hgetall", 1875.0).await;
    check(Plot::WildClient { shard, rate }, "keyspace_hits", 5000.0).await;
    check(
        Plot::ConnectionChurn { shard, rate },
        "total_connections_received",
        5000.0,
    )
    .await;
    check(Plot::Evictions { shard, rate }, "evicted_keys", 5000.0).await;
    let rate = PerSecond(2.0);
    let reply = Bytes(1_000_000);
    check(Plot::FatReplies { shard, rate, reply }, "total_net_output_bytes", 20e6).await;
    let value = Bytes(100_000);
    // Once to the primary and once to the replica.
    check(Plot::BigValues { shard, rate, value }, "total_net_input_bytes", 4e6).await;
    let cost = Duration::from_millis(100);
    check(
        Plot::ExpensiveCommand { shard, rate, cost },
        "used_cpu_user_main_thread",
        20.0 * 0.1 * 0.6,
    )
    .await;
    check(Plot::Load { shard, factor: 0.0 }, "cmdstat_get", -10.0 * 50.0 * 0.416).await;
}

#[tokio::test(start_paused = true)]
async fn a_failover_swaps_the_roles_and_keeps_the_run_ids() {
    let seconds = Duration::from_secs;
    let stage = stage(Scenario::new(1).with(Act::new(Plot::Failover { shard: 0 }).starting(seconds(5))));
    let mut connections = [connect(&stage, PRIMARY), connect(&stage, REPLICA)];
    let mut seen = Vec::new();
    for _ in 0..2 {
        for connection in &mut connections {
            let role = connection.call(&["ROLE"]).await.expect("ROLE is answered");
            let server = connection
                .call(&["INFO", "server"])
                .await
                .expect("INFO is answered")
                .text();
            let run_id = server
                .lines()
                .find(|line| line.starts_with("run_id:"))
                .expect("it has one")
                .to_owned();
            seen.push((role.items()[0].text(), run_id));
        }
        sleep(seconds(6)).await;
    }
    let roles: Vec<&str> = seen.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["master", "slave", "slave", "master"]);
    assert_eq!((&seen[0].1, &seen[1].1), (&seen[2].1, &seen[3].1));
    // Replicated lines come from whoever is the primary now.
    let (lines, ..) = bracket(&stage, PRIMARY, seconds(1)).await;
    let primary = stage.endpoint(REPLICA).expect("a place").to_string();
    assert!(
        lines
            .iter()
            .any(|line| line.contains(&format!("[0 {primary}] \"SET\""))),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| !line.contains("\" \"EX\" \"")),
        "writes of clients don't come here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_every_count() {
    let seconds = Duration::from_secs;
    let act = Act::new(Plot::Restart(REPLICA))
        .starting(seconds(60))
        .until(seconds(62));
    let stage = stage(Scenario::new(1).with(act));
    let mut old = connect(&stage, REPLICA);
    sleep(seconds(59)).await;
    let before = info(&mut old).await;
    sleep(seconds(2)).await;
    assert!(old.call(&["PING"]).await.is_err(), "the process is gone");
    assert_eq!(
        dial(&stage, REPLICA).err().map(|error| error.kind()),
        Some(io::ErrorKind::ConnectionRefused)
    );
    sleep(seconds(2)).await;
    let after = info(&mut connect(&stage, REPLICA)).await;
    assert!(after["total_commands_processed"] < before["total_commands_processed"] / 10.0);
    assert_eq!(after["uptime_in_seconds"], 1.0);
    assert_eq!(info(&mut connect(&stage, PRIMARY)).await["sync_full"], 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_answers_when_it_is_over() {
    let seconds = Duration::from_secs;
    let stage = stage(Scenario::new(1).with(Act::new(Plot::Hang(REPLICA)).starting(seconds(2)).until(seconds(5))));
    let mut connection = connect(&stage, REPLICA);
    sleep(seconds(1)).await;
    let before = info(&mut connection).await;
    sleep(seconds(2)).await;
    connection
        .send(&[vec!["INFO", "everything"]])
        .await
        .expect("the socket takes it");
    assert!(timeout(seconds(1), connection.receive()).await.is_err(), "it hangs");
    let after = fields(&connection.receive().await.expect("it is over").text());
    // Three seconds of reads are missing; the writes of all four arrive at once.
    assert!((grown(&before, &after, "keyspace_hits") / before["keyspace_hits"] - 1.0).abs() < 0.2);
    assert!(grown(&before, &after, "cmdstat_set") > 2.5 * before["cmdstat_set"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusing_node_works_on_unseen() {
    let seconds = Duration::from_secs;
    let stage = stage(Scenario::new(1).with(Act::new(Plot::Refuse(REPLICA)).starting(seconds(2)).until(seconds(4))));
    let mut old = connect(&stage, REPLICA);
    sleep(seconds(3)).await;
    assert!(old.call(&["PING"]).await.is_err());
    assert!(dial(&stage, REPLICA).is_err());
    sleep(seconds(2)).await;
    let info = info(&mut connect(&stage, REPLICA)).await;
    assert!(info["total_commands_processed"] > 4.0 * 400.0);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_is_behind_by_what_was_written_since() {
    let behind = Duration::from_secs(3);
    let stage = stage(Scenario::new(1).with(Plot::Lag { place: REPLICA, behind }));
    sleep(Duration::from_secs(10)).await;
    let primary = info(&mut connect(&stage, PRIMARY)).await["master_repl_offset"];
    let replica = info(&mut connect(&stage, REPLICA)).await["slave_repl_offset"];
    assert!(
        ((primary - replica) / primary - 0.3).abs() < 0.05,
        "{replica} of {primary}"
    );
}
