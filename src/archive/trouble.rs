//! What can be wrong with an archive, told by kind: a full disk is waited for, a corrupt file is set aside, a newer one is left alone.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why an archive can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A later version of hotshard wrote it.
    #[error(
        "{path} was written by a newer hotshard (schema {found}, this one knows {known}); use that version, or set archive.path to another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// It holds something else, perhaps what the earlier tool wrote.
    #[error(
        "{0} is a database, but no archive of hotshard; `hotshard query` reads what the earlier tool wrote, but to write, set archive.path to another file"
    )]
    Foreign(PathBuf),
    /// It holds nothing that could be read as one.
    #[error(
        "{0} is a database, but neither an archive of hotshard nor one of the earlier tool; name the archive with --db-path"
    )]
    NoArchive(PathBuf),
    /// There is nothing in it, or what is in it has an earlier form, which its daemon is about to change.
    #[error("{0} is still being made, or rewritten for this version; ask again when that is done")]
    Unready(PathBuf),
    /// There is no such file.
    #[error(
        "there is no archive at {0}; name it with --db-path, or set archive.path and let `hotshard serve` write one"
    )]
    Missing(PathBuf),
    /// It is a folder.
    #[error("{0} is a folder; name the file in it")]
    Folder(PathBuf),
    /// The database failed.
    #[error("{}: {}; {}", path.display(), said, cure(*fault))]
    Database {
        /// The file.
        path: PathBuf,
        /// Which kind of failure it is.
        fault: Fault,
        /// What SQLite says. Its own causes say the same again.
        said: rusqlite::Error,
    },
    /// The file system failed.
    #[error("cannot {action} {}: {source}; {}, or set archive.path elsewhere", path.display(), file_cure(source))]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is nearly full.
    #[error("{0} is on a disk with less free space than archive.free_space_min; free some, or lower archive.size_max")]
    FreeSpace(PathBuf),
    /// The file can't be made smaller fast enough.
    #[error(
        "{0} with its log is far above archive.size_max, perhaps since another program reads it without end; stop that program, or raise the limit"
    )]
    Size(PathBuf),
}

/// What kind of failure of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    DiskFull,
    /// Another process holds it.
    Locked,
    /// It can't be written or opened.
    ReadOnly,
    /// It isn't a sound database.
    Corrupt,
    /// The disk failed.
    Disk,
    /// Anything else.
    Other,
}

impl ArchiveError {
    /// A failure of the database at `path`.
    pub(super) fn database(path: &Path, source: rusqlite::Error) -> Self {
        Self::Database {
            path: path.into(),
            fault: Fault::of(&source),
            said: source,
        }
    }

    /// Whether the file is to be set aside.
    pub fn is_corrupt(&self) -> bool {
        matches!(
            self,
            Self::Database {
                fault: Fault::Corrupt,
                ..
            }
        )
    }

    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "newer",
            Self::Foreign(_) | Self::NoArchive(_) => "foreign",
            Self::Unready(_) => "unready",
            Self::Missing(_) | Self::Folder(_) => "missing",
            Self::Database { fault, .. } => fault.kind(),
            Self::File { .. } => Fault::ReadOnly.kind(),
            Self::FreeSpace(_) => "free_space",
            Self::Size(_) => "size",
        }
    }
}

impl Fault {
    /// Of SQLite's error.
    pub fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt,
            Some(ErrorCode::SystemIoFailure) => Self::Disk,
            _ => Self::Other,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Locked => "locked",
            Self::ReadOnly => "read_only",
            Self::Corrupt => "corrupt",
            Self::Disk => "disk",
            Self::Other => "other",
        }
    }
}

fn file_cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make its folder",
        _ => "make the file and its folder readable and writable for the user that hotshard runs as",
    }
}

fn cure(fault: Fault) -> &'static str {
    match fault {
        Fault::DiskFull => "free some space, or lower archive.size_max",
        Fault::Locked => "another process holds it; end that process",
        Fault::ReadOnly => "make the file and its folder readable and writable, or set archive.path elsewhere",
        Fault::Corrupt => "restore it from a copy, or move it away",
        Fault::Disk => "look at the disk",
        Fault::Other => "look at the file with `sqlite3 FILE 'PRAGMA integrity_check'`",
    }
}
