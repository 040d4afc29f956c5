//! Whether more shards would help, by what real servers count for each slot: of load that one slot makes, and of slots unevenly spread.

use std::time::Duration;

use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);
const SECONDS: u64 = 20;
/// Slots that move to the first shard.
const MOVED: u32 = 4_000;

fn configuration(cluster: &Cluster) -> String {
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\nslot_stats_interval = \"3s\"\n\
         [discovery]\ninterval = \"2s\"\n[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\non_hot = false\n",
        cluster.servers[0].address
    )
}

/// Reads of many keys, so many a second in all.
fn spread(rate: u64) -> Plan {
    let keys = (0..2_000).map(|number| format!("user:{number}")).collect();
    Plan::spread("GET", keys, rate * SECONDS).per_second(rate as f64)
}

/// Watches while the traffic runs, until the hot shard's diagnosis answers so, with this in its evidence.
async fn check(cluster: &Cluster, traffic: Traffic, helps: bool, sentence: &str) {
    let daemon = Hotshard::serve(&configuration(cluster)).await;
    let look = async {
        eventually(sentence, DEADLINE, async || {
            let answer = daemon.get("/api/v1/groups/orders/report").await?;
            let report: serde_json::Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
            let finding = &report["diagnosis"][0];
            let evidence = finding["evidence"].to_string();
            let says_so = finding["resharding_helps"] == helps && evidence.contains(sentence);
            if says_so {
                Ok(())
            } else {
                Err(report["diagnosis"].to_string())
            }
        })
        .await;
    };
    tokio::join!(traffic.run(cluster), look);
    daemon.stop().await;
}

async fn check_server(plan: ServerPlan) {
    let cluster = Cluster::shaped(plan.set("cluster-slot-stats-enabled", "yes"), 3, 0).await;
    let slot = cluster.slots_of(&["hot".to_owned()]).await[0];
    let hot = Plan::new("GET", "hot", 3_000 * SECONDS).per_second(3_000.0);
    let no = format!("more shards: no, slot {slot} alone carries");
    check(&cluster, Traffic::new(5).plan(spread(600)).plan(hot), false, &no).await;
    cluster.reshard(1, 0, MOVED).await;
    let yes = "more shards: yes, the hottest would carry at best 1.";
    check(&cluster, Traffic::new(6).plan(spread(3_000)), true, yes).await;
}

#[tokio::test]
async fn valkey_8_tells_whether_more_shards_would_help() {
    check_server(Server::valkey8()).await;
}

#[tokio::test]
async fn valkey_9_tells_whether_more_shards_would_help() {
    check_server(Server::valkey9()).await;
}
