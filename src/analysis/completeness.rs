//! Whether a stream lost anything: the lines seen against the server's own counters from both ends of the window.
//!
//! Pure. Both INFO texts come from the MONITOR connection itself, in stream order, so no clock and no other connection is between.

use super::info::Reading;
use super::keyspec::Commands;
use crate::model::Ratio;

/// Lines seen over lines there were; `None` if the counters can't tell (another server process, a reset in between).
pub fn completeness(opening: &str, closing: &str, commands: &Commands, lines: u64) -> Option<Ratio> {
    let (before, after) = (Reading::parse(opening), Reading::parse(closing));
    let executed = after.commands_processed?.checked_sub(before.commands_processed?)?;
    let hidden = hidden_calls(&after, commands)?.checked_sub(hidden_calls(&before, commands)?)?;
    // The opening INFO is counted after it was answered, and has no line: MONITOR began behind it.
    let expected = executed.checked_sub(hidden)?.checked_sub(1)?;
    if expected == 0 {
        return (lines == 0).then_some(Ratio(1.0));
    }
    Ratio::of(lines, expected)
}

/// Calls of commands that MONITOR never shows; `None` where a server before 7.0 lumps shown and hidden subcommands together.
fn hidden_calls(reading: &Reading, commands: &Commands) -> Option<u64> {
    let counts = reading.commands.as_ref()?;
    let mut hidden = 0;
    for (name, count) in counts {
        let known = commands.find(name.as_bytes()).map(|id| commands.get(id));
        match known {
            Some(command) if command.container && !name.contains('|') => return None,
            Some(command) if command.admin => hidden += count.calls,
            _ => {}
        }
    }
    Some(hidden)
}
