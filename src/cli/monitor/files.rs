//! The folder of reports: each file appears whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
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

/// Where reports are written.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// What wasn't there before us, the innermost first.
    made: Vec<PathBuf>,
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
        let made = [path.join(RAW_LOGS), path.to_owned()];
        let made = made.into_iter().filter(|folder| !folder.exists()).collect();
        fs::create_dir_all(path).with_context(cure)?;
        let trial = path.join(format!(".hotshard-{}", std::process::id()));
        File::create(&trial).with_context(cure)?;
        fs::remove_file(&trial).with_context(cure)?;
        Ok(Self {
            path: path.to_owned(),
            made,
        })
    }

    /// Where raw logs go.
    pub(super) fn raw_logs(&self) -> PathBuf {
        self.path.join(RAW_LOGS)
    }

    /// Takes away the folders that were made for what then didn't come.
    pub(super) fn tidy(&self) {
        for folder in &self.made {
            // It is kept if there is anything in it.
            let _ = fs::remove_dir(folder);
        }
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

/// Beside its place first, then moved there, so that nobody finds half a file.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
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
    use super::*;

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.txt");
        write_whole(&path, b"one").expect("the folder can be written");
        write_whole(&path, b"two").expect("it is replaced");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
        let nowhere = folder.path().join("a.txt/b");
        assert!(write_whole(&nowhere, b"x").is_err());
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 1, "nothing else is left behind");
    }
}
