//! What a diagnosis says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use super::{advice, resharding, visibility, words};
use crate::analysis::status::Signal;
use crate::model::ShardId;

/// What can make a shard hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// One key.
    SingleKey,
    /// Keys that share a hash tag.
    HashTag,
    /// One slot, without a key or tag that stands out in it.
    Slot,
    /// A family of keys.
    Pattern,
    /// Replies much larger than elsewhere.
    FatReplies,
    /// A command that takes long.
    ExpensiveCommand,
    /// One client.
    Client,
    /// Clients that connect again and again.
    ConnectionChurn,
    /// Somebody else's MONITOR.
    OtherMonitor,
    /// Messages published.
    Pubsub,
    /// The shard owns more slots than the others.
    SlotOwnership,
    /// It can't be told.
    Unexplained,
}

impl Cause {
    /// The metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::SingleKey => "single_key",
            Self::HashTag => "hash_tag",
            Self::Slot => "slot",
            Self::Pattern => "pattern",
            Self::FatReplies => "fat_replies",
            Self::ExpensiveCommand => "expensive_command",
            Self::Client => "client",
            Self::ConnectionChurn => "connection_churn",
            Self::OtherMonitor => "other_monitor",
            Self::Pubsub => "pubsub",
            Self::SlotOwnership => "slot_ownership",
            Self::Unexplained => "unexplained",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind().replace('_', " "))
    }
}

/// Why a shard is hot, and what would help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which shard.
    pub shard: ShardId,
    /// In which signal.
    pub signal: Signal,
    /// The kind of cause.
    pub cause: Cause,
    /// What part of the shard's load it is.
    pub share: Option<f64>,
    /// The key, pattern, slot or client it is about.
    pub subject: Option<String>,
    /// How sure, from 0 to 1.
    pub confidence: Option<f64>,
    /// What speaks for it.
    pub evidence: Vec<String>,
    /// What would help.
    pub advice: Vec<String>,
    /// Whether moving slots to more shards would help.
    pub resharding_helps: Option<bool>,
    /// Whether the last round didn't say so.
    pub new_since_last_round: bool,
}

impl Finding {
    /// All of it in one sentence.
    pub fn sentence(&self) -> String {
        words::sentence(self)
    }

    pub(super) fn is_about_the_same(&self, other: &Self) -> bool {
        self.shard == other.shard && self.cause == other.cause && self.subject == other.subject
    }
}

/// A cause that accounts for enough, before it is put into words.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) cause: Cause,
    /// Of the shard's load in the signal.
    pub(super) share: Option<f64>,
    pub(super) subject: Option<String>,
    /// What part of that which the shard does more than the others it accounts for.
    pub(super) explained: f64,
    /// How far the way it was found is to be trusted.
    pub(super) certainty: f64,
    pub(super) evidence: Vec<String>,
}

/// The finding that a suspect makes.
pub(super) fn written(compared: &Comparison<'_>, suspect: Suspect) -> Finding {
    let outlook = resharding::outlook(compared, &suspect);
    let mut evidence = vec![words::beside_the_others(compared)];
    evidence.extend(suspect.evidence.iter().cloned());
    evidence.extend(visibility::sentence(compared));
    evidence.extend(outlook.evidence.clone());
    Finding {
        shard: compared.here.shard.clone(),
        signal: compared.signal,
        cause: suspect.cause,
        share: suspect.share.map(rounded),
        confidence: Some(confidence(compared, &suspect)),
        evidence,
        advice: advice::of(compared, &suspect, outlook.helps),
        resharding_helps: outlook.helps,
        new_since_last_round: true,
        subject: suspect.subject,
    }
}

/// The product of what each part is worth: how much is accounted for, how it was found, what was seen, and how many commands.
fn confidence(compared: &Comparison<'_>, suspect: &Suspect) -> f64 {
    const COMMANDS_ENOUGH: f64 = 1000.0;
    let seen = compared.here.window.map_or(1.0, |window| {
        let sample = (window.stats.commands as f64 / COMMANDS_ENOUGH).sqrt().min(1.0);
        let complete = window.completeness.map_or(1.0, |ratio| ratio.0.clamp(0.0, 1.0));
        sample * complete * visibility::visible(compared).map_or(0.8, |part| part.clamp(0.0, 1.0).sqrt())
    });
    let of_counters = matches!(
        suspect.cause,
        Cause::ExpensiveCommand | Cause::ConnectionChurn | Cause::SlotOwnership | Cause::OtherMonitor | Cause::Pubsub
    );
    let seen = if of_counters { 1.0 } else { seen };
    ((suspect.certainty * suspect.explained.clamp(0.0, 1.0).sqrt() * seen) * 100.0).round() / 100.0
}

fn rounded(share: f64) -> f64 {
    (share.clamp(0.0, 1.0) * 1e4).round() / 1e4
}
