//! What would help against each cause.

use super::comparison::Comparison;
use super::finding::{Cause, Suspect};

pub(super) fn of(compared: &Comparison<'_>, suspect: &Suspect, resharding_helps: Option<bool>) -> Vec<String> {
    let subject = suspect.subject.as_deref().unwrap_or_default();
    let mut advice = match suspect.cause {
        Cause::SingleKey => vec![
            format!("keep {subject} in the application for a second or two (client-side caching), or read it from replicas"),
            "if it is written, spread it over several keys and add them up when reading".to_owned(),
        ],
        Cause::HashTag => vec![
            format!("the tag {subject} binds its keys to one slot: give them a finer tag, or none where no transaction or script needs them together"),
            "cache what is read of them in the application".to_owned(),
        ],
        Cause::Slot => vec![format!("look at which keys share slot {subject} and rename the busiest; or move the shard's other slots away")],
        Cause::Pattern => vec![
            format!("find out what made {subject} busier here than in the other shards: a job, a tenant, a range of ids"),
            "cache what is read of them, or batch what is written".to_owned(),
        ],
        Cause::FatReplies => vec![
            format!("read parts of {subject} instead of all of it (a range, fields, SCAN with a cursor), or cache the answer"),
            "split large values; a reply of megabytes also keeps other clients waiting".to_owned(),
        ],
        Cause::ExpensiveCommand => vec![format!(
            "replace {subject} by something that looks at less (SCAN instead of KEYS, ranges with LIMIT), or run it seldom and on a replica"
        )],
        Cause::Client => vec![
            format!("find out what runs on {subject}: a job without a pause, a retry loop, a cache that was switched off"),
            "limit its rate or let it read from replicas".to_owned(),
        ],
        Cause::ConnectionChurn => vec![
            "let clients keep their connections: a pool, a proxy, longer time-outs; each new TLS connection costs as much as hundreds of commands".to_owned(),
        ],
        Cause::OtherMonitor => vec!["find who runs MONITOR (CLIENT LIST shows cmd=monitor) and close it (CLIENT KILL ID)".to_owned()],
        Cause::Pubsub => vec!["publish less or to fewer subscribers; with many shards use sharded channels (SPUBLISH)".to_owned()],
        Cause::SlotOwnership => vec!["move slots to the other shards: an online resharding that balances them needs no new shard".to_owned()],
        Cause::Unexplained if compared.here.window.is_none() => vec![
            "let a window look at this shard: what kept the last round from it stands in the evidence".to_owned(),
        ],
        Cause::Unexplained if subject == "coverage" => vec![
            "let a window look at the node that serves this traffic: monitor.nodes = \"primary\" (--use-primary), if the primary can bear it".to_owned(),
        ],
        Cause::Unexplained => vec!["look again with a longer window, when the shard is at its hottest".to_owned()],
    };
    match resharding_helps {
        Some(true) => advice.push("more shards would spread this load".to_owned()),
        Some(false) => advice.push("don't count on more shards: they would not spread this load".to_owned()),
        None => {}
    }
    advice
}
