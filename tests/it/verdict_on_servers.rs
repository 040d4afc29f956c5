//! The verdict on real clusters: whatever is planted is named with its shard and subject, and nothing where nothing is planted.
//!
//! Shards, names and noise are drawn anew in each run. A failure says the seed; `HOTSHARD_TEST_SEED` draws the same again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, interval};

use crate::harness::cluster::{Cluster, Shard};
use crate::harness::server::{Server, ServerPlan};
use crate::monitor::{Run, bounded};
use crate::planted::{Scene, World};

#[tokio::test]
async fn planted_causes_are_named_on_redis_7() {
    check_server(Server::redis(), false).await;
}

#[tokio::test]
async fn planted_causes_are_named_on_valkey_9() {
    check_server(Server::valkey9(), true).await;
}

/// Every cause, in turns clean and within much noise; the other server has it the other way round.
async fn check_server(plan: ServerPlan, noisy: bool) {
    let seed = seed();
    let cluster = Cluster::of(bounded(plan)).await;
    let mut world = World::new(&cluster, seed).await;
    let mut failures = Vec::new();
    let names = names(&world, &mut failures).await;
    let rate = if noisy { 900.0 } else { 2000.0 };
    check(world.even(rate).await, &world, &names, &mut failures).await;
    check(world.alike().await, &world, &names, &mut failures).await;
    check(world.single_key(noisy).await, &world, &names, &mut failures).await;
    check(world.hash_tag(!noisy).await, &world, &names, &mut failures).await;
    check(world.slot(noisy).await, &world, &names, &mut failures).await;
    check(world.pattern(!noisy).await, &world, &names, &mut failures).await;
    check(world.fat_replies(noisy).await, &world, &names, &mut failures).await;
    check(world.expensive_command(!noisy).await, &world, &names, &mut failures).await;
    check(world.client(noisy).await, &world, &names, &mut failures).await;
    check(world.connection_churn(!noisy).await, &world, &names, &mut failures).await;
    check(world.other_monitor(noisy).await, &world, &names, &mut failures).await;
    check(world.pubsub(!noisy).await, &world, &names, &mut failures).await;
    check(world.unseen(noisy).await, &world, &names, &mut failures).await;
    check(world.slot_ownership(!noisy).await, &world, &names, &mut failures).await;
    assert!(
        failures.is_empty(),
        "HOTSHARD_TEST_SEED={seed}\n{}",
        failures.join("\n")
    );
}

fn seed() -> u64 {
    match std::env::var("HOTSHARD_TEST_SEED") {
        Ok(text) => text.parse().expect("HOTSHARD_TEST_SEED is a number"),
        Err(_) => RandomState::new().hash_one("planted") >> 32,
    }
}

/// What hotshard calls the shard of each replica, from a round in which nothing is planted.
async fn names(world: &World<'_>, failures: &mut Vec<String>) -> BTreeMap<String, String> {
    let report = round(world).await.expect("a round of an idle cluster");
    let found = report["diagnosis"].as_array().expect("a list");
    if !found.is_empty() {
        failures.push(format!("nothing goes on: {:#}", report["diagnosis"]));
    }
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let shards = report["shards"].as_array().expect("a list");
    shards
        .iter()
        .map(|shard| (text(&shard["node"]), text(&shard["shard"])))
        .collect()
}

/// Plays the scene for a round, and holds the verdict against what was planted. Rates of a few seconds swing with whatever else the machine
/// does, so a scene has another round; a cause that isn't found in two is not found.
async fn check(scene: Scene, world: &World<'_>, names: &BTreeMap<String, String>, failures: &mut Vec<String>) {
    let scene = scene.ready(world.cluster).await;
    let mut errors = Vec::new();
    for _ in 0..2 {
        match attempt(&scene, world, names).await {
            Ok(()) => return,
            Err(error) => errors.push(error),
        }
    }
    failures.push(format!("{}: {}", scene.name, errors.join("\n")));
}

async fn attempt(scene: &Scene, world: &World<'_>, names: &BTreeMap<String, String>) -> Result<(), String> {
    let mut heat = Heat::default();
    let report = tokio::select! {
        report = round(world) => report?,
        () = scene.play(world.cluster) => return Err("the scene was over before the round".to_owned()),
        () = heat.watch(world) => return Err("the watch was over before the round".to_owned()),
    };
    judge(scene, world, names, &report, &heat).map_err(|error| format!("{error}: {:#}", report["diagnosis"]))
}

/// The CPU time of every shard's main threads, read again and again, by the kernel's account.
#[derive(Default)]
struct Heat {
    read: Vec<(Instant, Vec<Vec<Duration>>)>,
}

impl Heat {
    async fn watch(&mut self, world: &World<'_>) {
        let mut ticks = interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            let of_shard = |shard: &Shard| {
                let nodes = std::iter::once(&shard.primary).chain(&shard.replicas);
                nodes
                    .map(|node| world.cluster.servers[*node].main_thread_cpu())
                    .collect()
            };
            self.read
                .push((Instant::now(), world.shards.iter().map(of_shard).collect()));
        }
    }

    /// Whether within two seconds or more the shard's busiest node did so much more than the others' that to call it hot is no mistake,
    /// whatever it was that a busy machine let it do.
    fn was_hot(&self, shard: usize) -> bool {
        let later = |from: usize| self.read[from..].iter();
        let pairs = self
            .read
            .iter()
            .enumerate()
            .flat_map(|(place, before)| later(place).map(move |after| (before, after)));
        pairs
            .filter(|((from, _), (to, _))| to.duration_since(*from) >= Duration::from_secs(2))
            .any(|((from, before), (to, after))| {
                let seconds = to.duration_since(*from).as_secs_f64();
                let of_nodes = |(before, after): (&Vec<Duration>, &Vec<Duration>)| {
                    let nodes = before.iter().zip(after);
                    nodes
                        .map(|(before, after)| (*after - *before).as_secs_f64() / seconds)
                        .fold(0.0, f64::max)
                };
                let cores: Vec<f64> = before.iter().zip(after).map(of_nodes).collect();
                let mean = cores.iter().sum::<f64>() / cores.len() as f64;
                // What is called hot is 25 % over the mean and a tenth of a core; polls look at other moments than this.
                cores[shard] >= 0.08 && cores[shard] >= 1.15 * mean
            })
    }
}

async fn round(world: &World<'_>) -> Result<Value, String> {
    let run = Run::new();
    let seed = world.cluster.servers[0].address.to_string();
    let said = run
        .finish(&[
            "-e",
            &seed,
            "-d",
            "2",
            "-q",
            "--no-save-logs",
            "--poll.interval",
            "2500ms",
            "--guards.cpu-max",
            "10",
            "--guards.predicted-cost-max",
            "10",
            "--guards.behind-max",
            "10s",
            "--guards.silence-max",
            "5s",
        ])
        .await;
    if said.code == Some(0) {
        Ok(run.data())
    } else {
        Err(format!("{said:?}"))
    }
}

/// The findings, but those of CPU that nothing explains where the shard was hot indeed: the machine's other work is load that nobody planted,
/// and that it isn't explained is right.
fn named<'a>(report: &'a Value, world: &World<'_>, names: &BTreeMap<String, String>, heat: &Heat) -> Vec<&'a Value> {
    let place = |finding: &Value| {
        let of_shard = |shard: &Shard| {
            let replica = world.cluster.servers[shard.replicas[0]].address.to_string();
            finding["shard"] == shard_name(report, names, &replica)
        };
        world.shards.iter().position(of_shard)
    };
    let is_stray = |finding: &&Value| {
        let unexplained = finding["cause"] == "unexplained" && finding["signal"] == "cpu";
        unexplained && place(finding).is_some_and(|shard| heat.was_hot(shard))
    };
    let found = report["diagnosis"].as_array().expect("a list");
    found.iter().filter(|finding| !is_stray(finding)).collect()
}

/// What the report calls the shard of that replica. Before 7.2 servers have no name for a shard, and another order of the slots is another
/// order of the names.
fn shard_name<'a>(report: &'a Value, names: &'a BTreeMap<String, String>, replica: &str) -> &'a str {
    let shards = report["shards"].as_array().expect("a list");
    let named = shards.iter().find(|shard| shard["node"] == replica);
    named.map_or_else(|| &*names[replica], |shard| shard["shard"].as_str().expect("a name"))
}

fn judge(
    scene: &Scene,
    world: &World<'_>,
    names: &BTreeMap<String, String>,
    report: &Value,
    heat: &Heat,
) -> Result<(), String> {
    let found = named(report, world, names, heat);
    let Some((truth, hot)) = scene.truth.as_ref().zip(scene.hot) else {
        return match &found[..] {
            [] => Ok(()),
            _ => Err("a cause was invented".to_owned()),
        };
    };
    let replica = world.cluster.servers[world.shards[hot].replicas[0]].address.to_string();
    let shard = shard_name(report, names, &replica);
    let Some(first) = found.iter().find(|finding| finding["signal"] == truth.signal) else {
        return Err(format!("{shard} is not hot in {}", truth.signal));
    };
    let said = (&first["shard"], &first["cause"], first["subject"].as_str());
    if said != (&shard.into(), &truth.cause.into(), truth.subject.as_deref()) {
        return Err(format!("{shard}, {truth:?} was planted, not {said:?}"));
    }
    for finding in found {
        let cause = finding["cause"].as_str().expect("a text");
        let is_planted = cause == truth.cause && finding["subject"].as_str() == truth.subject.as_deref();
        if finding["shard"] != shard || !(is_planted || truth.beside.contains(&cause)) {
            return Err(format!("{shard}, {truth:?} was planted, besides {cause}"));
        }
    }
    Ok(())
}
