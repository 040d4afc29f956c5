//! The form of an archive: an append-only list of migrations, the file's own number of how many of them it has.
//!
//! A file with a higher number was written by a later version and is left as it is. It refuses to know what is written.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::trouble::ArchiveError;

/// Each brings a file from the version before to its own; what is written here once never changes.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

/// Marks a file as an archive of ours (`hsar`).
const APPLICATION: i64 = 0x6873_6172;

/// How long to wait for another process that holds the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens an archive to write it: creates it, readable by its owner alone, or brings it up to date.
pub(super) fn open(path: &Path) -> Result<Connection, ArchiveError> {
    create(path)?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| ArchiveError::database(path, error))?;
    let failed = |error| ArchiveError::database(path, error);
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let version = version(&connection, path)?;
    prepare(&connection, version).map_err(failed)?;
    Ok(connection)
}

/// Which migration the file has reached; refuses files that aren't ours, and newer ones, before anything is changed.
fn version(connection: &Connection, path: &Path) -> Result<usize, ArchiveError> {
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|error| ArchiveError::database(path, error))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(|error| ArchiveError::database(path, error))?;
    if application != APPLICATION && (application != 0 || version != 0 || tables != 0) {
        return Err(ArchiveError::Foreign(path.into()));
    }
    usize::try_from(version)
        .ok()
        .filter(|version| *version <= MIGRATIONS.len())
        .ok_or_else(|| ArchiveError::Newer {
            path: path.into(),
            found: version,
            known: MIGRATIONS.len() as i64,
        })
}

fn prepare(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    if version == 0 {
        // It can't be changed once there is a table.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY",
    )?;
    for (number, migration) in (1..).zip(MIGRATIONS).skip(version) {
        // All of it or nothing: a killed process leaves the version before.
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{migration};\nPRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {number};\nCOMMIT"
        ))?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), ArchiveError> {
    let mut file = OpenOptions::new();
    match file.write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(ArchiveError::File {
            action: "create",
            path: path.into(),
            source,
        }),
    }
}
