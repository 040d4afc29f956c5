//! What windows see while they are open, as the page and the API show it.
//!
//! It refuses to know where that is read: whoever has windows hands over how to look at them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::view::short;
use crate::model::{Bytes, GroupKey, NodeId, ShardId};

/// A window whose stream runs, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// Of this group.
    pub group: GroupKey,
    /// On this shard.
    pub shard: ShardId,
    /// On this of its nodes.
    pub node: NodeId,
    /// How long it has been open.
    pub open: Duration,
    /// How long it will be.
    pub lasts: Duration,
    /// How long it was meant to be: longer, where the node couldn't bear that.
    pub wanted: Duration,
    /// Commands it saw.
    pub commands: u64,
    /// Bytes it read.
    pub bytes: Bytes,
    /// What the guard saw when it looked last.
    pub guard: Guarded,
}

/// What a guard looks at while a window is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// What the server held for us.
    pub server_buffer: Bytes,
    /// How far the stream's own time stamps were behind.
    pub behind: Duration,
    /// For how long the reader hasn't once had nothing left to read.
    pub strained: Duration,
}

/// How to look at the windows that are open. Clones look at the same ones.
#[derive(Clone)]
pub struct OpenWindows(Arc<dyn Fn() -> Vec<OpenWindow> + Send + Sync>);

impl OpenWindows {
    /// Looks by this function. It must be cheap, and wait for nobody who reads a stream.
    pub fn seen_by(look: impl Fn() -> Vec<OpenWindow> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    /// Those that are open now.
    pub(super) fn look(&self) -> Vec<OpenWindow> {
        (self.0)()
    }
}

impl Default for OpenWindows {
    /// There are never any.
    fn default() -> Self {
        Self::seen_by(Vec::new)
    }
}

impl fmt::Debug for OpenWindows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OpenWindows")
    }
}

/// What one look at the windows saw, for the rates of the next.
pub(super) type Seen = BTreeMap<(GroupKey, ShardId), (Duration, u64)>;

/// What is to be remembered of this look.
pub(super) fn seen(windows: &[OpenWindow]) -> Seen {
    let one = |window: &OpenWindow| {
        let name = (window.group.clone(), window.shard.clone());
        (name, (window.open, window.commands))
    };
    windows.iter().map(one).collect()
}

/// All of them, as JSON on one line. Rates are those since the last look, or since the window opened.
pub(super) fn document(windows: &[OpenWindow], before: &Seen) -> String {
    let windows: Vec<Value> = windows.iter().map(|window| entry(window, before)).collect();
    json!({ "windows": windows }).to_string()
}

fn entry(window: &OpenWindow, before: &Seen) -> Value {
    json!({
        "group": window.group.id,
        "region": window.group.region,
        "shard": window.shard,
        "node": window.node,
        "open_seconds": seconds(window.open),
        "left_seconds": seconds(window.lasts.saturating_sub(window.open)),
        "duration_seconds": seconds(window.lasts),
        "wanted_seconds": seconds(window.wanted),
        "commands": window.commands,
        "commands_per_second": rate(window, before),
        "bytes_read": window.bytes,
        "guard": {
            "server_buffer_bytes": window.guard.server_buffer,
            "behind_seconds": seconds(window.guard.behind),
            "strained_seconds": seconds(window.guard.strained),
        },
    })
}

/// A moment is too short for a rate.
const SPAN_MIN: Duration = Duration::from_millis(100);

fn rate(window: &OpenWindow, before: &Seen) -> Option<f64> {
    let last = before.get(&(window.group.clone(), window.shard.clone()));
    // A window that is younger or saw less than before is another one.
    let last = last.filter(|(open, commands)| *open < window.open && *commands <= window.commands);
    let (from, commands) = last.copied().unwrap_or_default();
    let span = window.open - from;
    (span >= SPAN_MIN).then(|| short((window.commands - commands) as f64 / span.as_secs_f64()))
}

fn seconds(span: Duration) -> f64 {
    short(span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, Region};

    fn window(open: u64, commands: u64) -> OpenWindow {
        OpenWindow {
            group: GroupKey {
                region: Region::from("eu-central-1"),
                id: GroupId::from("orders"),
            },
            shard: ShardId::new("0001"),
            node: NodeId::new("orders-0001-002"),
            open: Duration::from_millis(open),
            lasts: Duration::from_secs(10),
            wanted: Duration::from_secs(60),
            commands,
            bytes: Bytes(12_345),
            guard: Guarded {
                server_buffer: Bytes(20_512),
                behind: Duration::from_millis(3),
                strained: Duration::ZERO,
            },
        }
    }

    fn check(before: &[OpenWindow], now: &OpenWindow, expected: Option<f64>) {
        assert_eq!(rate(now, &seen(before)), expected, "{before:?}");
    }

    #[test]
    fn a_rate_is_that_of_the_last_moments() {
        check(&[], &window(2_000, 3_000), Some(1_500.0));
        check(&[window(1_000, 2_500)], &window(2_000, 3_000), Some(500.0));
        // Another window of the same shard, or a look too soon.
        check(&[window(9_000, 90_000)], &window(2_000, 3_000), Some(1_500.0));
        check(&[window(1_950, 2_900)], &window(2_000, 3_000), None);
        check(&[], &window(0, 0), None);
    }

    #[test]
    fn a_window_says_how_long_it_has_been_open_and_what_its_guard_sees() {
        let text = document(&[window(2_500, 3_000)], &Seen::new());
        assert_eq!(
            text,
            concat!(
                r#"{"windows":[{"group":"orders","region":"eu-central-1","shard":"0001","node":"orders-0001-002","#,
                r#""open_seconds":2.5,"left_seconds":7.5,"duration_seconds":10.0,"wanted_seconds":60.0,"#,
                r#""commands":3000,"commands_per_second":1200.0,"bytes_read":12345,"#,
                r#""guard":{"server_buffer_bytes":20512,"behind_seconds":0.003,"strained_seconds":0.0}}]}"#,
            )
        );
    }
}
