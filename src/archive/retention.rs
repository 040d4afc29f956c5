//! What is too old, or too much, leaves the archive in small steps, and its space goes back to the disk.
//!
//! A step is short enough that windows that wait to be written don't notice.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::settings::ArchiveSettings;
use crate::model::{Bytes, Timestamp};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) retention: Duration,
    pub(super) size_max: Bytes,
}

/// Lines that one step deletes.
const LINES_A_STEP: i64 = 5_000;

/// Pages that one step gives back.
const PAGES_A_STEP: i64 = 512;

/// The tables that hold something of a window.
const COUNTS: [&str; 8] = [
    "command_counts",
    "pattern_counts",
    "signature_counts",
    "key_counts",
    "hash_tag_counts",
    "client_counts",
    "slot_counts",
    "rejection_counts",
];

impl Limits {
    pub(super) fn of(settings: &ArchiveSettings) -> Self {
        Self {
            retention: settings.retention,
            size_max: settings.size_max,
        }
    }

    /// Whether the oldest window must go.
    fn exceeded(&self, oldest: Timestamp, used: Bytes, now: Timestamp) -> bool {
        used > self.size_max || now.since(oldest) > self.retention
    }
}

/// Does one step; tells whether there is more to do.
pub(super) fn step(connection: &mut Connection, limits: Limits, now: Timestamp) -> rusqlite::Result<bool> {
    let used = used(connection)?;
    match oldest(connection)? {
        Some((window, closed)) if limits.exceeded(closed, used, now) => {
            delete_some(connection, window)?;
            Ok(true)
        }
        _ => give_back(connection),
    }
}

/// The oldest window and when it closed.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Option<(i64, Timestamp)>> {
    connection
        .prepare_cached("SELECT id, closed FROM windows ORDER BY closed, id LIMIT 1")?
        .query_row([], |row| {
            Ok((
                row.get(0)?,
                Timestamp(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)),
            ))
        })
        .optional()
}

fn used(connection: &Connection) -> rusqlite::Result<Bytes> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(Bytes(u64::try_from(pages * number("page_size")?).unwrap_or(0)))
}

/// Deletes a part of a window's lines, or the window itself once none is left.
fn delete_some(connection: &mut Connection, window: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // The chunks of a window, and their lines, have numbers without a gap.
    let first: Option<i64> = transaction
        .prepare_cached("SELECT min(first) FROM chunks WHERE window = ?")?
        .query_row([window], |row| row.get(0))?;
    match first {
        Some(first) => {
            let last: i64 = transaction
                .prepare_cached("SELECT max(last) FROM chunks WHERE window = ?")?
                .query_row([window], |row| row.get(0))?;
            let until = last.min(first + LINES_A_STEP - 1);
            transaction.execute("DELETE FROM lines WHERE id BETWEEN ? AND ?", [first, until])?;
            transaction.execute("DELETE FROM line_texts WHERE id BETWEEN ? AND ?", [first, until])?;
            transaction.execute("DELETE FROM chunks WHERE window = ? AND last <= ?", [window, until])?;
            transaction.execute(
                "UPDATE chunks SET first = ?2 + 1 WHERE window = ?1 AND first <= ?2",
                [window, until],
            )?;
            // What remains of it is no complete record any more.
            transaction.execute(
                "UPDATE sessions SET complete = 0 WHERE complete AND id = (SELECT session FROM windows WHERE id = ?)",
                [window],
            )?;
        }
        None => delete_window(&transaction, window)?,
    }
    transaction.commit()
}

fn delete_window(transaction: &Connection, window: i64) -> rusqlite::Result<()> {
    for table in COUNTS {
        transaction.execute(&format!("DELETE FROM {table} WHERE window = ?"), [window])?;
    }
    let session: i64 = transaction.query_row("SELECT session FROM windows WHERE id = ?", [window], |row| row.get(0))?;
    transaction.execute("DELETE FROM windows WHERE id = ?", [window])?;
    transaction.execute(
        "DELETE FROM sessions WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM windows WHERE session = ?1)",
        params![session],
    )?;
    Ok(())
}

/// Gives free pages back to the disk; tells whether more are left.
fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    let free = || connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    if free()? == 0 {
        return Ok(false);
    }
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_A_STEP})"))?;
    let mut pages = statement.query([])?;
    // Each step of the statement frees one page.
    while pages.next()?.is_some() {}
    Ok(free()? > 0)
}
