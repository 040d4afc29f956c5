//! The archive's own thread, behind a queue that never makes anybody wait: what doesn't fit is dropped and counted.
//!
//! Whatever goes wrong with the file stops the archive until it goes right again, never the daemon: it is counted, and logged once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::disk;
use super::retention::Limits;
use super::room::{Place, Room};
use super::sample::Sampler;
use super::settings::{ArchiveSettings, Record};
use super::store::{Drawn, Kept, Reading, Store};
use super::trouble::ArchiveError;
use crate::analysis::keyspec::Commands;
use crate::analysis::window::ClosedWindow;
use crate::metrics::archived::ArchiveTotals;
use crate::metrics::snapshot::ArchiveSnapshot;
use crate::model::{Bytes, Timestamp};

/// How many windows may wait to be written.
const WAITING_MAX: usize = 64;

/// What the lines of all of them may take: those of 64 windows at their largest would be 4 GiB.
const WAITING_BYTES_MAX: usize = 512 * 1024 * 1024;

/// How many of them go into one transaction.
const BATCH_MAX: usize = 16;

/// How often the age of what is kept is looked at although nothing is written.
const IDLE: Duration = Duration::from_secs(60);

/// How long the end may take to bring the file below its limits.
const TIDY_AT_END: Duration = Duration::from_secs(2);

/// Bytes of a line that are looked at: enough for the head and a long key.
const KEYS_BYTES_MAX: usize = 1024;
/// What the lines of one window may take, until they are written.
const SAMPLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The same where values are kept too.
const FULL_BYTES_MAX: usize = 16 * 1024;

/// A log that other readers keep from shrinking may make the files this much larger than the limit.
const LOG_ALLOWANCE: Bytes = Bytes(256 * 1024 * 1024);

/// Where windows are handed in. Clones lead to the same archive.
#[derive(Clone, Debug)]
pub struct Archive {
    queue: SyncSender<(Kept, Option<Place>)>,
    room: Room,
    totals: Arc<ArchiveTotals>,
    settings: ArchiveSettings,
    seed: u64,
}

/// The thread that writes.
#[derive(Debug)]
pub struct ArchiveThread {
    thread: JoinHandle<()>,
    totals: Arc<ArchiveTotals>,
}

/// Tells what time it is.
pub type Now = Box<dyn Fn() -> Timestamp + Send>;

impl Archive {
    /// Starts the thread; the file is opened there. `None` if the settings name no file.
    pub fn start(
        settings: &ArchiveSettings,
        reading: Reading,
        now: Now,
    ) -> std::io::Result<Option<(Self, ArchiveThread)>> {
        let Some(path) = settings.path.clone() else {
            return Ok(None);
        };
        if settings.record == Record::Full {
            warn!(path = %path.display(), "archive.record is full: whole commands are kept, with the values they write");
        }
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let totals = Arc::new(ArchiveTotals::default());
        let (seed, settings) = (reading.seed, settings.clone());
        let mut writer = Writer {
            path,
            reading,
            settings: settings.clone(),
            totals: Arc::clone(&totals),
            now,
            store: None,
            trouble: None,
        };
        let thread = Builder::new()
            .name("archive".into())
            .spawn(move || writer.run(&waiting))?;
        let archive = Self {
            queue,
            room: Room::of(WAITING_BYTES_MAX),
            totals: Arc::clone(&totals),
            settings,
            seed,
        };
        Ok(Some((archive, ArchiveThread { thread, totals })))
    }

    /// Draws the lines of one window on a node that knows these commands; `None` if only counts are kept.
    pub fn sampler(&self, commands: &Arc<Commands>) -> Option<Sampler> {
        let lines_max = self.settings.rows_per_window_max;
        let of = |line_bytes_max| Sampler::new(lines_max, line_bytes_max, self.seed).bounded(SAMPLE_BYTES_MAX);
        match self.settings.record {
            Record::Off => None,
            Record::Keys => Some(of(KEYS_BYTES_MAX).without_values(Arc::clone(commands))),
            Record::Full => Some(of(FULL_BYTES_MAX)),
        }
    }

    /// Hands in a window. It never waits: if too many wait already, this one is dropped and counted; if their lines are too many, its own are.
    pub fn keep(&self, window: Arc<ClosedWindow>, mut drawn: Drawn) {
        let place = self.room.take(drawn.sample.bytes());
        if place.is_none() {
            let lines = std::mem::take(&mut drawn.sample.lines);
            self.totals.dropped("queue_full", lines.len() as u64);
        }
        let sent = self.queue.try_send((Kept { window, drawn }, place));
        let (reason, kept) = match sent {
            Ok(()) => return,
            Err(TrySendError::Full((kept, _))) => ("queue_full", kept),
            Err(TrySendError::Disconnected((kept, _))) => ("stopped", kept),
        };
        self.totals.dropped(reason, kept.rows());
    }

    /// What the archive counts about itself.
    pub fn state(&self) -> ArchiveSnapshot {
        self.totals.snapshot()
    }
}

impl ArchiveThread {
    /// Waits until all that was handed in is written and the file is closed. Every [`Archive`] must be gone by then.
    /// Tells what it counted.
    pub fn join(self) -> ArchiveSnapshot {
        if self.thread.join().is_err() {
            error!("the archive's thread panicked; what it hadn't written is lost");
        }
        self.totals.snapshot()
    }
}

struct Writer {
    path: PathBuf,
    reading: Reading,
    settings: ArchiveSettings,
    totals: Arc<ArchiveTotals>,
    now: Now,
    store: Option<Store>,
    /// What was logged last.
    trouble: Option<&'static str>,
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<(Kept, Option<Place>)>) {
        // A file that can't be used is known at the start, not at the first window.
        let opened = self.open().map(|_| ());
        self.note(opened.err());
        let mut more = self.store.is_some();
        loop {
            let pause = if more { Duration::ZERO } else { IDLE };
            match waiting.recv_timeout(pause) {
                Ok(first) => {
                    let (batch, places): (Vec<Kept>, Vec<Option<Place>>) = std::iter::once(first)
                        .chain(waiting.try_iter().take(BATCH_MAX - 1))
                        .unzip();
                    self.take(&batch);
                    // Only what is written, or lost, makes room.
                    drop((batch, places));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            more = self.tidy();
        }
        // What the last windows pushed over a limit leaves too, unless there is so much that somebody would have to wait for it.
        let patience = Instant::now() + TIDY_AT_END;
        while self.tidy() && Instant::now() < patience {}
        if let Some(Err(error)) = self.store.take().map(Store::close) {
            warn!("the archive was written, but not closed cleanly: {error}");
        }
    }

    /// Writes a batch, or counts it as lost.
    fn take(&mut self, batch: &[Kept]) {
        let mut written = self.write(batch);
        if let Err(error) = &written
            && error.is_corrupt()
        {
            written = self.begin_afresh(error).and_then(|()| self.write(batch));
        }
        match written {
            Ok(rows) => {
                self.totals.kept(rows);
                self.note(None);
            }
            Err(error) => {
                let rows = batch.iter().map(Kept::rows).sum();
                self.totals.dropped(error.kind(), rows);
                self.note(Some(error));
            }
        }
    }

    fn write(&mut self, batch: &[Kept]) -> Result<u64, ArchiveError> {
        if disk::free(&self.path).is_some_and(|free| free < self.settings.free_space_min) {
            return Err(ArchiveError::FreeSpace(self.path.clone()));
        }
        if disk::size(&self.path).0 > self.settings.size_max.0.saturating_add(LOG_ALLOWANCE.0) {
            return Err(ArchiveError::Size(self.path.clone()));
        }
        self.open()?.keep(batch)
    }

    /// The open file; opened again if it was moved away or couldn't be opened before.
    fn open(&mut self) -> Result<&mut Store, ArchiveError> {
        let store = match self.store.take().filter(|_| self.path.exists()) {
            Some(store) => store,
            None => match Store::open(&self.path, self.reading.clone()) {
                Err(error) if error.is_corrupt() => {
                    self.begin_afresh(&error)?;
                    Store::open(&self.path, self.reading.clone())?
                }
                opened => opened?,
            },
        };
        Ok(self.store.insert(store))
    }

    fn begin_afresh(&mut self, error: &ArchiveError) -> Result<(), ArchiveError> {
        self.store = None;
        let aside = disk::set_aside(&self.path, (self.now)())?;
        error!(aside = %aside.display(), "the archive is corrupt, was set aside, and a new one is begun: {error}");
        Ok(())
    }

    /// One step of retention; tells whether there is more to do.
    fn tidy(&mut self) -> bool {
        let (limits, now) = (Limits::of(&self.settings), (self.now)());
        let Some(store) = &mut self.store else {
            self.totals.lost();
            return false;
        };
        let stepped = store.tidy(limits, now);
        self.totals.measured(disk::size(&self.path), store.oldest());
        match stepped {
            Ok(more) => more,
            Err(error) => {
                // The next batch meets the same trouble, and tells it.
                warn!("cannot tidy the archive: {error}");
                false
            }
        }
    }

    /// Says what is wrong when it begins to be, and when it is right again.
    fn note(&mut self, trouble: Option<ArchiveError>) {
        let kind = trouble.as_ref().map(ArchiveError::kind);
        if kind == self.trouble {
            return;
        }
        match trouble {
            Some(trouble) => error!("nothing is archived until this is cured: {trouble}"),
            None => info!(path = %self.path.display(), "the archive is written again"),
        }
        self.trouble = kind;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::archive::testing;

    #[test]
    fn lines_that_find_no_room_are_counted_and_the_window_is_kept() {
        let kept = testing::window(Timestamp(10_000_000), "user:1", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let bytes = kept.drawn.sample.bytes();
        let (queue, waiting) = sync_channel(8);
        let archive = Archive {
            queue,
            room: Room::of(2 * bytes),
            totals: Arc::default(),
            settings: ArchiveSettings {
                path: None,
                record: Record::Full,
                rows_per_window_max: NonZeroUsize::MIN,
                retention: Duration::MAX,
                size_max: Bytes(u64::MAX),
                free_space_min: Bytes(0),
            },
            seed: 7,
        };
        let hand_in = || archive.keep(Arc::clone(&kept.window), kept.drawn.clone());
        let dropped = || archive.state().dropped.get("queue_full").copied();
        (0..3).for_each(|_| hand_in());
        assert_eq!(dropped(), Some(3), "the lines of the third");
        let arrived: Vec<(Kept, Option<Place>)> = waiting.try_iter().collect();
        let lines = |arrived: &[(Kept, Option<Place>)]| -> Vec<usize> {
            arrived.iter().map(|(kept, _)| kept.drawn.sample.lines.len()).collect()
        };
        assert_eq!(lines(&arrived), [3, 3, 0]);
        // They are still being written.
        hand_in();
        assert_eq!(dropped(), Some(6));
        drop(arrived);
        hand_in();
        let arrived: Vec<(Kept, Option<Place>)> = waiting.try_iter().collect();
        assert_eq!(lines(&arrived), [0, 3]);
    }
}
