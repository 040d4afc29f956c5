//! Scenes on a real cluster: even traffic, and in it one cause that makes one shard hot. Names, shards and noise are drawn from a seed.

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use tokio::time::{Instant, sleep_until};

use crate::harness::cluster::{Cluster, Shard};
use crate::harness::traffic::{Chance, Plan, Traffic};

/// Commands a second in all, about.
const RATE: f64 = 1500.0;
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

    /// The same key again and again: read among others' traffic, or counted up within much of it.
    pub(crate) async fn single_key(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let name = self.word();
        let key = self.keys(&format!("{name}:#:state"), hot, 1).await.remove(0);
        let (noise, rate) = Self::split(noisy);
        let plan = match noisy {
            false => Plan::new("GET", &key, count(rate)).on_replica(),
            true => Plan::new("HINCRBY", &key, count(rate)).with(&["seen", "1"]),
        };
        let scene = self.scene(hot, noisy, noise, "commands", "single_key", Some(key)).await;
        scene.with(plan.per_second(rate).from("127.0.2.7"))
    }

    /// Forty keys of one tag, all alike: read, or written to within much other traffic.
    pub(crate) async fn hash_tag(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let name = self.word();
        let tagged = self.keys(&format!("{name}:{{t#}}"), hot, 1).await.remove(0);
        let tag = &tagged[tagged.find('{').expect("a tag")..];
        let first = self.word();
        let keys: Vec<String> = (0..40).map(|item| format!("{first}:{tag}:{item}")).collect();
        let (noise, rate) = Self::split(noisy);
        let scene = self
            .scene(hot, noisy, noise, "commands", "hash_tag", Some(tag.to_owned()))
            .await;
        let reads = |part: f64| {
            Plan::spread("GET", keys.clone(), count(rate * part))
                .per_second(rate * part)
                .on_replica()
        };
        match noisy {
            false => scene.with(reads(0.5)).with(reads(0.5).from("127.0.1.2")),
            true => scene.with(reads(0.5)).with(
                Plan::spread("SET", keys.clone(), count(rate * 0.5))
                    .with(&["x"])
                    .per_second(rate * 0.5)
                    .from("127.0.1.2"),
            ),
        }
    }

    /// Keys that have nothing in common but their slot, with and without tags of their own.
    pub(crate) async fn slot(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let name = self.word();
        let slot = crc16(&self.keys(&format!("{name}#"), hot, 1).await[0]) & 0x3FFF;
        let keys: Vec<String> = (0..14).map(|_| self.key_in(slot, noisy)).collect();
        let said = self.cluster.slots_of(&keys).await;
        assert!(said.iter().all(|said| *said == slot), "{keys:?}: {said:?}");
        let (noise, rate) = Self::split(noisy);
        let scene = self
            .scene(hot, noisy, noise, "commands", "slot", Some(slot.to_string()))
            .await;
        let part = rate / 2.0;
        let plan = Plan::spread(if noisy { "HGETALL" } else { "GET" }, keys, count(part))
            .per_second(part)
            .on_replica();
        scene.with(plan.clone()).with(plan.from("127.0.1.3"))
    }

    /// One family of keys, all alike, that is used in this shard alone.
    pub(crate) async fn pattern(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let (first, last) = (self.word(), self.word());
        let keys = self.keys(&format!("{first}:#:{last}"), hot, 400).await;
        let (noise, rate) = Self::split(noisy);
        let name = Some(format!("{first}:{{ID}}:{last}"));
        let scene = self.scene(hot, noisy, noise, "commands", "pattern", name).await;
        let part = rate / 3.0;
        (1..=3).fold(scene, |scene, client| {
            let plan = match noisy {
                false => Plan::spread("GET", keys.clone(), count(part)).on_replica(),
                true => Plan::spread("SETEX", keys.clone(), count(part)).with(&["900", "v"]),
            };
            scene.with(plan.per_second(part).from(&format!("127.0.1.{client}")))
        })
    }

    /// A few replies of hundreds of kilobytes: whole sorted sets, or large strings within much other traffic.
    pub(crate) async fn fat_replies(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let keys = self.keys(&format!("{word}:#"), hot, 4).await;
        let server = &self.cluster.servers[self.shards[hot].primary];
        for key in &keys {
            if noisy {
                server.call(&["SET", key, &"x".repeat(50_000)]).await;
            } else {
                let script = "for i = 1, 2000 do redis.call('ZADD', KEYS[1], i, string.rep('m', 90) .. i) end";
                server.call(&["EVAL", script, "1", key]).await;
            }
        }
        self.cluster.replicated().await;
        let name = Some(format!("{word}:{{ID}}"));
        let noise = if noisy { 0.8 * RATE } else { 0.3 * RATE };
        let scene = self
            .scene(hot, noisy, noise, "bytes_out", "fat_replies", name)
            .await
            .beside(&["expensive_command"]);
        match noisy {
            false => scene.with(
                Plan::spread("ZREVRANGE", keys, count(15.0))
                    .with(&["0", "-1"])
                    .per_second(15.0)
                    .on_replica(),
            ),
            true => scene.with(Plan::spread("GET", keys, count(80.0)).per_second(80.0).on_replica()),
        }
    }

    /// Calls that look at everything and answer little: KEYS, or a search through a long list within much other traffic.
    pub(crate) async fn expensive_command(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let key = self.keys(&format!("{word}:{{#}}"), hot, 1).await.remove(0);
        let shard = self.shards[hot].clone();
        let script = match noisy {
            false => "for i = 1, 100000 do redis.call('SET', KEYS[1] .. i, 1) end",
            true => "for i = 1, 150000 do redis.call('RPUSH', KEYS[1], 'element' .. i) end",
        };
        self.cluster.servers[shard.primary]
            .call(&["EVAL", script, "1", &key])
            .await;
        self.cluster.replicated().await;
        let command = if noisy { "LPOS" } else { "KEYS" };
        let (noise, _) = Self::split(noisy);
        let scene = self
            .scene(hot, noisy, noise, "cpu", "expensive_command", Some(command.to_owned()))
            .await
            .beside(&["single_key", "client"]);
        let plan = match noisy {
            false => Plan::new("KEYS", "nothing:*:at:all", count(40.0)).on_server(shard.replicas[0]),
            true => Plan::new("LPOS", &key, count(100.0)).with(&["nowhere"]).on_replica(),
        };
        scene.with(plan.per_second(if noisy { 100.0 } else { 40.0 }).from("127.0.2.9"))
    }

    /// One client reads whatever the shard has: all its keys, or those of many kinds within much other traffic.
    pub(crate) async fn client(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let address = format!("127.0.3.{}", 1 + self.chance.below(250));
        let mut keys = Vec::new();
        for _ in 0..if noisy { 6 } else { 1 } {
            let word = self.word();
            keys.extend(self.keys(&format!("{word}:#"), hot, 200).await);
        }
        let (noise, rate) = Self::split(noisy);
        let scene = self
            .scene(hot, noisy, noise, "commands", "client", Some(address.clone()))
            .await;
        let plan = Plan::spread(if noisy { "TTL" } else { "GET" }, keys, count(rate));
        scene.with(plan.per_second(rate).on_replica().from(&address))
    }

    /// Clients that connect for each word they say: to the replica, or to the primary within much other traffic.
    pub(crate) async fn connection_churn(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let key = self.keys(&format!("{word}:#"), hot, 1).await.remove(0);
        let said = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let noise = if noisy { 0.5 * RATE } else { 0.2 * RATE };
        let mut scene = self
            .scene(hot, noisy, noise, "commands", "connection_churn", None)
            .await
            .beside(&["single_key"]);
        let shard = &self.shards[hot];
        scene.churn = Some(match noisy {
            false => Churn {
                server: shard.replicas[0],
                per_second: 150.0,
                words: vec![said(&["READONLY"]), said(&["GET", &key])],
            },
            true => Churn {
                server: shard.primary,
                per_second: 250.0,
                words: vec![said(&["PING"])],
            },
        });
        scene
    }

    /// Somebody else reads a MONITOR stream, while values of some size are written everywhere.
    pub(crate) async fn other_monitor(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let mut keys = Vec::new();
        for shard in 0..self.shards.len() {
            keys.extend(self.keys(&format!("{word}:#"), shard, 50).await);
        }
        let noise = if noisy { 0.7 * RATE } else { 0.1 * RATE };
        let mut scene = self
            .scene(hot, noisy, noise, "bytes_out", "other_monitor", None)
            .await
            .beside(&["other_monitor"]);
        let replica = self.shards[hot].replicas[0];
        let clients = if noisy { 2 } else { 1 };
        scene.listeners = vec![(replica, vec!["MONITOR".to_owned()]); clients];
        let writes = 1800.0 / clients as f64;
        let value = "v".repeat(3000);
        scene.with(
            Plan::spread("SET", keys, count(writes))
                .with(&[&value])
                .per_second(writes)
                .from("127.0.1.2"),
        )
    }

    /// Messages: to everybody, or by the shard's own channel on its primary within much other traffic.
    pub(crate) async fn pubsub(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let channel = self.keys(&format!("{word}:#"), hot, 1).await.remove(0);
        let (noise, rate) = Self::split(noisy);
        let (publish, subscribe) = if noisy {
            ("SPUBLISH", "SSUBSCRIBE")
        } else {
            ("PUBLISH", "SUBSCRIBE")
        };
        let shard = self.shards[hot].clone();
        let place = shard.primary;
        let mut scene = self
            .scene(hot, noisy, noise, "commands", "pubsub", Some(publish.to_owned()))
            .await;
        scene.listeners = vec![(place, vec![subscribe.to_owned(), channel.clone()])];
        let plan = Plan::new(publish, &channel, count(rate)).with(&["a message"]);
        scene.with(plan.per_second(rate).on_server(place).from("127.0.1.3"))
    }

    /// A key that is read on its primary alone, where no window looks; the replicas have traffic of their own.
    pub(crate) async fn unseen(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let key = self.keys(&format!("{word}:#"), hot, 1).await.remove(0);
        let (noise, rate) = Self::split(noisy);
        let scene = self
            .scene(
                hot,
                noisy,
                noise,
                "commands",
                "unexplained",
                Some("coverage".to_owned()),
            )
            .await;
        // The same clients as everywhere: one alone would be told by its count of commands, where the server has such.
        let plan = Plan::new(if noisy { "TTL" } else { "GET" }, &key, count(rate / 3.0)).per_second(rate / 3.0);
        (1..=3).fold(scene, |scene, client| {
            scene.with(plan.clone().from(&format!("127.0.1.{client}")))
        })
    }

    /// The shard owns so many slots more than before, all used alike.
    pub(crate) async fn slot_ownership(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let primary = self.shards[hot].primary;
        let moved = if noisy { 1500 } else { 1000 };
        for place in (0..self.shards.len()).filter(|place| *place != hot) {
            let from = self.shards[place].primary;
            self.cluster.reshard(from, primary, moved).await;
        }
        self.shards = self.cluster.shards().await;
        let is_it = |shard: &Shard| shard.primary == primary;
        let hot = self.shards.iter().position(is_it).expect("it has slots");
        let slots: usize = self.shards[hot].slots.iter().map(ExactSizeIterator::len).sum();
        let word = self.word();
        let keys: Vec<String> = (0..6000)
            .map(|_| format!("{word}:{}", 100_000 + self.chance.below(800_000)))
            .collect();
        let reads = Plan::spread("GET", keys.clone(), count(RATE))
            .per_second(RATE)
            .on_replica();
        let writes = Plan::spread("SET", keys, count(RATE / 2.0))
            .with(&["v"])
            .per_second(RATE / 2.0);
        let plain = Scene {
            name: format!("slot_ownership, noisy: {noisy}"),
            hot: Some(hot),
            truth: Some(Truth {
                signal: "commands",
                cause: "slot_ownership",
                subject: Some(format!("{slots} slots")),
                beside: &[],
            }),
            traffic: Traffic::new(self.chance.below(1 << 30) as u64),
            churn: None,
            listeners: Vec::new(),
        };
        let scene = plain.with(reads);
        if noisy { scene.with(writes) } else { scene }
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
        let noise = if noisy { 0.7 } else { 0.3 };
        (noise * RATE, (1.0 - noise) * RATE)
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
