//! The lines of one window as they are kept: read, named, and in their order.
//!
//! Pure, so that the lines of one window can be read while those of another are written. It refuses to know where they go.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::line::{Met, Reader, Row, text};
use super::numbers::Numbers;
use super::settings::Record;
use super::store::{Drawn, Reading};
use crate::analysis::pattern::{Normaliser, PatternId};

/// The lines of one window.
#[derive(Debug)]
pub(super) struct Sheet<'drawn> {
    /// One after the other, as their lines lie.
    pub(super) chunks: Vec<Chunk<'drawn>>,
    pub(super) lines: Vec<KeptLine>,
    /// Whom the lines are from.
    pub(super) clients: Vec<Cow<'drawn, str>>,
    /// All keys, as they are met when the lines are written: a key that was read long before is no longer near.
    keys: String,
}

/// Lines of one command and one pattern.
#[derive(Debug)]
pub(super) struct Chunk<'drawn> {
    pub(super) command: Cow<'drawn, str>,
    /// `None` if the lines have no key.
    pub(super) pattern: Option<Arc<str>>,
    /// When the first was executed, in microseconds since the epoch, by the server's clock.
    pub(super) began: i64,
    /// How many they are.
    pub(super) length: usize,
}

/// A line within its chunk.
#[derive(Debug)]
pub(super) struct KeptLine {
    /// Microseconds since its chunk began.
    pub(super) at: i64,
    /// Its place among the clients.
    pub(super) client: u32,
    pub(super) port: Option<u16>,
    /// Where its first key, as people may see it, stands among the keys.
    key: Option<Range<usize>>,
    /// The arguments after the command and the line itself, if they are to be kept.
    pub(super) texts: Option<Box<(String, String)>>,
}

/// Where a line belongs: the derived order is the one in which lines lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Its command's number, and its pattern's.
    chunk: u64,
    at: i64,
    row: usize,
}

/// The pattern's number of lines without a key.
const NO_PATTERN: u32 = 0;

impl<'drawn> Sheet<'drawn> {
    /// Reads what was drawn of a window.
    pub(super) fn read(drawn: &'drawn Drawn, reading: &Reading) -> Self {
        let mut patterns = Normaliser::new(&reading.patterns, reading.seed).veiled(reading.veil.clone());
        patterns.learn(&drawn.learned);
        let with_texts = reading.record == Record::Full;
        let mut reader = Reader::new(&drawn.commands, &drawn.upkeep, patterns, with_texts);
        let lines = &drawn.sample.lines;
        let mut rows: Vec<Row<'drawn>> = Vec::with_capacity(lines.len());
        rows.extend(lines.iter().filter_map(|line| reader.read(line)));
        Self::of_rows(rows, reader.finish())
    }

    /// The first key of one of its lines.
    pub(super) fn key(&self, line: &KeptLine) -> Option<&str> {
        line.key.clone().map(|key| &self.keys[key])
    }

    fn of_rows(mut rows: Vec<Row<'drawn>>, met: Met<'drawn>) -> Self {
        let patterns = Patterns::of(&met.patterns);
        let placed = rows.iter().enumerate().map(|(place, row)| Place {
            chunk: u64::from(row.command) << 32
                | u64::from(row.key.as_ref().map_or(NO_PATTERN, |key| patterns.number(key.pattern))),
            at: row.at,
            row: place,
        });
        let mut order: Vec<Place> = placed.collect();
        // The sample has lost the order of the stream; two lines of one microsecond may change places.
        order.sort_unstable();
        let (mut chunks, mut lines, mut keys) = (Vec::new(), Vec::with_capacity(rows.len()), String::new());
        for chunk in order.chunk_by(|one, next| one.chunk == next.chunk) {
            let Place {
                chunk: number,
                at: began,
                ..
            } = chunk[0];
            chunks.push(Chunk {
                command: met.commands[(number >> 32) as usize].clone(),
                pattern: patterns.name(number as u32),
                began,
                length: chunk.len(),
            });
            lines.extend(chunk.iter().map(|place| {
                let row = &mut rows[place.row];
                KeptLine {
                    at: row.at - began,
                    client: row.client,
                    port: row.port,
                    key: row.key.as_ref().map(|key| {
                        let begins = keys.len();
                        keys.push_str(&met.patterns.kept_key(&text(key.text), key.pattern));
                        begins..keys.len()
                    }),
                    texts: row.texts.take(),
                }
            }));
        }
        Self {
            chunks,
            lines,
            clients: met.clients,
            keys,
        }
    }
}

/// The names of all patterns. Under a veil several patterns have one name, and then one number: their lines must not lie apart.
#[derive(Debug)]
struct Patterns {
    names: Vec<Option<Arc<str>>>,
    numbers: Vec<u32>,
}

impl Patterns {
    fn of(patterns: &Normaliser) -> Self {
        let mut names = Numbers::default();
        names.of(None);
        let numbers = patterns
            .ids()
            .map(|id| names.of(Some(patterns.name(id).into())))
            .collect();
        Self {
            names: names.into_names().collect(),
            numbers,
        }
    }

    fn number(&self, id: PatternId) -> u32 {
        self.numbers[id.index()]
    }

    fn name(&self, number: u32) -> Option<Arc<str>> {
        self.names[number as usize].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::veil::{KeyNames, Veil};
    use crate::archive::testing;
    use crate::model::Timestamp;

    const LINES: &str = r#"1795202082.000003 [0 10.0.0.1:4001] "get" "user:1001"
1795202082.000004 [0 10.0.0.2:4002] "GET" "alpha"
1795202082.000001 [0 10.0.0.1:4003] "SET" "user:1002" "v"
1795202082.000005 [0 10.0.0.2:4004] "GET" "beta"
1795202082.000002 [0 10.0.0.1:4005] "GET" "user:1003"
1795202082.000006 [0 10.0.0.3:4006] "NOSUCH" "user:1004"
1795202082.000009 [0 10.0.0.1:4007] "GET" "alpha"
"#;

    fn check(names: KeyNames, expected: &str) {
        let kept = testing::window_of(Timestamp(1_795_202_082_000_000), LINES);
        let reading = Reading {
            veil: Veil::new(names, b"a secret"),
            ..testing::reading()
        };
        let sheet = Sheet::read(&kept.drawn, &reading);
        let mut lines = sheet.lines.iter();
        let mut shown = String::new();
        for chunk in &sheet.chunks {
            shown += &format!(
                "{} {} from {}:",
                chunk.command,
                chunk.pattern.as_deref().unwrap_or("-"),
                chunk.began % 1000
            );
            for line in lines.by_ref().take(chunk.length) {
                let (client, port) = (&sheet.clients[line.client as usize], line.port.unwrap_or_default());
                shown += &format!(" +{} {client}:{port} {};", line.at, sheet.key(line).unwrap_or("-"));
            }
            shown += "\n";
        }
        assert_eq!(shown, expected);
    }

    #[test]
    fn lines_of_one_command_and_one_pattern_lie_together_by_time() {
        check(
            KeyNames::Plain,
            "GET user:{ID} from 2: +0 10.0.0.1:4005 user:1003; +1 10.0.0.1:4001 user:1001;\n\
             GET alpha from 4: +0 10.0.0.2:4002 alpha; +5 10.0.0.1:4007 alpha;\n\
             GET beta from 5: +0 10.0.0.2:4004 beta;\n\
             SET user:{ID} from 1: +0 10.0.0.1:4003 user:1002;\n\
             NOSUCH - from 6: +0 10.0.0.3:4006 -;\n",
        );
    }

    #[test]
    fn keys_that_may_not_be_told_apart_lie_in_one_chunk() {
        check(
            KeyNames::Patterns,
            "GET user:{ID} from 2: +0 10.0.0.1:4005 user:{ID}; +1 10.0.0.1:4001 user:{ID};\n\
             GET {KEY} from 4: +0 10.0.0.2:4002 {KEY}; +1 10.0.0.2:4004 {KEY}; +5 10.0.0.1:4007 {KEY};\n\
             SET user:{ID} from 1: +0 10.0.0.1:4003 user:{ID};\n\
             NOSUCH - from 6: +0 10.0.0.3:4006 -;\n",
        );
    }
}
