//! What is planted: every cause in two shapes.

use super::{Churn, LITTLE, NOISE, RATE, Scene, Truth, World, count, crc16};
use crate::harness::cluster::Shard;
use crate::harness::traffic::{Plan, Traffic};

impl World<'_> {
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

    /// A few replies of hundreds of kilobytes: whole sorted sets, or large strings among many more bytes of others. Somebody's MONITOR on
    /// the primary, which shows hardly anything, is not to be blamed for whole sorted sets.
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
        let mut scene = self
            .scene(hot, noisy, LITTLE * RATE, "bytes_out", "fat_replies", name)
            .await
            .beside(&["expensive_command"]);
        if noisy {
            let planted = 1.5e6;
            let noise = self.bytes_everywhere(4000, planted * NOISE / (1.0 - NOISE)).await;
            let rate = planted / 50_000.0;
            let large = Plan::spread("GET", keys, count(rate)).per_second(rate).on_replica();
            return scene.with(noise).with(large);
        }
        scene.listeners = vec![(self.shards[hot].primary, vec!["MONITOR".to_owned()])];
        let whole = Plan::spread("ZREVRANGE", keys, count(15.0)).with(&["0", "-1"]);
        scene.with(whole.per_second(15.0).on_replica())
    }

    /// Calls that look at everything and answer little: KEYS, or a search through a long list beside commands of others that take more time
    /// in all.
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
        let scene = self
            .scene(
                hot,
                noisy,
                LITTLE * RATE,
                "cpu",
                "expensive_command",
                Some(command.to_owned()),
            )
            .await
            .beside(&["single_key", "client"]);
        if noisy {
            let planted = 0.15;
            let noise = self.cores_everywhere(planted * NOISE / (1.0 - NOISE)).await;
            let rate = planted / self.cost_of(hot, &["LPOS", &key, "nowhere"]).await;
            let search = Plan::new("LPOS", &key, count(rate)).with(&["nowhere"]).on_replica();
            return scene.with(noise).with(search.per_second(rate).from("127.0.2.9"));
        }
        let all = Plan::new("KEYS", "nothing:*:at:all", count(40.0)).on_server(shard.replicas[0]);
        scene.with(all.per_second(40.0).from("127.0.2.9"))
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
        // A word for each connection.
        let connections = 300.0;
        let noise = if noisy {
            connections * NOISE / (1.0 - NOISE)
        } else {
            LITTLE * RATE
        };
        let mut scene = self
            .scene(hot, noisy, noise, "commands", "connection_churn", None)
            .await
            .beside(&["single_key"]);
        let shard = &self.shards[hot];
        scene.churn = Some(match noisy {
            false => Churn {
                server: shard.replicas[0],
                per_second: connections,
                words: vec![said(&["READONLY"]), said(&["GET", &key])],
            },
            true => Churn {
                server: shard.primary,
                per_second: connections,
                words: vec![said(&["PING"])],
            },
        });
        scene
    }

    /// Somebody else reads a MONITOR stream while values of some size are written everywhere: of the replica, or two of them of the primary
    /// among many more bytes of others.
    pub(crate) async fn other_monitor(&mut self, noisy: bool) -> Scene {
        let hot = self.draw_shard();
        let word = self.word();
        let mut keys = Vec::new();
        for shard in 0..self.shards.len() {
            keys.extend(self.keys(&format!("{word}:#"), shard, 50).await);
        }
        let mut scene = self
            .scene(hot, noisy, 0.1 * RATE, "bytes_out", "other_monitor", None)
            .await
            .beside(&["other_monitor"]);
        let shard = &self.shards[hot];
        let (place, streams, writes) = match noisy {
            false => (shard.replicas[0], 1, 1800.0),
            true => (shard.primary, 2, 900.0),
        };
        scene.listeners = vec![(place, vec!["MONITOR".to_owned()]); streams];
        if noisy {
            // What the streams take: this shard's part of the writes, with a little around each.
            let planted = streams as f64 * writes / self.shards.len() as f64 * 3100.0;
            let noise = self.bytes_everywhere(4000, planted * NOISE / (1.0 - NOISE)).await;
            scene = scene.with(noise);
        }
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
}
