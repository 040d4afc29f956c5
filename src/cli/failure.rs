//! How a command ends: its exit code, and the one line that says why.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use super::OutputError;
use crate::config::{ConfigError, PrivacyError};
use crate::export::http::{BindError, WebConfigError};
use crate::export::otlp::OtlpError;
use crate::node::TlsError;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked, perhaps in part.
    Done,
    /// No node could be monitored.
    NothingMonitored,
    /// Interrupted before anything was seen.
    Interrupted,
}

impl Outcome {
    /// What the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NothingMonitored => 3,
            Self::Interrupted => 130,
        }
    }
}

/// The command was asked for something it doesn't do: exit code 2, like a wrong configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

const FAILED: u8 = 1;
const MISUSED: u8 = 2;

/// The exit code of a finished command; a failure is said first.
pub(super) fn end(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(outcome) => ExitCode::from(outcome.code()),
        // Whoever read our output has seen enough, as `head` has.
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&message(&error));
            if let Some(instead) = error
                .downcast_ref::<ConfigError>()
                .and_then(|error| error.instead.as_ref())
            {
                // Nobody reads it: what is wrong has been said.
                let _ = super::print(instead);
            }
            ExitCode::from(code(&error))
        }
    }
}

/// The exit code for a command line that clap didn't take; `--help` and `--version` are among them.
pub(super) fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A reader that went away needs no help.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(MISUSED));
    }
    say(&in_one_line(&error.render().to_string()));
    ExitCode::from(MISUSED)
}

fn code(error: &anyhow::Error) -> u8 {
    // Where to listen is a setting like any other, be it that somebody else sits there.
    let misused = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<ConfigError>()
            || cause.is::<UsageError>()
            || cause.is::<TlsError>()
            || cause.is::<BindError>()
            || cause.is::<WebConfigError>()
            || cause.is::<OtlpError>()
            || cause.is::<PrivacyError>()
    };
    if error.chain().any(misused) { MISUSED } else { FAILED }
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<OutputError>()
        .is_some_and(OutputError::is_reader_gone)
}

/// The chain of causes, each told once: some errors repeat what caused them.
fn message(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            // Writing to a String can't fail.
            let _ = write!(told, ": {cause}");
        }
    }
    told
}

/// clap's message without its headings and usage: what is wrong; what is like it; where to read on.
fn in_one_line(rendered: &str) -> String {
    let lines = rendered
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim);
    let mut told = String::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")) {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        match line.strip_prefix("tip: ") {
            Some(tip) => told.push_str(&format!("; {tip}")),
            None if told.is_empty() => told.push_str(line),
            None => told.push_str(&format!(" {line}")),
        }
    }
    told.push_str("; see --help");
    told
}

/// A line on standard error.
pub(super) fn say(lines: &str) {
    // What was logged before stands before it.
    super::log::flush();
    let mut stderr = io::stderr().lock();
    for line in lines.lines() {
        // Nobody listens: the exit code still tells.
        let _ = writeln!(stderr, "hotshard: {line}");
    }
}
