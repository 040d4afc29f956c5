//! Scenes on a real cluster: even traffic, and in it one cause that makes one shard hot. Names, shards and noise are drawn from a seed.
//!
//! Of every cause there are two shapes, one of them within noise: then [`NOISE`] of what is done in the signal that the cause makes hot is
//! even traffic of others. Uneven slots have no noise beside them: there the even traffic itself is what makes a shard hot.

mod causes;

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use tokio::time::{Instant, sleep_until};

use crate::harness::cluster::{Cluster, Shard};
use crate::harness::traffic::{Chance, Plan, Traffic};

/// Commands a second in all, about.
const RATE: f64 = 1500.0;
/// What part of a signal is noise, where there is much of it and where there is little.
const NOISE: f64 = 0.7;
const LITTLE: f64 = 0.3;
/// Longer than anybody looks.
const SECONDS: f64 = 60.0;

/// Which shard a scene makes hot, in which signal, and what the verdict must say of it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub signal: &'static str,
    pub cause: &'static str,
    pub subject: Option<String>,
    /// Causes that other signals of the shard may have besides.
    pub beside: &'static [&'static str],
}

/// Everything that goes on at the same time.
pub(crate) struct Scene {
    pub name: String,
    /// The place of the hot shard; `None` where nothing is planted.
    pub hot: Option<usize>,
    pub truth: Option<Truth>,
    traffic: Traffic,
    churn: Option<Churn>,
    /// Who only listens: the server, and the command after which it does.
    listeners: Vec<(usize, Vec<String>)>,
}

/// Clients that connect, say a word and leave.
struct Churn {
    server: usize,
    per_second: f64,
    words: Vec<Vec<String>>,
}

impl Scene {
    /// Asks the servers what it must know of them, so that this isn't seen as load.
    pub(crate) async fn ready(mut self, cluster: &Cluster) -> Self {
        self.traffic = self.traffic.placed(cluster).await;
        self
    }

    /// Goes on for longer than anybody looks.
    pub(crate) async fn play(&self, cluster: &Cluster) {
        let mut parts: Vec<LocalBoxFuture<'_, ()>> = vec![Box::pin(async {
            self.traffic.run(cluster).await;
        })];
        parts.extend(
            self.churn
                .iter()
                .map(|churn| Box::pin(churn.go_on(cluster)) as LocalBoxFuture<'_, ()>),
        );
        for (server, command) in &self.listeners {
            parts.push(Box::pin(listen(cluster, *server, command)));
        }
        join_all(parts).await;
    }
}

impl Churn {
    async fn go_on(&self, cluster: &Cluster) {
        let start = Instant::now();
        for number in 0..(self.per_second * SECONDS) as u32 {
            sleep_until(start + Duration::from_secs_f64(f64::from(number) / self.per_second)).await;
            let mut connection = cluster.servers[self.server].connect().await;
            for word in &self.words {
                let word: Vec<&str> = word.iter().map(String::as_str).collect();
                connection.call(&word).await.expect("the server answers");
            }
        }
    }
}

/// Takes what comes, until the scene is over.
async fn listen(cluster: &Cluster, server: usize, command: &[String]) {
    let mut connection = cluster.servers[server].connect().await;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    connection.send(&[command]).await.expect("the server takes it");
    while connection.receive().await.is_ok() {}
}

/// One real cluster, and chance.
pub(crate) struct World<'a> {
    pub cluster: &'a Cluster,
    pub shards: Vec<Shard>,
    chance: Chance,
}

impl<'a> World<'a> {
    pub(crate) async fn new(cluster: &'a Cluster, seed: u64) -> Self {
        Self {
            cluster,
            shards: cluster.shards().await,
            chance: Chance(seed),
        }
    }

    /// A shard is drawn to be the hot one.
    pub(crate) fn draw_shard(&mut self) -> usize {
        self.chance.below(self.shards.len())
    }

    /// Each shard has a hot key of its own, so none is hotter than the others.
    pub(crate) async fn alike(&mut self) -> Scene {
        let mut scene = self.even(LITTLE * RATE).await;
        scene.name = "a hot key in every shard".to_owned();
        let rate = (1.0 - LITTLE) * RATE / self.shards.len() as f64;
        for shard in 0..self.shards.len() {
            let word = self.word();
            let key = self.keys(&format!("{word}:#"), shard, 1).await.remove(0);
            scene = scene.with(Plan::new("GET", &key, count(rate)).per_second(rate).on_replica());
        }
        scene
    }

    /// Traffic that is the same everywhere.
    pub(crate) async fn even(&mut self, rate: f64) -> Scene {
        Scene {
            name: format!("even traffic, {rate:.0} commands a second"),
            hot: None,
            truth: None,
            traffic: self.noise(rate).await,
            churn: None,
            listeners: Vec::new(),
        }
    }

    async fn scene(
        &mut self,
        hot: usize,
        noisy: bool,
        noise: f64,
        signal: &'static str,
        cause: &'static str,
        subject: Option<String>,
    ) -> Scene {
        Scene {
            name: format!("{cause}, noisy: {noisy}"),
            hot: Some(hot),
            truth: Some(Truth {
                signal,
                cause,
                subject,
                beside: &[],
            }),
            ..self.even(noise).await
        }
    }

    /// What is noise, and what is planted, in commands a second.
    fn split(noisy: bool) -> (f64, f64) {
        let noise = if noisy { NOISE } else { LITTLE };
        (noise * RATE, (1.0 - noise) * RATE)
    }

    /// Reads of values so large, as many in every shard, that send so many bytes a second in all.
    async fn bytes_everywhere(&mut self, size: usize, per_second: f64) -> Plan {
        let word = self.word();
        let mut keys = Vec::new();
        for shard in 0..self.shards.len() {
            let of_shard = self.keys(&format!("{word}:#:page"), shard, 8).await;
            for key in &of_shard {
                let server = &self.cluster.servers[self.shards[shard].primary];
                server.call(&["SET", key, &"p".repeat(size)]).await;
            }
            keys.extend(of_shard);
        }
        self.cluster.replicated().await;
        let rate = per_second / size as f64;
        Plan::spread("GET", keys, count(rate))
            .per_second(rate)
            .on_replica()
            .from("127.0.1.1")
    }

    /// Calls that take some time each, as many in every shard, which use so many cores in all.
    async fn cores_everywhere(&mut self, cores: f64) -> Plan {
        let word = self.word();
        let mut keys = Vec::new();
        for shard in 0..self.shards.len() {
            let key = self.keys(&format!("{word}:#:bits"), shard, 1).await.remove(0);
            let server = &self.cluster.servers[self.shards[shard].primary];
            server.call(&["SETBIT", &key, "3200000", "1"]).await;
            keys.push(key);
        }
        self.cluster.replicated().await;
        let each = self.cost_of(0, &["BITCOUNT", &keys[0]]).await;
        let rate = cores / each;
        Plan::spread("BITCOUNT", keys, count(rate))
            .per_second(rate)
            .on_replica()
            .from("127.0.1.2")
    }

    /// Seconds of its main thread that a call takes on the shard's primary.
    async fn cost_of(&self, shard: usize, call: &[&str]) -> f64 {
        const CALLS: u32 = 20;
        let server = &self.cluster.servers[self.shards[shard].primary];
        let mut connection = server.connect().await;
        let before = server.main_thread_cpu();
        for _ in 0..CALLS {
            connection.call(call).await.expect("the server answers");
        }
        (server.main_thread_cpu() - before).as_secs_f64() / f64::from(CALLS)
    }

    /// Reads and writes of several kinds by several clients, as much of each in every shard.
    async fn noise(&mut self, rate: f64) -> Traffic {
        let kinds: [(&str, &[&str], bool); 6] = [
            ("GET", &[], true),
            ("SET", &["value"], false),
            ("HGETALL", &[], true),
            ("HSET", &["field", "value"], false),
            ("ZSCORE", &["member"], true),
            ("EXPIRE", &["600"], false),
        ];
        let weights: Vec<f64> = kinds.iter().map(|_| 1.0 + self.chance.below(5) as f64).collect();
        let whole: f64 = weights.iter().sum();
        let mut traffic = Traffic::new(self.chance.below(1 << 30) as u64);
        for (number, ((command, arguments, reads), weight)) in kinds.into_iter().zip(&weights).enumerate() {
            let word = self.word();
            let mut keys = Vec::new();
            for shard in 0..self.shards.len() {
                keys.extend(self.keys(&format!("{word}:#"), shard, 150).await);
            }
            let rate = rate * weight / whole;
            let plan = Plan::spread(command, keys, count(rate))
                .with(arguments)
                .per_second(rate)
                .from(&format!("127.0.1.{}", 1 + number % 3));
            traffic = traffic.plan(if reads { plan.on_replica() } else { plan });
        }
        traffic
    }

    /// So many keys of the shard, with numbers for `#`.
    async fn keys(&mut self, name: &str, shard: usize, count: usize) -> Vec<String> {
        let mut keys = Vec::new();
        while keys.len() < count {
            let key = name.replace('#', &(100_000 + self.chance.below(800_000)).to_string());
            if self.shards[shard].owns(crc16(tag_of(&key)) & 0x3FFF) && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// A key of that slot that is like no other.
    fn key_in(&mut self, slot: u16, tagged: bool) -> String {
        let first = self.word();
        loop {
            let tag = format!("{}{}", self.word(), self.chance.below(100));
            let key = if tagged {
                format!("{first}:{{{tag}}}")
            } else {
                format!("{first}:{tag}")
            };
            if crc16(tag_of(&key)) & 0x3FFF == slot {
                return key;
            }
        }
    }

    /// A word that is no number, hash or date.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "ka", "lo", "mi", "ru", "te", "so", "na", "vi", "po", "du", "re", "ha", "zi", "gu", "wo", "ye",
        ];
        (0..4).map(|_| SYLLABLES[self.chance.below(SYLLABLES.len())]).collect()
    }
}

impl Scene {
    fn with(mut self, plan: Plan) -> Self {
        self.traffic = self.traffic.plan(plan);
        self
    }

    fn beside(mut self, causes: &'static [&'static str]) -> Self {
        if let Some(truth) = &mut self.truth {
            truth.beside = causes;
        }
        self
    }
}

fn count(rate: f64) -> u64 {
    (rate * SECONDS) as u64
}

/// What of a key decides its slot.
fn tag_of(key: &str) -> &str {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or("", |(tag, _)| tag);
    if tag.is_empty() { key } else { tag }
}

/// The servers' checksum, bit by bit.
fn crc16(text: &str) -> u16 {
    text.bytes().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum: u16, _| {
            if sum & 0x8000 == 0 {
                sum << 1
            } else {
                (sum << 1) ^ 0x1021
            }
        })
    })
}
