//! Results on standard output.

use std::io::{self, IsTerminal, Write};

use crate::render::Look;

/// Standard output took no more. That its reader went away, as `head` does, is no failure of the command.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whether the reader has only seen enough.
    pub(super) fn is_reader_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes a result.
pub fn print(result: impl AsRef<[u8]>) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(result.as_ref())?;
    Ok(stdout.flush()?)
}

/// How many columns standard output has, if it is a terminal.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// How text should look on standard output.
pub(super) fn look() -> Look {
    let terminal = io::stdout().is_terminal();
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Look {
        width: width().unwrap_or(Look::default().width),
        colour: terminal && !unwanted && !dumb,
        entries: None,
    }
}
