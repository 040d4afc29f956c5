//! What ends our streams when hotshard itself stands still: a process of its own that holds the streams' sockets too.
//!
//! A process that was stopped (SIGSTOP, a debugger, a disk that hangs) can't close its streams, and what it doesn't read piles up in the
//! server. So each stream's socket is shared with a second process, the watchdog, which hears from the guard of each window several
//! times a second and, when it hears nothing, shuts the sockets down; the server frees a client that hangs up. It needs no password and
//! no new connection for that. It ends with hotshard, by the end of the line between the two, and not by signals to the whole group.
//! It refuses to know what streams and servers are.

mod line;
mod process;
mod pulse;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use line::Word;
pub use process::{serve, stand_by};
pub use pulse::Pulse;

use crate::node::Socket;

/// How many signs of life fit into the patience of the watchdog.
const BEATS: u32 = 5;

/// No more signs of life than this, however little patience is asked for.
const INTERVAL_MIN: Duration = Duration::from_millis(20);

/// Our end of it; clones share one process. Simulated servers need none.
#[derive(Clone, Debug, Default)]
pub struct Watchdog(Option<Arc<Kennel>>);

/// How the process is started.
#[derive(Debug)]
struct Kennel {
    program: PathBuf,
    arguments: Vec<OsString>,
    running: Mutex<Option<Running>>,
    /// Numbers are never used twice: a stream that a watchdog took with it to its end must not be taken for another's.
    streams: AtomicU64,
}

#[derive(Debug)]
struct Running {
    /// `None` of a watchdog that was started apart.
    child: Option<Child>,
    line: OwnedFd,
    /// When it last heard from us.
    heard: Option<Instant>,
}

/// Whether a watchdog that was started apart listens there.
pub fn answers(place: &Path) -> io::Result<()> {
    line::dial(place).map(drop)
}

impl Watchdog {
    /// Nobody watches.
    pub fn none() -> Self {
        Self(None)
    }

    /// The watchdog is this program with these arguments, started when it is first needed. It is handed the line as its standard input.
    pub fn run_by(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self(Some(Arc::new(Kennel {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            running: Mutex::default(),
            streams: AtomicU64::new(0),
        })))
    }

    /// This very program, which knows the command `watchdog`.
    pub fn of_this_program(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> io::Result<Self> {
        // It stays the same program when its file is replaced by a newer one.
        let itself = PathBuf::from("/proc/self/exe");
        let program = match itself.exists() {
            true => itself,
            false => std::env::current_exe()?,
        };
        Ok(Self::run_by(program, arguments))
    }

    /// Sees to it that one listens: one that was started apart, if there is a place to find it, or else a process of ours. Without any,
    /// windows are open all the same: they have their guards.
    pub async fn start(&self, apart: Option<&Path>) {
        let Some(kennel) = self.0.clone() else { return };
        let apart = apart.map(Path::to_owned);
        let started = tokio::task::spawn_blocking(move || kennel.start(apart.as_deref()));
        match started.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(
                "cannot start the watchdog: {error}; if hotshard is stopped in the middle of a window, only a limit of the \
                 server's own ends it (guards.watchdog = false says that this is wanted)"
            ),
            Err(error) => debug!(%error, "the watchdog was not started"),
        }
    }

    /// Shares a stream: unless it is told of life for `patience`, the watchdog hangs up on the server.
    pub fn hold(&self, socket: Option<&Socket>, patience: Duration) -> Held {
        let held = self.0.as_ref().zip(socket).and_then(|(kennel, socket)| {
            let stream = kennel.share(socket, patience)?;
            Some((Arc::clone(kennel), stream))
        });
        Held { held, patience }
    }

    /// The number of its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        let running = self.0.as_ref()?.running();
        running.as_ref()?.child.as_ref().map(Child::id)
    }
}

/// A stream that the watchdog holds too; dropping it takes it back.
#[derive(Debug)]
pub struct Held {
    held: Option<(Arc<Kennel>, u64)>,
    patience: Duration,
}

impl Held {
    /// A sign of life.
    pub fn beat(&self) {
        if let Some((kennel, _)) = &self.held {
            kennel.beat(self.interval());
        }
    }

    /// How long it waits for one.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How often it wants to be told.
    pub fn interval(&self) -> Duration {
        (self.patience / BEATS).max(INTERVAL_MIN)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((kennel, stream)) = &self.held {
            kennel.say(Word::Release(*stream), None);
        }
    }
}

impl Kennel {
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        // It is whole at every moment, whoever panicked beside it.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, apart: Option<&Path>) -> io::Result<()> {
        let mut running = self.running();
        match running.as_mut().map(Running::ended).transpose()?.flatten() {
            None if running.is_some() => return Ok(()),
            None => {}
            Some(why) => warn!("the watchdog has ended ({why}), another one is looked for"),
        }
        *running = None;
        if let Some(apart) = apart {
            match line::dial(apart) {
                Ok(line) => {
                    *running = Some(Running {
                        child: None,
                        line,
                        heard: None,
                    });
                    return Ok(());
                }
                Err(error) => warn!(
                    "no watchdog listens at {} (guards.watchdog_socket): {error}; start one there by `hotshard watchdog --listen`; \
                     until then one of our own is started, which stands still where all of us do",
                    apart.display()
                ),
            }
        }
        *running = Some(self.spawn()?);
        Ok(())
    }

    fn spawn(&self) -> io::Result<Running> {
        let (line, theirs) = line::pair()?;
        let child = Command::new(&self.program)
            .arg0("hotshard")
            .args(&self.arguments)
            // It needs nothing of ours: no secrets from variables, no folder that might have to be unmounted.
            .env_clear()
            .current_dir("/")
            // A signal to our process group (Ctrl-Z, `kill -STOP -PID`) doesn't reach it.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Running {
            child: Some(child),
            line,
            heard: None,
        })
    }

    fn share(&self, socket: &Socket, patience: Duration) -> Option<u64> {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        self.say(Word::Hold(stream, patience), Some(socket)).then_some(stream)
    }

    /// All streams' signs of life are one: it is the process that lives.
    fn beat(&self, interval: Duration) {
        let due = |running: &Running| running.heard.is_none_or(|heard| heard.elapsed() >= interval / 2);
        if self.running().as_ref().is_some_and(due) {
            self.say(Word::Alive, None);
        }
    }

    /// Whether it was taken.
    fn say(&self, word: Word, socket: Option<&Socket>) -> bool {
        let mut place = self.running();
        let Some(running) = place.as_mut() else { return false };
        running.heard = Some(Instant::now());
        match line::send(running.line.as_fd(), word, socket.map(AsFd::as_fd)) {
            Ok(()) => true,
            Err(error) => {
                warn!(
                    "the watchdog is gone or doesn't listen: {error}; the next window starts another one, and until then nobody \
                     ends a window if hotshard is stopped"
                );
                *place = None;
                false
            }
        }
    }
}

impl Running {
    /// Why nobody listens any more, if that is so.
    fn ended(&mut self) -> io::Result<Option<String>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.map(|status| status.to_string())),
            // One that was started apart says nothing, but a line that leads nowhere refuses a word.
            None => Ok(line::send(self.line.as_fd(), Word::Alive, None)
                .err()
                .map(|error| error.to_string())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends by itself when the line does; one that is stopped wouldn't, and must not be waited for.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
