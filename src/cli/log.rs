//! Where the log goes: standard error, as text on a terminal and as JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFormat, LogSettings};

/// What dependencies log though they also return it as an error, which we tell ourselves. Whoever names them hears them again.
const ALREADY_TOLD: &str = "rustls_platform_verifier=off,aws_config=error";

/// Starts the log of this process; a second call changes nothing.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::builder().parse_lossy(format!("{ALREADY_TOLD},{}", settings.level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr);
    // It fails if a log was started before: then that one stays.
    let _ = match is_json(settings) {
        true => lines.json().flatten_event(true).try_init(),
        false => lines
            .with_ansi(io::stderr().is_terminal() && colours_wanted())
            .with_target(false)
            .try_init(),
    };
}

/// Whether the lines are for machines.
pub(super) fn is_json(settings: &LogSettings) -> bool {
    match settings.format {
        LogFormat::Json => true,
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
    }
}

fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Standard error; a reader that went away never stops the daemon.
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Quiet;

    fn make_writer(&self) -> Quiet {
        Quiet(io::stderr())
    }
}

/// A writer that never fails: the subscriber would report the failure on the very stream that failed.
struct Quiet(io::Stderr);

impl io::Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard error isn't buffered.
        Ok(())
    }
}
