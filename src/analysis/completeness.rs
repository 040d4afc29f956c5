//! Whether a stream lost anything: the lines seen against the server's own counters from both ends of the window.
//!
//! Pure. Both INFO texts come from the MONITOR connection itself, in stream order, so no clock and no other connection is between.

use super::info::Reading;
use super::keyspec::Commands;
use crate::model::Ratio;

/// Containers that MONITOR hides with all their subcommands, where a server before 7.0 counts those together. All others it shows.
const HIDDEN_CONTAINERS: [&str; 7] = ["ACL", "CLIENT", "CLUSTER", "CONFIG", "LATENCY", "MODULE", "SLOWLOG"];

/// Lines seen over lines there were; `None` if the counters can't tell (a reset in between).
pub fn completeness(opening: &str, closing: &str, commands: &Commands, lines: u64) -> Option<Ratio> {
    let (before, after) = (Reading::parse(opening), Reading::parse(closing));
    if was_reset(&before, &after) {
        return None;
    }
    let executed = after.commands_processed?.checked_sub(before.commands_processed?)?;
    let hidden = hidden_calls(&after, commands)?.checked_sub(hidden_calls(&before, commands)?)?;
    // The opening INFO is counted after it was answered, and has no line: MONITOR began behind it.
    let expected = executed.checked_sub(hidden)?.checked_sub(1)?;
    if expected == 0 {
        return (lines == 0).then_some(Ratio(1.0));
    }
    Ratio::of(lines, expected)
}

/// All counters are reset at once, and some that stood high are lower by the end, however much has been counted since.
fn was_reset(before: &Reading, after: &Reading) -> bool {
    let calls = |reading: &Reading, name: &str| Some(reading.commands.as_ref()?.get(name)?.calls);
    let mut known = before.commands.iter().flatten();
    known.any(|(name, count)| calls(after, name).unwrap_or_default() < count.calls)
}

/// Calls of commands that MONITOR never shows.
fn hidden_calls(reading: &Reading, commands: &Commands) -> Option<u64> {
    let counts = reading.commands.as_ref()?;
    let is_hidden = |name: &str| match commands.find(name.as_bytes()).map(|id| commands.get(id)) {
        Some(command) if command.container => HIDDEN_CONTAINERS.contains(&name),
        Some(command) => command.admin,
        None => false,
    };
    let hidden = counts.iter().filter(|(name, _)| is_hidden(name));
    Some(hidden.map(|(_, count)| count.calls).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `total get=3 config|get=1` at both ends, and the lines between them.
    fn check(opening: &str, closing: &str, lines: u64, expected: Option<f64>) {
        let ratio = completeness(&info(opening), &info(closing), &Commands::builtin(), lines);
        assert_eq!(ratio.map(|ratio| ratio.0), expected, "{opening} | {closing}");
    }

    fn info(text: &str) -> String {
        let mut words = text.split(' ');
        let total = words.next().expect("a total");
        let mut info = format!("# Stats\r\ntotal_commands_processed:{total}\r\n# Commandstats\r\n");
        for (name, calls) in words.filter_map(|word| word.split_once('=')) {
            info.push_str(&format!("cmdstat_{name}:calls={calls},usec=1,usec_per_call=1.00\r\n"));
        }
        info
    }

    #[test]
    fn a_stream_that_holds_every_command_is_complete() {
        // INFO and MONITOR of the opening are counted and have no line.
        check("10 get=5", "102 get=95 info=1 monitor=1", 90, Some(1.0));
        check("10 get=5", "102 get=95 info=1 monitor=1", 45, Some(0.5));
        check("10", "12 info=1 monitor=1", 0, Some(1.0));
    }

    #[test]
    fn what_monitor_hides_is_not_missing() {
        check(
            "10",
            "22 info=1 monitor=1 get=4 config|get=3 client|list=2 replconf=1",
            4,
            Some(1.0),
        );
    }

    #[test]
    fn an_older_server_counts_a_container_as_one() {
        check(
            "10",
            "22 info=1 monitor=1 get=3 client=5 config=1 object=1",
            4,
            Some(1.0),
        );
    }

    #[test]
    fn counters_that_went_back_can_not_tell() {
        check("100 get=50", "12 get=5", 5, None);
        check("10 client|list=5", "20 client|list=2", 5, None);
        // More has been counted since the reset than before it.
        check("10 get=5 set=3", "102 get=95 info=1 monitor=1", 100, None);
    }
}
