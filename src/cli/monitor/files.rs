//! The folder of reports: each file appears whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::analysis::report::Report;
use crate::archive::file_stem;
use crate::model::Timestamp;
use crate::render::{Format, Look, render};

/// Every file of a round: how it begins, how it is written, how it ends.
const FILES: [(&str, Format, &str); 4] = [
    ("report", Format::Table, "txt"),
    ("report", Format::Markdown, "md"),
    ("report", Format::Html, "html"),
    ("data", Format::Json, "json"),
];

/// Where raw logs go, within the folder of reports.
const RAW_LOGS: &str = "raw_logs";

/// Where reports are written. Folders that were made for what then didn't come are taken away again.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _made: Made,
}

impl Folder {
    /// Makes it if need be: a folder that can't be written is known before anything is looked at.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let cure = || {
            format!(
                "cannot write reports into {}; name another folder by --output-dir",
                path.display()
            )
        };
        let made = Made::before(&path.join(RAW_LOGS));
        fs::create_dir_all(path).with_context(cure)?;
        let trial = path.join(format!(".hotshard-{}", std::process::id()));
        File::create(&trial).with_context(cure)?;
        fs::remove_file(&trial).with_context(cure)?;
        Ok(Self {
            path: path.to_owned(),
            _made: made,
        })
    }

    /// Where raw logs go.
    pub(super) fn raw_logs(&self) -> PathBuf {
        self.path.join(RAW_LOGS)
    }

    /// Writes the report in every format, and tells where.
    pub(super) fn write(&self, report: &Report, at: Timestamp) -> anyhow::Result<Vec<PathBuf>> {
        let stem = file_stem(report.group.as_str(), at);
        let mut written = Vec::new();
        for (begin, format, end) in FILES {
            let path = self.path.join(format!("{begin}_{stem}.{end}"));
            let text = render(report, format, Look::default());
            write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
            written.push(path);
        }
        Ok(written)
    }
}

/// Where the archive is written.
#[derive(Debug)]
pub(super) struct ArchivePlace {
    path: PathBuf,
    was_there: bool,
    _made: Made,
}

impl ArchivePlace {
    /// Makes its folder if need be.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let place = Self {
            path: path.to_owned(),
            was_there: path.exists(),
            _made: Made::before(path.parent().unwrap_or(path)),
        };
        if let Some(folder) = path.parent() {
            let cure = || format!("cannot write {}; name another file by --db-path", path.display());
            fs::create_dir_all(folder).with_context(cure)?;
        }
        Ok(place)
    }

    /// The file, if so many rows were written: one that was begun for rows that then didn't come is taken away.
    pub(super) fn kept(&self, rows: u64) -> Option<&Path> {
        if rows == 0 && !self.was_there {
            // It isn't there if it couldn't be begun.
            let _ = fs::remove_file(&self.path);
        }
        (rows > 0).then_some(&self.path)
    }
}

/// Folders that weren't there before us, the innermost first. Those that stay empty are taken away in the end.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Made {
    /// What will be made so that `folder` is there.
    fn before(folder: &Path) -> Self {
        let all = folder.ancestors().filter(|part| !part.as_os_str().is_empty());
        Self(all.take_while(|part| !part.exists()).map(Path::to_owned).collect())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // It is kept if there is anything in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Beside its place first, then moved there, so that nobody finds half a file.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        // They name keys and clients, as the archive does.
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What is wrong is told by the error; half a file helps nobody.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.txt");
        write_whole(&path, b"one").expect("the folder can be written");
        write_whole(&path, b"two").expect("it is replaced");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it names keys");
        let nowhere = folder.path().join("a.txt/b");
        assert!(write_whole(&nowhere, b"x").is_err());
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 1, "nothing else is left behind");
    }

    #[test]
    fn what_was_made_for_nothing_is_taken_away() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a/b/h.db");
        let place = ArchivePlace::create(&path).expect("it can be made");
        fs::write(&path, "begun").expect("its folder is there");
        assert_eq!(place.kept(0), None);
        drop(place);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let place = ArchivePlace::create(&path).expect("it can be made");
        fs::write(&path, "rows").expect("its folder is there");
        assert_eq!(place.kept(1), Some(path.as_path()));
        drop(place);
        let again = ArchivePlace::create(&path).expect("it is there");
        assert_eq!(again.kept(0), None);
        assert_eq!(fs::read(&path).expect("what was there stays"), b"rows");
    }
}
