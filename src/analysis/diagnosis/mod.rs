//! Why a shard is hot: the cause with its share, what speaks for it, what would help, and whether more shards would.
//!
//! A cause is what is hot *here* and not in the group's other shards, and it must account for at least half of what this shard does
//! more than they do ([`EXPLAINED_MIN`]). When the window could see less than half of what makes the shard hot, no cause is named.
//! Thresholds and their reasons stand in `docs/diagnosis.md`. It refuses to know how figures were gathered and how findings are shown.
//!
//! ```
//! use hotshard::analysis::diagnosis::diagnose;
//!
//! assert!(diagnose(&[], &[]).is_empty()); // nothing is hot where nothing is known
//! ```

mod advice;
mod comparison;
mod concentration;
mod cost;
mod estimated;
mod evidence;
mod finding;
mod replies;
mod resharding;
mod surroundings;
#[cfg(test)]
mod tests;
mod visibility;
mod words;

pub use evidence::{CommandCost, Seen, ShardEvidence, Streamed};
pub use finding::{Cause, Finding};

use self::comparison::Comparison;
use self::finding::Suspect;
use self::resharding::Prospects;
use crate::analysis::status::Signal;

/// A cause accounts for at least this part of what the shard does more than the others.
pub const EXPLAINED_MIN: f64 = 0.5;

/// A cause is at least this part of what the shard does.
pub const SHARE_MIN: f64 = 0.1;

/// A window that sees less of what makes the shard hot can't tell why it is.
pub const VISIBLE_MIN: f64 = 0.5;

/// A part of fewer commands, or touches of keys, is chance: of 100 a share of [`SHARE_MIN`] is told within ±0.06 (two standard errors, √(p(1−p)/n)), and one
/// of a half within ±0.1; of 20 they would be ±0.13 and ±0.22.
pub const SEEN_MIN: u64 = 100;

/// For each hot shard and each signal in which it is hot what makes it so, the hottest first; `previous` is what the last round found.
pub fn diagnose(shards: &[ShardEvidence<'_>], previous: &[Finding]) -> Vec<Finding> {
    let mut hottest: Vec<usize> = (0..shards.len()).collect();
    hottest.sort_by(|one, other| {
        let heat = |place: usize| shards[place].heat();
        heat(*other)
            .total_cmp(&heat(*one))
            .then_with(|| shards[*one].shard.cmp(&shards[*other].shard))
    });
    let prospects = Prospects::default();
    let findings = hottest
        .into_iter()
        .flat_map(|place| of_shard(shards, &prospects, place));
    let mut findings: Vec<Finding> = findings.collect();
    for finding in &mut findings {
        finding.new_since_last_round = !previous.iter().any(|known| known.is_about_the_same(finding));
    }
    findings
}

/// What one shard suffers from, by signal. Bytes come before CPU: large replies cost both.
fn of_shard(shards: &[ShardEvidence<'_>], prospects: &Prospects, place: usize) -> Vec<Finding> {
    let mut fat: Option<Suspect> = None;
    let mut findings = Vec::new();
    for signal in Signal::ALL {
        let compared = Comparison::new(shards, prospects, place, signal);
        if !compared.is_hot() {
            continue;
        }
        let suspect = match signal {
            Signal::Commands => of_commands(&compared),
            Signal::BytesOut => of_bytes_out(&compared),
            Signal::Cpu => of_cpu(&compared, fat.as_ref()),
        };
        if suspect.cause == Cause::FatReplies {
            fat = Some(suspect.clone());
        }
        findings.push(finding::written(&compared, suspect));
    }
    findings
}

/// What the counters of all nodes tell comes first: it doesn't depend on what a window could see.
fn of_commands(compared: &Comparison<'_>) -> Suspect {
    surroundings::connection_churn(compared)
        .or_else(|| surroundings::slot_ownership(compared))
        .or_else(|| surroundings::publishing(compared))
        .or_else(|| too_little_seen(compared))
        .or_else(|| concentration::of_traffic(compared))
        .unwrap_or_else(|| visibility::unexplained(compared))
}

fn of_bytes_out(compared: &Comparison<'_>) -> Suspect {
    surroundings::other_monitor(compared)
        .or_else(|| replies::logged(compared))
        .or_else(|| surroundings::slot_ownership(compared))
        .or_else(|| too_little_seen(compared))
        .or_else(|| estimated::fat(compared))
        .or_else(|| replies::fat(compared))
        .or_else(|| {
            let gathered = concentration::of_traffic(compared).filter(|_| !replies::are_larger(compared));
            gathered.and_then(|suspect| estimated::weighed(compared, suspect))
        })
        .or_else(|| surroundings::told_client(compared))
        .unwrap_or_else(|| visibility::unexplained(compared))
}

/// What no window saw, the nodes may still have counted: one client that takes most of it.
fn too_little_seen(compared: &Comparison<'_>) -> Option<Suspect> {
    let blind = visibility::too_little(compared)?;
    Some(surroundings::told_client(compared).unwrap_or(blind))
}

/// The servers' own counters of all nodes tell what each command costs, so this doesn't depend on what a window could see.
fn of_cpu(compared: &Comparison<'_>, fat: Option<&Suspect>) -> Suspect {
    surroundings::other_monitor(compared)
        .or_else(|| cost::expensive_command(compared, fat))
        .or_else(|| surroundings::connection_churn(compared))
        .or_else(|| surroundings::slot_ownership(compared))
        .or_else(|| too_little_seen(compared))
        .or_else(|| concentration::of_traffic(compared))
        .unwrap_or_else(|| visibility::unexplained(compared))
}
