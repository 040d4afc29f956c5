//! From what was kept of the stream to [`Calls`]: how often each signature was called by clients, and some of its lines.

use std::collections::HashMap;
use std::sync::Arc;

use super::commands::Vocabulary;
use super::keys::Found;
use super::samples::KeptLine;
use super::signatures::{Signature, Signatures};
use crate::analysis::bandwidth::{Call, Calls};
use crate::analysis::line::{Line, Source};
use crate::analysis::pattern::{Normaliser, PatternId};
use crate::analysis::signature::signature;
use crate::analysis::slot::unescape_first;

/// With so many lines drawn evenly, the first ones aren't needed.
const DRAWN_ENOUGH: usize = 24;
/// More lines of one signature than this tell nothing new.
const LINES_MAX: usize = 256;
/// More arguments than this aren't looked at.
const ARGUMENTS_MAX: usize = 24;

/// Commands whose every argument is a key, each answered for by itself.
const ANSWERED_BY_KEY: [&str; 1] = ["MGET"];

/// A call as it was read, with the patterns of its keys, which have no names for good before all are read.
#[derive(Debug)]
struct Read {
    call: Call,
    patterns: Vec<PatternId>,
}

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
    found: &mut Found,
) -> Vec<Calls> {
    let mut drawn: HashMap<Signature, [Vec<Option<Read>>; 2]> = HashMap::new();
    for (place, lines) in signatures.samples().lines().into_iter().enumerate() {
        for (line, text) in lines {
            let of_signature = &mut drawn.entry(line.signature).or_default()[place];
            let by_key = ANSWERED_BY_KEY.contains(&&*vocabulary.name(line.signature.command));
            let normaliser = by_key.then_some(&mut found.normaliser);
            of_signature.extend(read(line, text, masters, normaliser));
        }
    }
    if drawn.is_empty() {
        return Vec::new();
    }
    let found = &*found;
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
            let lines: Vec<Read> = lines.into_iter().flatten().collect();
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
fn chosen([drawn, first]: [Vec<Option<Read>>; 2], count: u64) -> Vec<Option<Read>> {
    if first.len() as u64 >= count || drawn.is_empty() {
        return first;
    }
    if drawn.len() >= DRAWN_ENOUGH {
        return thinned(drawn);
    }
    drawn.into_iter().chain(first).collect()
}

/// Not more than are of use, from all of the window.
fn thinned(lines: Vec<Option<Read>>) -> Vec<Option<Read>> {
    let count = lines.len();
    let kept = |place: usize| place * LINES_MAX / count != (place + 1) * LINES_MAX / count;
    if count <= LINES_MAX {
        return lines;
    }
    let of_all = lines.into_iter().enumerate();
    of_all.filter(|(place, _)| kept(*place)).map(|(_, line)| line).collect()
}

fn named(
    of: Signature,
    calls: f64,
    lines: Vec<Read>,
    (signatures, vocabulary, found): (&Signatures, &Vocabulary, &Found),
) -> Calls {
    let command = vocabulary.name(of.command);
    let place = of.pattern.checked_sub(1);
    let pattern = place.map(|place| found.normaliser.resolve(found.patterns[place as usize].0));
    let named = |id: PatternId| Arc::<str>::from(&*found.normaliser.name(found.normaliser.resolve(id)));
    let pattern = pattern.map(named);
    let call = |read: Read| Call {
        patterns: read.patterns.into_iter().map(named).collect(),
        ..read.call
    };
    let shape = signatures.shape(of);
    Calls {
        signature: signature(&command, pattern.as_deref(), shape.text()).into(),
        pattern,
        full_scan: shape.full_scan(),
        command,
        calls,
        lines: lines.into_iter().map(call).collect(),
    }
}

/// The call on a line: `Some(None)` of one that nobody is answered for, `None` if the line can't be read.
fn read(
    kept: &KeptLine,
    text: &[u8],
    masters: &[Box<[u8]>],
    normaliser: Option<&mut Normaliser>,
) -> Option<Option<Read>> {
    let line = Line::parse(text).ok()?;
    if sender(text, &line, masters) == Sender::Nobody {
        return Some(None);
    }
    // What the line was cut within ends the arguments.
    let whole = line.arguments.map_while(Result::ok).skip(1).take(ARGUMENTS_MAX);
    let whole: Vec<&[u8]> = whole.collect();
    let patterns = normaliser.map(|normaliser| {
        let keys = whole.iter();
        keys.map(|key| normaliser.classify(key, line.time)).collect()
    });
    let call = Call {
        database: line.database,
        arguments: whole.into_iter().map(plain).collect(),
        total: kept.arguments.saturating_sub(1),
        patterns: Vec::new(),
    };
    Some(Some(Read {
        call,
        patterns: patterns.unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::keyspec::Commands;
    use crate::analysis::pattern::PatternSettings;
    use crate::analysis::tally::{Tally, TallySettings};

    fn kept(stream: &str, master: Option<&str>) -> Vec<Calls> {
        let settings = TallySettings {
            keeps_lines: true,
            ..TallySettings::default()
        };
        let normaliser = Normaliser::new(&PatternSettings::default(), 3);
        let mut tally = Tally::new(&settings, Commands::builtin(), normaliser, 3);
        tally.set_masters(master);
        tally.feed(stream.as_bytes());
        tally.close().take_calls()
    }

    fn line(source: &str, words: &str) -> String {
        let words: Vec<String> = words.split(' ').map(|word| format!("\"{word}\"")).collect();
        format!("+1795202082.056681 [0 {source}] {}\r\n", words.join(" "))
    }

    #[track_caller]
    fn check(lines: &[(&str, &str)], expected: &[(&str, f64, usize)]) {
        let stream: String = lines.iter().map(|(source, words)| line(source, words)).collect();
        let calls = kept(&stream, Some("10.0.0.1:6379"));
        let found: Vec<_> = calls
            .iter()
            .map(|of| (&*of.signature, of.calls, of.lines.len()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_clients_sent_is_answered() {
        check(
            &[
                ("10.0.0.9:1", "GET user:1001"),
                ("10.0.0.9:1", "EVALSHA abc 1 user:1001"),
                ("lua", "GET user:1001"),
                ("10.0.0.1:6379", "SET user:1001 x"),
                ("10.0.0.9:1", "HGETALL user:1002"),
            ],
            &[
                ("EVALSHA | -", 1.0, 1),
                ("GET | user:{ID}", 1.0, 1),
                ("HGETALL | user:{ID}", 1.0, 1),
            ],
        );
    }

    #[test]
    fn a_rare_call_is_kept_among_very_many() {
        let mut stream: String = (0..200_000)
            .map(|number| line("10.0.0.9:1", &format!("GET page:{}", 1000 + number % 900)))
            .collect();
        stream.push_str(&line("10.0.0.9:1", "ZREVRANGE board:1 0 -1"));
        let calls = kept(&stream, None);
        let [get, rare] = &calls[..] else {
            panic!("{}", calls.len())
        };
        assert_eq!((get.calls, rare.calls, rare.lines.len()), (200_000.0, 1.0, 1));
        assert_eq!(
            rare.lines[0].arguments,
            [(*b"board:1").into(), (*b"0").into(), Box::from(*b"-1")]
        );
        // Evenly drawn: as many of the first half of the keys as of the second.
        let low = get
            .lines
            .iter()
            .filter(|call| &*call.arguments[0] < b"page:1450".as_slice())
            .count();
        assert!(
            get.lines.len() == LINES_MAX && (LINES_MAX / 4..LINES_MAX * 3 / 4).contains(&low),
            "{low}"
        );
    }

    #[test]
    fn arguments_are_kept_without_escapes_and_counted_beyond_what_is_kept() {
        let many = (0..300)
            .map(|number| format!("k{number}"))
            .collect::<Vec<_>>()
            .join(" ");
        let calls = kept(&line("10.0.0.9:1", &format!("MGET a\\x00b {many}")), None);
        let call = &calls[0].lines[0];
        assert_eq!((&*call.arguments[0], call.total), (&b"a\0b"[..], 301));
        assert!(call.arguments.len() <= ARGUMENTS_MAX);
    }

    #[test]
    fn keys_that_are_answered_for_one_by_one_have_their_own_patterns() {
        let calls = kept(&line("10.0.0.9:1", "MGET user:1001 page:1001 user:1002"), None);
        let patterns: Vec<&str> = calls[0].lines[0].patterns.iter().map(|name| &**name).collect();
        assert_eq!(patterns, ["user:{ID}", "page:{ID}", "user:{ID}"]);
        let calls = kept(&line("10.0.0.9:1", "GET user:1001"), None);
        assert!(calls[0].lines[0].patterns.is_empty());
    }

    #[test]
    fn nothing_is_kept_unless_it_is_wanted() {
        let normaliser = Normaliser::new(&PatternSettings::default(), 3);
        let mut tally = Tally::new(&TallySettings::default(), Commands::builtin(), normaliser, 3);
        tally.feed(line("10.0.0.9:1", "GET a").as_bytes());
        assert_eq!(tally.close().take_calls(), []);
    }
}
