//! Whether a window may be opened on a node, and for how long. Pure: two looks at the node and the limits in, a span or a refusal out.
//!
//! It refuses to know how the node is asked. The role is judged by the stream's own connection, right before the stream begins.

use std::time::Duration;

use super::guard::{self, HEADROOM_BEFORE, Look, Readings};
use super::settings::GuardSettings;
use crate::model::{Bytes, Ratio};
use crate::node::ServerLimit;

/// What MONITOR costs the server for each byte of arguments, at the worst that was measured.
const NANOSECONDS_PER_BYTE: f64 = 64.0;

/// What it costs for each command.
const NANOSECONDS_PER_COMMAND: f64 = 2_000.0;

/// A window on a node that has little time left is so much shorter.
const SHORTENED: u32 = 5;

/// No window is shorter: it would say nothing.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is known of a node before a window.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// A first look.
    pub before: Look,
    /// Another one, about half a second later.
    pub after: Look,
    /// Whether the server can tell what it holds for one client (6.2).
    pub can_be_watched: bool,
    /// Where another MONITOR client reads from, if there is one.
    pub other_monitor: Option<String>,
    /// What the server does about clients that don't read.
    pub limit: ServerLimit,
}

/// Why a node gets no window now. Each says what would help.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The server can't be watched.
    #[error(
        "the server is older than 6.2 and can't tell what it holds for us; upgrade it, or leave it to signals alone"
    )]
    TooOld,
    /// It reads its data.
    #[error("the server is loading its data set; the next round tries again")]
    Loading,
    /// It copies its data, or a replica's.
    #[error("a full synchronisation is under way; the next round tries again")]
    Syncing,
    /// The replica has lost its primary.
    #[error(
        "the replica's link to its primary is down, so it does not see the shard's writes; set monitor.nodes = \
         \"replica-or-primary\" (--use-primary) to look at the primary"
    )]
    Unlinked,
    /// Keys go already.
    #[error("the server is evicting keys; give it more memory, or a window would cost it keys")]
    Evicting,
    /// Memory has no room for what a window may need.
    #[error(
        "too little memory is free ({used} of {max} are used); a window needs room for four buffers below \
         guards.memory_ratio_max: give the server more memory, or lower guards.server_buffer_max"
    )]
    Memory {
        /// In use.
        used: Bytes,
        /// The limit.
        max: Bytes,
    },
    /// Somebody else reads MONITOR.
    #[error("another client reads MONITOR already ({0}); end it (CLIENT KILL ADDR {0}), or wait for its end")]
    OtherMonitor(String),
    /// The engine is busy.
    #[error("the engine uses {:.0} % of a core, over guards.cpu_max; a window would slow it down further", .0.0 * 100.0)]
    Cpu(Ratio),
    /// Replication is behind.
    #[error("replication is {0} behind, over guards.replication_lag_max; a window would slow it down further")]
    ReplicationLag(Bytes),
    /// It would cost too much.
    #[error(
        "a window would cost {:.1} of a core at this traffic, over guards.predicted_cost_max; look at a replica with less \
         traffic or at a quieter time",
        .0.0
    )]
    PredictedCost(Ratio),
    /// The server's own limit is required and missing.
    #[error("guards.require_server_limit is set, and {0}")]
    NoServerLimit(ServerLimit),
}

impl Refusal {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::Loading => "loading",
            Self::Syncing => "syncing",
            Self::Unlinked => "replica_unlinked",
            Self::Evicting => "evicting",
            Self::Memory { .. } => "memory",
            Self::OtherMonitor(_) => "other_monitor",
            Self::Cpu(_) => "cpu",
            Self::ReplicationLag(_) => "replication_lag",
            Self::PredictedCost(_) => "predicted_cost",
            Self::NoServerLimit(_) => "no_server_limit",
        }
    }
}

/// How long a window may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// So long.
    pub duration: Duration,
    /// Why it isn't what was asked for, if it is less.
    pub shortened: Option<Shortened>,
}

/// Why a window is shorter than it was meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortened {
    /// The engine has little time left.
    Busy,
    /// The server doesn't bound what it holds for a client, as far as it lets us see.
    Unbounded,
}

impl Granted {
    /// On a server that has time for `span` of the `wanted`, and doesn't bound by itself what it holds for us.
    pub fn without_limit(span: Duration, wanted: Duration, settings: &GuardSettings) -> Self {
        let longest = settings.window_max_without_server_limit.max(SHORTEST.min(wanted));
        Self {
            duration: span.min(longest),
            shortened: match () {
                () if longest < span => Some(Shortened::Unbounded),
                () if span < wanted => Some(Shortened::Busy),
                () => None,
            },
        }
    }
}

/// How long the window may last that was to last for `wanted`.
pub fn admit(candidate: &Candidate, wanted: Duration, settings: &GuardSettings) -> Result<Granted, Refusal> {
    refuse_unfit(candidate)?;
    let readings = guard::History::new(candidate.before.clone()).add(candidate.after.clone());
    refuse_crowded(candidate, &readings, settings)?;
    let busy = guard::cpu(&candidate.before, &candidate.after).unwrap_or_default();
    if busy > settings.cpu_max {
        return Err(Refusal::Cpu(busy));
    }
    if let Some(lag) = readings
        .replication_lag
        .filter(|lag| *lag > settings.replication_lag_max)
    {
        return Err(Refusal::ReplicationLag(lag));
    }
    let span = affordable(candidate, busy, wanted, settings)?;
    if candidate.limit.is_bounded() {
        return Ok(Granted {
            duration: span,
            shortened: (span < wanted).then_some(Shortened::Busy),
        });
    }
    if settings.require_server_limit {
        return Err(Refusal::NoServerLimit(candidate.limit));
    }
    Ok(Granted::without_limit(span, wanted, settings))
}

/// What a window costs the engine's thread at the traffic seen between two looks, in cores; by the bytes or by the commands,
/// whichever is more. Nothing where neither is known.
pub fn predicted_cost(before: &Look, after: &Look) -> Ratio {
    let seconds = after.at.saturating_sub(before.at).as_secs_f64();
    let (old, new) = (&before.reading, &after.reading);
    let increase = |old: Option<u64>, new: Option<u64>| new.zip(old).map_or(0, |(new, old)| new.saturating_sub(old));
    // Replication is among the input.
    let bytes = increase(old.input.map(|bytes| bytes.0), new.input.map(|bytes| bytes.0));
    let commands = increase(old.commands_processed, new.commands_processed);
    let nanoseconds = (bytes as f64 * NANOSECONDS_PER_BYTE).max(commands as f64 * NANOSECONDS_PER_COMMAND);
    if seconds > 0.0 {
        Ratio(nanoseconds / 1e9 / seconds)
    } else {
        Ratio(0.0)
    }
}

fn refuse_unfit(candidate: &Candidate) -> Result<(), Refusal> {
    let reading = &candidate.after.reading;
    let replication = &reading.replication;
    let copying = replication.sync_in_progress == Some(true) || replication.replicas.iter().any(|one| !one.online);
    match () {
        () if !candidate.can_be_watched => Err(Refusal::TooOld),
        () if reading.loading == Some(true) => Err(Refusal::Loading),
        () if copying => Err(Refusal::Syncing),
        () if replication.link_up == Some(false) => Err(Refusal::Unlinked),
        () => Ok(()),
    }
}

fn refuse_crowded(candidate: &Candidate, readings: &Readings, settings: &GuardSettings) -> Result<(), Refusal> {
    if readings.evicted_keys > 0 {
        return Err(Refusal::Evicting);
    }
    if let (true, Some(used), Some(max)) = (
        guard::is_nearly_full(readings, settings, HEADROOM_BEFORE),
        readings.memory_used,
        readings.memory_max,
    ) {
        return Err(Refusal::Memory { used, max });
    }
    match &candidate.other_monitor {
        Some(address) => Err(Refusal::OtherMonitor(address.clone())),
        None => Ok(()),
    }
}

/// A window over the limit is shortened where the engine still has time for it, and refused where it hasn't.
fn affordable(
    candidate: &Candidate,
    busy: Ratio,
    wanted: Duration,
    settings: &GuardSettings,
) -> Result<Duration, Refusal> {
    let cost = predicted_cost(&candidate.before, &candidate.after);
    match () {
        () if cost <= settings.predicted_cost_max => Ok(wanted),
        () if cost.0 + busy.0 <= 1.0 => Ok((wanted / SHORTENED).max(SHORTEST).min(wanted)),
        () => Err(Refusal::PredictedCost(cost)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::info::{Reading, Replication};
    use crate::engine::settings::default_guards;
    use crate::model::{Role, Timestamp};

    /// A node as `name=value` words, half a second after nothing had happened: a span in milliseconds and why it is short, or the refusal.
    fn check(node: &str, expected: &str) {
        let words: Vec<(&str, &str)> = node.split(' ').filter_map(|word| word.split_once('=')).collect();
        let value = |name: &str| words.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let number = |name: &str| value(name).map(|value| value.parse::<u64>().expect("a number"));
        let look = |at, is_last: bool| {
            let since = |count: Option<u64>| count.map(|count| if is_last { count } else { 0 });
            Look {
                at,
                reading: Reading {
                    server_time: Some(Timestamp(0) + at),
                    loading: Some(node.contains("loading")),
                    memory_used: number("used").map(|mib| Bytes(mib << 20)),
                    memory_max: number("max").map(|mib| Bytes(mib << 20)),
                    evicted_keys: since(number("evicted")),
                    cpu_main_thread: since(number("cpu")).map(Duration::from_millis),
                    input: since(number("input")).map(Bytes),
                    commands_processed: since(Some(number("commands").unwrap_or(0))),
                    replication: Replication {
                        replica_offset: number("offset").map(|mib| mib << 20),
                        link_up: value("link").map(|link| link == "up"),
                        sync_in_progress: Some(node.contains("syncing")),
                        ..Replication::default()
                    },
                    ..Reading::default()
                },
                role: Role::Replica,
                buffer: None,
                primary_offset: number("primary").map(|mib| mib << 20),
                read: Bytes(0),
                behind: Duration::ZERO,
                strained: Duration::ZERO,
            }
        };
        let candidate = Candidate {
            before: look(Duration::ZERO, false),
            after: look(Duration::from_millis(500), true),
            can_be_watched: !node.contains("old"),
            other_monitor: value("monitor").map(str::to_owned),
            limit: value("limit").map_or(ServerLimit::Buffer(Bytes(1)), |limit| match limit {
                "none" => ServerLimit::None,
                _ => ServerLimit::Unknown,
            }),
        };
        let mut settings = default_guards();
        settings.require_server_limit = node.contains("required");
        let admitted = admit(&candidate, Duration::from_secs(10), &settings);
        let granted = |granted: Granted| match granted.shortened {
            Some(why) => format!("{} {why:?}", granted.duration.as_millis()),
            None => granted.duration.as_millis().to_string(),
        };
        let shown = admitted.map_or_else(|refusal| refusal.kind().to_owned(), granted);
        assert_eq!(shown, expected, "{node}");
    }

    #[test]
    fn a_quiet_node_gets_its_window() {
        check("used=100 max=1000 link=up input=1000 commands=10 cpu=10", "10000");
        check("", "10000");
    }

    #[test]
    fn a_server_that_can_not_be_watched_gets_none() {
        check("old", "too_old");
    }

    #[test]
    fn a_node_that_has_other_worries_gets_none() {
        check("loading", "loading");
        check("syncing link=down", "syncing");
        check("link=down", "replica_unlinked");
        check("evicted=1", "evicting");
        check("monitor=10.0.0.9:4711", "other_monitor");
    }

    #[test]
    fn memory_must_have_room_for_four_buffers() {
        check("used=851 max=1000", "memory");
        check("used=672 max=800", "10000");
        check("used=22 max=150", "10000");
        check("used=23 max=150", "memory");
        let refusal = Refusal::Memory {
            used: Bytes(23 << 20),
            max: Bytes(150 << 20),
        };
        let said = refusal.to_string();
        assert!(
            said.starts_with("too little memory is free (23 MiB of 150 MiB are used);"),
            "{said}"
        );
    }

    #[test]
    fn an_engine_or_a_replica_that_is_behind_is_left_alone() {
        check("cpu=400", "10000");
        check("cpu=401", "cpu");
        check("primary=100 offset=68", "10000");
        check("primary=100 offset=67", "replication_lag");
    }

    #[test]
    fn a_window_that_would_cost_too_much_is_shortened_or_refused() {
        // 0.7 of a core is 350 ms in half a second: 5.4 MB, or 175,000 commands.
        check("input=5468750", "10000");
        check("commands=175000", "10000");
        check("input=5500000", "2000 Busy");
        check("commands=176000", "2000 Busy");
        check("input=5500000 cpu=200", "predicted_cost");
        check("input=80000000", "predicted_cost");
    }

    #[test]
    fn without_a_limit_of_the_servers_own_a_window_is_short() {
        check("limit=none", "5000 Unbounded");
        check("limit=unknown", "5000 Unbounded");
        check("limit=none commands=176000", "2000 Busy");
        check("limit=none required", "no_server_limit");
        check("required", "10000");
    }
}
