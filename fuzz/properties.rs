//! What holds for every input: asked by the fuzzer of new inputs, and by the test suite of those that are kept in `corpus`.

use hotshard::analysis::keyspec::Commands;
use hotshard::analysis::line::Line;
use hotshard::analysis::pattern::{Normaliser, PatternSettings};
use hotshard::analysis::tally::{Tally, TallySettings};
use hotshard::analysis::window::WindowStats;
use hotshard::model::{Bytes, Timestamp};

/// Keys that a tally follows here.
const KEYS_MAX: usize = 64;
/// No more of a key's text is kept.
const KEPT_MAX: usize = 256;
/// What it has room for of all their texts.
const TEXTS_MAX: usize = 48 * KEYS_MAX;

/// No stream of bytes is fatal, each line of it is counted or rejected, and how it is cut changes nothing.
pub(crate) fn line(stream: &[u8]) {
    let whole = tallied(stream, stream.len());
    for piece in [1, 3, 64] {
        assert_eq!(tallied(stream, piece), whole, "in pieces of {piece}");
    }
    assert_eq!(whole.bytes_read, Bytes(stream.len() as u64));
    let lines = stream.split(|&byte| byte == b'\n').count() as u64;
    assert!(whole.lines + whole.rejected_lines() <= lines);
    for line in stream.split(|&byte| byte == b'\n') {
        if let Ok(line) = Line::parse(line) {
            line.arguments.for_each(drop);
        }
    }
}

/// A command of these arguments, one to a line, has the same keys through the tally as through the table.
pub(crate) fn keyspec(arguments: &[u8]) {
    let commands = Commands::builtin();
    let plain = |argument: &&[u8]| {
        argument
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte))
    };
    let arguments: Vec<&[u8]> = arguments.split(|&byte| byte == b'\n').filter(plain).collect();
    let Some(first) = arguments.first().filter(|name| !name.is_empty()) else {
        return;
    };
    let script = [&b"EVAL"[..], b"FCALL"]
        .iter()
        .any(|name| first.to_ascii_uppercase().starts_with(name));
    let line = [
        &b"1.000000 [0 1.1.1.1:1] \""[..],
        &arguments.join(&b"\" \""[..]),
        b"\"\n",
    ]
    .concat();
    let stats = tallied(&line, line.len());
    let keys = commands.keys(&arguments);
    assert_eq!(
        (stats.lines, stats.key_touches),
        (1, keys.len() as u64),
        "script: {script}"
    );
    let texts: usize = keys.iter().map(|key| key.len().min(KEPT_MAX)).sum();
    // More than are followed, or longer ones, leave again.
    for key in keys.iter().filter(|_| keys.len() <= KEYS_MAX && texts <= TEXTS_MAX) {
        let kept = &key[..key.len().min(KEPT_MAX)];
        assert!(
            stats.keys.iter().any(|found| found.key.as_bytes() == kept),
            "{}",
            key.escape_ascii()
        );
    }
}

/// Keys, one to a line, get few patterns, the same ones each time.
pub(crate) fn pattern(keys: &[u8]) {
    let settings = PatternSettings::default();
    let mut one = Normaliser::new(&settings, 1);
    let mut other = Normaliser::new(&settings, 2);
    let time = Timestamp(1_795_202_082_000_000);
    let keys = || keys.split(|&byte| byte == b'\n');
    let ids: Vec<_> = keys()
        .map(|key| (one.classify(key, time), other.classify(key, time)))
        .collect();
    for ((id, other_id), key) in ids.into_iter().zip(keys()) {
        assert_eq!(one.name(id), other.name(other_id), "whatever the seed");
        assert_eq!(one.resolve(id), one.resolve(one.resolve(id)));
        assert!(one.name(id).len() <= 16 * (key.len() + 1), "{}", one.name(id));
    }
}

fn tallied(stream: &[u8], piece: usize) -> WindowStats {
    let normaliser = Normaliser::new(&PatternSettings::default(), 7);
    let settings = TallySettings {
        keys_max: KEYS_MAX,
        signatures_max: 16,
        top: usize::MAX,
        ..TallySettings::default()
    };
    let mut tally = Tally::new(&settings, Commands::builtin(), normaliser, 7);
    stream.chunks(piece.max(1)).for_each(|piece| tally.feed(piece));
    tally.finish()
}
