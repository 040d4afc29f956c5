//! Lines of the log on their way to whoever reads them: a bounded queue and a thread of its own, so that a reader that stands still stops
//! nobody but that thread. What finds no room is dropped, counted, and said when there is room again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::warn;

/// How many bytes may wait.
const WAITING_MAX: usize = 256 << 10;

/// The queue; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether one is being written.
    writing: bool,
    /// Dropped lines that nobody was told of.
    unsaid: u64,
}

impl Lines {
    /// A thread that writes to `out`; what it can't take is counted in `dropped`.
    pub(super) fn start(out: impl Write + Send + 'static, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let lines = Self(Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            dropped,
        }));
        let writer = lines.clone();
        thread::Builder::new()
            .name("hotshard-log".into())
            .spawn(move || writer.write_to(out))?;
        Ok(lines)
    }

    /// Takes a line, or counts it; it never waits.
    pub(super) fn put(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > WAITING_MAX {
            waiting.unsaid += 1;
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_owned());
        drop(waiting);
        self.0.changed.notify_all();
    }

    /// Waits until all is written, but no longer than so.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        // What is whole at every moment can't be poisoned.
        let _ = self.0.changed.wait_timeout_while(self.waiting(), patience, is_busy);
    }

    /// Never ends: the process does.
    fn write_to(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            // Who reads it went away, which is no matter of ours.
            let _ = out.write_all(&line);
            if let Some(lines) = self.written() {
                warn!(
                    lines,
                    "lines of the log are lost: nobody read standard error, and hotshard does not wait for that (log.when_full)"
                );
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        loop {
            match waiting.lines.pop_front() {
                Some(line) => {
                    waiting.bytes -= line.len();
                    waiting.writing = true;
                    return line;
                }
                None => {
                    waiting = self.0.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// A line is written; how many were dropped, if that is to be said now.
    fn written(&self) -> Option<u64> {
        let mut waiting = self.waiting();
        waiting.writing = false;
        let all_is_written = waiting.lines.is_empty();
        let unsaid = all_is_written.then(|| std::mem::take(&mut waiting.unsaid));
        drop(waiting);
        if all_is_written {
            self.0.changed.notify_all();
        }
        unsaid.filter(|lines| *lines > 0)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // It is whole at every moment, whoever panicked beside it.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Writes when it is told to, and tells what.
    struct Reader {
        may_read: mpsc::Receiver<()>,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            self.may_read.recv().map_err(gone)?;
            self.read
                .send(bytes.to_owned())
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_nobody_time() {
        let (read_on, may_read) = mpsc::channel();
        let (read, seen) = mpsc::channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let lines = Lines::start(Reader { may_read, read }, Arc::clone(&dropped)).expect("a thread");
        let line = [b'x'; 1 << 10];
        for _ in 0..3_000 {
            lines.put(&line);
        }
        let lost = dropped.load(Ordering::Relaxed);
        // As many wait as there is room for, and one may be on its way.
        let room = WAITING_MAX as u64 >> 10;
        assert!((3_000 - room - 1..=3_000 - room).contains(&lost), "{lost}");
        lines.flush(Duration::from_millis(1));
        for _ in 0..3_000 - lost {
            read_on.send(()).expect("it reads");
            assert_eq!(seen.recv_timeout(SOON).expect("it is written"), line);
        }
        lines.put(b"again\n");
        read_on.send(()).expect("it reads");
        assert_eq!(seen.recv_timeout(SOON).expect("it is written"), b"again\n");
        lines.flush(SOON);
        let waiting = lines.waiting();
        assert!(
            waiting.lines.is_empty() && !waiting.writing && waiting.bytes == 0,
            "{waiting:?}"
        );
    }
}
