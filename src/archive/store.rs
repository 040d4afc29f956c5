//! One archive, open for writing: windows go in, each with its counts and the lines that were drawn from it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction, params};

use super::names::{self, Day, Names};
use super::retention::{self, Limits};
use super::sample::Sample;
use super::schema;
use super::settings::Record;
use super::trouble::ArchiveError;
use super::writing::{SLOTS_MAX, Writing, number};
use super::{ahead, lessons};
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Learned, PatternSettings};
use crate::analysis::tally::Upkeep;
use crate::analysis::veil::Veil;
use crate::analysis::window::ClosedWindow;
use crate::model::{GroupKey, Timestamp};

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
    /// Names that only windows before this day had are forgotten.
    forgotten: Day,
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

impl Store {
    /// Opens or creates the archive.
    pub fn open(path: &Path, reading: Reading) -> Result<Self, ArchiveError> {
        Ok(Self {
            path: path.into(),
            connection: schema::open(path)?,
            reading,
            sessions: HashMap::new(),
            names: Names::default(),
            forgotten: Day::default(),
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

    /// One step of bringing the file below its limits; tells whether there is more to do.
    pub(super) fn tidy(&mut self, limits: Limits, now: Timestamp) -> Result<bool, ArchiveError> {
        let more = match retention::step(&mut self.connection, limits, now) {
            Ok(false) => self.forget_names(),
            stepped => stepped,
        };
        more.map_err(|error| ArchiveError::database(&self.path, error))
    }

    /// When the oldest window closed.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let oldest = retention::oldest(&self.connection).ok().flatten();
        oldest.map(|(_, closed)| closed)
    }

    /// Once a day's last window has left, names that only it had leave too.
    fn forget_names(&mut self) -> rusqlite::Result<bool> {
        let Some((_, oldest)) = retention::oldest(&self.connection)? else {
            return Ok(false);
        };
        let day = Day::of(oldest);
        if day <= self.forgotten {
            return Ok(false);
        }
        self.names = Names::default();
        if !names::forget(&mut self.connection, day)? {
            self.forgotten = day;
        }
        Ok(true)
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
        let rows = ahead::each(windows, &self.reading, |kept, sheet| {
            let session = session(&transaction, &mut self.sessions, kept, &self.reading)?;
            let mut writing = Writing {
                transaction: &transaction,
                names: &mut self.names,
                day: Day::of(kept.window.closed),
                rows: 0,
            };
            let window = writing.window(session, kept, is_complete(kept))?;
            writing.counts(window, &kept.window.stats)?;
            writing.lines(window, sheet)?;
            let rows = writing.rows;
            let (group, learned) = (&kept.window.group, &kept.drawn.learned);
            if self.learned.get(group).is_none_or(|written| written != learned) {
                lessons::keep(&transaction, group, learned, &self.reading.patterns)?;
                self.learned.insert(group.clone(), Arc::clone(learned));
            }
            Ok::<_, rusqlite::Error>(rows)
        })?;
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
