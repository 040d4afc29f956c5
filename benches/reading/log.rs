//! A MONITOR log of realistic traffic, the same one each time.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::traffic::{Chance, head, mixed};

/// What the log is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Twelve kinds of commands on keys of which few are touched often, by 200 clients.
    Mixed,
    /// As many different keys as lines.
    Distinct,
}

/// Writes `lines` lines.
pub(crate) fn write(traffic: Traffic, lines: u64, mut to: impl Write) -> io::Result<()> {
    let mut chance = Chance::new();
    let mut micros = 1_795_202_082_000_000_u64;
    let mut line = String::new();
    for number in 0..lines {
        micros += 1 + chance.below(11);
        line.clear();
        match traffic {
            Traffic::Mixed => mixed(&mut chance, micros, &mut line),
            Traffic::Distinct => {
                head(&mut chance, micros, &mut line);
                let _ = write!(line, "\"GET\" \"session:{:016x}:{number}\"", chance.next());
            }
        }
        line.push('\n');
        to.write_all(line.as_bytes())?;
    }
    to.flush()
}
