//! What a node serves beside INFO: found out once for each server process, by questions that change nothing and cost microseconds.
//!
//! It refuses to know what is made of the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::LinkError;
use super::greeting::CLIENT_NAME;
use super::link::{self, Link};
use super::raw::Command;
use crate::analysis::keyspec::Commands;
use crate::analysis::slot_stats::{SlotCounters, SlotStats};
use crate::analysis::witness::LoggedReply;
use crate::discovery::answers::{entry, items, number, text};
use crate::metrics::snapshot::Sources;
use crate::model::{Bytes, RunId, Slot, Timestamp};

/// Asks for each source. What the node doesn't know or doesn't let us use isn't served; what can't be found out stays open.
pub async fn probe(link: &Link) -> Result<Sources, LinkError> {
    let questions = vec![
        Command::new("CLUSTER|SLOT-STATS")
            .arg("ORDERBY")
            .arg("key-count")
            .arg("LIMIT")
            .arg(1),
        Command::new("COMMANDLOG|GET").arg(1).arg("large-reply"),
        Command::new("CLIENT|LIST").arg("ID").arg(link.client_id()),
    ];
    let mut answers = link.pipeline(questions).await?.into_iter();
    let mut next = || {
        answers
            .next()
            .unwrap_or(Err(LinkError::Closed(link.endpoint().clone())))
    };
    let (slots, log, clients) = (next(), next(), next());
    Ok(Sources {
        slot_stats: served(slots, |answer| slots_of(answer).is_some_and(counts_cpu))?,
        commandlog: served(log, |answer| items(answer).is_some())?,
        client_list: served(clients, |answer| {
            link::text(answer).is_some_and(|line| line.contains(" tot-net-out="))
        })?,
        monitor: monitor(link).await?,
    })
}

/// How many replies are asked for; as many as servers keep unless they are told otherwise.
pub const LARGE_REPLIES_ASKED: usize = 128;

/// The last replies that the node logged as large, with what may be kept of their commands. Ours are left out.
pub async fn large_replies(link: &Link, commands: &Commands) -> Result<Vec<LoggedReply>, LinkError> {
    const NAME: &str = "COMMANDLOG|GET";
    let asked = Command::new(NAME).arg(LARGE_REPLIES_ASKED).arg("large-reply");
    let answer = link.ask(asked).await?;
    let entries = items(&answer).ok_or_else(|| link.unexpected(NAME, &answer))?;
    Ok(entries.iter().filter_map(|entry| logged(entry, commands)).collect())
}

/// `[number, seconds, bytes, [argument, …], client, client's name]`
fn logged(entry: &Value, commands: &Commands) -> Option<LoggedReply> {
    let [_number, seconds, size, arguments, _client, name] = items(entry)? else {
        return None;
    };
    if text(name) == Some(CLIENT_NAME) {
        return None;
    }
    let arguments: Vec<&[u8]> = items(arguments)?.iter().filter_map(bytes_of).collect();
    let at = Timestamp(number(seconds)?.saturating_mul(1_000_000));
    LoggedReply::of(at, Bytes(number(size)?), &arguments, commands)
}

fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// The sums of every slot the node serves, at `at`.
pub async fn slot_stats(link: &Link, run_id: Option<RunId>, at: Timestamp) -> Result<SlotStats, LinkError> {
    const NAME: &str = "CLUSTER|SLOT-STATS";
    let command = Command::new(NAME).arg("SLOTSRANGE").arg(0).arg(16_383);
    let mut answers = link.pipeline(vec![command]).await?;
    let answer = answers
        .pop()
        .unwrap_or(Err(LinkError::Closed(link.endpoint().clone())))?;
    match slots_of(&answer) {
        Some(slots) => Ok(SlotStats { run_id, at, slots }),
        None => Err(link.unexpected(NAME, &answer)),
    }
}

/// Whether MONITOR is there and allowed, as far as a transaction tells.
async fn monitor(link: &Link) -> Result<Option<bool>, LinkError> {
    Ok(match queue_monitor(link).await? {
        Some(Ok(_)) => Some(true),
        Some(Err(LinkError::NoPermission { .. })) => Some(false),
        Some(Err(LinkError::Rejected { message, .. })) if message.contains("unknown command") => Some(false),
        _ => None,
    })
}

/// What the server says to MONITOR without running it: a transaction takes the command in, and is dropped. `None` without transactions.
pub(super) async fn queue_monitor(link: &Link) -> Result<Option<Result<Value, LinkError>>, LinkError> {
    let mut opened = link.pipeline(vec![Command::new("MULTI")]).await?;
    // Outside a transaction the next command would really begin to stream.
    if !matches!(opened.pop(), Some(Ok(_))) {
        return Ok(None);
    }
    let dropped = vec![Command::new("MONITOR"), Command::new("DISCARD")];
    let mut answers = link.pipeline(dropped).await?.into_iter();
    Ok(answers.next())
}

fn served(answer: Result<Value, LinkError>, holds: impl Fn(&Value) -> bool) -> Result<Option<bool>, LinkError> {
    match answer {
        Ok(answer) => Ok(Some(holds(&answer))),
        Err(LinkError::Rejected { .. } | LinkError::NoPermission { .. }) => Ok(Some(false)),
        Err(error) => Err(error),
    }
}

/// Without `cluster-slot-stats-enabled` the server tells numbers of keys and nothing else.
fn counts_cpu(slots: BTreeMap<Slot, SlotCounters>) -> bool {
    slots.values().any(|counters| counters.cpu.is_some())
}

/// `[[slot, [name, sum, …]], …]`
fn slots_of(answer: &Value) -> Option<BTreeMap<Slot, SlotCounters>> {
    let slot = |row: &Value| {
        let [slot, sums] = items(row)? else {
            return None;
        };
        let sum = |name| entry(sums, name).and_then(number);
        let counters = SlotCounters {
            cpu: sum("cpu-usec").map(Duration::from_micros),
            output: sum("network-bytes-out").map(Bytes),
        };
        Some((Slot::new(u16::try_from(number(slot)?).ok()?)?, counters))
    };
    items(answer)?.iter().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &str, expected: &str) {
        let answer = redis::parse_redis_value(reply.replace(' ', "\r\n").as_bytes()).expect("a test's reply");
        let shown = slots_of(&answer).map(|slots| {
            let show = |(slot, counters): (Slot, SlotCounters)| {
                let SlotCounters { cpu, output } = counters;
                format!("{slot} {cpu:?} {output:?}")
            };
            slots.into_iter().map(show).collect::<Vec<_>>().join("; ")
        });
        assert_eq!(shown.as_deref().unwrap_or("nothing"), expected);
    }

    #[test]
    fn sums_are_read_by_slot() {
        check(
            "*2 *2 :7 *8 $9 key-count :3 $8 cpu-usec :1500 $16 network-bytes-in :1 $17 network-bytes-out :90 *2 :9 *2 $9 key-count :0 ",
            "7 Some(1.5ms) Some(Bytes(90)); 9 None None",
        );
        check("*0 ", "");
        check("$2 OK ", "nothing");
    }
}
