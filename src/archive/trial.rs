//! Whether an archive could be written, found out without leaving anything behind.
//!
//! It refuses to write: what can only be known by writing, such as a quota, is told by the archive's own thread.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::settings::ArchiveSettings;
use super::trouble::ArchiveError;
use super::{disk, schema};

/// What would keep the archive of these settings from being written, if they name one.
pub fn try_out(settings: &ArchiveSettings) -> Result<(), ArchiveError> {
    let Some(path) = &settings.path else { return Ok(()) };
    if path.is_dir() {
        return Err(ArchiveError::Folder(path.clone()));
    }
    let failed = |action| {
        let path = path.clone();
        move |source| ArchiveError::File { action, path, source }
    };
    if path.exists() {
        may(path, Access::READ_OK | Access::WRITE_OK).map_err(failed("write"))?;
        // Its log comes to lie beside it.
        can_be_made(path).map_err(failed("write the log of"))?;
        schema::refuse(&untouched(path)?, path)?;
    } else {
        can_be_made(path).map_err(failed("create"))?;
    }
    match disk::free(path).is_some_and(|free| free < settings.free_space_min) {
        true => Err(ArchiveError::FreeSpace(path.clone())),
        false => Ok(()),
    }
}

/// Whether a file could be made there.
pub fn can_be_made(path: &Path) -> io::Result<()> {
    let folder = disk::folder(path);
    if folder.exists() && !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    may(folder, Access::WRITE_OK | Access::EXEC_OK)
}

fn may(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// The file as it is, without the log that SQLite would make beside it even for a reader.
fn untouched(path: &Path) -> Result<Connection, ArchiveError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", escaped(path));
    Connection::open_with_flags(uri, flags).map_err(|error| ArchiveError::database(path, error))
}

/// A path as a part of a URI.
fn escaped(path: &Path) -> String {
    let letter = |byte: &u8| match byte {
        b'/' | b'-' | b'_' | b'.' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    OsStr::as_bytes(path.as_os_str()).iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::archive::Record;
    use crate::model::Bytes;

    /// What is said of this file, in which `make` put something; nothing is there afterwards that wasn't before.
    fn check(make: impl FnOnce(&Path), name: &str, expected: &str) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        make(&folder.path().join(name));
        let files = || {
            let entries = fs::read_dir(folder.path()).expect("a folder");
            let mut files: Vec<_> = entries
                .map(|entry| {
                    let path = entry.expect("it can be listed").path();
                    let held = fs::read(&path).unwrap_or_default();
                    (path, held)
                })
                .collect();
            files.sort();
            files
        };
        let before = files();
        let settings = ArchiveSettings {
            path: Some(folder.path().join(name)),
            record: Record::Keys,
            rows_per_window_max: NonZeroUsize::MIN,
            retention: Duration::MAX,
            size_max: Bytes(u64::MAX),
            free_space_min: Bytes(if name == "full.db" { u64::MAX } else { 0 }),
        };
        let said = try_out(&settings).map_or_else(|error| error.to_string(), |()| "fine".to_owned());
        let said = said.replace(&format!("{}/", folder.path().display()), "");
        assert!(said.starts_with(expected), "{name}: {said}");
        assert_eq!(files(), before, "{name}");
    }

    /// As a daemon that is stopped leaves it.
    fn archive(path: &Path) {
        let connection = schema::open(path).expect("it is made");
        connection.close().expect("it is closed");
    }

    #[test]
    fn what_can_be_written_is_fine() {
        check(|_| (), "new.db", "fine");
        check(archive, "old %?#.db", "fine");
        check(|path| fs::write(path, "").expect("it is written"), "empty.db", "fine");
    }

    #[test]
    fn what_cannot_be_written_is_named_with_its_cure() {
        check(
            |_| (),
            "missing/h.db",
            "cannot create missing/h.db: No such file or directory (os error 2); make its folder, or set archive.path elsewhere",
        );
        check(
            |path| fs::write(path.parent().expect("a folder"), "").expect("it is written"),
            "file/h.db",
            "cannot create file/h.db: not a directory; ",
        );
        check(
            |path| fs::create_dir(path).expect("it is made"),
            "folder",
            "folder is a folder; name the file in it",
        );
        check(
            |_| (),
            "full.db",
            "full.db is on a disk with less free space than archive.free_space_min",
        );
    }

    #[test]
    fn what_is_somebody_elses_or_from_later_is_left_alone() {
        let sql = |statement: &'static str| {
            move |path: &Path| {
                let connection = Connection::open(path).expect("it is made");
                connection.execute_batch(statement).expect("it is written");
            }
        };
        check(
            sql("CREATE TABLE a (b)"),
            "other.db",
            "other.db is a database, but no archive of hotshard",
        );
        check(
            sql("PRAGMA application_id = 1752392050; PRAGMA user_version = 999; CREATE TABLE a (b)"),
            "later.db",
            "later.db was written by a newer hotshard",
        );
    }
}
