//! Faults of the file and its disk: each is said once, and neither the daemon nor what was written is lost.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use super::{DEADLINE, check_sound, demo, number, open, rounds, said};
use crate::harness::hotshard::Hotshard;
use crate::harness::wait::eventually;

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

/// Waits until rows were counted as lost for this reason.
async fn dropped(hotshard: &Hotshard, reason: &str) {
    let series = format!("hotshard_archive_dropped_rows_total{{reason=\"{reason}\"}}");
    let counted = async || match hotshard.metrics().await {
        page if page.contains(&series) => Ok(()),
        _ => Err(hotshard.log()),
    };
    eventually(&series, DEADLINE, counted).await;
}

/// What another process would find if this one were gone now: a copy, since SQLite finds no way into the folder that it alone sees.
fn check_frozen(hotshard: &Hotshard, folder: &Path) {
    let copies = tempfile::TempDir::new().expect("a temporary folder");
    hotshard.signal(Signal::STOP);
    for name in ["h.db", "h.db-wal"] {
        std::fs::copy(folder.join(name), copies.path().join(name)).expect("it can be read");
    }
    hotshard.signal(Signal::CONT);
    let copy = Connection::open(copies.path().join("h.db")).expect("it opens");
    let sound = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(number(&copy, sound), 1, "{} is damaged", folder.display());
    assert!(
        number(&copy, "SELECT count(*) FROM windows") > 0,
        "what was written before is lost"
    );
}

const OFTEN: [&str; 7] = [
    "demo",
    "--shards",
    "3",
    "--monitor.schedule",
    "every 3s",
    "--monitor.window",
    "1s",
];

#[tokio::test]
async fn a_full_disk_stops_the_archive_and_not_the_daemon() {
    // A small disk that this process alone sees, part of it taken by something else.
    let small = "mount -t tmpfs -o size=3m tmpfs /mnt && head -c 2000000 /dev/zero > /mnt/else && exec \"$@\"";
    let starter = ["unshare", "-Urm", "sh", "-c", small, "sh"];
    let path = ["--archive.path", "/mnt/h.db", "--archive.free-space-min", "0"];
    let rows = ["--archive.rows-per-window-max", "100000"];
    let hotshard = Hotshard::started_by(&starter, &[&OFTEN[..], &path, &rows].concat()).await;
    dropped(&hotshard, "disk_full").await;
    assert_eq!(hotshard.get("/healthz").await.expect("it answers").status, 200);
    let told = hotshard
        .log()
        .matches("nothing is archived until this is cured")
        .count();
    assert_eq!(told, 1, "{}", hotshard.log());
    let disk = std::path::PathBuf::from(format!("/proc/{}/root/mnt", hotshard.pid()));
    check_frozen(&hotshard, &disk);
    std::fs::remove_file(disk.join("else")).expect("it can be removed");
    said(&hotshard, "the archive is written again").await;
    check_frozen(&hotshard, &disk);
    hotshard.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_and_counted() {
    let sealed = "mount -t tmpfs -o size=1m tmpfs /mnt && mount -o remount,ro /mnt && exec \"$@\"";
    let starter = ["unshare", "-Urm", "sh", "-c", sealed, "sh"];
    let hotshard = Hotshard::started_by(
        &starter,
        &[
            &OFTEN[..],
            &["--archive.path", "/mnt/h.db", "--archive.free-space-min", "0"],
        ]
        .concat(),
    )
    .await;
    dropped(&hotshard, "read_only").await;
    assert_eq!(hotshard.get("/healthz").await.expect("it answers").status, 200);
    let log = hotshard.stop().await;
    assert!(
        log.contains("/mnt/h.db") && log.matches("nothing is archived until").count() == 1,
        "{log}"
    );
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_written_again_once_it_is_free() {
    let hotshard = demo(&[]).await;
    rounds(&hotshard, 1).await;
    let path = hotshard.folder().join("h.db");
    let other = Connection::open(&path).expect("it opens");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("it is free between two rounds");
    dropped(&hotshard, "locked").await;
    other.execute_batch("ROLLBACK").expect("it is let go");
    said(&hotshard, "the archive is written again").await;
    drop(other);
    check_sound(&path);
    hotshard.stop().await;
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_left_alone() {
    let hotshard = demo(&["--archive.free-space-min", "1000000GiB"]).await;
    dropped(&hotshard, "free_space").await;
    let path = hotshard.folder().join("h.db");
    assert_eq!(number(&open(&path), "SELECT count(*) FROM windows"), 0);
    hotshard.stop().await;
}

/// Whether every migration has been made.
fn has_its_form(path: &Path) -> Result<(), String> {
    let migrations = std::fs::read_dir("src/archive/migrations").expect("tests run in the repository");
    let archive = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let made = archive.and_then(|archive| archive.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)));
    match made {
        Ok(made) if migrations.count() as i64 == made => Ok(()),
        Ok(made) => Err(format!("{made} migrations are made")),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_daemon_killed_while_it_writes_loses_its_last_batch_at_most() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.db");
    let written = path.display().to_string();
    let mut kept = 0;
    for _ in 0..3 {
        let arguments = [
            &OFTEN[..],
            &["--archive.path", &written, "--archive.rows-per-window-max", "100000"],
        ]
        .concat();
        let hotshard = Hotshard::start(&arguments).await;
        let log = path.with_extension("db-wal");
        let length = || std::fs::metadata(&log).map_or(0, |file| file.len());
        // Creating the tables makes the log grow, too.
        eventually("the archive has its tables", DEADLINE, async || has_its_form(&path)).await;
        let before = length();
        // The log grows while a transaction is under way.
        let grows = async || if length() > before { Ok(()) } else { Err(length()) };
        eventually("something is written", DEADLINE, grows).await;
        hotshard.signal(Signal::KILL);
        drop(hotshard);
        check_sound(&path);
        let now = number(&open(&path), "SELECT count(*) FROM windows");
        assert!(now >= kept, "{now} windows where {kept} were");
        kept = now;
        let torn = "SELECT count(*) FROM windows WHERE id NOT IN (SELECT window FROM command_counts) AND commands > 0";
        assert_eq!(number(&open(&path), torn), 0, "a window is there whole or not at all");
    }
    assert!(kept > 0);
}
