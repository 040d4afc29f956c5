//! The watchdog itself, as a process: it holds sockets, listens, and hangs up on servers when it hears nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::net::{Shutdown, shutdown};
use tokio::time::Instant;
use tracing::{info, warn};

use super::line::{self, Word};

/// How many processes one watchdog serves.
const SERVED_MAX: usize = 64;

/// Listens to this end of the line until the other is gone, and then ends what is still open.
pub fn stand_by(line: impl AsFd) -> io::Result<()> {
    let line = line.as_fd();
    let mut streams = Streams::default();
    loop {
        let wait = streams.patience(Instant::now());
        if !is_readable(&line, wait)? {
            // A machine that stood still as a whole may have something to say by now.
            if !is_readable(&line, Some(Duration::ZERO))? {
                hang_up(streams.overdue(Instant::now()), "it gave no sign of life");
            }
            continue;
        }
        match line::receive(line) {
            Ok(Some((word, socket))) => streams.take(word, socket, Instant::now()),
            Ok(None) => {
                hang_up(streams.all(), "it has ended in the middle of them");
                return Ok(());
            }
            Err(error) => {
                hang_up(streams.all(), "what it said is no word of ours");
                return Err(error);
            }
        }
    }
}

/// Takes lines at this place, each of them on a thread of its own: a watchdog that was started apart, for as many hotshards as come.
pub fn serve(place: &Path) -> io::Result<()> {
    let listening = line::place(place)?;
    info!(path = %place.display(), "listening");
    let served = Arc::new(AtomicUsize::new(0));
    loop {
        let line = line::take(listening.as_fd())?;
        if served.fetch_add(1, Ordering::Relaxed) >= SERVED_MAX {
            served.fetch_sub(1, Ordering::Relaxed);
            warn!("the watchdog serves {SERVED_MAX} processes already; another one was turned away");
            continue;
        }
        let serving = Arc::clone(&served);
        thread::Builder::new().name("hotshard-line".into()).spawn(move || {
            if let Err(error) = stand_by(line) {
                warn!("a line to the watchdog broke: {error}");
            }
            serving.fetch_sub(1, Ordering::Relaxed);
        })?;
    }
}

/// Whether there is something to read, within so long; without a limit when there is nothing to watch.
fn is_readable(line: &impl AsFd, wait: Option<Duration>) -> io::Result<bool> {
    let wait = wait.map(|wait| Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    });
    let mut asked = [PollFd::new(line, PollFlags::IN)];
    Ok(retry_on_intr(|| poll(&mut asked, wait.as_ref()))? > 0)
}

fn hang_up(sockets: Vec<OwnedFd>, why: &str) {
    if sockets.is_empty() {
        return;
    }
    for socket in &sockets {
        // It fails only if the stream is gone already, which is what was wanted.
        let _ = shutdown(socket, Shutdown::Both);
    }
    warn!(
        streams = sockets.len(),
        "the watchdog ended MONITOR streams of hotshard: {why}"
    );
}

/// What is held, and when there was last a word.
#[derive(Debug)]
struct Streams<Socket> {
    held: BTreeMap<u64, (Socket, Duration)>,
    heard: Option<Instant>,
}

impl<Socket> Default for Streams<Socket> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            heard: None,
        }
    }
}

impl<Socket> Streams<Socket> {
    /// Every word is a sign of life.
    fn take(&mut self, word: Word, socket: Option<Socket>, now: Instant) {
        self.heard = Some(now);
        match (word, socket) {
            (Word::Hold(stream, patience), Some(socket)) => {
                self.held.insert(stream, (socket, patience));
            }
            (Word::Release(stream), _) => {
                self.held.remove(&stream);
            }
            (Word::Alive | Word::Hold(..), _) => {}
        }
    }

    /// How long to wait for the next word; `None` where nothing is held.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let least = self.held.values().map(|(_, patience)| *patience).min()?;
        let silent = self.heard.map_or(Duration::ZERO, |heard| now - heard);
        Some(least.saturating_sub(silent))
    }

    /// Those for which the silence has lasted too long.
    fn overdue(&mut self, now: Instant) -> Vec<Socket> {
        let silent = self.heard.map_or(Duration::ZERO, |heard| now - heard);
        let overdue = self.held.extract_if(.., |_, (_, patience)| silent >= *patience);
        overdue.map(|(_, (socket, _))| socket).collect()
    }

    fn all(&mut self) -> Vec<Socket> {
        std::mem::take(&mut self.held)
            .into_values()
            .map(|(socket, _)| socket)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// `at:word`, words being `a`, `h<stream>`, `r<stream>` and `?`, a look: which streams are ended at each look. Patience is a second.
    fn check(told: &str, expected: &str) {
        let (began, mut streams, mut seen) = (Instant::now(), Streams::default(), Vec::new());
        for (at, word) in told.split(' ').filter_map(|one| one.split_once(':')) {
            let now = began + Duration::from_millis(at.parse().expect("milliseconds"));
            let stream = word[1..].parse().unwrap_or(0);
            match &word[..1] {
                "h" => streams.take(Word::Hold(stream, Duration::from_secs(1)), Some(stream), now),
                "r" => streams.take(Word::Release(stream), None, now),
                "a" => streams.take(Word::Alive, None, now),
                _ => seen.push(format!("{:?}", streams.overdue(now))),
            }
        }
        assert_eq!(seen.join(" "), expected, "{told}");
    }

    #[test]
    fn streams_are_ended_when_nothing_is_said_for_too_long() {
        check("0:h1 900:? 1000:?", "[] [1]");
        check("0:h1 500:h2 1400:? 1500:? 1600:?", "[] [1, 2] []");
        check("0:h1 900:a 1800:? 1899:? 1900:?", "[] [] [1]");
    }

    #[test]
    fn what_was_taken_back_is_left_alone() {
        check("0:h1 1:h2 2:r1 1002:?", "[2]");
        check("0:h1 1:r1 5000:?", "[]");
        check("5000:?", "[]");
    }

    #[test]
    fn nobody_is_woken_while_there_is_nothing_to_watch() {
        let mut streams: Streams<u64> = Streams::default();
        let now = Instant::now();
        assert_eq!(streams.patience(now), None);
        streams.take(Word::Hold(1, Duration::from_secs(1)), Some(1), now);
        assert_eq!(
            streams.patience(now + Duration::from_millis(300)),
            Some(Duration::from_millis(700))
        );
        streams.take(Word::Release(1), None, now);
        assert_eq!(streams.patience(now), None);
    }

    #[test]
    fn the_end_of_the_line_ends_what_is_open() {
        let (ours, theirs) = line::pair().expect("the kernel gives a pair");
        let (socket, mut peer) = UnixStream::pair().expect("the kernel gives a pair");
        line::send(
            ours.as_fd(),
            Word::Hold(1, Duration::from_secs(3600)),
            Some(socket.as_fd()),
        )
        .expect("it is taken");
        let process = std::thread::spawn(move || stand_by(theirs));
        // Ours stays open, as in a process that stands still.
        (&socket).write_all(b"x").expect("it is open");
        assert_eq!(peer.read(&mut [0; 2]).expect("it is open"), 1);
        drop(ours);
        process.join().expect("no panic").expect("no failure");
        assert_eq!(peer.read(&mut [0; 2]).expect("it ended in order"), 0);
    }
}
