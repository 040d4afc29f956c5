//! What the end of a window gives reason to say in the log: that somebody else ended it, and, once for each shard, that windows see
//! little of it and what would show more. Pure: windows in, words out.

use std::collections::BTreeSet;

use crate::analysis::coverage::hint;
use crate::analysis::window::{ClosedWindow, WindowEnd};
use crate::model::{GroupKey, ShardId};

/// The shards that have been spoken of.
#[derive(Debug, Default)]
pub(super) struct Hints(BTreeSet<(GroupKey, ShardId)>);

impl Hints {
    /// What a window's end gives reason to say; a shard of which enough was seen may be spoken of again.
    pub(super) fn take(&mut self, window: &ClosedWindow) -> Option<String> {
        let shard = (window.group.clone(), window.shard.clone());
        match hint(window.coverage, window.role) {
            Some(hint) => self.0.insert(shard).then_some(hint),
            None => {
                // A window that was cut short knows nothing of its coverage.
                if window.coverage.reads.is_some() {
                    self.0.remove(&shard);
                }
                None
            }
        }
    }

    /// Forgets groups that are gone.
    pub(super) fn forget(&mut self, group: &GroupKey) {
        self.0.retain(|(known, _)| known != group);
    }
}

/// What to say of a window that others ended: what may have been the reason, and what would help. Guards have spoken for themselves.
pub(super) fn ended(window: &ClosedWindow) -> Option<String> {
    let held = window.server_buffer_peak.unwrap_or_default();
    match window.end {
        WindowEnd::ServerClosed => Some(format!(
            "the server closed the window's stream, for which it had held {held} at most at a look: by its own limit \
             (client-output-buffer-limit normal, maxmemory-clients) or by somebody's CLIENT KILL; a limit far below \
             guards.server_buffer_max may be raised"
        )),
        WindowEnd::ConnectionFailed => Some(
            "the connection of the window's stream failed; look at the network and at what lies between".to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::analysis::window::{Coverage, WindowStats};
    use crate::model::{Bytes, Ratio, Role, Timestamp};

    fn window(reads: Option<Ratio>) -> ClosedWindow {
        ClosedWindow {
            group: GroupKey {
                region: "".into(),
                id: "orders".into(),
            },
            shard: "0001".into(),
            node: "a".into(),
            role: Role::Replica,
            opened: Timestamp(0),
            closed: Timestamp(0) + Duration::from_secs(1),
            end: WindowEnd::Duration,
            stats: WindowStats::default(),
            completeness: None,
            coverage: Coverage {
                reads,
                ..Coverage::default()
            },
            server_buffer_peak: None,
        }
    }

    /// Coverage of reads in percent, window after window, `?` for unknown; `!` where there is something to say.
    fn check(windows: &str, expected: &str) {
        let mut hints = Hints::default();
        let said = windows.split(' ').map(|reads| {
            let reads = reads.parse().ok().map(|percent: f64| Ratio(percent / 100.0));
            hints.take(&window(reads)).map_or("-", |_| "!")
        });
        assert_eq!(said.collect::<Vec<_>>().join(" "), expected, "{windows}");
    }

    #[test]
    fn who_else_may_have_ended_a_window_is_said_with_the_cure() {
        let said = |end| {
            let mut window = window(None);
            window.end = end;
            window.server_buffer_peak = Some(Bytes(7 << 20));
            ended(&window).unwrap_or_default()
        };
        let closed = said(WindowEnd::ServerClosed);
        assert!(
            closed.contains("7 MiB") && closed.contains("client-output-buffer-limit"),
            "{closed}"
        );
        assert!(said(WindowEnd::ConnectionFailed).contains("network"));
        assert_eq!(said(WindowEnd::Duration) + &said(WindowEnd::Cpu), "");
    }

    #[test]
    fn little_sight_is_spoken_of_once_until_it_was_better() {
        check("90 10 10 ? 10 90 10", "- ! - - - - !");
    }
}
