//! What a cluster says of itself: the answers to CLUSTER SHARDS and CLUSTER SLOTS, read and nothing more.

use redis::Value;

use crate::model::{Role, Slot, SlotRange, SlotSet};

/// One shard in the answer to CLUSTER SHARDS or CLUSTER SLOTS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardAnswer {
    /// The slots it owns.
    pub slots: SlotSet,
    /// Its members.
    pub members: Vec<MemberAnswer>,
}

/// One member of a shard, by every name it is announced under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberAnswer {
    /// The node's random name.
    pub id: String,
    /// What the cluster would have clients connect to; nothing where it doesn't know.
    pub preferred: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// Its name.
    pub hostname: Option<String>,
    /// The port for plain connections.
    pub port: Option<u16>,
    /// The port for TLS.
    pub tls_port: Option<u16>,
    /// The role it had in the eyes of the node that answered.
    pub role: Option<Role>,
    /// Whether the cluster has given it up.
    pub failed: bool,
}

/// Reads CLUSTER SHARDS (7.0 and later); `None` if it has another shape.
pub fn parse_shards(answer: &Value) -> Option<Vec<ShardAnswer>> {
    items(answer)?
        .iter()
        .map(|shard| {
            let slots = items(entry(shard, "slots")?)?;
            let members = items(entry(shard, "nodes")?)?;
            Some(ShardAnswer {
                slots: SlotSet::new(slots.chunks_exact(2).filter_map(|pair| range(&pair[0], &pair[1]))),
                members: members.iter().map(member).collect::<Option<_>>()?,
            })
        })
        .collect()
}

fn member(node: &Value) -> Option<MemberAnswer> {
    let named = |name| {
        entry(node, name)
            .and_then(text)
            .filter(|text| known(text))
            .map(str::to_owned)
    };
    let port = |name| {
        entry(node, name)
            .and_then(number)
            .and_then(|port| u16::try_from(port).ok())
    };
    Some(MemberAnswer {
        id: named("id")?,
        preferred: named("endpoint"),
        address: named("ip"),
        hostname: named("hostname"),
        port: port("port"),
        tls_port: port("tls-port"),
        role: match entry(node, "role").and_then(text) {
            Some("master") => Some(Role::Primary),
            Some("replica" | "slave") => Some(Role::Replica),
            _ => None,
        },
        failed: entry(node, "health").and_then(text) == Some("fail"),
    })
}

/// Reads CLUSTER SLOTS, whose entries are ranges of slots: those of one primary are one shard. `None` if it has another shape.
pub fn parse_slots(answer: &Value) -> Option<Vec<ShardAnswer>> {
    let mut shards: Vec<(Vec<SlotRange>, Vec<MemberAnswer>)> = Vec::new();
    for entry in items(answer)? {
        let [first, last, members @ ..] = items(entry)? else {
            return None;
        };
        let range = range(first, last)?;
        let members: Vec<MemberAnswer> = members
            .iter()
            .enumerate()
            .map(|(place, member)| slot_member(place, member))
            .collect::<Option<_>>()?;
        let primary = &members.first()?.id;
        match shards.iter_mut().find(|(_, known)| known[0].id == *primary) {
            Some((ranges, _)) => ranges.push(range),
            None => shards.push((vec![range], members)),
        }
    }
    let shards = shards.into_iter().map(|(ranges, members)| ShardAnswer {
        slots: SlotSet::new(ranges),
        members,
    });
    Some(shards.collect())
}

fn slot_member(place: usize, member: &Value) -> Option<MemberAnswer> {
    let [preferred, port, id, more @ ..] = items(member)? else {
        return None;
    };
    let preferred = text(preferred).filter(|text| known(text)).map(str::to_owned);
    // The port is the one for the kind of connection that asked.
    let port = u16::try_from(number(port)?).ok();
    let more = |name| {
        more.first()
            .and_then(|more| entry(more, name))
            .and_then(text)
            .filter(|text| known(text))
            .map(str::to_owned)
    };
    Some(MemberAnswer {
        id: text(id)?.to_owned(),
        address: more("ip"),
        hostname: more("hostname"),
        preferred,
        port,
        tls_port: port,
        role: Some(if place == 0 { Role::Primary } else { Role::Replica }),
        failed: false,
    })
}

/// Servers write `?` or nothing for what they don't know.
fn known(text: &str) -> bool {
    !text.is_empty() && text != "?"
}

fn range(first: &Value, last: &Value) -> Option<SlotRange> {
    let slot = |value| Slot::new(u16::try_from(number(value)?).ok()?);
    Some(SlotRange {
        first: slot(first)?,
        last: slot(last)?,
    })
}

/// The value after `name` in a flat list of names and values.
pub(crate) fn entry<'answer>(list: &'answer Value, name: &str) -> Option<&'answer Value> {
    let pairs = items(list)?.chunks_exact(2);
    pairs
        .into_iter()
        .find(|pair| text(&pair[0]) == Some(name))
        .map(|pair| &pair[1])
}

pub(crate) fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        value => text(value)?.parse().ok(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// An answer written as JSON: text is a bulk string.
    pub(crate) fn value(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::String(text) => Value::BulkString(text.as_bytes().to_vec()),
            serde_json::Value::Number(number) => Value::Int(number.as_i64().expect("a test's number")),
            serde_json::Value::Array(items) => Value::Array(items.iter().map(value).collect()),
            _ => Value::Nil,
        }
    }

    fn show(shards: Option<Vec<ShardAnswer>>) -> Vec<String> {
        let shown = |shard: &ShardAnswer| {
            let ranges: Vec<String> = shard
                .slots
                .ranges()
                .iter()
                .map(|range| format!("{}-{}", range.first, range.last))
                .collect();
            let members: Vec<String> = shard.members.iter().map(|member| format!("{member:?}")).collect();
            format!("{} {}", ranges.join(","), members.join(" "))
        };
        let brief = |text: String| {
            text.replace("MemberAnswer ", "")
                .replace("Some(\"", "")
                .replace("\")", "")
                .replace("Some(", "")
                .replace("), ", ", ")
        };
        shards
            .expect("an answer of this shape")
            .iter()
            .map(|shard| brief(shown(shard)))
            .collect()
    }

    // As Redis 7.0.15 answers, with a host name on one node.
    #[test]
    fn cluster_shards_is_read_with_all_names_of_a_node() {
        let answer = json!([
            [
                "slots",
                [0, 99, 200, 200],
                "nodes",
                [
                    [
                        "id",
                        "a1",
                        "port",
                        7000,
                        "tls-port",
                        7001,
                        "ip",
                        "10.0.0.1",
                        "endpoint",
                        "one.example",
                        "hostname",
                        "one.example",
                        "role",
                        "master",
                        "replication-offset",
                        72156,
                        "health",
                        "online"
                    ],
                    [
                        "id",
                        "a2",
                        "port",
                        7000,
                        "ip",
                        "10.0.0.2",
                        "endpoint",
                        null,
                        "hostname",
                        "",
                        "role",
                        "replica",
                        "replication-offset",
                        72156,
                        "health",
                        "fail"
                    ]
                ]
            ],
            ["slots", [], "nodes", []]
        ]);
        assert_eq!(
            show(parse_shards(&value(&answer))),
            [
                "0-99,200-200 { id: \"a1\", preferred: one.example, address: 10.0.0.1, hostname: one.example, \
                 port: 7000, tls_port: 7001, role: Primary, failed: false } \
                 { id: \"a2\", preferred: None, address: 10.0.0.2, hostname: None, \
                 port: 7000, tls_port: None, role: Replica, failed: true }",
                " "
            ]
        );
    }

    // The first shard as Redis 6.2 answers, the second as 7.0 does.
    #[test]
    fn cluster_slots_makes_one_shard_of_all_ranges_of_a_primary() {
        let answer = json!([
            [0, 99, ["10.0.0.1", 7000, "a1"], ["10.0.0.2", 7000, "a2"]],
            [
                100,
                199,
                ["two.example", 7000, "b1", ["ip", "10.0.0.3"]],
                [null, 7000, "b2", []]
            ],
            [300, 300, ["10.0.0.1", 7000, "a1"], ["10.0.0.2", 7000, "a2"]]
        ]);
        let shown = show(parse_slots(&value(&answer)));
        assert_eq!(shown.len(), 2);
        assert!(
            shown[0].starts_with("0-99,300-300 { id: \"a1\", preferred: 10.0.0.1, address: None"),
            "{}",
            shown[0]
        );
        assert!(
            shown[1].starts_with("100-199 { id: \"b1\", preferred: two.example, address: 10.0.0.3"),
            "{}",
            shown[1]
        );
        assert!(shown[1].contains("{ id: \"b2\", preferred: None"), "{}", shown[1]);
    }

    #[test]
    fn another_shape_is_no_answer() {
        assert_eq!(parse_shards(&value(&json!([["slots", 5]]))), None);
        assert_eq!(parse_slots(&value(&json!([[0, 99999, ["h", 1, "id"]]]))), None);
        assert_eq!(parse_slots(&value(&json!("OK"))), None);
    }
}
