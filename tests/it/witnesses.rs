//! What nodes tell around a window: causes that sit on primaries, where no window on a replica sees them.

use std::time::Duration;

use serde_json::Value;

use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);
const SECONDS: u64 = 24;
const WILD: &str = "127.0.0.9";

fn configuration(cluster: &Cluster) -> String {
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n\
         [monitor]\nschedule = \"every 4s\"\nwindow = \"2s\"\non_hot = false\n\
         [guards]\nsilence_max = \"5s\"\ncpu_max = 10.0\nbehind_max = \"10s\"\n",
        cluster.servers[0].address
    )
}

/// The same few reads of every shard, by everybody's client.
fn ordinary() -> Plan {
    let keys = (0..300).map(|number| format!("user:{number}")).collect();
    Plan::spread("GET", keys, 600 * SECONDS).per_second(600.0)
}

/// The finding about `signal` that is waited for while the traffic runs: its cause and subject, and all it says.
async fn finding(cluster: &Cluster, traffic: Traffic, signal: &str, (cause, subject): (&str, &str)) -> Value {
    let daemon = Hotshard::serve(&configuration(cluster)).await;
    let look = eventually("the cause is named", DEADLINE, async || {
        let answer = daemon.get("/api/v1/groups/orders/report").await?;
        let report: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let findings = report["diagnosis"].as_array().into_iter().flatten();
        let mut found = findings.filter(|finding| finding["signal"] == signal);
        let found = found.find(|finding| finding["cause"] == cause && finding["subject"] == subject);
        found.cloned().ok_or_else(|| report["diagnosis"].to_string())
    });
    let (_, found) = tokio::join!(traffic.run(cluster), look);
    daemon.stop().await;
    found
}

async fn cluster(plan: ServerPlan) -> Cluster {
    Cluster::of(plan.set("client-output-buffer-limit", "normal 256mb 0 0")).await
}

/// Five replies of 2 MB a second: few commands, and the node's own log has them all.
#[tokio::test]
async fn fat_replies_that_a_primary_logged_are_named_with_their_pattern() {
    let cluster = cluster(Server::valkey9()).await;
    let owner = cluster.shard_of("export:4711:blob").await;
    let secret = "s3cret".repeat(350_000);
    cluster.servers[owner.primary]
        .call(&["SET", "export:4711:blob", &secret])
        .await;
    let fat = Plan::new("GET", "export:4711:blob", 5 * SECONDS).per_second(5.0);
    let traffic = Traffic::new(3).plan(ordinary()).plan(fat);
    let found = finding(&cluster, traffic, "bytes_out", ("fat_replies", "export:{ID}:blob")).await;
    let evidence = found["evidence"].to_string();
    assert!(
        evidence.contains("large replies a minute to GET | export:{ID}:blob, 2.1 MB each"),
        "{evidence}"
    );
    assert!(!found.to_string().contains("s3cret"), "a value shows");
}

/// Reads of 100 KB by one client, which the others don't serve; each node counts what it sent to whom.
async fn check_wild_client(plan: ServerPlan) {
    let cluster = cluster(plan).await;
    let candidates: Vec<String> = (0..200).map(|number| format!("page:{number}")).collect();
    let owner = cluster.shard_of("page:0").await;
    let slots = cluster.slots_of(&candidates).await;
    let here = candidates.into_iter().zip(slots).filter(|(_, slot)| owner.owns(*slot));
    let keys: Vec<String> = here.map(|(key, _)| key).take(30).collect();
    for key in &keys {
        cluster.servers[owner.primary]
            .call(&["SET", key, &"x".repeat(100_000)])
            .await;
    }
    let wild = Plan::spread("GET", keys, 50 * SECONDS).per_second(50.0).from(WILD);
    let traffic = Traffic::new(4).plan(ordinary()).plan(wild);
    let found = finding(&cluster, traffic, "bytes_out", ("client", WILD)).await;
    let share = found["share"].as_f64().unwrap_or_default();
    assert!(share > 0.85, "{found}");
}

#[tokio::test]
async fn one_client_gone_wild_on_a_primary_of_valkey_8_is_named() {
    check_wild_client(Server::valkey8()).await;
}

#[tokio::test]
async fn one_client_gone_wild_on_a_primary_of_valkey_9_is_named() {
    check_wild_client(Server::valkey9()).await;
}
