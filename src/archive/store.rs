//! One archive, open for writing: windows go in, each with its counts and the lines that were drawn from it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};

use super::lessons;
use super::line::Row;
use super::sample::Sample;
use super::schema;
use super::settings::Record;
use super::trouble::ArchiveError;
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Learned, Normaliser, PatternId, PatternSettings};
use crate::analysis::tally::Upkeep;
use crate::analysis::veil::Veil;
use crate::analysis::window::{ClosedWindow, WindowStats};
use crate::model::GroupKey;

/// How lines are to be read and what is to be kept of them.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How keys become patterns.
    pub patterns: PatternSettings,
    /// How keys are named.
    pub veil: Veil,
    /// What of a line is kept.
    pub record: Record,
    /// Which command watches: `serve`, `demo` or `monitor`.
    pub source: &'static str,
    /// Seeds the tables: keys are an attacker's choice.
    pub seed: u64,
}

/// A window with what was drawn from its stream.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The window.
    pub window: Arc<ClosedWindow>,
    /// What was drawn.
    pub drawn: Drawn,
}

/// What was drawn of a window's stream, and what it takes to read it.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Lines; none if only counts are kept.
    pub sample: Sample,
    /// The commands that the node knew.
    pub commands: Arc<Commands>,
    /// Which lines are no load, and not kept.
    pub upkeep: Upkeep,
    /// What is known of the group's keys.
    pub learned: Arc<Learned>,
}

impl Kept {
    /// How many rows it makes, about.
    pub fn rows(&self) -> u64 {
        let stats = &self.window.stats;
        let counts = [
            stats.commands_by_name.len(),
            stats.patterns.len(),
            stats.signatures.len(),
            stats.keys.len(),
            stats.hash_tags.len(),
            stats.clients.len(),
            stats.slots.len().min(SLOTS_MAX),
            stats.rejected.len(),
            self.drawn.sample.lines.len(),
        ];
        1 + counts.iter().sum::<usize>() as u64
    }
}

/// An archive that can be written.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
    reading: Reading,
    sessions: HashMap<GroupKey, Session>,
    names: Names,
    /// What was written last of each group.
    learned: HashMap<GroupKey, Arc<Learned>>,
}

/// The round of a group that its next window may belong to.
#[derive(Debug)]
struct Session {
    id: i64,
    closed: i64,
    shards: Vec<Arc<str>>,
}

/// A window that opens later than this after its group's last one closed begins a new round.
const ROUND_GAP_MICROS: i64 = 2_000_000;

/// The hottest slots of a window; the others' sum is what is missing to its touches.
const SLOTS_MAX: usize = 256;

/// How many lines one statement inserts.
const LINES_AT_ONCE: usize = 50;

impl Store {
    /// Opens or creates the archive.
    pub fn open(path: &Path, reading: Reading) -> Result<Self, ArchiveError> {
        Ok(Self {
            path: path.into(),
            connection: schema::open(path)?,
            reading,
            sessions: HashMap::new(),
            names: Names::default(),
            learned: HashMap::new(),
        })
    }

    /// Writes windows in one transaction, and tells how many rows that were. Nothing of them is written if it fails.
    pub fn keep(&mut self, windows: &[Kept]) -> Result<u64, ArchiveError> {
        let kept = self.keep_all(windows);
        if kept.is_err() {
            // What was remembered may have been taken back with the transaction.
            self.sessions.clear();
            self.names = Names::default();
            self.learned.clear();
        }
        kept.map_err(|error| ArchiveError::database(&self.path, error))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Leaves a single file behind, without a log beside it, unless somebody still reads it.
    pub fn close(self) -> Result<(), ArchiveError> {
        let failed = |error| ArchiveError::database(&self.path, error);
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(failed)?;
        self.connection.close().map_err(|(_, error)| failed(error))
    }

    fn keep_all(&mut self, windows: &[Kept]) -> rusqlite::Result<u64> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut rows = 0;
        for kept in windows {
            let session = session(&transaction, &mut self.sessions, kept, &self.reading)?;
            let mut writing = Writing {
                transaction: &transaction,
                names: &mut self.names,
                rows: 0,
            };
            let window = writing.window(session, kept)?;
            writing.counts(window, &kept.window.stats)?;
            writing.lines(window, kept, &self.reading)?;
            rows += writing.rows;
            let (group, learned) = (&kept.window.group, &kept.drawn.learned);
            if self.learned.get(group).is_none_or(|written| written != learned) {
                lessons::keep(&transaction, group, learned, &self.reading.patterns)?;
                self.learned.insert(group.clone(), Arc::clone(learned));
            }
        }
        transaction.commit()?;
        Ok(rows)
    }
}

/// Whether every line of the window is there.
fn is_complete(kept: &Kept) -> bool {
    let sample = &kept.drawn.sample;
    sample.lines.len() as u64 == sample.seen && sample.seen >= kept.window.stats.lines
}

/// The round that the window belongs to, a new one if it must.
fn session(
    transaction: &Transaction<'_>,
    sessions: &mut HashMap<GroupKey, Session>,
    kept: &Kept,
    reading: &Reading,
) -> rusqlite::Result<i64> {
    let window = &kept.window;
    let (opened, closed, complete) = (number(window.opened.0), number(window.closed.0), is_complete(kept));
    let shard: Arc<str> = window.shard.as_str().into();
    if let Some(session) = sessions.get_mut(&window.group)
        && session.takes(&shard, opened)
    {
        session.closed = session.closed.max(closed);
        session.shards.push(shard);
        transaction
            .prepare_cached(
                "UPDATE sessions SET opened = min(opened, ?2), closed = max(closed, ?3), complete = complete AND ?4 WHERE id = ?1",
            )?
            .execute(params![session.id, opened, closed, complete])?;
        return Ok(session.id);
    }
    let config = serde_json::json!({ "source": reading.source, "record": reading.record }).to_string();
    transaction
        .prepare_cached(
            "INSERT INTO sessions (cluster, region, source, opened, closed, complete, config) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            window.group.id.as_str(),
            window.group.region.as_str(),
            reading.source,
            opened,
            closed,
            complete,
            config
        ])?;
    let id = transaction.last_insert_rowid();
    let shards = vec![shard];
    sessions.insert(window.group.clone(), Session { id, closed, shards });
    Ok(id)
}

impl Session {
    /// Rounds of a group never overlap, and each looks at a shard once.
    fn takes(&self, shard: &Arc<str>, opened: i64) -> bool {
        opened <= self.closed + ROUND_GAP_MICROS && !self.shards.contains(shard)
    }
}

/// One window on its way into the archive.
struct Writing<'store> {
    transaction: &'store Transaction<'store>,
    names: &'store mut Names,
    rows: u64,
}

impl Writing<'_> {
    fn window(&mut self, session: i64, kept: &Kept) -> rusqlite::Result<i64> {
        let (window, stats, sample) = (&kept.window, &kept.window.stats, &kept.drawn.sample);
        let rate = match sample.seen {
            0 if is_complete(kept) => 1.0,
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

    fn counts(&mut self, window: i64, stats: &WindowStats) -> rusqlite::Result<()> {
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
    fn lines(&mut self, window: i64, kept: &Kept, reading: &Reading) -> rusqlite::Result<()> {
        let Drawn {
            sample,
            commands,
            upkeep,
            learned,
        } = &kept.drawn;
        let mut patterns = Normaliser::new(&reading.patterns, reading.seed).veiled(reading.veil.clone());
        patterns.learn(learned);
        let with_texts = reading.record == Record::Full;
        let mut read = |line: &[u8]| Row::read(line, commands, upkeep, &mut patterns, with_texts);
        let rows: Vec<Row> = sample.lines.iter().filter_map(|line| read(line)).collect();
        let mut placed = self.placed(&rows, &patterns)?;
        // The sample has lost the order of the stream; two lines of one microsecond may change places.
        placed.sort_by_key(|line| (line.command, line.pattern, line.row.at));
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
    fn placed<'rows>(&mut self, rows: &'rows [Row], patterns: &Normaliser) -> rusqlite::Result<Vec<Placed<'rows>>> {
        let mut known: HashMap<PatternId, i64> = HashMap::new();
        let mut placed = Vec::with_capacity(rows.len());
        for row in rows {
            let pattern = match row.key.as_ref().map(|key| key.pattern) {
                None => NO_PATTERN,
                Some(pattern) => match known.get(&pattern) {
                    Some(id) => *id,
                    None => {
                        let id = self.name(Dictionary::Patterns, &patterns.name(pattern))?;
                        known.insert(pattern, id);
                        id
                    }
                },
            };
            placed.push(Placed {
                command: self.name(Dictionary::Commands, &row.command)?,
                pattern,
                client: self.name(Dictionary::Clients, &row.client)?,
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
        self.names.id(self.transaction, dictionary, name)
    }

    fn count(&mut self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.rows += 1;
        self.transaction.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

fn insert_lines<'a>(transaction: &'a Transaction<'_>, rows: usize) -> rusqlite::Result<CachedStatement<'a>> {
    let values = vec!["(?, ?, ?, ?, ?)"; rows].join(", ");
    transaction.prepare_cached(&format!(
        "INSERT INTO lines (id, at, client, port, key) VALUES {values}"
    ))
}

/// A row with the numbers of its names, and the time of its chunk.
struct Placed<'rows> {
    command: i64,
    pattern: i64,
    client: i64,
    began: i64,
    row: &'rows Row,
}

/// The pattern of lines without a key.
const NO_PATTERN: i64 = 0;

/// The tables of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Dictionary {
    Commands,
    Patterns,
    Clients,
}

/// Names that have a number already; forgotten when they are too many, since the file knows them.
#[derive(Debug, Default)]
struct Names {
    known: [HashMap<Box<str>, i64>; 3],
}

/// How many names of one kind are remembered.
const NAMES_MAX: usize = 50_000;

impl Names {
    fn id(&mut self, transaction: &Transaction<'_>, dictionary: Dictionary, name: &str) -> rusqlite::Result<i64> {
        let known = &mut self.known[dictionary as usize];
        if let Some(id) = known.get(name) {
            return Ok(*id);
        }
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        let (find, insert) = dictionary.statements();
        let found = transaction
            .prepare_cached(find)?
            .query_row([name], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => {
                transaction.prepare_cached(insert)?.execute([name])?;
                transaction.last_insert_rowid()
            }
        };
        known.insert(name.into(), id);
        Ok(id)
    }
}

impl Dictionary {
    fn statements(self) -> (&'static str, &'static str) {
        match self {
            Self::Commands => (
                "SELECT id FROM commands WHERE name = ?",
                "INSERT INTO commands (name) VALUES (?)",
            ),
            Self::Patterns => (
                "SELECT id FROM patterns WHERE name = ?",
                "INSERT INTO patterns (name) VALUES (?)",
            ),
            Self::Clients => (
                "SELECT id FROM clients WHERE name = ?",
                "INSERT INTO clients (name) VALUES (?)",
            ),
        }
    }
}

/// SQLite's numbers are signed.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
