//! Answers about keys: types, sizes, samples.

use super::answers::Asked;
use super::key::{Key, Kind};
use super::resp::Reply;
use super::spelling::value;
use super::verb::Verb;

impl Asked<'_> {
    /// Questions about a key.
    pub(super) fn probe(&self, verb: Verb) -> Reply {
        let position = verb.key_position().unwrap_or(1);
        let Some(key) = self.arguments.get(position).and_then(|name| self.shard.keys.find(name)) else {
            return absent(verb);
        };
        let count = self
            .arguments
            .get(position + 1)
            .and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
        match verb {
            Verb::MemoryUsage => Reply::Integer(key.memory() as i64),
            Verb::Type => Reply::Simple(key.type_name()),
            Verb::Exists => Reply::Integer(1),
            Verb::Ttl => Reply::Integer(if key.expires { 900 } else { -1 }),
            Verb::ObjectEncoding => Reply::bulk(key.encoding()),
            Verb::ObjectFreq => Reply::error(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ),
            _ if key_kind(verb).is_some_and(|kind| kind != key.type_name()) => {
                Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Verb::StrLen | Verb::HStrLen => Reply::Integer(key.item.into()),
            Verb::HLen | Verb::LLen | Verb::ZCard => Reply::Integer(key.count.into()),
            Verb::Get | Verb::HGet | Verb::LIndex => Reply::Bulk(value(key.kind, key.item, 0).to_vec()),
            Verb::HRandField | Verb::ZRandMember => {
                sample(key, count.unwrap_or(1), self.arguments.len() > position + 2)
            }
            _ => Reply::error(format!("ERR '{}' is not played on this stage", verb.name())),
        }
    }
}

/// The type that a command insists on.
fn key_kind(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Get | Verb::StrLen => Some("string"),
        Verb::HGet | Verb::HLen | Verb::HStrLen | Verb::HRandField => Some("hash"),
        Verb::LLen | Verb::LIndex => Some("list"),
        Verb::SCard | Verb::SRandMember => Some("set"),
        Verb::ZCard | Verb::ZRandMember => Some("zset"),
        Verb::XLen => Some("stream"),
        _ => None,
    }
}

fn absent(verb: Verb) -> Reply {
    match verb {
        Verb::Type => Reply::Simple("none"),
        Verb::Ttl => Reply::Integer(-2),
        Verb::MemoryUsage | Verb::Get | Verb::HGet | Verb::LIndex | Verb::ObjectEncoding | Verb::ObjectFreq => {
            Reply::Nil
        }
        Verb::HRandField | Verb::SRandMember | Verb::ZRandMember => Reply::Array(Vec::new()),
        _ => Reply::Integer(0),
    }
}

/// Some elements of a key, with what belongs to each where that is asked for.
fn sample(key: &Key, count: u32, with_values: bool) -> Reply {
    let mut items = Vec::new();
    for index in 0..count.min(key.count) {
        let name = if key.kind == Kind::Hash {
            key.field(index)
        } else {
            Key::member(index)
        };
        items.push(Reply::bulk(name));
        match (with_values, key.kind) {
            (true, Kind::Hash) => items.push(Reply::Bulk(value(key.kind, key.item, index).to_vec())),
            (true, _) => items.push(Reply::bulk((10_000 + index % 90_000).to_string())),
            (false, _) => {}
        }
    }
    Reply::Array(items)
}
