//! Traffic that gathers on something: a key, a hash tag, a slot, a client, a pattern, messages.

use std::sync::Arc;

use super::comparison::{Comparison, median};
use super::evidence::{Seen, ShardEvidence};
use super::finding::{Cause, Suspect};
use super::surroundings::PUBLISHING;
use super::words::{per_second, percent};
use super::{EXPLAINED_MIN, SEEN_MIN, SHARE_MIN};
use crate::model::Slot;

/// The narrower cause is named if it accounts for at least this part of what the broadest accounts for.
pub(super) const NARROWER_MIN: f64 = 0.7;

/// What isn't a name.
const NAMELESS: [&str; 2] = ["other", "lua"];

/// The narrowest that accounts for enough, of what was seen often enough for shares to be more than chance.
pub(super) fn of_traffic(compared: &Comparison<'_>) -> Option<Suspect> {
    let window = compared.here.window?;
    let keys_tell = window.stats.key_touches >= SEEN_MIN;
    let commands_tell = window.stats.commands >= SEEN_MIN;
    let candidates: Vec<Suspect> = [
        keys_tell.then(|| key(compared, &window)),
        keys_tell.then(|| hash_tag(compared, &window)),
        keys_tell.then(|| slot(compared, &window)),
        commands_tell.then(|| messages(compared, &window)),
        commands_tell.then(|| client(compared, &window)),
        keys_tell.then(|| pattern(compared, &window)),
    ]
    .into_iter()
    .flatten()
    .flatten()
    .filter(|suspect| suspect.share.is_some_and(|share| share >= SHARE_MIN))
    .collect();
    let most = candidates.iter().map(|suspect| suspect.explained).fold(0.0, f64::max);
    candidates
        .into_iter()
        .find(|suspect| suspect.explained >= EXPLAINED_MIN.max(NARROWER_MIN * most))
}

fn key(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<Suspect> {
    let top = |seen: &Seen<'_>| {
        let key = seen
            .stats
            .keys
            .iter()
            .max_by_key(|key| key.count.saturating_sub(key.error))?;
        Some((key.key.clone(), key.count.saturating_sub(key.error)))
    };
    let (name, count) = top(window)?;
    let usual = usual_top(compared, |seen| {
        top(seen).map(|(_, count)| part(count, seen.stats.key_touches))
    });
    let share = part(count, window.stats.key_touches);
    let mut evidence = vec![
        taken(compared, "key", &name, count, share, "key accesses"),
        usual_sentence("the hottest key", usual),
    ];
    evidence.extend(mostly_by(window));
    Some(suspect(compared, Cause::SingleKey, &name, share, usual, evidence))
}

/// A tag, if no single key of it makes up most.
fn hash_tag(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<Suspect> {
    let top = |seen: &Seen<'_>| {
        let tag = seen
            .stats
            .hash_tags
            .iter()
            .max_by_key(|tag| tag.count.saturating_sub(tag.error))?;
        Some((tag.name.clone(), tag.count.saturating_sub(tag.error)))
    };
    let (name, count) = top(window)?;
    let usual = usual_top(compared, |seen| {
        top(seen).map(|(_, count)| part(count, seen.stats.key_touches))
    });
    let share = part(count, window.stats.key_touches);
    let keys: Vec<_> = window
        .stats
        .keys
        .iter()
        .filter(|key| key.key.contains(&*name))
        .take(3)
        .map(|key| &*key.key)
        .collect();
    let mut evidence = vec![
        taken(compared, "hash tag", &name, count, share, "key accesses"),
        usual_sentence("the hottest tag", usual),
    ];
    if !keys.is_empty() {
        evidence.push(format!("its keys are {}", keys.join(", ")));
    }
    Some(suspect(compared, Cause::HashTag, &name, share, usual, evidence))
}

fn slot(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<Suspect> {
    let (slot, count) = *window.stats.slots.first()?;
    let usual = usual_top(compared, |seen| {
        seen.stats
            .slots
            .first()
            .map(|(_, count)| part(*count, seen.stats.key_touches))
    });
    let share = part(count, window.stats.key_touches);
    let name: Arc<str> = Slot::number(slot).to_string().into();
    let evidence = vec![
        taken(compared, "slot", &name, count, share, "key accesses"),
        usual_sentence("the hottest slot", usual),
    ];
    Some(suspect(compared, Cause::Slot, &name, share, usual, evidence))
}

/// A client that is here and not elsewhere. The primary's address stands for all who wrote, so lines of replication are no client's.
fn client(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<Suspect> {
    let named = |seen: &Seen<'_>, name: &str| {
        let client = seen.stats.clients.iter().find(|client| &*client.name == name);
        client.map_or(0.0, |client| part(client.count, seen.stats.commands))
    };
    let candidates = window
        .stats
        .clients
        .iter()
        .filter(|client| !NAMELESS.contains(&&*client.name));
    let ranked = candidates.map(|client| {
        let share = part(client.count, window.stats.commands);
        let usual = usual(compared, |seen| named(seen, &client.name));
        (client, share, usual)
    });
    let (client, share, usual) = ranked.max_by(|one, other| (one.1 - one.2).total_cmp(&(other.1 - other.2)))?;
    let evidence = vec![
        taken(compared, "client", &client.name, client.count, share, "commands"),
        usual_sentence("the same client", usual),
    ];
    Some(suspect(compared, Cause::Client, &client.name, share, usual, evidence))
}

fn messages(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<Suspect> {
    let published = |seen: &Seen<'_>| -> u64 {
        let commands = seen.stats.commands_by_name.iter();
        commands
            .filter(|command| PUBLISHING.contains(&&*command.name))
            .map(|command| command.count)
            .sum()
    };
    let count = published(window);
    if count == 0 {
        return None;
    }
    let share = part(count, window.stats.commands);
    let usual = usual(compared, |seen| part(published(seen), seen.stats.commands));
    let name = window
        .stats
        .commands_by_name
        .iter()
        .find(|command| PUBLISHING.contains(&&*command.name))?;
    let evidence = vec![
        taken(compared, "publishing by", &name.name, count, share, "commands"),
        usual_sentence("publishing", usual),
    ];
    Some(suspect(compared, Cause::Pubsub, &name.name, share, usual, evidence))
}

fn pattern(compared: &Comparison<'_>, window: &Seen<'_>) -> Option<Suspect> {
    let named = |seen: &Seen<'_>, name: &str| {
        let pattern = seen.stats.patterns.iter().find(|pattern| &*pattern.pattern == name);
        pattern.map_or(0.0, |pattern| part(pattern.count, seen.stats.key_touches))
    };
    let candidates = window
        .stats
        .patterns
        .iter()
        .filter(|pattern| !NAMELESS.contains(&&*pattern.pattern));
    let ranked = candidates.map(|pattern| {
        let certain = pattern.count.saturating_sub(pattern.error);
        let usual = usual(compared, |seen| named(seen, &pattern.pattern));
        (pattern, certain, part(certain, window.stats.key_touches), usual)
    });
    let (pattern, count, share, usual) = ranked.max_by(|one, other| (one.2 - one.3).total_cmp(&(other.2 - other.3)))?;
    let mut evidence = vec![
        taken(compared, "pattern", &pattern.pattern, count, share, "key accesses"),
        usual_sentence("the same pattern", usual),
        format!("one of its keys is {}", pattern.example_key),
    ];
    evidence.extend(mostly_by(window));
    Some(suspect(
        compared,
        Cause::Pattern,
        &pattern.pattern,
        share,
        usual,
        evidence,
    ))
}

fn suspect(
    compared: &Comparison<'_>,
    cause: Cause,
    subject: &str,
    share: f64,
    usual: f64,
    evidence: Vec<String>,
) -> Suspect {
    Suspect {
        cause,
        share: Some(share),
        subject: Some(subject.to_owned()),
        explained: compared.explained(share, usual),
        certainty: 0.98,
        evidence,
    }
}

/// The client that sends most of what is here, if one does.
fn mostly_by(window: &Seen<'_>) -> Option<String> {
    let client = window
        .stats
        .clients
        .iter()
        .find(|client| !NAMELESS.contains(&&*client.name))?;
    let share = part(client.count, window.stats.commands);
    (share >= 0.5).then(|| format!("client {} sends {} of the commands", client.name, percent(share)))
}

fn taken(compared: &Comparison<'_>, what: &str, name: &str, count: u64, share: f64, of: &str) -> String {
    let rate = compared
        .here
        .seconds()
        .map(|seconds| format!(", {} a second seen", per_second(count as f64 / seconds)));
    format!(
        "{what} {name} takes {} of the shard's {of}{}",
        percent(share),
        rate.unwrap_or_default()
    )
}

fn usual_sentence(what: &str, usual: f64) -> String {
    format!("in the other shards {what} takes {}", percent(usual))
}

/// The median over the others' windows, 0 without any.
fn usual(compared: &Comparison<'_>, share: impl Fn(&Seen<'_>) -> f64) -> f64 {
    usual_top(compared, |seen| Some(share(seen)))
}

fn usual_top(compared: &Comparison<'_>, share: impl Fn(&Seen<'_>) -> Option<f64>) -> f64 {
    let of = |shard: &ShardEvidence<'_>| shard.window.as_ref().and_then(&share);
    median(compared.others().filter_map(of).collect()).unwrap_or_default()
}

fn part(count: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { count as f64 / whole as f64 }
}
