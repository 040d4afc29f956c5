//! Results on standard output.

use std::io::{self, Write};

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
