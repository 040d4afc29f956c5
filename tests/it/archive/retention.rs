//! What is old leaves the archive, and its file stays small.

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use super::{DEADLINE, check_sound, demo, number, open};
use crate::harness::wait::eventually;

/// What is left of the archive of a demo that ran until the oldest windows had left it: the file's bytes, and its pages that are free.
async fn tidied(limit: &[&str]) -> (u64, i64) {
    let hotshard = demo(limit).await;
    let path = hotshard.folder().join("h.db");
    let left = async || match Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|archive| archive.query_row("SELECT min(id) FROM windows", [], |row| row.get::<_, Option<i64>>(0)))
    {
        Ok(Some(7..)) => Ok(()),
        other => Err(other),
    };
    eventually("two rounds have left", DEADLINE, left).await;
    let folder = hotshard.folder().to_owned();
    let copy = tempfile::TempDir::new().expect("a temporary folder");
    hotshard.signal(Signal::TERM);
    let beside = folder.join("h.db-wal");
    eventually(
        "it is closed",
        DEADLINE,
        async || if beside.exists() { Err(()) } else { Ok(()) },
    )
    .await;
    let kept = copy.path().join("h.db");
    std::fs::copy(&path, &kept).expect("it is there");
    check_sound(&kept);
    (
        std::fs::metadata(&kept).expect("it is there").len(),
        number(&open(&kept), "SELECT freelist_count FROM pragma_freelist_count"),
    )
}

#[tokio::test]
async fn a_file_stays_below_its_size_and_gives_space_back() {
    let (bytes, free) = tidied(&["--archive.size-max", "500kB"]).await;
    assert!(bytes <= 500_000 && free == 0, "{bytes} bytes, {free} pages free");
}

#[tokio::test]
async fn old_windows_leave_and_the_file_shrinks() {
    let (bytes, free) = tidied(&["--archive.retention", "4s"]).await;
    assert!(free == 0, "{bytes} bytes, {free} pages free");
}
