//! From what was kept of the stream to [`Calls`]: how often each signature was called by clients, and some of its lines.

use std::collections::HashMap;
use std::sync::Arc;

use super::commands::Vocabulary;
use super::keys::Found;
use super::samples::KeptLine;
use super::signatures::{Signature, Signatures};
use crate::analysis::bandwidth::{Call, Calls};
use crate::analysis::line::{Line, Source};
use crate::analysis::signature::signature;
use crate::analysis::slot::unescape_first;

/// With so many lines drawn evenly, the first ones aren't needed.
const DRAWN_ENOUGH: usize = 24;
/// More lines of one signature than this tell nothing new.
const LINES_MAX: usize = 256;
/// More arguments than this aren't looked at.
const ARGUMENTS_MAX: usize = 24;

/// Who sent a line, as far as it matters for what is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    /// A script, or the primary: nobody is answered.
    Nobody,
}

/// What clients called, by signature. Nothing if no lines were kept.
pub(super) fn calls(
    vocabulary: &Vocabulary,
    signatures: &Signatures,
    masters: &[Box<[u8]>],
    found: &Found,
) -> Vec<Calls> {
    let mut drawn: HashMap<Signature, [Vec<Option<Call>>; 2]> = HashMap::new();
    for (place, lines) in signatures.samples().lines().into_iter().enumerate() {
        for (line, text) in lines {
            let of_signature = &mut drawn.entry(line.signature).or_default()[place];
            if of_signature.len() < LINES_MAX {
                of_signature.extend(read(line, text, masters));
            }
        }
    }
    if drawn.is_empty() {
        return Vec::new();
    }
    let direct = direct(vocabulary);
    let mut all: Vec<Calls> = signatures
        .seen()
        .filter_map(|(signature, count, _)| {
            let lines = drawn
                .remove(&signature)
                .map(|lines| chosen(lines, count))
                .unwrap_or_default();
            let of_clients = count as f64 * direct.get(&vocabulary.name(signature.command)).copied().unwrap_or(1.0);
            let senders = lines.len();
            let lines: Vec<Call> = lines.into_iter().flatten().collect();
            let answered = if senders == 0 {
                1.0
            } else {
                lines.len() as f64 / senders as f64
            };
            // Replicated lines are told apart by the counts already.
            let answered = if of_clients < count as f64 { 1.0 } else { answered };
            (of_clients * answered > 0.0)
                .then(|| named(signature, of_clients * answered, lines, (signatures, vocabulary, found)))
        })
        .collect();
    all.sort_by(|one, other| one.signature.cmp(&other.signature));
    all
}

/// Of each command, what part of its lines came from clients or scripts, and not by replication.
fn direct(vocabulary: &Vocabulary) -> HashMap<Arc<str>, f64> {
    let parts = vocabulary
        .seen()
        .map(|(name, count, _)| (name, count.direct as f64 / count.all() as f64));
    parts.collect()
}

/// An even draw where it is large enough, and with the first ones where it isn't.
fn chosen([drawn, first]: [Vec<Option<Call>>; 2], count: u64) -> Vec<Option<Call>> {
    if first.len() as u64 >= count || drawn.is_empty() {
        return first;
    }
    if drawn.len() >= DRAWN_ENOUGH {
        return drawn;
    }
    drawn.into_iter().chain(first).collect()
}

fn named(
    of: Signature,
    calls: f64,
    lines: Vec<Call>,
    (signatures, vocabulary, found): (&Signatures, &Vocabulary, &Found),
) -> Calls {
    let command = vocabulary.name(of.command);
    let place = of.pattern.checked_sub(1);
    let pattern = place.map(|place| found.normaliser.resolve(found.patterns[place as usize].0));
    let pattern = pattern.map(|id| found.normaliser.name(id));
    let shape = signatures.shape(of);
    Calls {
        signature: signature(&command, pattern, shape.text()).into(),
        pattern: pattern.map(Arc::from),
        full_scan: shape.full_scan(),
        command,
        calls,
        lines,
    }
}

/// The call on a line: `Some(None)` of one that nobody is answered for, `None` if the line can't be read.
fn read(kept: &KeptLine, text: &[u8], masters: &[Box<[u8]>]) -> Option<Option<Call>> {
    let line = Line::parse(text).ok()?;
    if sender(text, &line, masters) == Sender::Nobody {
        return Some(None);
    }
    // What the line was cut within ends the arguments.
    let whole = line.arguments.map_while(Result::ok).skip(1).take(ARGUMENTS_MAX);
    Some(Some(Call {
        database: line.database,
        arguments: whole.map(plain).collect(),
        total: kept.arguments.saturating_sub(1),
    }))
}

fn sender(text: &[u8], line: &Line<'_>, masters: &[Box<[u8]>]) -> Sender {
    let of_master = |master: &[u8]| {
        let mut printed = Vec::with_capacity(master.len() + 2);
        printed.push(b' ');
        printed.extend_from_slice(master);
        printed.push(b']');
        memchr::memmem::find(&text[..text.len().min(128)], &printed).is_some()
    };
    if line.source == Source::Lua || masters.iter().any(|master| of_master(master)) {
        return Sender::Nobody;
    }
    Sender::Client
}

/// An argument without MONITOR's escapes.
fn plain(printed: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(printed.len());
    let mut rest = printed;
    while let Some((byte, after)) = unescape_first(rest) {
        bytes.push(byte);
        rest = after;
    }
    bytes.into()
}
