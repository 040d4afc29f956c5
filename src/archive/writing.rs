//! One window on its way into the archive: its counts, and the lines that were drawn from it.

use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::line::{Command, Reader, Row};
use super::names::{Day, Dictionary, Names};
use super::settings::Record;
use super::store::{Drawn, Kept, Reading};
use crate::analysis::keyspec::{CommandId, Commands};
use crate::analysis::pattern::{Normaliser, PatternId};
use crate::analysis::window::WindowStats;

/// The hottest slots of a window; the others' sum is what is missing to its touches.
pub(super) const SLOTS_MAX: usize = 256;

/// How many lines one statement inserts.
const LINES_AT_ONCE: usize = 50;

/// The pattern of lines without a key.
const NO_PATTERN: i64 = 0;

/// One window on its way into the archive.
pub(super) struct Writing<'store> {
    pub(super) transaction: &'store Transaction<'store>,
    pub(super) names: &'store mut Names,
    /// When it closed.
    pub(super) day: Day,
    /// How many rows it has so far.
    pub(super) rows: u64,
}

impl Writing<'_> {
    /// The window itself; gives its number.
    pub(super) fn window(&mut self, session: i64, kept: &Kept, complete: bool) -> rusqlite::Result<i64> {
        let (window, stats, sample) = (&kept.window, &kept.window.stats, &kept.drawn.sample);
        let rate = match sample.seen {
            0 if complete => 1.0,
            0 => 0.0,
            seen => sample.lines.len() as f64 / seen as f64,
        };
        let estimate = stats.output.as_ref().map(serde_json::to_string).transpose();
        let estimate = estimate.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.transaction
            .prepare_cached(
                "INSERT INTO windows (session, shard, node, role, opened, closed, ended_by, bytes_read, lines, commands, replicated,
                    reads, writes, first_line, last_line, key_touches, cut_keys, distinct_keys, distinct_clients, completeness,
                    reads_coverage, writes_coverage, server_buffer_peak, sample_rate, output_estimate)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                session,
                window.shard.as_str(),
                window.node.as_str(),
                window.role.as_str(),
                number(window.opened.0),
                number(window.closed.0),
                window.end.kind(),
                number(stats.bytes_read.0),
                number(stats.lines),
                number(stats.commands),
                number(stats.replicated),
                number(stats.reads),
                number(stats.writes),
                stats.first.map(|time| number(time.0)),
                stats.last.map(|time| number(time.0)),
                number(stats.key_touches),
                number(stats.cut_keys),
                number(stats.distinct_keys),
                number(stats.distinct_clients),
                window.completeness.map(|ratio| ratio.0),
                window.coverage.reads.map(|ratio| ratio.0),
                window.coverage.writes.map(|ratio| ratio.0),
                window.server_buffer_peak.map(|bytes| number(bytes.0)),
                rate,
                estimate,
            ])?;
        self.rows += 1;
        Ok(self.transaction.last_insert_rowid())
    }

    pub(super) fn counts(&mut self, window: i64, stats: &WindowStats) -> rusqlite::Result<()> {
        for entry in &stats.commands_by_name {
            let command = self.name(Dictionary::Commands, &entry.name)?;
            self.count(
                "INSERT OR IGNORE INTO command_counts VALUES (?, ?, ?)",
                params![window, command, number(entry.count)],
            )?;
        }
        for entry in &stats.patterns {
            let pattern = self.name(Dictionary::Patterns, &entry.pattern)?;
            let values = params![
                window,
                pattern,
                number(entry.count),
                number(entry.error),
                &*entry.example_key
            ];
            self.count("INSERT OR IGNORE INTO pattern_counts VALUES (?, ?, ?, ?, ?)", values)?;
        }
        for entry in &stats.signatures {
            let values = params![
                window,
                &*entry.signature,
                number(entry.count),
                number(entry.error),
                entry.full_scan
            ];
            self.count("INSERT OR IGNORE INTO signature_counts VALUES (?, ?, ?, ?, ?)", values)?;
        }
        for entry in &stats.keys {
            let values = params![
                window,
                &*entry.key,
                number(entry.count),
                number(entry.error),
                entry.slot.number()
            ];
            self.count("INSERT OR IGNORE INTO key_counts VALUES (?, ?, ?, ?, ?)", values)?;
        }
        for entry in &stats.hash_tags {
            let values = params![window, &*entry.name, number(entry.count), number(entry.error)];
            self.count("INSERT OR IGNORE INTO hash_tag_counts VALUES (?, ?, ?, ?)", values)?;
        }
        for entry in &stats.clients {
            let client = self.name(Dictionary::Clients, &entry.name)?;
            self.count(
                "INSERT OR IGNORE INTO client_counts VALUES (?, ?, ?)",
                params![window, client, number(entry.count)],
            )?;
        }
        for (slot, count) in stats.slots.iter().take(SLOTS_MAX) {
            self.count(
                "INSERT OR IGNORE INTO slot_counts VALUES (?, ?, ?)",
                params![window, slot.number(), number(*count)],
            )?;
        }
        for (reason, count) in &stats.rejected {
            self.count(
                "INSERT OR IGNORE INTO rejection_counts VALUES (?, ?, ?)",
                params![window, reason.kind(), number(*count)],
            )?;
        }
        Ok(())
    }

    /// Lines of one command and one pattern become a chunk; chunks and their lines are numbered in one order.
    pub(super) fn lines(&mut self, window: i64, kept: &Kept, reading: &Reading) -> rusqlite::Result<()> {
        let Drawn {
            sample,
            commands,
            upkeep,
            learned,
        } = &kept.drawn;
        let mut patterns = Normaliser::new(&reading.patterns, reading.seed).veiled(reading.veil.clone());
        patterns.learn(learned);
        let with_texts = reading.record == Record::Full;
        let mut reader = Reader::new(commands, upkeep, patterns, with_texts);
        let rows: Vec<Row<'_>> = sample.lines.iter().filter_map(|line| reader.read(line)).collect();
        let patterns = reader.patterns;
        let mut placed = self.placed(&rows, commands, &patterns)?;
        // The sample has lost the order of the stream; two lines of one microsecond may change places.
        placed.sort_unstable_by_key(|line| (line.command, line.pattern, line.row.at));
        // Counting goes on from what was there last, also where its lines have left.
        let last: Option<i64> = self
            .transaction
            .prepare_cached("SELECT last FROM chunks ORDER BY id DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let first = last.unwrap_or(0) + 1;
        self.chunks(window, first, &mut placed)?;
        for (place, lines) in placed.chunks(LINES_AT_ONCE).enumerate() {
            self.insert(first + (place * LINES_AT_ONCE) as i64, lines, &patterns)?;
        }
        if with_texts {
            let mut statement = self
                .transaction
                .prepare_cached("INSERT INTO line_texts VALUES (?, ?, ?)")?;
            for (id, line) in (first..).zip(&placed) {
                if let Some((args, raw)) = &line.row.texts {
                    statement.execute(params![id, args, raw])?;
                }
            }
        }
        self.rows += placed.len() as u64;
        Ok(())
    }

    /// Each row with the numbers of its names.
    fn placed<'rows>(
        &mut self,
        rows: &'rows [Row<'rows>],
        commands: &Commands,
        patterns: &Normaliser,
    ) -> rusqlite::Result<Vec<Placed<'rows>>> {
        let mut of_patterns: Numbers<PatternId> = HashMap::default();
        let mut of_commands: Numbers<CommandId> = HashMap::default();
        let mut of_clients: Numbers<&str> = HashMap::default();
        let mut placed = Vec::with_capacity(rows.len());
        for row in rows {
            let pattern = match row.key.as_ref().map(|key| key.pattern) {
                None => NO_PATTERN,
                Some(pattern) => remembered(&mut of_patterns, pattern, || {
                    self.name(Dictionary::Patterns, &patterns.name(pattern))
                })?,
            };
            let command = match &row.command {
                Command::Known(id) => remembered(&mut of_commands, *id, || {
                    self.name(Dictionary::Commands, &commands.get(*id).name)
                })?,
                Command::Other(name) => self.name(Dictionary::Commands, name)?,
            };
            placed.push(Placed {
                command,
                pattern,
                client: remembered(&mut of_clients, &row.client, || {
                    self.name(Dictionary::Clients, &row.client)
                })?,
                began: row.at,
                row,
            });
        }
        Ok(placed)
    }

    fn chunks(&mut self, window: i64, mut first: i64, placed: &mut [Placed<'_>]) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO chunks (window, command, pattern, first, last, began) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for chunk in placed.chunk_by_mut(|one, next| (one.command, one.pattern) == (next.command, next.pattern)) {
            let next = first + chunk.len() as i64;
            let began = chunk[0].row.at;
            chunk.iter_mut().for_each(|line| line.began = began);
            statement.execute(params![
                window,
                chunk[0].command,
                chunk[0].pattern,
                first,
                next - 1,
                began
            ])?;
            first = next;
        }
        Ok(())
    }

    /// Many rows by one statement: that takes half the time.
    fn insert(&mut self, first: i64, lines: &[Placed<'_>], patterns: &Normaliser) -> rusqlite::Result<()> {
        let mut statement = insert_lines(self.transaction, lines.len())?;
        let mut place = 0;
        for (id, line) in (first..).zip(lines) {
            let key = line.row.key.as_ref();
            let key = key.map(|key| patterns.kept_key(&key.text, key.pattern));
            statement.raw_bind_parameter(place + 1, id)?;
            statement.raw_bind_parameter(place + 2, line.row.at - line.began)?;
            statement.raw_bind_parameter(place + 3, line.client)?;
            statement.raw_bind_parameter(place + 4, line.row.port)?;
            statement.raw_bind_parameter(place + 5, key.as_deref())?;
            place += 5;
        }
        statement.raw_execute()?;
        Ok(())
    }

    fn name(&mut self, dictionary: Dictionary, name: &str) -> rusqlite::Result<i64> {
        self.names.id(self.transaction, dictionary, name, self.day)
    }

    fn count(&mut self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.rows += 1;
        self.transaction.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

/// The numbers of names that one window has.
type Numbers<Name> = HashMap<Name, i64, foldhash::fast::RandomState>;

fn remembered<Name: Eq + Hash>(
    known: &mut Numbers<Name>,
    name: Name,
    find: impl FnOnce() -> rusqlite::Result<i64>,
) -> rusqlite::Result<i64> {
    match known.entry(name) {
        Entry::Occupied(known) => Ok(*known.get()),
        Entry::Vacant(unknown) => Ok(*unknown.insert(find()?)),
    }
}

fn insert_lines<'a>(transaction: &'a Transaction<'_>, rows: usize) -> rusqlite::Result<CachedStatement<'a>> {
    let values = vec!["(?, ?, ?, ?, ?)"; rows].join(", ");
    transaction.prepare_cached(&format!(
        "INSERT OR ROLLBACK INTO lines (id, at, client, port, key) VALUES {values}"
    ))
}

/// A row with the numbers of its names, and the time of its chunk.
struct Placed<'rows> {
    command: i64,
    pattern: i64,
    client: i64,
    began: i64,
    row: &'rows Row<'rows>,
}

/// SQLite's numbers are signed.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
