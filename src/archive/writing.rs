//! One window on its way into the archive: its counts, and the lines that were drawn from it.

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::names::{Day, Dictionary, Names};
use super::sheet::{Chunk, KeptLine, Sheet};
use super::store::Kept;
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

    /// The lines; they and their chunks are numbered in one order.
    pub(super) fn lines(&mut self, window: i64, sheet: &Sheet<'_>) -> rusqlite::Result<()> {
        // Counting goes on from what was there last, also where its lines have left.
        let last: Option<i64> = self
            .transaction
            .prepare_cached("SELECT last FROM chunks ORDER BY id DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let first = last.unwrap_or(0) + 1;
        self.chunks(window, first, &sheet.chunks)?;
        let clients = sheet.clients.iter().map(|name| self.name(Dictionary::Clients, name));
        let clients: Vec<i64> = clients.collect::<rusqlite::Result<_>>()?;
        self.insert(first, sheet, &clients)?;
        self.texts(first, &sheet.lines)?;
        self.rows += sheet.lines.len() as u64;
        Ok(())
    }

    fn chunks(&mut self, window: i64, mut first: i64, chunks: &[Chunk<'_>]) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO chunks (window, command, pattern, first, last, began) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for chunk in chunks {
            let command = self.name(Dictionary::Commands, &chunk.command)?;
            let pattern = match &chunk.pattern {
                Some(pattern) => self.name(Dictionary::Patterns, pattern)?,
                None => NO_PATTERN,
            };
            let next = first + chunk.length as i64;
            statement.execute(params![window, command, pattern, first, next - 1, chunk.began])?;
            first = next;
        }
        Ok(())
    }

    /// Many rows by one statement: that takes half the time. All but the first get the number after the largest so far from SQLite, which
    /// then needn't look whether there is such a row.
    fn insert(&self, first: i64, sheet: &Sheet<'_>, clients: &[i64]) -> rusqlite::Result<()> {
        let Some((line, others)) = sheet.lines.split_first() else {
            return Ok(());
        };
        let values = (
            first,
            line.at,
            clients[line.client as usize],
            line.port,
            sheet.key(line),
        );
        self.transaction
            .prepare_cached("INSERT INTO lines (id, at, client, port, key) VALUES (?, ?, ?, ?, ?)")?
            .execute(values)?;
        let full = others.chunks_exact(LINES_AT_ONCE);
        let rest = full.remainder();
        let mut statement = self.inserting(LINES_AT_ONCE)?;
        for lines in full {
            execute(&mut statement, sheet, lines, clients)?;
        }
        if !rest.is_empty() {
            execute(&mut self.inserting(rest.len())?, sheet, rest, clients)?;
        }
        Ok(())
    }

    fn inserting(&self, rows: usize) -> rusqlite::Result<CachedStatement<'_>> {
        let values = vec!["(?, ?, ?, ?)"; rows].join(", ");
        let sql = format!("INSERT OR ROLLBACK INTO lines (at, client, port, key) VALUES {values}");
        self.transaction.prepare_cached(&sql)
    }

    fn texts(&self, first: i64, lines: &[KeptLine]) -> rusqlite::Result<()> {
        let mut statement = self
            .transaction
            .prepare_cached("INSERT INTO line_texts VALUES (?, ?, ?)")?;
        for (id, line) in (first..).zip(lines) {
            if let Some(texts) = &line.texts {
                statement.execute(params![id, texts.0, texts.1])?;
            }
        }
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

fn execute(
    statement: &mut CachedStatement<'_>,
    sheet: &Sheet<'_>,
    lines: &[KeptLine],
    clients: &[i64],
) -> rusqlite::Result<()> {
    for (place, line) in (0..).step_by(4).zip(lines) {
        statement.raw_bind_parameter(place + 1, line.at)?;
        statement.raw_bind_parameter(place + 2, clients[line.client as usize])?;
        statement.raw_bind_parameter(place + 3, line.port)?;
        statement.raw_bind_parameter(place + 4, sheet.key(line))?;
    }
    statement.raw_execute().map(|_| ())
}

/// SQLite's numbers are signed.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
