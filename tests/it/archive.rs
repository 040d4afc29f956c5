//! The archive: what a daemon wrote, faults of the file, and what is asked of it.

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
    assert_eq!(lines, number(&archive, "SELECT sum(lines) FROM windows"));
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

/// Starts a demo on a file that holds this, and waits until its log says so.
async fn check_begun_on(file: &[u8], said: &str) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.db");
    std::fs::write(&path, file).expect("it can be written");
    let hotshard = Hotshard::start(&["demo", "--shards", "3", "--archive.path", &path.display().to_string()]).await;
    let heard = async || {
        if hotshard.log().contains(said) {
            Ok(())
        } else {
            Err(hotshard.log())
        }
    };
    eventually("the log tells it", DEADLINE, heard).await;
    let kept = std::fs::read(&path).expect("it is there");
    let aside = std::fs::read_dir(folder.path())
        .expect("it is there")
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().contains(".corrupt-"));
    match aside {
        Some(aside) => assert_eq!(std::fs::read(aside.path()).expect("it was set aside"), file),
        None => assert_eq!(kept, file, "the file was changed"),
    }
    hotshard.stop().await;
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside_and_a_new_one_begun() {
    check_begun_on(&[b'x'; 8192], "the archive is corrupt, was set aside").await;
}

#[tokio::test]
async fn a_newer_file_is_left_as_it_is() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("newer.db");
    let newer = Connection::open(&path).expect("a new file opens");
    newer
        .execute_batch("PRAGMA application_id = 1752392050; PRAGMA user_version = 999; CREATE TABLE a (b)")
        .expect("it is written");
    newer.close().expect("it closes");
    let file = std::fs::read(&path).expect("it is there");
    check_begun_on(&file, "was written by a newer hotshard").await;
}

#[tokio::test]
async fn a_query_reads_and_does_nothing_else() {
    let hotshard = demo(&[]).await;
    rounds(&hotshard, 1).await;
    let path = hotshard.folder().join("h.db").display().to_string();
    let asked = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["query", "--db-path", &path].iter().chain(arguments).copied().collect();
        crate::cli::told(&mut crate::cli::hotshard(&arguments))
    };
    assert_eq!(
        asked(&["--sql", "SELECT 6 * 7 AS n", "-f", "csv"]),
        "n\n42\nexit code 0\n"
    );
    for statement in [
        "DELETE FROM lines",
        "ATTACH 'x' AS y",
        "PRAGMA user_version = 7",
        "SELECT load_extension('x')",
        "VACUUM INTO 'y'",
    ] {
        let told = asked(&["--sql", statement]);
        assert!(
            told.ends_with("exit code 2\n") && told.contains("--sql"),
            "{statement}: {told}"
        );
    }
    let told = asked(&["-cmd", "get", "-l", "1", "-f", "csv"]);
    assert!(told.contains(",GET,") && told.contains("exit code 0"), "{told}");
    let report = crate::cli::told(&mut crate::cli::hotshard(&["report", "--db-path", &path, "-f", "json"]));
    assert!(report.contains("\"source\": \"serve\""), "{report}");
}
