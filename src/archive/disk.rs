//! The files of an archive and the disk they lie on.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::trouble::ArchiveError;
use crate::model::{Bytes, Timestamp};

/// What SQLite writes beside the file itself.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// The file with its log.
pub(super) fn size(path: &Path) -> Bytes {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    Bytes(length(path) + length(&beside(path, "-wal")))
}

/// How much may still be written on the file's disk; `None` if it can't be told.
pub(super) fn free(path: &Path) -> Option<Bytes> {
    let disk = rustix::fs::statvfs(folder(path)).ok()?;
    Some(Bytes(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Moves a corrupt file out of the way, with what belongs to it, and tells its new name.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, ArchiveError> {
    let aside = beside(path, &format!(".corrupt-{}", now.0 / 1_000_000));
    let moved = |from: &Path, to: &Path| {
        fs::rename(from, to).map_err(|source| ArchiveError::File {
            action: "set aside",
            path: from.into(),
            source,
        })
    };
    for companion in COMPANIONS {
        let file = beside(path, companion);
        if file.exists() {
            moved(&file, &beside(&aside, companion))?;
        }
    }
    moved(path, &aside)?;
    Ok(aside)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
