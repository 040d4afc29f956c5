//! The keys of one shard: realistic families, each key with a fixed shape, so that replies, probes and counters agree.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, Days, Utc};

use super::chance::{Chance, Weighted};
use super::scenario::{Place, Plot, Scenario};
use super::verb::Verb;
use crate::model::{Endpoint, Slot, SlotRange, SlotSet, Timestamp};

/// A key and what is under it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    /// How many elements; 1 for a string.
    pub(super) count: u32,
    /// Bytes of each value.
    pub(super) item: u32,
    /// Whether its commands read or write it whole.
    pub(super) whole: bool,
    /// Whether writes give it a time to live.
    pub(super) expires: bool,
}

/// The type of what is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Hash,
    List,
    SortedSet,
    /// A string of zero bytes.
    Zeros,
}

/// Names of hash fields; a hash with more has numbered ones.
const FIELDS: [&str; 12] = [
    "name", "email", "country", "plan", "locale", "tz", "phone", "avatar", "bio", "theme", "seen", "score",
];

impl Key {
    /// The field's name in this hash.
    pub(super) fn field(&self, index: u32) -> String {
        match FIELDS.get(index as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("f{index}"),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::String | Kind::Zeros => "string",
            Kind::Hash => "hash",
            Kind::List => "list",
            Kind::SortedSet => "zset",
        }
    }

    pub(super) fn encoding(&self) -> &'static str {
        match self.kind {
            Kind::String | Kind::Zeros => "raw",
            Kind::Hash => "listpack",
            Kind::List => "quicklist",
            Kind::SortedSet => "skiplist",
        }
    }

    /// The member of a sorted set.
    pub(super) fn member(index: u32) -> String {
        format!("player:{index:09}")
    }

    /// Bytes of its content, names of fields included.
    pub(super) fn content(&self) -> u64 {
        let names: u64 = match self.kind {
            Kind::Hash => (0..self.count).map(|index| self.field(index).len() as u64).sum(),
            _ => 0,
        };
        names + u64::from(self.count) * u64::from(self.item)
    }

    /// About what MEMORY USAGE says.
    pub(super) fn memory(&self) -> u64 {
        let overhead = match self.kind {
            Kind::String | Kind::Zeros => 0,
            Kind::Hash | Kind::List => 12 * u64::from(self.count),
            Kind::SortedSet => 90 * u64::from(self.count),
        };
        56 + self.name.len() as u64 + overhead + self.content()
    }
}

/// A family of keys that serve the same purpose.
struct Family {
    /// What part of all keys they are.
    share: f64,
    /// What part of the traffic goes to them.
    traffic: f64,
    /// How steep their popularity is.
    exponent: f64,
    mix: &'static [(Verb, f64)],
    key: fn(usize, Timestamp, &mut Chance) -> Key,
}

const FAMILIES: [Family; 7] = [
    Family {
        share: 0.5,
        traffic: 0.35,
        exponent: 0.6,
        mix: &[(Verb::Get, 78.0), (Verb::Set, 16.0), (Verb::Expire, 6.0)],
        key: session,
    },
    Family {
        share: 0.15,
        traffic: 0.2,
        exponent: 0.7,
        mix: &[
            (Verb::HGetAll, 45.0),
            (Verb::HGet, 40.0),
            (Verb::HSet, 12.0),
            (Verb::HIncrBy, 3.0),
        ],
        key: profile,
    },
    Family {
        share: 0.1,
        traffic: 0.1,
        exponent: 0.6,
        mix: &[(Verb::HGetAll, 60.0), (Verb::HLen, 15.0), (Verb::HSet, 25.0)],
        key: cart,
    },
    Family {
        share: 0.1,
        traffic: 0.18,
        exponent: 0.8,
        mix: &[(Verb::Get, 96.0), (Verb::Set, 4.0)],
        key: product,
    },
    Family {
        share: 0.1,
        traffic: 0.07,
        exponent: 0.6,
        mix: &[(Verb::LRange, 80.0), (Verb::LPush, 12.0), (Verb::LTrim, 8.0)],
        key: feed,
    },
    Family {
        share: 0.04,
        traffic: 0.06,
        exponent: 0.5,
        mix: &[(Verb::EvalSha, 40.0), (Verb::Incr, 60.0)],
        key: limit,
    },
    Family {
        share: 0.01,
        traffic: 0.04,
        exponent: 0.4,
        mix: &[(Verb::ZRevRange, 55.0), (Verb::ZIncrBy, 35.0), (Verb::ZAdd, 10.0)],
        key: leaderboard,
    },
];

fn session(_: usize, _: Timestamp, chance: &mut Chance) -> Key {
    let [time, node] = [12, 12].map(|digits| chance.hex(digits));
    let variant = ["8", "9", "a", "b"][chance.below(4)];
    let name = format!(
        "session:{}-{}-4{}-{variant}{}-{node}",
        &time[..8],
        &time[8..],
        chance.hex(3),
        chance.hex(3)
    );
    Key {
        expires: true,
        ..key(name, Kind::String, 1, 180 + chance.below(420))
    }
}

fn profile(index: usize, _: Timestamp, chance: &mut Chance) -> Key {
    key(
        format!("user:{}:profile", user(index)),
        Kind::Hash,
        10,
        12 + chance.below(20),
    )
}

fn cart(index: usize, _: Timestamp, chance: &mut Chance) -> Key {
    let items = 1 + chance.below(8);
    key(format!("cart:{{{}}}:items", user(index)), Kind::Hash, items, 90)
}

fn product(index: usize, _: Timestamp, chance: &mut Chance) -> Key {
    key(
        format!("product:{}", 10_000 + index),
        Kind::String,
        1,
        600 + chance.below(1200),
    )
}

fn feed(index: usize, _: Timestamp, _: &mut Chance) -> Key {
    key(format!("feed:{}", user(index)), Kind::List, 200, 42)
}

fn limit(index: usize, _: Timestamp, _: &mut Chance) -> Key {
    let spread = index * 7919;
    let name = format!(
        "ratelimit:10.{}.{}.{}",
        16 + spread / 62_500,
        spread / 250 % 250,
        1 + spread % 250
    );
    Key {
        expires: true,
        ..key(name, Kind::String, 1, 3)
    }
}

fn leaderboard(index: usize, epoch: Timestamp, _: &mut Chance) -> Key {
    key(format!("leaderboard:{}", day(epoch, index)), Kind::SortedSet, 5000, 16)
}

fn key(name: String, kind: Kind, count: usize, item: usize) -> Key {
    Key {
        name: name.into(),
        kind,
        count: count as u32,
        item: item as u32,
        whole: false,
        expires: false,
    }
}

/// Six digits, each user once.
fn user(index: usize) -> usize {
    100_000 + index * 7919 % 900_000
}

/// The day so many days before the epoch, as `2026-11-21`.
fn day(epoch: Timestamp, before: usize) -> String {
    i64::try_from(epoch.0 / 1_000_000)
        .ok()
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0))
        .and_then(|today| today.checked_sub_days(Days::new(before as u64)))
        .unwrap_or_default()
        .format("%Y-%m-%d")
        .to_string()
}

/// Where every slot lives, and at which endpoints.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) slots: Vec<SlotSet>,
    pub(super) endpoints: Vec<Vec<Endpoint>>,
    /// The nodes' own names in the cluster.
    pub(super) cluster_ids: Vec<Vec<String>>,
}

impl Layout {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut chance = Chance::for_purpose(seed, 0);
        let weights: Vec<f64> = (0..scenario.shards)
            .map(|shard| scenario.slot_weights.get(shard).copied().unwrap_or(1.0).max(0.0))
            .collect();
        let total: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mut passed = 0.0;
        let mut first = 0;
        let mut slots = Vec::with_capacity(weights.len());
        for weight in weights {
            passed += weight;
            let end = (passed / total * f64::from(Slot::COUNT)).round() as u16;
            slots.push(range(first, end));
            first = end;
        }
        Self {
            slots,
            endpoints: (0..scenario.shards)
                .map(|shard| (0..scenario.members()).map(|member| endpoint(shard, member)).collect())
                .collect(),
            cluster_ids: (0..scenario.shards)
                .map(|_| (0..scenario.members()).map(|_| chance.hex(40)).collect())
                .collect(),
        }
    }

    /// Who listens where.
    pub(super) fn places(&self) -> HashMap<Endpoint, Place> {
        let members = self.endpoints.iter().enumerate().flat_map(|(shard, members)| {
            let place = move |member| Place { shard, member };
            members
                .iter()
                .enumerate()
                .map(move |(member, endpoint)| (endpoint.clone(), place(member)))
        });
        members.collect()
    }

    /// The shard that owns the key's slot.
    pub(super) fn owner(&self, name: &[u8]) -> Option<usize> {
        let slot = slot(name);
        self.slots.iter().position(|owned| owned.contains(slot))
    }
}

fn range(first: u16, end: u16) -> SlotSet {
    let last = end.checked_sub(1).and_then(Slot::new);
    SlotSet::new(
        Slot::new(first)
            .zip(last)
            .map(|(first, last)| SlotRange { first, last }),
    )
}

fn endpoint(shard: usize, member: usize) -> Endpoint {
    Endpoint::new(format!("10.{}.{}.{}", member + 1, shard / 250, shard % 250 + 1), 6379)
}

/// The slot as the server computes it. A server of its own: it doesn't lean on the code it is there to test.
pub(super) fn slot(name: &[u8]) -> Slot {
    let tag = name.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &name[open + 1..];
        let length = rest.iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    let checksum = tag.unwrap_or(name).iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    });
    Slot::of_checksum(checksum)
}

/// A family's keys in one shard.
#[derive(Clone, Debug)]
struct Present {
    keys: Range<usize>,
    popularity: Weighted,
    mix: &'static [(Verb, f64)],
    by_verb: Weighted,
    traffic: f64,
}

/// The keys of one shard, and how ordinary traffic falls on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyspace {
    keys: Vec<Key>,
    by_name: HashMap<Box<str>, u32>,
    families: Vec<Present>,
    by_traffic: Weighted,
    /// For each act, the first of its keys and how many.
    subjects: Vec<Range<usize>>,
}

impl Keyspace {
    /// The keys of every shard.
    pub(super) fn build(scenario: &Scenario, layout: &Layout, seed: u64, epoch: Timestamp) -> Vec<Self> {
        let mut shards = vec![Self::default(); scenario.shards];
        for (family, purpose) in FAMILIES.iter().zip(1..) {
            let starts: Vec<usize> = shards.iter().map(|shard| shard.keys.len()).collect();
            let mut chance = Chance::for_purpose(seed, purpose);
            for index in 0..(scenario.keys as f64 * family.share).ceil() as usize {
                let key = (family.key)(index, epoch, &mut chance);
                if let Some(owner) = layout.owner(key.name.as_bytes()) {
                    shards[owner].keys.push(key);
                }
            }
            for (shard, start) in shards.iter_mut().zip(starts) {
                shard.close_family(family, start);
            }
        }
        for (number, shard) in shards.iter_mut().enumerate() {
            shard.weigh();
            shard.add_subjects(scenario, layout, number, epoch);
            shard.by_name = shard.keys.iter().map(|key| key.name.clone()).zip(0..).collect();
        }
        shards
    }

    pub(super) fn key(&self, index: u32) -> Option<&Key> {
        self.keys.get(index as usize)
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Key> {
        let name = std::str::from_utf8(name).ok()?;
        self.by_name.get(name).and_then(|index| self.key(*index))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn expiring(&self) -> usize {
        self.keys.iter().filter(|key| key.expires).count()
    }

    pub(super) fn memory(&self) -> u64 {
        self.keys.iter().map(Key::memory).sum()
    }

    /// A key and a command of ordinary traffic.
    pub(super) fn draw(&self, chance: &mut Chance) -> Option<(u32, Verb)> {
        let family = self.families.get(self.by_traffic.draw(chance))?;
        let key = family.keys.start + family.popularity.draw(chance);
        Some((key as u32, family.mix[family.by_verb.draw(chance)].0))
    }

    /// Any key that commands can read, each as often as the others.
    pub(super) fn any(&self, chance: &mut Chance) -> Option<u32> {
        let end = self.families.last()?.keys.end;
        (end > 0).then(|| chance.below(end) as u32)
    }

    /// The keys that an act is about.
    pub(super) fn subjects(&self, act: usize) -> Range<usize> {
        self.subjects.get(act).cloned().unwrap_or_default()
    }

    fn close_family(&mut self, family: &Family, start: usize) {
        if self.keys.len() == start {
            return;
        }
        let weights: Vec<f64> = family.mix.iter().map(|(_, weight)| *weight).collect();
        self.families.push(Present {
            keys: start..self.keys.len(),
            popularity: Weighted::zipf(self.keys.len() - start, family.exponent),
            mix: family.mix,
            by_verb: Weighted::new(&weights),
            traffic: family.traffic,
        });
    }

    fn weigh(&mut self) {
        let weights: Vec<f64> = self.families.iter().map(|family| family.traffic).collect();
        self.by_traffic = Weighted::new(&weights);
    }

    fn add_subjects(&mut self, scenario: &Scenario, layout: &Layout, number: usize, epoch: Timestamp) {
        for act in &scenario.acts {
            let start = self.keys.len();
            if act.plot.shard() == number && !layout.slots[number].is_empty() {
                let owned = |name: &str| layout.owner(name.as_bytes()) == Some(number);
                self.keys.extend(subjects(&act.plot, epoch, owned));
            }
            self.subjects.push(start..self.keys.len());
        }
    }
}

fn subjects(plot: &Plot, epoch: Timestamp, owned: impl Fn(&str) -> bool) -> Vec<Key> {
    let first = |name: &dyn Fn(usize) -> String| (0..).map(name).find(|name| owned(name)).unwrap_or_default();
    match plot {
        Plot::HotKey { .. } => {
            let name = first(&|index| format!("product:{}:stock", 48_213 + index));
            vec![key(name, Kind::String, 1, 120)]
        }
        Plot::HotTag { .. } => {
            let items = first(&|index| format!("cart:{{{}}}:items", 827_310 + index));
            let part = |part: &str, kind, count, item| key(items.replace(":items", part), kind, count, item);
            vec![
                part(":items", Kind::Hash, 9, 90),
                part(":total", Kind::String, 1, 8),
                part(":coupons", Kind::Hash, 2, 24),
                part(":address", Kind::String, 1, 140),
                part(":views", Kind::String, 1, 5),
            ]
        }
        Plot::FatReplies { reply, .. } => {
            let name = first(&|before| format!("leaderboard:{}:all", day(epoch, before)));
            // A member of 16 bytes is answered with 23.
            vec![Key {
                whole: true,
                ..key(name, Kind::SortedSet, reply.0 as usize / 23, 16)
            }]
        }
        Plot::BigValues { value, .. } => {
            let name = first(&|index| format!("export:{index}:blob"));
            vec![Key {
                whole: true,
                ..key(name, Kind::Zeros, 1, value.0.min(1 << 20) as usize)
            }]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: u16) {
        assert_eq!(slot(name.as_bytes()).number(), expected, "{name}");
    }

    #[test]
    fn slots_are_the_servers() {
        check("123456789", 12_739);
        check("foo", 12_182);
        check("foo{}{bar}", 8363);
        check("foo{{bar}}zap", 4015);
        check("foo{bar}{zap}", 5061);
        check("", 0);
    }

    #[test]
    fn every_key_lives_where_its_slot_does() {
        let scenario = Scenario {
            slot_weights: vec![3.0, 1.0, 0.0],
            ..Scenario::new(3)
        };
        let layout = Layout::new(&scenario, 1);
        let shards = Keyspace::build(&scenario, &layout, 1, Timestamp(1_795_219_200_000_000));
        for (shard, number) in shards.iter().zip(0..) {
            assert!(
                shard
                    .keys
                    .iter()
                    .all(|key| layout.owner(key.name.as_bytes()) == Some(number))
            );
        }
        assert_eq!(
            layout.slots.iter().map(SlotSet::len).collect::<Vec<_>>(),
            [12_288, 4096, 0]
        );
        assert!(shards[0].len() > 2 * shards[1].len() && shards[2].len() == 0);
    }
}
