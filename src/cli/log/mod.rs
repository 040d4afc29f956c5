//! Where the log goes: standard error, as text on a terminal and as JSON otherwise.

mod lines;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::lines::Lines;
use crate::config::{LogFormat, LogSettings, WhenFull};

/// What dependencies log though they also return it as an error, which we tell ourselves. Whoever names them hears them again.
const ALREADY_TOLD: &str = "rustls_platform_verifier=off,aws_config=error";

/// How long the end of the program waits for its last words to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The queue of this process, if its log has one.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Lines that were dropped because nobody read them.
static DROPPED: OnceLock<Arc<AtomicU64>> = OnceLock::new();

/// Starts the log of this process; a second call changes nothing.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::builder().parse_lossy(format!("{ALREADY_TOLD},{}", settings.level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr(queue(settings)));
    // It fails if a log was started before: then that one stays.
    let _ = match is_json(settings) {
        true => lines.json().flatten_event(true).try_init(),
        false => lines
            .with_ansi(io::stderr().is_terminal() && colours_wanted())
            .with_target(false)
            .try_init(),
    };
}

/// How many lines were dropped so far.
pub(super) fn dropped() -> Arc<AtomicU64> {
    Arc::clone(DROPPED.get_or_init(Arc::default))
}

/// Waits a moment for what was logged to be written, so that it stands before what comes next.
pub(super) fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(LAST_WORDS);
    }
}

/// Whether the lines are for machines.
pub(super) fn is_json(settings: &LogSettings) -> bool {
    match settings.format {
        LogFormat::Json => true,
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
    }
}

/// `None` where whoever logs waits for whoever reads.
fn queue(settings: &LogSettings) -> Option<Lines> {
    if settings.when_full == WhenFull::Wait {
        return None;
    }
    if LINES.get().is_none() {
        // Without a thread of its own the log is written as it comes.
        let lines = Lines::start(io::stderr(), dropped()).ok()?;
        let _ = LINES.set(lines);
    }
    LINES.get().cloned()
}

fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Standard error; a reader that went away never stops the daemon.
struct Stderr(Option<Lines>);

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Quiet<'a>;

    fn make_writer(&'a self) -> Quiet<'a> {
        Quiet(self.0.as_ref())
    }
}

/// A writer that never fails: the subscriber would report the failure on the very stream that failed. It is handed whole lines.
struct Quiet<'a>(Option<&'a Lines>);

impl io::Write for Quiet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0 {
            Some(lines) => {
                lines.put(bytes);
                Ok(bytes.len())
            }
            None => Ok(io::stderr().write(bytes).unwrap_or(bytes.len())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard error isn't buffered.
        Ok(())
    }
}
