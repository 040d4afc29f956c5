//! Families of keys, as applications really name them.

use chrono::{DateTime, Days, Utc};

use super::chance::Chance;
use super::key::{Key, Kind};
use super::plot::Plot;
use super::verb::Verb;
use crate::model::Timestamp;

/// A family of keys that serve the same purpose.
pub(super) struct Family {
    /// What part of all keys they are.
    pub(super) share: f64,
    /// What part of the traffic goes to them.
    pub(super) traffic: f64,
    /// How steep their popularity is.
    pub(super) exponent: f64,
    pub(super) mix: &'static [(Verb, f64)],
    pub(super) key: fn(usize, Timestamp, &mut Chance) -> Key,
}

pub(super) const FAMILIES: [Family; 7] = [
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

/// The keys that a plot is about, so named that its shard owns them.
pub(super) fn subjects(plot: &Plot, epoch: Timestamp, owned: impl Fn(&str) -> bool) -> Vec<Key> {
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
