//! What isn't in the commands: how many slots the shard owns, who connects, who else looks.

use super::comparison::Comparison;
use super::evidence::{ShardEvidence, Streamed};
use super::finding::{Cause, Suspect};
use super::words::{bytes, per_second, percent};
use super::{EXPLAINED_MIN, SHARE_MIN};
use crate::analysis::status::Signal;
use crate::analysis::witness::ClientTraffic;

/// So many times the slots of the other shards are an uneven share.
pub(super) const SLOTS_UNEVEN: f64 = 1.25;

/// With so many times the others' rate for each slot it isn't the number of slots.
pub(super) const PER_SLOT_EVEN: f64 = 1.2;

/// Fewer new connections a second are no churn.
pub(super) const CONNECTIONS_MIN: f64 = 50.0;

/// So many times the others' new connections are peculiar to this shard.
pub(super) const CONNECTIONS_PECULIAR: f64 = 3.0;

/// Cores that one connection a second costs: accepting, greeting and closing it, without TLS.
const CONNECTION_COST: f64 = 0.000_1;

/// A connection's part of the difference is hidden behind its first commands, so less is asked of it than of other causes.
pub(super) const CHURN_EXPLAINED_MIN: f64 = 0.3;

/// A byte is shown as up to four, `\xhh`; as much are four streams of plain text.
pub(super) const STREAM_BYTES: f64 = 4.0;

/// What a line of MONITOR has beside the arguments, at most: the time and the client's address.
pub(super) const STREAM_LINE: f64 = 80.0;

/// Cores that showing a byte a second costs, at the worst that was measured; more streams cost hardly more.
pub(super) const STREAM_COST_OF_BYTE: f64 = 64e-9;

/// The same for a command.
pub(super) const STREAM_COST_OF_COMMAND: f64 = 5e-6;

/// The shard owns more slots than the others, and each slot does what theirs do.
pub(super) fn slot_ownership(compared: &Comparison<'_>) -> Option<Suspect> {
    let slots = f64::from(compared.here.slots.filter(|slots| *slots > 0)?);
    let usual = compared
        .elsewhere(|shard| shard.slots.map(f64::from))
        .filter(|usual| *usual > 0.0)?;
    let per_slot = |shard: &ShardEvidence<'_>| {
        let slots = f64::from(shard.slots.filter(|slots| *slots > 0)?);
        Some(shard.rate(compared.signal)? / slots)
    };
    let (here, elsewhere) = (per_slot(compared.here)?, compared.elsewhere(per_slot)?);
    if slots < SLOTS_UNEVEN * usual || here > PER_SLOT_EVEN * elsewhere {
        return None;
    }
    let evidence = vec![
        format!("it owns {slots:.0} slots, the other shards {usual:.0} (median)"),
        format!(
            "each of its slots does {} of what a slot of the others does",
            percent(here / elsewhere)
        ),
    ];
    Some(Suspect {
        cause: Cause::SlotOwnership,
        share: Some(1.0 - usual / slots),
        subject: Some(format!("{slots:.0} slots")),
        explained: compared.explained(1.0 - usual / slots, 0.0),
        certainty: 0.9,
        evidence,
    })
}

/// Clients connect here again and again.
pub(super) fn connection_churn(compared: &Comparison<'_>) -> Option<Suspect> {
    let here = compared
        .here
        .connections_per_second
        .filter(|rate| *rate >= CONNECTIONS_MIN)?;
    let usual = compared
        .elsewhere(|shard| shard.connections_per_second)
        .unwrap_or_default();
    if here < CONNECTIONS_PECULIAR * usual {
        return None;
    }
    let rate = compared.here.rate(compared.signal).filter(|rate| *rate > 0.0)?;
    let each = match compared.signal {
        Signal::Commands => 1.0,
        Signal::Cpu => CONNECTION_COST,
        Signal::BytesOut => return None,
    };
    let share = ((here - usual) * each / rate).min(1.0);
    let explained = compared.explained(share, 0.0);
    let evidence = vec![format!(
        "{} connections a second are opened here, {} in the other shards (median)",
        per_second(here),
        per_second(usual)
    )];
    (explained >= CHURN_EXPLAINED_MIN).then_some(Suspect {
        cause: Cause::ConnectionChurn,
        share: Some(share),
        subject: None,
        explained,
        certainty: 0.9,
        evidence,
    })
}

/// One client for which the nodes themselves counted most of what the shard does more than the others.
pub(super) fn told_client(compared: &Comparison<'_>) -> Option<Suspect> {
    let figure: fn(&ClientTraffic) -> Option<f64> = match compared.signal {
        Signal::Commands => |client| client.commands_per_second,
        Signal::BytesOut => |client| Some(client.bytes_per_second),
        Signal::Cpu => return None,
    };
    let told = |shard: &ShardEvidence<'_>, client: &str| {
        let all = shard.rate(compared.signal).filter(|rate| *rate > 0.0)?;
        let clients = &shard.window?.stats.testimony.clients;
        let rate = clients.iter().find(|known| &*known.client == client).and_then(figure);
        Some((rate.unwrap_or_default() / all).min(1.0))
    };
    let clients = &compared.here.window?.stats.testimony.clients;
    let ranked = clients.iter().filter_map(|client| {
        let usual = compared
            .elsewhere(|shard| told(shard, &client.client))
            .unwrap_or_default();
        Some((client, told(compared.here, &client.client)?, usual))
    });
    let (client, share, usual) = ranked.max_by(|one, other| (one.1 - one.2).total_cmp(&(other.1 - other.2)))?;
    let explained = compared.explained(share, usual);
    let rate = figure(client)?;
    let amount = match compared.signal {
        Signal::BytesOut => format!("{} a second were sent to", bytes(rate)),
        _ => format!("{} commands a second came from", per_second(rate)),
    };
    (share >= SHARE_MIN && explained >= EXPLAINED_MIN).then(|| Suspect {
        cause: Cause::Client,
        share: Some(share),
        subject: Some(client.client.to_string()),
        explained,
        certainty: 0.9,
        evidence: vec![
            format!(
                "by the nodes' own counts {amount} client {} while the window was open, {} of what the shard does",
                client.client,
                percent(share)
            ),
            format!("in the other shards the same client takes {}", percent(usual)),
        ],
    })
}

/// Who publishes. In a cluster no replica's stream shows it, since messages don't go by replication there.
pub(super) const PUBLISHING: [&str; 2] = ["PUBLISH", "SPUBLISH"];

/// Messages are published here, by what the nodes count for each command.
pub(super) fn publishing(compared: &Comparison<'_>) -> Option<Suspect> {
    let calls = |shard: &ShardEvidence<'_>, command: &str| shard.costs.get(command).map_or(0.0, |cost| cost.calls);
    let all = |shard: &ShardEvidence<'_>| PUBLISHING.map(|command| calls(shard, command)).iter().sum::<f64>();
    let share = |shard: &ShardEvidence<'_>| {
        let rate = shard.rate(Signal::Commands).filter(|rate| *rate > 0.0)?;
        Some((all(shard) / rate).min(1.0))
    };
    let (here, usual) = (share(compared.here)?, compared.elsewhere(share).unwrap_or_default());
    let explained = compared.explained(here, usual);
    if here < SHARE_MIN || explained < EXPLAINED_MIN {
        return None;
    }
    let more = |one: &&str, other: &&str| calls(compared.here, one).total_cmp(&calls(compared.here, other));
    let command = PUBLISHING.into_iter().max_by(more)?;
    let evidence = vec![format!(
        "{} messages a second are published here by {command}, {} in the other shards (median)",
        per_second(all(compared.here)),
        per_second(compared.elsewhere(|shard| Some(all(shard))).unwrap_or_default())
    )];
    Some(Suspect {
        cause: Cause::Pubsub,
        share: Some(here),
        subject: Some(command.to_owned()),
        explained,
        certainty: 0.95,
        evidence,
    })
}

/// A MONITOR stream sends every command once more and costs CPU for each of its bytes. How many streams there are and how much of them
/// is escaped isn't known, so what they cost is known as a bound: below it something else makes the shard hot.
pub(super) fn other_monitor(compared: &Comparison<'_>) -> Option<Suspect> {
    let peculiar = compared.here.other_monitor && !compared.others().any(|shard| shard.other_monitor);
    if !peculiar {
        return None;
    }
    let mut evidence =
        vec!["another client than hotshard reads MONITOR on a node of this shard, and of no other".to_owned()];
    let explained = match compared.here.streamed {
        Some(streamed) => {
            let (most, figure) = stream_at_most(compared.signal, &streamed)?;
            evidence.push(format!(
                "{} commands a second with {} run through such a stream, which can take {figure}",
                per_second(streamed.commands),
                bytes(streamed.input),
            ));
            let rate = compared.here.rate(compared.signal).filter(|rate| *rate > 0.0)?;
            compared.explained((most / rate).min(1.0), 0.0)
        }
        None => 1.0,
    };
    (explained >= EXPLAINED_MIN).then_some(Suspect {
        cause: Cause::OtherMonitor,
        share: None,
        subject: None,
        explained,
        certainty: 0.8,
        evidence,
    })
}

/// What MONITOR can take of a signal, in figures and in words; `None` for commands, of which it is none.
fn stream_at_most(signal: Signal, streamed: &Streamed) -> Option<(f64, String)> {
    let Streamed { input, commands } = *streamed;
    match signal {
        Signal::Commands => None,
        Signal::BytesOut => {
            let most = STREAM_BYTES * input + STREAM_LINE * commands;
            Some((most, format!("up to {} a second", bytes(most))))
        }
        Signal::Cpu => {
            let most = STREAM_COST_OF_BYTE * input + STREAM_COST_OF_COMMAND * commands;
            Some((most, format!("up to {most:.2} cores")))
        }
    }
}
