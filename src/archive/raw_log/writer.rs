//! The thread's part of raw logs: pieces of streams become lines, lines become compressed files.
//!
//! It refuses to know who hands the pieces in, and when a window is over other than by being told.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::Receiver;

use flate2::Compression;
use flate2::write::GzEncoder;
use memchr::memchr;

use super::{Piece, RawSettings, RawSummary};
use crate::analysis::pattern::Normaliser;
use crate::archive::disk;
use crate::archive::elision::elide;

/// Bytes of a line that are kept: enough for the head and long keys.
const KEYS_BYTES_MAX: usize = 16 * 1024;

/// The same where values are kept too.
const FULL_BYTES_MAX: usize = 1024 * 1024;

/// Of a file, before it is compressed.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How often the disk's free space is looked at, in bytes written.
const LOOKED_AFTER: u64 = 4 * 1024 * 1024;

/// No window has more files than this.
const FILES_MAX: usize = 10_000;

/// All windows' files.
pub(super) struct Writer {
    settings: RawSettings,
    names: Normaliser,
    streams: HashMap<u64, Stream>,
    summary: RawSummary,
    /// Bytes written since the free space was looked at.
    unlooked: u64,
    /// A file ends after so many bytes, before they are compressed.
    file_bytes_max: u64,
}

/// One window's lines.
struct Stream {
    stem: String,
    file: Option<GzEncoder<File>>,
    written: u64,
    /// What has come of a line.
    begun: Vec<u8>,
    /// The line that has begun is longer than what is kept of it.
    cut: bool,
    /// What has come of the line has no beginning.
    headless: bool,
}

impl Writer {
    pub(super) fn new(settings: RawSettings) -> Self {
        Self {
            names: Normaliser::new(&settings.patterns, settings.seed).veiled(settings.veil.clone()),
            settings,
            streams: HashMap::new(),
            summary: RawSummary::default(),
            unlooked: LOOKED_AFTER,
            file_bytes_max: FILE_BYTES_MAX,
        }
    }

    /// Writes what comes, until nobody is left who could send something.
    pub(super) fn run(&mut self, waiting: &Receiver<Piece>) -> RawSummary {
        while let Ok(piece) = waiting.recv() {
            if self.summary.trouble.is_some() {
                continue;
            }
            if let Err(error) = self.take(piece) {
                let folder = self.settings.folder.display();
                self.summary.trouble = Some(format!("raw logs in {folder} end early: {error}"));
            }
        }
        for (_, mut stream) in self.streams.drain() {
            finish(&mut stream, &mut self.summary);
        }
        std::mem::take(&mut self.summary)
    }

    fn take(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Begun { window, stem } => {
                self.streams.insert(window, Stream::new(stem));
                Ok(())
            }
            Piece::Over { window } => {
                if let Some(mut stream) = self.streams.remove(&window) {
                    finish(&mut stream, &mut self.summary);
                }
                Ok(())
            }
            Piece::Bytes { window, bytes, torn } => self.bytes(window, &bytes, torn),
        }
    }

    fn bytes(&mut self, window: u64, mut bytes: &[u8], torn: bool) -> io::Result<()> {
        self.look(bytes.len() as u64)?;
        let Some(stream) = self.streams.get_mut(&window) else {
            return Ok(());
        };
        if torn {
            stream.begun.clear();
            stream.cut = false;
            stream.headless = true;
        }
        let line_max = if self.settings.with_values {
            FULL_BYTES_MAX
        } else {
            KEYS_BYTES_MAX
        };
        while let Some(end) = memchr(b'\n', bytes) {
            stream.grow(&bytes[..end], line_max);
            bytes = &bytes[end + 1..];
            if stream.written >= self.file_bytes_max {
                finish(stream, &mut self.summary);
            }
            stream.end_line(&self.settings, &mut self.names, &mut self.summary)?;
        }
        stream.grow(bytes, line_max);
        Ok(())
    }

    /// A disk that is nearly full is left alone.
    fn look(&mut self, bytes: u64) -> io::Result<()> {
        self.unlooked += bytes;
        if self.unlooked < LOOKED_AFTER {
            return Ok(());
        }
        self.unlooked = 0;
        let least = self.settings.free_space_min;
        match disk::free(&self.settings.folder.join("raw")) {
            Some(free) if free < least => Err(io::Error::other(format!(
                "less than archive.free_space_min ({least}) is free on the disk"
            ))),
            _ => Ok(()),
        }
    }
}

impl Stream {
    fn new(stem: String) -> Self {
        Self {
            stem,
            file: None,
            written: 0,
            begun: Vec::new(),
            cut: false,
            headless: false,
        }
    }

    fn grow(&mut self, piece: &[u8], line_max: usize) {
        let room = line_max.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
        self.cut |= piece.len() > room;
    }

    fn end_line(&mut self, settings: &RawSettings, names: &mut Normaliser, summary: &mut RawSummary) -> io::Result<()> {
        let line = std::mem::take(&mut self.begun);
        let (cut, headless) = (std::mem::take(&mut self.cut), std::mem::take(&mut self.headless));
        if headless {
            return Ok(());
        }
        let kept = match settings.with_values {
            true => Some(line.as_slice().strip_suffix(b"\r").unwrap_or(&line).to_vec()),
            false => elide(&line, &settings.commands, names),
        };
        let Some(mut kept) = kept else {
            summary.unreadable_lines += 1;
            return Ok(());
        };
        kept.push(b'\n');
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create(&settings.folder, &self.stem, summary)?),
        };
        file.write_all(&kept)?;
        self.written += kept.len() as u64;
        summary.lines += 1;
        summary.cut_lines += u64::from(cut);
        // The allocation serves the next line.
        self.begun = line;
        self.begun.clear();
        Ok(())
    }
}

fn finish(stream: &mut Stream, summary: &mut RawSummary) {
    stream.written = 0;
    let Some(file) = stream.file.take() else { return };
    if let Err(error) = file.finish() {
        summary
            .trouble
            .get_or_insert(format!("the raw log of {} ends early: {error}", stream.stem));
    }
}

/// A new file, its owner's alone.
fn create(folder: &Path, stem: &str, summary: &mut RawSummary) -> io::Result<GzEncoder<File>> {
    for number in 1..=FILES_MAX {
        let name = match number {
            1 => format!("{stem}.log.gz"),
            number => format!("{stem}_{number}.log.gz"),
        };
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                summary.files.push(path);
                return Ok(GzEncoder::new(file, Compression::fast()));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{stem} has {FILES_MAX} files already")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::analysis::keyspec::Commands;
    use crate::analysis::pattern::PatternSettings;
    use crate::analysis::veil::Veil;
    use crate::archive::RawLogs;
    use crate::model::{Bytes, Timestamp};

    const LINE: &str = "+1795202082.056681 [0 10.0.0.9:35656] \"SET\" \"a\" \"secret\"\r\n";

    fn settings(folder: &Path, with_values: bool) -> RawSettings {
        RawSettings {
            folder: folder.to_owned(),
            with_values,
            free_space_min: Bytes(0),
            commands: Commands::builtin(),
            patterns: PatternSettings::default(),
            veil: Veil::default(),
            seed: 7,
        }
    }

    fn text(path: &Path) -> String {
        let mut text = String::new();
        let file = File::open(path).expect("it is there");
        GzDecoder::new(file).read_to_string(&mut text).expect("it is whole");
        text
    }

    /// Writes pieces of one window, and tells what is in its file.
    fn written(pieces: &[&[u8]], with_values: bool) -> (String, RawSummary) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let (logs, thread) = RawLogs::start(settings(folder.path(), with_values)).expect("it starts");
        let mut log = logs.begin(&"0001".into(), Timestamp(1_795_219_200_000_000));
        pieces.iter().for_each(|piece| log.feed(piece));
        drop((log, logs));
        let summary = thread.join();
        let path = summary.files.first().expect("a file");
        assert!(path.ends_with("0001_20261121_000000.log.gz"), "{path:?}");
        let mode = fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        (text(path), summary)
    }

    #[test]
    fn values_are_kept_only_where_they_are_asked_for() {
        let (begin, end) = LINE.as_bytes().split_at(50);
        let (text, summary) = written(&[begin, end], false);
        assert_eq!(text, "1795202082.056681 [0 10.0.0.9:35656] \"SET\" \"a\" \"?\"\n");
        assert_eq!((summary.lines, summary.cut_lines, summary.trouble), (1, 0, None));
        let (text, _) = written(&[begin, end], true);
        assert_eq!(text, LINE.replace("\r\n", "\n"));
    }

    #[test]
    fn a_line_without_end_is_cut_and_counted_and_one_that_is_not_monitors_is_left_out() {
        let long = format!(
            "{}\"\r\n",
            LINE.trim_end().trim_end_matches('"').to_owned() + &"x".repeat(KEYS_BYTES_MAX)
        );
        let (text, summary) = written(&[long.as_bytes(), b"-ERR secret\r\n", LINE.as_bytes()], false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert_eq!((summary.lines, summary.cut_lines, summary.unreadable_lines), (2, 1, 1));
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn what_follows_a_gap_begins_at_the_next_line() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let mut writer = Writer::new(settings(folder.path(), true));
        writer.streams.insert(0, Stream::new("a".into()));
        writer.bytes(0, b"one\ntw", false).expect("it is written");
        writer.bytes(0, b"ee\nfour\n", true).expect("it is written");
        let mut stream = writer.streams.remove(&0).expect("it is there");
        finish(&mut stream, &mut writer.summary);
        assert_eq!(text(&writer.summary.files[0]), "one\nfour\n");
    }

    #[test]
    fn a_file_that_has_grown_large_is_ended_and_another_begun() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let mut writer = Writer::new(settings(folder.path(), true));
        writer.file_bytes_max = 8;
        writer.streams.insert(0, Stream::new("a".into()));
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            writer.bytes(0, line.as_bytes(), false).expect("it is written");
        }
        let mut stream = writer.streams.remove(&0).expect("it is there");
        finish(&mut stream, &mut writer.summary);
        let files = &writer.summary.files;
        let names: Vec<_> = files.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["a.log.gz", "a_2.log.gz"]);
        assert_eq!([text(&files[0]), text(&files[1])], ["one\ntwo\n", "three\nfour\n"]);
    }

    #[test]
    fn a_full_disk_ends_the_log_and_says_so() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let mut tight = settings(folder.path(), false);
        tight.free_space_min = Bytes(u64::MAX);
        let (logs, thread) = RawLogs::start(tight).expect("it starts");
        let mut log = logs.begin(&"0001".into(), Timestamp(0));
        log.feed(LINE.as_bytes());
        drop((log, logs));
        let summary = thread.join();
        let trouble = summary.trouble.expect("it is told");
        assert!(trouble.contains("archive.free_space_min"), "{trouble}");
        assert_eq!(summary.files, Vec::<PathBuf>::new());
    }
}
