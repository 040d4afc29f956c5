//! The simulated cluster: what it says agrees with what it does, and we read it like a real one.

mod acts;
mod answers;
mod stream;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hotshard::model::{PerSecond, Timestamp};
use hotshard::node::probe::poll;
use hotshard::node::simulated::{Place, Plot, Scenario, Stage};
use hotshard::node::survey::{Reach, survey};
use hotshard::node::{Account, Accounts, Chunk, Credentials, Dialer, Link, LinkSettings, Tap, TapSettings};
use tokio::time::sleep;

use crate::harness::resp::{Connection, Value};

const EPOCH: Timestamp = Timestamp(1_795_219_200_000_000);

const PRIMARY: Place = Place { shard: 0, member: 0 };

const REPLICA: Place = Place { shard: 0, member: 1 };

fn stage(scenario: Scenario) -> Stage {
    Stage::new(scenario, 7, EPOCH)
}

fn dial(stage: &Stage, place: Place) -> io::Result<Connection> {
    stage
        .dial(stage.endpoint(place).expect("a place of the scenario"))
        .map(Connection::over)
}

fn connect(stage: &Stage, place: Place) -> Connection {
    dial(stage, place).expect("the server listens")
}

/// INFO's fields; of `cmdstat_…` the calls.
type Info = BTreeMap<String, f64>;

async fn info(connection: &mut Connection) -> Info {
    let reply = connection
        .call(&["INFO", "everything"])
        .await
        .expect("INFO is answered");
    fields(&reply.text())
}

fn fields(info: &str) -> Info {
    let number = |value: &str| value.trim_start_matches("calls=").split(',').next()?.parse().ok();
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, value)| Some((name.to_owned(), number(value)?)))
        .collect()
}

fn grown(before: &Info, after: &Info, field: &str) -> f64 {
    after.get(field).unwrap_or(&0.0) - before.get(field).unwrap_or(&0.0)
}

/// A MONITOR stream between two INFOs that came in it: the lines, and the counters on both sides.
async fn bracket(stage: &Stage, place: Place, span: Duration) -> (Vec<String>, Info, Info) {
    let mut tap = connect(stage, place);
    assert_eq!(
        tap.call(&["MONITOR"]).await.expect("it is allowed"),
        Value::Simple("OK".into())
    );
    let before = info(&mut tap).await;
    sleep(span).await;
    tap.send(&[vec!["INFO", "everything"]]).await.expect("it is sent");
    let mut lines = Vec::new();
    loop {
        match tap.receive().await.expect("the stream goes on") {
            Value::Simple(line) => lines.push(line),
            Value::Bulk(Some(text)) => return (lines, before, fields(&String::from_utf8_lossy(&text))),
            other => panic!("neither a line nor INFO: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_plays_the_same_bytes() {
    async fn played(seed: u64) -> (Vec<String>, Info) {
        let scenario = Scenario::demo(3, PerSecond(900.0));
        let stage = Stage::new(scenario, seed, EPOCH);
        let (lines, _, after) = bracket(&stage, REPLICA, Duration::from_secs(3)).await;
        (lines, after)
    }
    let first = played(7).await;
    assert!(first.0.len() > 500, "{} lines", first.0.len());
    assert_eq!(first, played(7).await);
    assert_ne!(first.0, played(8).await.0);
}

#[tokio::test(start_paused = true)]
async fn counters_agree_with_every_line() {
    for place in [PRIMARY, REPLICA] {
        let scenario = Scenario::new(2)
            .with(Plot::HotTag {
                shard: 0,
                rate: PerSecond(300.0),
            })
            .with(Plot::Evictions {
                shard: 0,
                rate: PerSecond(20.0),
            });
        let (lines, before, after) = bracket(&stage(scenario), place, Duration::from_secs(12)).await;
        let mut seen: BTreeMap<String, f64> = BTreeMap::new();
        for line in &lines {
            let command = line.split('"').nth(1).expect("a line has a command").to_lowercase();
            *seen.entry(format!("cmdstat_{command}")).or_default() += 1.0;
        }
        let administration = grown(&before, &after, "cmdstat_replconf");
        let processed = grown(&before, &after, "total_commands_processed") - administration;
        assert_eq!(lines.len() as f64, processed, "{place:?}");
        for (command, count) in &seen {
            assert_eq!(grown(&before, &after, command), *count, "{command} at {place:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_and_a_tap_of_ours_read_a_stage() {
    let stage = stage(Scenario::new(3));
    let group = stage.group();
    let (dialer, timeout) = (Dialer::Stage(stage.clone()), Duration::from_secs(1));
    for (shard, node) in group.nodes() {
        let settings = LinkSettings {
            answer_timeout: timeout,
        };
        let (nobody, account) = (Credentials::none(), Account::new());
        let link = Link::open(&dialer, &node.endpoint, &nobody, &account, settings)
            .await
            .expect("it listens");
        sleep(Duration::from_secs(1)).await;
        let poll = poll(&link).await.expect("it answers");
        assert_eq!(Some(poll.role.role()), node.role);
        assert!(poll.info.contains("\r\ncmdstat_get:calls="), "{}", poll.info);
        let shards = link.cluster().await.expect("it answers").expect("it is a cluster");
        assert_eq!(shards.len(), group.shards.len());

        let settings = TapSettings {
            primary_allowed: true,
            answer_timeout: timeout,
            ..TapSettings::default()
        };
        let mut tap = Tap::open(&dialer, &node.endpoint, &nobody, &account, settings)
            .await
            .expect("it is allowed");
        sleep(Duration::from_millis(500)).await;
        tap.ask_counters().await.expect("it is sent");
        let mut lines = 0;
        loop {
            match tap.read().await.expect("the stream goes on") {
                Chunk::Lines(bytes) => lines += bytes.iter().filter(|byte| **byte == b'\n').count(),
                Chunk::Counters(counters) => break assert!(counters.contains("# Commandstats")),
                Chunk::Closed | Chunk::Cut => panic!("the stream ended"),
            }
        }
        assert!(
            (100..2000).contains(&lines),
            "{lines} lines of {} in half a second",
            shard.id
        );
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_finds_the_stage_from_any_node() {
    let stage = stage(Scenario::new(3));
    let group = stage.group();
    let reach = Reach {
        dialer: Dialer::Stage(stage.clone()),
        credentials: Credentials::none(),
        accounts: Accounts::default(),
        settings: LinkSettings {
            answer_timeout: Duration::from_secs(1),
        },
        parameters: None,
    };
    for (_, seed) in group.nodes() {
        let found = survey(&reach, &group.key, std::slice::from_ref(&seed.endpoint), None).await;
        let found = found.expect("it is a cluster");
        for shard in &group.shards {
            let same = found
                .shards
                .iter()
                .find(|found| found.slots == shard.slots)
                .expect("its slots are owned");
            let endpoints = |shard: &hotshard::model::Shard| {
                let mut all: Vec<_> = shard
                    .nodes
                    .iter()
                    .map(|node| (node.endpoint.clone(), node.role))
                    .collect();
                all.sort();
                all
            };
            assert_eq!(endpoints(same), endpoints(shard));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slots_decide_how_the_traffic_is_shared_out() {
    let scenario = Scenario {
        slot_weights: vec![3.0, 1.0, 0.0],
        ..Scenario::new(3)
    };
    let stage = stage(scenario);
    sleep(Duration::from_secs(10)).await;
    let mut commands = Vec::new();
    for shard in 0..3 {
        let info = info(&mut connect(&stage, Place { shard, member: 0 })).await;
        commands.push(info["keyspace_hits"]);
    }
    assert!((commands[0] / commands[1] - 3.0).abs() < 0.3, "{commands:?}");
    assert_eq!(commands[2], 0.0);
}
