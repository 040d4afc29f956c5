//! The load of each shard on real clusters, held against the truth of the traffic that made it.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::cluster::{Cluster, Shard};
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;
use crate::monitor::{Run, bounded};

/// How long traffic runs; the daemon begins to look in the midst of it.
const SECONDS: u64 = 16;
/// So much of it is looked at.
const WATCHED: u64 = 8;
const DEADLINE: Duration = Duration::from_secs(60);

/// A cluster and a few keys of each of its shards.
struct World {
    cluster: Cluster,
    shards: Vec<Shard>,
    keys: Vec<Vec<String>>,
}

/// What the daemon said, and what was true.
struct Seen {
    figures: Figures,
    /// By shard: commands and reply bytes a second.
    truth: Vec<(f64, f64)>,
    /// By server: cores used by the main thread.
    cpu: Vec<f64>,
}

impl World {
    async fn of(plan: ServerPlan) -> Self {
        let cluster = Cluster::of(plan).await;
        let shards = cluster.shards().await;
        let keys = keys_by_shard(&cluster, &shards).await;
        Self { cluster, shards, keys }
    }

    fn primary(&self, shard: usize) -> &Server {
        &self.cluster.servers[self.shards[shard].primary]
    }

    /// Gives all keys of a shard this value.
    async fn fill(&self, shard: usize, value: &str) {
        for key in &self.keys[shard] {
            self.primary(shard).call(&["SET", key, value]).await;
        }
    }

    /// Reads of a shard's keys, so many a second, on its primary, which MONITOR on a replica can't see.
    fn reads(&self, shard: usize, rate: u64) -> Plan {
        Plan::spread("GET", self.keys[shard].clone(), rate * SECONDS).per_second(rate as f64)
    }

    /// Runs the traffic, and starts the daemon when it runs; ends when `counter` says that it has seen enough.
    async fn watch(&self, traffic: Traffic, enough: u64) -> Seen {
        let begun = Instant::now();
        let run = async {
            let truth = traffic.run(&self.cluster).await;
            (truth, begun.elapsed().as_secs_f64())
        };
        let ((truth, seconds), (figures, cpu)) = tokio::join!(run, self.look(enough));
        let per_second = |shard: &Shard| {
            let nodes = || shard.replicas.iter().chain([&shard.primary]);
            let of_node = |place: &usize| truth.node(self.cluster.servers[*place].address);
            let commands: u64 = nodes().map(|place| of_node(place).command_count()).sum();
            let bytes: u64 = nodes().map(|place| of_node(place).reply_bytes).sum();
            (commands as f64 / seconds, bytes as f64 / seconds)
        };
        Seen {
            figures,
            truth: self.shards.iter().map(per_second).collect(),
            cpu,
        }
    }

    async fn look(&self, enough: u64) -> (Figures, Vec<f64>) {
        let daemon = Hotshard::serve(&configuration(&self.cluster)).await;
        let (begun, before) = (Instant::now(), self.cpu_times());
        let figures = eventually("enough has been counted", DEADLINE, async || {
            let figures = Figures::of(daemon.metrics().await);
            let counted = figures.sum("hotshard_shard_commands_total", &[]);
            if counted >= enough as f64 {
                Ok(figures)
            } else {
                Err(counted)
            }
        })
        .await;
        let seconds = begun.elapsed().as_secs_f64();
        let used = self.cpu_times().into_iter().zip(before);
        let cpu = used.map(|(after, before)| (after - before).as_secs_f64() / seconds);
        daemon.stop().await;
        (figures, cpu.collect())
    }

    fn cpu_times(&self) -> Vec<Duration> {
        self.cluster.servers.iter().map(Server::main_thread_cpu).collect()
    }

    /// The name that hotshard gave to a shard.
    fn name(&self, shard: usize, seen: &Seen) -> String {
        let node = self.primary(shard).address;
        seen.figures.shard_of(&node).expect("the primary is watched")
    }

    fn statuses(&self, signal: &str, seen: &Seen) -> Vec<String> {
        let status = |shard| seen.figures.status(&self.name(shard, seen), signal);
        (0..self.shards.len()).map(status).collect()
    }

    /// Commands and bytes a second of all shards are within 5 % of the truth.
    fn assert_true(&self, seen: &Seen) {
        for (shard, (commands, bytes)) in seen.truth.iter().enumerate() {
            let name = self.name(shard, seen);
            let rate = |metric| seen.figures.value(metric, &[("shard", &name)]);
            near(rate("hotshard_shard_commands_per_second"), *commands, "commands");
            near(rate("hotshard_shard_output_bytes_per_second"), *bytes, "bytes");
        }
    }
}

fn configuration(cluster: &Cluster) -> String {
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nenabled = false\n",
        cluster.servers[0].address
    )
}

async fn keys_by_shard(cluster: &Cluster, shards: &[Shard]) -> Vec<Vec<String>> {
    let candidates: Vec<String> = (0..100).map(|number| format!("user:{number}:profile")).collect();
    let slots = cluster.slots_of(&candidates).await;
    let of_shard = |shard: &Shard| {
        let owned = candidates.iter().zip(&slots).filter(|(_, slot)| shard.owns(**slot));
        owned.map(|(key, _)| key.clone()).take(10).collect()
    };
    shards.iter().map(of_shard).collect()
}

fn near(measured: f64, truth: f64, what: &str) {
    let off = (measured - truth).abs() / truth;
    assert!(
        off < 0.05,
        "{what}: {measured} is {:.1} % off the truth, {truth}",
        off * 100.0
    );
}

/// Ten times the reads on one primary, which its replica's MONITOR would never see.
async fn check_hot_primary(plan: ServerPlan) {
    let world = World::of(plan).await;
    for shard in 0..3 {
        world.fill(shard, "some value").await;
    }
    let traffic = Traffic::new(1)
        .plan(world.reads(0, 200))
        .plan(world.reads(1, 2000))
        .plan(world.reads(2, 200));
    let seen = world.watch(traffic, 2400 * WATCHED).await;
    world.assert_true(&seen);
    assert_eq!(world.statuses("commands", &seen), ["cold", "very_hot", "cold"]);
    assert_eq!(world.statuses("bytes_out", &seen), ["idle"; 3]);
    let name = world.name(1, &seen);
    let commands = |metric| seen.figures.value(metric, &[("shard", &name), ("signal", "commands")]);
    near(
        commands("hotshard_shard_deviation_ratio"),
        2000.0 / 800.0 - 1.0,
        "deviation",
    );
    near(commands("hotshard_shard_skew_ratio"), 10.0, "skew");
}

#[tokio::test]
async fn a_primary_with_ten_times_the_reads_is_very_hot_in_commands() {
    check_hot_primary(Server::redis()).await;
}

#[tokio::test]
async fn a_hot_primary_of_redis_6_is_very_hot_in_commands() {
    check_hot_primary(Server::redis6()).await;
}

#[tokio::test]
async fn a_hot_primary_of_valkey_8_is_very_hot_in_commands() {
    check_hot_primary(Server::valkey8()).await;
}

#[tokio::test]
async fn a_hot_primary_of_valkey_9_is_very_hot_in_commands() {
    check_hot_primary(Server::valkey9()).await;
}

/// Windows open after two polls: what these say of a few seconds is all that a round knows of the nodes' counters.
#[tokio::test]
async fn a_round_of_a_few_polls_says_what_was_sent() {
    const ROUNDS: u64 = 6;
    let world = World::of(bounded(Server::redis())).await;
    let seed = world.cluster.servers[0].address.to_string();
    let rate = |shard: usize| if shard == 1 { 800 } else { 400 };
    let seconds = 10 * ROUNDS;
    let traffic = (0..3).fold(Traffic::new(5), |traffic, shard| {
        let plan = |part: u64| {
            let rate = rate(shard) * part / 4;
            Plan::spread("GET", world.keys[shard].clone(), rate * seconds).per_second(rate as f64)
        };
        traffic.plan(plan(1)).plan(plan(3).on_replica())
    });
    let rounds = async {
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            let run = Run::new();
            let options = ["-d", "1", "-q", "--no-save-logs", "--poll.interval", "1s"];
            let arguments: Vec<&str> = ["-e", seed.as_str()].into_iter().chain(options).collect();
            let said = run.finish(&arguments).await;
            assert_eq!(said.code, Some(0), "{said:?}");
            seen.push(run.data());
        }
        seen
    };
    let traffic = traffic.placed(&world.cluster).await;
    let seen = tokio::select! {
        seen = rounds => seen,
        _ = traffic.run(&world.cluster) => panic!("the traffic was over before the rounds"),
    };
    for report in seen {
        for shard in 0..3 {
            let replica = world.cluster.servers[world.shards[shard].replicas[0]]
                .address
                .to_string();
            let shards = report["shards"].as_array().expect("a list").iter();
            let told = shards.clone().find(|told| told["node"] == replica.as_str());
            let told = told.unwrap_or_else(|| panic!("{replica} isn't in {report:#}"));
            let commands = told["signals"]["commands_per_second"].as_f64().expect("a rate");
            near(commands, rate(shard) as f64, "commands");
        }
    }
}

#[tokio::test]
async fn replies_of_a_megabyte_are_very_hot_in_bytes_and_normal_in_commands() {
    let world = World::of(Server::redis()).await;
    world.fill(0, "some value").await;
    world.fill(1, "some value").await;
    world.fill(2, &"x".repeat(1_000_000)).await;
    let large = |shard: usize, rate: u64| {
        Plan::spread("GET", world.keys[shard].clone(), rate * SECONDS).per_second(rate as f64)
    };
    let lengths = |shard: usize| Plan::spread("STRLEN", world.keys[shard].clone(), 150 * SECONDS).per_second(150.0);
    let mut traffic = Traffic::new(2);
    for shard in 0..3 {
        traffic = traffic.plan(large(shard, 20)).plan(lengths(shard));
    }
    let seen = world.watch(traffic, 3 * 170 * WATCHED).await;
    world.assert_true(&seen);
    assert_eq!(world.statuses("commands", &seen), ["normal"; 3]);
    assert_eq!(world.statuses("bytes_out", &seen), ["cold", "cold", "very_hot"]);
}

#[tokio::test]
async fn slow_commands_are_very_hot_in_cpu() {
    let world = World::of(Server::redis()).await;
    let (list, set, union) = {
        let key = &world.keys[0][0];
        (
            format!("{{{key}}}:list"),
            format!("{{{key}}}:set"),
            format!("{{{key}}}:union"),
        )
    };
    for thousand in 0..10 {
        let numbers: Vec<String> = (0..1000)
            .map(|number| (number * 7919 % 1000 + thousand).to_string())
            .collect();
        let mut push = vec!["RPUSH", &list];
        push.extend(numbers.iter().map(String::as_str));
        world.primary(0).call(&push).await;
        let members: Vec<String> = (0..200).map(|number| format!("{thousand}-{number}")).collect();
        let mut add = vec!["ZADD", &set];
        members.iter().for_each(|member| add.extend(["1", member]));
        world.primary(0).call(&add).await;
    }
    let traffic = Traffic::new(3)
        .plan(
            Plan::new("SORT", &list, 120 * SECONDS)
                .with(&["LIMIT", "0", "1"])
                .per_second(120.0),
        )
        .plan(
            Plan::new("ZUNIONSTORE", &union, 80 * SECONDS)
                .with(&["1", &set])
                .per_second(80.0),
        )
        .plan(world.reads(1, 200))
        .plan(world.reads(2, 200));
    let seen = world.watch(traffic, 3 * 200 * WATCHED).await;
    let name = world.name(0, &seen);
    assert_eq!(world.statuses("commands", &seen), ["normal"; 3]);
    assert_eq!(world.statuses("cpu", &seen), ["very_hot", "cold", "cold"]);
    let measured = seen.figures.value("hotshard_shard_cpu_ratio", &[("shard", &name)]);
    near(measured, seen.cpu[world.shards[0].primary], "CPU");
    let by_command = |command| {
        let labels = [("shard", name.as_str()), ("command", command)];
        seen.figures.value("hotshard_shard_command_cpu_seconds_total", &labels)
    };
    let node = world.primary(0).address.to_string();
    let all = seen
        .figures
        .value("hotshard_node_cpu_seconds_total", &[("node", &node)]);
    let both = by_command("SORT") + by_command("ZUNIONSTORE");
    // A command takes as long as the clock says; where the host is busy that is more than it used of the CPU.
    assert!(both > 0.5 * all, "{both} s in commands, {all} s of CPU");
}
