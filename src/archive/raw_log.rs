//! The lines of windows as MONITOR showed them, in compressed files: written by one thread behind a queue that makes no reader wait.
//!
//! Unless values are asked for, a line keeps its command and its keys; every other argument becomes `?`. What doesn't fit (a full
//! queue, a full disk, a line without end) is left out and counted.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use chrono::DateTime;
use flate2::Compression;
use flate2::write::GzEncoder;
use memchr::memchr;

use super::disk;
use super::elision::elide;
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Normaliser, PatternSettings};
use crate::analysis::veil::Veil;
use crate::model::{Bytes, ShardId, Timestamp};

/// How many pieces of streams may wait; a piece is at most what a reader takes at once, so this bounds what they hold.
const WAITING_MAX: usize = 256;

/// Bytes of a line that are kept: enough for the head and long keys.
const KEYS_BYTES_MAX: usize = 16 * 1024;

/// The same where values are kept too.
const FULL_BYTES_MAX: usize = 1024 * 1024;

/// A file ends after so many bytes, before they are compressed.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How often the disk's free space is looked at, in bytes written.
const LOOKED_AFTER: u64 = 4 * 1024 * 1024;

/// No window has more files than this.
const FILES_MAX: usize = 10_000;

/// How raw logs are kept.
#[derive(Clone, Debug)]
pub struct RawSettings {
    /// The folder.
    pub folder: PathBuf,
    /// Whether arguments that aren't keys are kept.
    pub with_values: bool,
    /// With less free space than this on the disk, nothing more is written.
    pub free_space_min: Bytes,
    /// Which arguments are keys.
    pub commands: Arc<Commands>,
    /// How keys become patterns.
    pub patterns: PatternSettings,
    /// How keys are named.
    pub veil: Veil,
    /// Seeds the tables: keys are an attacker's choice.
    pub seed: u64,
}

/// Where windows hand in what they read. Clones lead to the same thread.
#[derive(Clone, Debug)]
pub struct RawLogs {
    queue: SyncSender<Piece>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    windows: AtomicU64,
    dropped: AtomicU64,
}

/// The thread that writes.
#[derive(Debug)]
pub struct RawThread {
    thread: JoinHandle<RawSummary>,
    shared: Arc<Shared>,
}

/// What was written, and what wasn't.
#[derive(Debug, Default)]
pub struct RawSummary {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Lines in them.
    pub lines: u64,
    /// Lines whose end was left out because they were too long.
    pub cut_lines: u64,
    /// Lines that aren't MONITOR's, left out because what is a value in them can't be told.
    pub unreadable_lines: u64,
    /// Bytes that were left out because the queue was full.
    pub dropped_bytes: Bytes,
    /// Why writing ended early, if it did.
    pub trouble: Option<String>,
}

/// The stream of one window on its way to its file.
#[derive(Debug)]
pub struct RawLog {
    window: u64,
    logs: RawLogs,
    /// Something was left out, so what comes next may begin within a line.
    torn: bool,
}

#[derive(Debug)]
enum Piece {
    Begun { window: u64, stem: String },
    Bytes { window: u64, bytes: Box<[u8]>, torn: bool },
    Over { window: u64 },
}

/// The part of a file's name that says what it is of: the name, without what a path could be made of, and the time in UTC.
pub fn file_stem(name: &str, at: Timestamp) -> String {
    let harmless = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || "-_.".contains(letter) => letter,
        _ => '_',
    };
    let plain: String = name.chars().map(harmless).take(100).collect();
    let plain = plain.trim_start_matches('.');
    let seconds = i64::try_from(at.0 / 1_000_000).unwrap_or_default();
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    format!("{plain}_{}", time.format("%Y%m%d_%H%M%S"))
}

impl RawLogs {
    /// Makes the folder and starts the thread.
    pub fn start(settings: RawSettings) -> io::Result<(Self, RawThread)> {
        fs::create_dir_all(&settings.folder)?;
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared::default());
        let names = Normaliser::new(&settings.patterns, settings.seed).veiled(settings.veil.clone());
        let mut writer = Writer {
            settings,
            names,
            streams: HashMap::new(),
            summary: RawSummary::default(),
            unlooked: LOOKED_AFTER,
        };
        let thread = Builder::new()
            .name("raw-log".into())
            .spawn(move || writer.run(&waiting))?;
        let logs = Self {
            queue,
            shared: Arc::clone(&shared),
        };
        Ok((logs, RawThread { thread, shared }))
    }

    /// The log of a window that opens now.
    pub fn begin(&self, shard: &ShardId, at: Timestamp) -> RawLog {
        let window = self.shared.windows.fetch_add(1, Ordering::Relaxed);
        let stem = file_stem(shard.as_str(), at);
        let mut log = RawLog {
            window,
            logs: self.clone(),
            torn: false,
        };
        log.send(Piece::Begun { window, stem });
        log
    }
}

impl RawLog {
    /// Takes the next bytes of the stream; it never waits.
    pub fn feed(&mut self, bytes: &[u8]) {
        let (window, torn) = (self.window, self.torn);
        self.torn = false;
        self.send(Piece::Bytes {
            window,
            bytes: bytes.into(),
            torn,
        });
    }

    /// Whether what was last handed in found no room.
    pub fn is_full(&self) -> bool {
        self.torn
    }

    fn send(&mut self, piece: Piece) {
        let (Err(TrySendError::Full(piece)) | Err(TrySendError::Disconnected(piece))) = self.logs.queue.try_send(piece)
        else {
            return;
        };
        self.torn = true;
        if let Piece::Bytes { bytes, .. } = piece {
            let length = bytes.len() as u64;
            self.logs.shared.dropped.fetch_add(length, Ordering::Relaxed);
        }
    }
}

impl Drop for RawLog {
    fn drop(&mut self) {
        let window = self.window;
        // If it doesn't fit, the file is ended with the thread.
        self.send(Piece::Over { window });
    }
}

impl RawThread {
    /// Waits until all is written; every [`RawLogs`] must be gone by then.
    pub fn join(self) -> RawSummary {
        let mut summary = self.thread.join().unwrap_or_else(|_| RawSummary {
            trouble: Some("the thread that writes raw logs panicked".to_owned()),
            ..RawSummary::default()
        });
        summary.dropped_bytes = Bytes(self.shared.dropped.load(Ordering::Relaxed));
        summary
    }
}

struct Writer {
    settings: RawSettings,
    names: Normaliser,
    streams: HashMap<u64, Stream>,
    summary: RawSummary,
    /// Bytes written since the free space was looked at.
    unlooked: u64,
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
    fn run(&mut self, waiting: &Receiver<Piece>) -> RawSummary {
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
        if self.written >= FILE_BYTES_MAX {
            finish(self, summary);
        }
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
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use flate2::read::GzDecoder;

    use super::*;

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
        let mut writer = Writer {
            settings: settings(folder.path(), true),
            names: Normaliser::new(&PatternSettings::default(), 7),
            streams: HashMap::from([(0, Stream::new("a".into()))]),
            summary: RawSummary::default(),
            unlooked: 0,
        };
        writer.bytes(0, b"one\ntw", false).expect("it is written");
        writer.bytes(0, b"ee\nfour\n", true).expect("it is written");
        let mut stream = writer.streams.remove(&0).expect("it is there");
        finish(&mut stream, &mut writer.summary);
        assert_eq!(text(&writer.summary.files[0]), "one\nfour\n");
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

    #[test]
    fn a_name_in_a_file_name_leads_nowhere_else() {
        let check = |name: &str, expected: &str| {
            assert_eq!(file_stem(name, Timestamp(0)), format!("{expected}_19700101_000000"))
        };
        check("orders", "orders");
        check("../../etc/passwd", "_.._etc_passwd");
        check("[fd00::7]:6379", "_fd00__7__6379");
        check("..", "");
    }
}
