//! The archive: what a daemon wrote.

mod faults;
mod lessons;
mod questions;
mod retention;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use crate::harness::hotshard::Hotshard;
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// A demo that archives into its own folder, often.
async fn demo(more: &[&str]) -> Hotshard {
    let arguments = [
        "demo",
        "--shards",
        "3",
        "--archive.path",
        "h.db",
        "--monitor.schedule",
        "every 3s",
        "--monitor.window",
        "1s",
    ];
    let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
    Hotshard::start(&arguments).await
}

fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the archive opens")
}

fn number(archive: &Connection, sql: &str) -> i64 {
    archive
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Waits until the demo has archived so many rounds.
async fn rounds(hotshard: &Hotshard, wanted: i64) {
    let path = hotshard.folder().join("h.db");
    let seen = async || {
        let found = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|archive| {
            archive.query_row(
                "SELECT count(*) FROM monitoring_sessions WHERE num_shards = 3",
                [],
                |row| row.get::<_, i64>(0),
            )
        });
        match found {
            Ok(found) if found >= wanted => Ok(()),
            other => Err(other),
        }
    };
    eventually("rounds are archived", DEADLINE, seen).await;
}

#[tokio::test]
async fn what_the_daemon_saw_is_kept() {
    let hotshard = demo(&["--archive.rows-per-window-max", "100000"]).await;
    rounds(&hotshard, 2).await;
    let path = hotshard.folder().join("h.db");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let metrics = hotshard.metrics().await;
    assert!(metrics.contains("hotshard_archive_size_bytes "), "{metrics}");
    hotshard.signal(Signal::TERM);
    let beside = path.with_extension("db-wal");
    eventually("the log is gone", DEADLINE, async || {
        if beside.exists() { Err(()) } else { Ok(()) }
    })
    .await;
    let archive = open(&path);
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"
        ),
        1
    );
    let lines = number(&archive, "SELECT count(*) FROM monitor_logs");
    assert!(lines > 1000, "{lines}");
    // Every line of the complete sessions is there, and says what the counts say.
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM (
                SELECT window_id, command, count(*) AS lines FROM all_lines GROUP BY 1, 2
            ) JOIN window_commands USING (window_id, command) WHERE lines <> count"
        ),
        0
    );
    // What hotshard itself asks, and what replication adds, are lines of the stream and no load.
    assert_eq!(lines, number(&archive, "SELECT sum(commands) FROM windows"));
    assert!(lines < number(&archive, "SELECT sum(lines) FROM windows"));
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM monitor_logs WHERE args IS NOT NULL OR raw_line IS NOT NULL"
        ),
        0
    );
}

#[tokio::test]
async fn a_killed_daemon_loses_no_file_and_no_finished_round() {
    let hotshard = demo(&[]).await;
    rounds(&hotshard, 1).await;
    let path = hotshard.folder().join("h.db");
    hotshard.signal(Signal::KILL);
    let archive = open(&path);
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"
        ),
        1
    );
    assert!(number(&archive, "SELECT count(*) FROM window_keys") > 0);
}

/// Waits until the log says it.
async fn said(hotshard: &Hotshard, words: &str) {
    let heard = async || match hotshard.log() {
        log if log.contains(words) => Ok(()),
        log => Err(log),
    };
    eventually(words, DEADLINE, heard).await;
}

fn check_sound(path: &Path) {
    let sound = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(number(&open(path), sound), 1, "{} is damaged", path.display());
}
