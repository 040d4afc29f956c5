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
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
];

/// Marks a file as an archive of ours (`hsar`).
const APPLICATION: i64 = 0x6873_6172;

/// How long to wait for another process that holds the file.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

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

/// Refuses a file that is not to be written, whose form is looked at alone.
pub(super) fn refuse(connection: &Connection, path: &Path) -> Result<(), ArchiveError> {
    version(connection, path).map(drop)
}

/// Refuses an archive that a later version wrote: what its tables mean isn't known here.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), ArchiveError> {
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|error| ArchiveError::database(path, error))
    };
    let (found, known) = (number("user_version")?, MIGRATIONS.len() as i64);
    if number("application_id")? == APPLICATION && found > known {
        let path = path.into();
        return Err(ArchiveError::Newer { path, found, known });
    }
    Ok(())
}

/// Whether it is an archive of ours in its newest form.
pub(super) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    Ok(number("application_id")? == APPLICATION && number("user_version")? == MIGRATIONS.len() as i64)
}

fn prepare(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    if version == 0 {
        // They can't be changed once there is a table. Larger pages take fewer steps to write.
        connection.execute_batch("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -8192",
    )?;
    for (number, migration) in (1..).zip(MIGRATIONS).skip(version) {
        // All of it or nothing: a killed process leaves the version before.
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{migration};\nPRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {number};\nCOMMIT"
        ))?;
    }
    // Not before: a migration may sort more than memory should hold.
    connection.execute_batch("PRAGMA temp_store = MEMORY")
}

fn create(path: &Path) -> Result<(), ArchiveError> {
    if path.is_dir() {
        return Err(ArchiveError::Folder(path.into()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines as people see them, in the order of time.
    fn seen(connection: &Connection) -> String {
        let columns = "shard_name, datetime_utc, client_address, client_ip, command, key, key_pattern, args, raw_line";
        let sql = format!(
            "SELECT group_concat(line, char(10)) FROM (SELECT concat_ws(' ', {columns}) AS line FROM monitor_logs ORDER BY timestamp)"
        );
        connection
            .query_row(&sql, [], |row| row.get(0))
            .expect("it is answered")
    }

    #[test]
    fn lines_of_the_first_form_are_the_same_in_the_newest() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(MIGRATIONS[0]).expect("it is sound");
        connection
            .execute_batch(
                "INSERT INTO sessions VALUES (1, 'orders', '', 'serve', 5000000, 9000000, 1, '{}');
                 INSERT INTO windows SELECT value, 1, '000' || value, 'n', 'replica', 5000000, 9000000, 'duration', 1, 3, 3, 0, 3, 0, NULL, NULL,
                    3, 0, 2, 1, NULL, NULL, NULL, NULL, 1.0 FROM (SELECT 1 AS value UNION SELECT 2);
                 INSERT INTO commands VALUES (1, 'GET'), (2, 'PING');
                 INSERT INTO patterns VALUES (1, 'user:{ID}'), (2, 'hot');
                 INSERT INTO clients VALUES (1, '10.0.0.9');
                 INSERT INTO chunks VALUES (1, 1, 1, 3, 6000000), (2, 2, 4, 5, 7000000);
                 INSERT INTO lines VALUES (1, 0, 1, 5000, 1, 1, 'user:1001'), (2, 10, 1, 5000, 2, NULL, NULL),
                    (3, 20, 1, 5001, 1, 1, 'user:1002'), (4, 0, 1, 5000, 1, 2, 'hot'), (5, 7, 1, NULL, 1, 1, 'user:1003');
                 INSERT INTO line_texts VALUES (3, 'args 3', 'raw 3'), (4, 'args 4', 'raw 4')",
            )
            .expect("it is written");
        let before = seen(&connection);
        assert_eq!(before.lines().count(), 5, "{before}");
        for migration in &MIGRATIONS[1..] {
            connection.execute_batch(migration).expect("it is sound");
        }
        assert_eq!(seen(&connection), before);
    }

    /// The steps of a statement on an archive that was just made.
    fn plan(sql: &str) -> String {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("h.db");
        drop(open(&path).expect("it is made"));
        let connection = Connection::open(&path).expect("it opens");
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .expect("it is understood");
        let steps = statement
            .query_map([], |row| row.get::<_, String>(3))
            .expect("it is planned");
        steps.collect::<Result<Vec<_>, _>>().expect("texts").join("\n")
    }

    #[test]
    fn a_question_about_one_thing_reads_nothing_else() {
        let check = |condition: &str, step: &str| {
            let plan = plan(&format!("SELECT count(*) FROM monitor_logs WHERE {condition}"));
            assert!(plan.contains(step), "{condition}: {plan}");
            assert!(
                plan.contains("SEARCH lines USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
                "{condition}: {plan}"
            );
        };
        check("command = 'GET'", "SEARCH chunks USING INDEX chunks_by_command");
        check(
            "key_pattern = 'user:{ID}'",
            "SEARCH chunks USING INDEX chunks_by_pattern",
        );
        check(
            "key_pattern GLOB 'user:*'",
            "SEARCH chunks USING INDEX chunks_by_pattern",
        );
        check("shard_name = '0001'", "SEARCH chunks USING INDEX chunks_by_window");
        // No index is made for one statement, to be looked into for every chunk.
        check("key = 'hot'", "SEARCH chunks USING INDEX chunks_by_window");
        check("client_ip = '10.0.0.9'", "SEARCH chunks USING INDEX chunks_by_window");
        check("key_pattern IS NULL", "SEARCH chunks USING INDEX chunks_by_pattern");
    }

    #[test]
    fn counting_by_pattern_sorts_no_lines() {
        let plan = plan("SELECT key_pattern, count(*) FROM monitor_logs GROUP BY key_pattern");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
