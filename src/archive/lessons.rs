//! Parts of keys that vary, as windows learned them: written when there are new ones, read at the start of the next process.
//!
//! They show no more of keys than the patterns beside them do.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction};

use super::schema;
use super::trouble::ArchiveError;
use crate::analysis::pattern::{Learned, PatternSettings};
use crate::model::{GroupId, GroupKey, Region};

/// What the archive knows of each group; nothing if there is no file yet, or one from before anything was kept of it.
pub fn lessons(path: &Path) -> Result<Vec<(GroupKey, Learned)>, ArchiveError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let failed = |error| ArchiveError::database(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(schema::PATIENCE).map_err(failed)?;
    if !schema::is_current(&connection).map_err(failed)? {
        return Ok(Vec::new());
    }
    let groups = groups(&connection).map_err(failed)?;
    let known = |group: GroupKey| Ok((group.clone(), of(&connection, &group)?));
    groups.into_iter().map(known).collect::<Result<_, _>>().map_err(failed)
}

/// Adds to what is kept of a group.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    group: &GroupKey,
    learned: &Learned,
    settings: &PatternSettings,
) -> rusqlite::Result<()> {
    let before = of(transaction, group)?;
    // Another process may have learned something else.
    let (joined, _) = before.joined(learned, settings);
    if joined == before {
        return Ok(());
    }
    let name = (group.id.as_str(), group.region.as_str());
    transaction.execute("DELETE FROM learned_segments WHERE cluster = ? AND region = ?", name)?;
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO learned_segments VALUES (?, ?, ?)")?;
    for segment in joined.segments() {
        insert.execute((name.0, name.1, segment))?;
    }
    Ok(())
}

fn groups(connection: &Connection) -> rusqlite::Result<Vec<GroupKey>> {
    let mut statement = connection.prepare("SELECT DISTINCT cluster, region FROM learned_segments")?;
    let groups = statement.query_map([], |row| {
        Ok(GroupKey {
            id: GroupId::new(row.get::<_, String>(0)?),
            region: Region::new(row.get::<_, String>(1)?),
        })
    })?;
    groups.collect()
}

/// Sorted as joined ones are, so that two of one content are equal.
fn of(connection: &Connection, group: &GroupKey) -> rusqlite::Result<Learned> {
    let mut statement = connection
        .prepare_cached("SELECT segment FROM learned_segments WHERE cluster = ? AND region = ? ORDER BY segment")?;
    let segments = statement.query_map((group.id.as_str(), group.region.as_str()), |row| {
        row.get::<_, String>(0)
    })?;
    segments.collect::<Result<Vec<_>, _>>().map(Learned::new)
}
