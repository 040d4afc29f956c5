//! The live page in a real browser.

use std::time::Duration;

use serde_json::Value;

use crate::harness::browser::{browse, browse_narrow};
use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::port::Port;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_page_names_the_hot_shard_and_its_cause() {
    let often = [
        "--poll.interval",
        "1s",
        "--monitor.schedule",
        "every 3s",
        "--monitor.window",
        "1s",
    ];
    let arguments: Vec<&str> = ["demo", "--shards", "3"].iter().chain(&often).copied().collect();
    let hotshard = Hotshard::start(&arguments).await;
    let diagnosed = async || {
        let answer = hotshard.get("/api/v1/groups").await?;
        let known: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let group = &known["groups"][0];
        let hot = group["shards"].as_array().into_iter().flatten();
        let is_hot = |shard: &&Value| shard["signals"]["commands"]["status"] == "very_hot";
        let shard = hot.filter(is_hot).filter_map(|shard| shard["shard"].as_str()).next();
        match (shard, group["diagnosis"][0]["cause"].as_str()) {
            (Some(shard), Some(_)) => Ok(shard.to_owned()),
            _ => Err(answer.body),
        }
    };
    let shard = eventually("a shard is hot for a reason", DEADLINE, diagnosed).await;
    let head = format!("Shard {shard} of demo is very hot");
    let page = browse(&format!("http://{}/", hotshard.address), &head);
    assert_eq!(page["errors"], Value::Array(Vec::new()), "{page:#}");
    let said = page["said"].as_str().expect("it says something");
    assert!(said.contains(&head), "{said}");
    let answer = hotshard.get("/api/v1/groups").await.expect("it answers");
    let known: Value = serde_json::from_str(&answer.body).expect("it is JSON");
    let findings = known["groups"][0]["diagnosis"].as_array().expect("there are findings");
    // Its figures may have moved on since the page was read; its cause hasn't.
    let cause = |finding: &Value| {
        let sentence = finding["sentence"].as_str().unwrap_or_default();
        let cause = sentence.split_once(": ").map_or("", |(_, cause)| cause);
        cause
            .split(|letter: char| letter.is_ascii_digit())
            .next()
            .unwrap_or(cause)
            .to_owned()
    };
    let named = |cause: &String| cause.len() > 5 && said.contains(cause.as_str());
    assert!(
        findings.iter().map(cause).any(|cause| named(&cause)),
        "{findings:?}\n{said}"
    );
    let while_open = browse_narrow(&format!("http://{}/", hotshard.address), "A window is open: ");
    let said = while_open["said"].as_str().expect("it says something");
    let live = said.lines().find(|line| line.starts_with("A window is open: "));
    let live = live.unwrap_or_else(|| panic!("the page shows what a window sees while it is open: {said}"));
    assert!(
        live.contains(" commands · ") && live.contains("Guards are fine"),
        "{live}"
    );
    for faults in ["errors", "cut"] {
        assert_eq!(while_open[faults], Value::Array(Vec::new()), "{while_open:#}");
    }
    hotshard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_a_window_could_not_see_and_what_would_show_it() {
    let pair = Cluster::disabled(Server::redis(), 1).await;
    let hotshard = Hotshard::serve(&format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nschedule = \"every 2s\"\n\
         window = \"1s\"\n[guards]\ncpu_max = 10.0\nbehind_max = \"10s\"\nsilence_max = \"5s\"\n",
        pair.servers[0].address
    ))
    .await;
    // None of them is seen on the replica.
    let reads = Traffic::new(7).plan(Plan::new("GET", "a", 12_000).per_second(200.0));
    let address = format!("http://{}/", hotshard.address);
    let hint = "It saw 0 % of the reads: 100 % go to the primary; monitor.nodes = \"primary\" (--use-primary) would see them, if it can bear that";
    let looked = tokio::task::spawn_blocking(move || browse(&address, hint));
    let page = tokio::select! {
        page = looked => page.expect("it ends"),
        _ = reads.run(&pair) => panic!("the traffic ended first"),
    };
    assert_eq!(page["errors"], Value::Array(Vec::new()), "{page:#}");
    // It is shown as it is when the text didn't come in time.
    let said = page["said"].as_str().expect("it says something");
    assert!(said.contains(hint), "{said}");
    hotshard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_not_found_is_not_called_quiet() {
    let nobody = Port::lease();
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"127.0.0.1:{}\"]\n",
        nobody.number()
    );
    let hotshard = Hotshard::serve(&config).await;
    let page = browse(
        &format!("http://{}/", hotshard.address),
        "orders: discovery fails (refused). The log says why.",
    );
    assert_eq!(page["errors"], Value::Array(Vec::new()), "{page:#}");
    let said = page["said"].as_str().expect("it says something");
    assert!(
        said.contains("No shard is known yet\n\norders: discovery fails (refused)"),
        "{said}"
    );
    assert!(said.contains("0 shards · discovery fails (refused)"), "{said}");
    assert!(said.contains("unknown") && !said.contains("none hot"), "{said}");
    hotshard.stop().await;
}
