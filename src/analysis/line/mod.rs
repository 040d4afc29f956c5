//! One line of MONITOR output: when, from whom, which command with which arguments.
//!
//! Understands what servers print and what `redis-cli monitor` makes of it. It refuses to know which arguments are keys, and what is counted.
//!
//! ```
//! use hotshard::analysis::line::{Line, Source};
//!
//! let line = Line::parse(br#"+1795202082.056681 [0 [::1]:35656] "set" "k\"1" "v""#)?;
//! assert_eq!(line.source, Source::Client(b"[::1]"));
//! assert_eq!(line.arguments.collect::<Result<Vec<_>, _>>()?, [&b"set"[..], b"k\\\"1", b"v"]);
//! # Ok::<(), hotshard::analysis::window::Rejection>(())
//! ```

mod arguments;
mod block;
mod front;
mod head;
#[cfg(test)]
pub(crate) mod reference;

pub use arguments::Arguments;
pub(crate) use arguments::{Following, closing_quote, following};
pub(crate) use block::{Block, LineFeeds, Window};
pub(crate) use front::{Front, SIGHT, Second};
pub(crate) use head::{Head, time};

use super::window::Rejection;
use crate::model::Timestamp;

/// One line, understood as far as its arguments, which are read as they are asked for.
#[derive(Clone, Debug)]
pub struct Line<'line> {
    /// When the command had run, by the server's clock.
    pub time: Timestamp,
    /// The database.
    pub database: u32,
    /// Who sent the command.
    pub source: Source<'line>,
    /// The same as it was printed.
    pub printed_source: &'line [u8],
    /// The command and its arguments as they were printed.
    pub arguments: Arguments<'line>,
}

/// Who sent a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source<'line> {
    /// A client by its address without the port; an IPv6 address keeps its brackets.
    Client(&'line [u8]),
    /// A client on the server's own machine, by the path of the socket.
    Unix(&'line [u8]),
    /// A script or function that the server runs.
    Lua,
}

impl<'line> Source<'line> {
    /// From what stands between the database and `]`.
    pub fn parse(text: &'line [u8]) -> Self {
        if text == b"lua" {
            return Self::Lua;
        }
        if let Some(path) = text.strip_prefix(b"unix:") {
            return Self::Unix(path);
        }
        let host = text.iter().rposition(|&byte| byte == b':').unwrap_or(text.len());
        Self::Client(&text[..host])
    }
}

impl<'line> Line<'line> {
    /// Reads a line in the wire's form or in redis-cli's, with or without its line end.
    pub fn parse(line: &'line [u8]) -> Result<Self, Rejection> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"-") {
            return Err(Rejection::ServerError);
        }
        let line = line.strip_prefix(b"+").unwrap_or(line);
        let head = Head::read(line, 0, line.len())?;
        let database = std::str::from_utf8(&line[head.database]).ok();
        let printed_source = &line[head.source];
        Ok(Self {
            time: time(line),
            database: database
                .and_then(|digits| digits.parse().ok())
                .ok_or(Rejection::Source)?,
            source: Source::parse(printed_source),
            printed_source,
            arguments: Arguments::new(&line[head.command - 1..]),
        })
    }
}
