//! The lines of windows as MONITOR showed them, in compressed files: written by one thread behind a queue that makes no reader wait.
//!
//! Unless values are asked for, a line keeps its command and its keys; every other argument becomes `?`. What doesn't fit (a full
//! queue, a full disk, a line without end) is left out and counted.

mod writer;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use chrono::DateTime;

use self::writer::Writer;
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::PatternSettings;
use crate::analysis::veil::Veil;
use crate::model::{Bytes, ShardId, Timestamp};

/// How many pieces of streams may wait; a piece is at most what a reader takes at once, so this bounds what they hold.
const WAITING_MAX: usize = 256;

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
        let mut writer = Writer::new(settings);
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

#[cfg(test)]
mod tests {
    use super::*;

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
