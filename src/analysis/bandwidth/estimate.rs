//! The sum of replies beside the measured counter, and what each command, pattern and key has of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Calls, Certainty, Probing};
use crate::analysis::veil::Veil;
use crate::model::{Bytes, Ratio};

/// Uncertain replies are rescaled to no less than this.
pub const SCALE_MIN: f64 = 0.8;

/// Uncertain replies are rescaled to no more than this.
pub const SCALE_MAX: f64 = 1.25;

/// With more of the calls not estimable, what is missing may be theirs, and nothing is scaled up.
const UNKNOWN_MAX: f64 = 0.01;

/// With fewer sizes than this their spread isn't known.
const FEW: f64 = 4.0;

/// By how much the arithmetic of uncertain replies itself may be off, usually: a few elements stand for a collection of many. Of the most
/// uneven collections it was 15 %, twice as much.
const ARITHMETIC_DOUBT: f64 = 0.08;

/// Keys that are named.
const KEYS_MAX: usize = 20;

/// Bytes that a window's node sent to its clients: by sizes and arithmetic, and by its own counter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputEstimate {
    /// The sum of all replies as estimated, before anything was rescaled.
    pub estimated: Bytes,
    /// What the node's counter says was sent to clients; `None` if it can't tell.
    pub measured: Option<Bytes>,
    /// What uncertain replies were rescaled by.
    pub scale: Ratio,
    /// What patterns, commands and keys have in all, rescaled.
    pub attributed: Bytes,
    /// By pattern, most first. Commands without a key are in none.
    pub patterns: Vec<(Arc<str>, Bytes)>,
    /// By command, most first.
    pub commands: Vec<(Arc<str>, Bytes)>,
    /// By signature, most first.
    pub signatures: Vec<(Arc<str>, Bytes)>,
    /// By key, most first: those of which enough calls were looked at.
    pub keys: Vec<(Arc<str>, Bytes)>,
    /// Commands that can't be estimated with their calls, most first.
    pub not_estimable: Vec<(Arc<str>, u64)>,
    /// What part of the calls those are.
    pub not_estimable_share: Ratio,
    /// How keys were asked for their sizes.
    #[serde(default)]
    pub sizes: Probing,
}

impl OutputEstimate {
    /// How far the estimate is from what was measured, before anything was rescaled: 0.1 is a tenth too much.
    pub fn error(&self) -> Option<f64> {
        let measured = self.measured.filter(|measured| measured.0 > 0)?;
        Some(self.estimated.0 as f64 / measured.0 as f64 - 1.0)
    }

    /// What was measured and belongs to nothing that is named; negative where more was estimated.
    pub fn unattributed(&self) -> Option<i64> {
        let measured = i64::try_from(self.measured?.0).ok()?;
        Some(measured - i64::try_from(self.attributed.0).ok()?)
    }

    /// What a pattern has, rescaled; `None` if nothing of it could be estimated.
    pub fn of_pattern(&self, pattern: &str) -> Option<Bytes> {
        found(&self.patterns, pattern)
    }

    /// What a command has, rescaled.
    pub fn of_command(&self, command: &str) -> Option<Bytes> {
        found(&self.commands, command)
    }

    /// What a signature has, rescaled.
    pub fn of_signature(&self, signature: &str) -> Option<Bytes> {
        found(&self.signatures, signature)
    }
}

/// What some replies of one signature have.
#[derive(Debug)]
pub(super) struct Weighed<'a> {
    pub(super) calls: &'a Calls,
    pub(super) parts: Vec<Part<'a>>,
}

/// One reply.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// What of it each key has; one piece if it isn't answered for by key.
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) bytes: f64,
    pub(super) certainty: Certainty,
}

/// What of a reply one key has.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The key it is about, the first if there are several.
    pub(super) key: Option<&'a [u8]>,
    /// `None` if it is that of the calls.
    pub(super) pattern: Option<&'a Arc<str>>,
    pub(super) bytes: f64,
}

impl Weighed<'_> {
    /// Bytes of all calls in replies of one certainty.
    fn bytes(&self, certainty: Certainty) -> f64 {
        let of = self.parts.iter().filter(|part| part.certainty == certainty);
        of.map(|part| part.bytes).sum::<f64>() * self.each()
    }

    /// How much asking about one more key is worth: what the calls' sizes differ by, over the root of what asking costs. Nothing for
    /// replies that are always the same.
    pub(super) fn worth(&self, cost: usize) -> f64 {
        let count = self.parts.len() as f64;
        let keys = |part: &Part<'_>| part.pieces.iter().any(|piece| piece.key.is_some());
        if !self.parts.iter().any(keys) {
            return 0.0;
        }
        let mean = self.parts.iter().map(|part| part.bytes).sum::<f64>() / count;
        let spread = self.parts.iter().map(|part| (part.bytes - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        // A few that are alike don't yet say that all are.
        let least = if count < FEW { 0.5 } else { 0.1 };
        self.calls.calls * spread.sqrt().max(least * mean) / (cost.max(1) as f64).sqrt()
    }

    /// How far the sum of all calls in replies of one certainty may be off because only some were looked at, squared.
    fn variance(&self, certainty: Certainty) -> f64 {
        let count = self.parts.len() as f64;
        if count < 2.0 || count >= self.calls.calls {
            return 0.0;
        }
        let of = |part: &Part<'_>| if part.certainty == certainty { part.bytes } else { 0.0 };
        let mean = self.parts.iter().map(of).sum::<f64>() / count;
        let spread = self.parts.iter().map(|part| (of(part) - mean).powi(2)).sum::<f64>() / (count - 1.0);
        self.calls.calls.powi(2) * spread / count * (1.0 - count / self.calls.calls)
    }

    /// How far that of uncertain replies may be off for what is known of each, squared. Kinds of calls err each for themselves.
    fn arithmetic_variance(&self) -> f64 {
        (ARITHMETIC_DOUBT * self.bytes(Certainty::Uncertain)).powi(2)
    }

    /// How many calls each reply stands for.
    fn each(&self) -> f64 {
        self.calls.calls / self.parts.len().max(1) as f64
    }
}

/// Adds up, holds the sum against what was measured, and rescales what is uncertain.
pub(super) fn estimate(weighed: Vec<Weighed<'_>>, measured: Option<Bytes>, veil: &Veil) -> OutputEstimate {
    let sum = |certainty| weighed.iter().map(|of| of.bytes(certainty)).sum::<f64>();
    let (exact, uncertain) = (sum(Certainty::Exact), sum(Certainty::Uncertain));
    let (unknown, known): (Vec<_>, Vec<_>) = weighed.iter().partition(|of| of.parts.is_empty());
    let calls = |of: &[&Weighed<'_>]| of.iter().map(|of| of.calls.calls).sum::<f64>();
    let all = calls(&unknown) + calls(&known);
    let unknown_share = if all > 0.0 { calls(&unknown) / all } else { 0.0 };
    let variance = |certainty| weighed.iter().map(|of| of.variance(certainty)).sum::<f64>();
    let arithmetic = weighed.iter().map(Weighed::arithmetic_variance).sum::<f64>();
    let doubts = [variance(Certainty::Exact), variance(Certainty::Uncertain) + arithmetic];
    let scale = scale(measured, [exact, uncertain], doubts, unknown_share);
    let mut estimate = OutputEstimate {
        estimated: whole(exact + uncertain),
        measured,
        scale: Ratio(scale),
        attributed: whole(exact + scale * uncertain),
        not_estimable_share: Ratio(unknown_share),
        ..OutputEstimate::default()
    };
    let scaled = |of: &Weighed<'_>| of.bytes(Certainty::Exact) + scale * of.bytes(Certainty::Uncertain);
    let named = |name: fn(&Calls) -> Option<&Arc<str>>| {
        let of = known
            .iter()
            .filter_map(|of| Some((Arc::clone(name(of.calls)?), scaled(of))));
        most(of)
    };
    estimate.patterns = by_pattern(&known, scale);
    estimate.commands = named(|calls| Some(&calls.command));
    estimate.signatures = named(|calls| Some(&calls.signature));
    estimate.keys = keys(&known, scale, veil);
    let unknown = unknown.iter().map(|of| (Arc::clone(&of.calls.command), of.calls.calls));
    estimate.not_estimable = most(unknown).into_iter().map(|(name, calls)| (name, calls.0)).collect();
    estimate
}

/// By what uncertain replies are multiplied, so that the sum comes near what was measured. They take of the difference what is theirs: the
/// sum of exact replies is in doubt too, as far as only some were looked at.
fn scale(measured: Option<Bytes>, [exact, uncertain]: [f64; 2], doubts: [f64; 2], unknown_share: f64) -> f64 {
    let Some(measured) = measured.filter(|_| uncertain > 0.0) else {
        return 1.0;
    };
    let [of_exact, theirs] = doubts;
    let difference = (measured.0 as f64 - exact - uncertain) * theirs / (of_exact + theirs);
    let most = if unknown_share > UNKNOWN_MAX { 1.0 } else { SCALE_MAX };
    (1.0 + difference / uncertain).clamp(SCALE_MIN, most)
}

/// What each pattern has: of a reply that is answered for by key, each pattern what its keys have.
fn by_pattern(known: &[&Weighed<'_>], scale: f64) -> Vec<(Arc<str>, Bytes)> {
    let of_all = known.iter().flat_map(|of| {
        let named = move |(piece, bytes): (&Piece<'_>, f64)| {
            let pattern = piece.pattern.or(of.calls.pattern.as_ref())?;
            Some((Arc::clone(pattern), bytes))
        };
        pieces(of, scale).filter_map(named)
    });
    most(of_all)
}

/// Every piece that was looked at, with the bytes of all the calls it stands for, rescaled.
fn pieces<'w>(of: &'w Weighed<'w>, scale: f64) -> impl Iterator<Item = (&'w Piece<'w>, f64)> {
    let each = of.each();
    of.parts.iter().flat_map(move |part| {
        let scale = if part.certainty == Certainty::Exact { 1.0 } else { scale };
        part.pieces.iter().map(move |piece| (piece, piece.bytes * scale * each))
    })
}

/// Keys that were met often enough among the calls that were looked at.
fn keys(known: &[&Weighed<'_>], scale: f64, veil: &Veil) -> Vec<(Arc<str>, Bytes)> {
    let mut of_keys: BTreeMap<(&[u8], &str), f64> = BTreeMap::new();
    for of in known {
        for (piece, bytes) in pieces(of, scale) {
            let pattern = piece.pattern.or(of.calls.pattern.as_ref());
            if let Some(key) = piece.key {
                *of_keys.entry((key, pattern.map_or("", |name| name))).or_default() += bytes;
            }
        }
    }
    let name = |(key, pattern): (&[u8], &str)| veil.key(&key.escape_ascii().to_string(), pattern);
    let mut keys = most(of_keys.into_iter().map(|(key, bytes)| (name(key), bytes)));
    keys.truncate(KEYS_MAX);
    keys
}

/// Sums by name, most first.
fn most(parts: impl Iterator<Item = (Arc<str>, f64)>) -> Vec<(Arc<str>, Bytes)> {
    let mut sums: BTreeMap<Arc<str>, f64> = BTreeMap::new();
    for (name, bytes) in parts {
        *sums.entry(name).or_default() += bytes;
    }
    let mut sums: Vec<(Arc<str>, Bytes)> = sums.into_iter().map(|(name, sum)| (name, whole(sum))).collect();
    sums.sort_by_key(|(_, bytes)| Reverse(*bytes));
    sums
}

fn found(sums: &[(Arc<str>, Bytes)], name: &str) -> Option<Bytes> {
    sums.iter().find(|(known, _)| &**known == name).map(|(_, bytes)| *bytes)
}

fn whole(bytes: f64) -> Bytes {
    Bytes(bytes.round() as u64)
}
