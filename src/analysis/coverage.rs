//! What part of a shard's traffic one node's MONITOR could see while it was looked at.
//!
//! A replica shows the writes that came by replication and the reads that were sent to that replica; reads on the primary and on other
//! replicas are invisible to it. The counters of all nodes, read when a window opens and when it closes, tell how much that was.
//!
//! ```
//! use hotshard::analysis::coverage::{NodeTraffic, coverage};
//! use hotshard::model::{Ratio, Role};
//!
//! let primary = NodeTraffic { role: Role::Primary, reads: Some(900), writes: Some(50) };
//! let replica = NodeTraffic { role: Role::Replica, reads: Some(100), writes: Some(50) };
//! let seen = coverage(&replica, [&primary]);
//! assert_eq!((seen.reads, seen.writes), (Some(Ratio(0.1)), Some(Ratio(1.0))));
//! ```

use super::command_kind::CommandKind;
use super::keyspec::Commands;
use super::signal::Deltas;
use super::window::Coverage;
use crate::model::{Ratio, Role};

/// A window that saw less than this of something deserves a hint; the diagnosis names no cause below it either.
const ENOUGH: f64 = 0.5;

/// What one node did while a window was open on it or on one of its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeTraffic {
    /// Its role in that time.
    pub role: Role,
    /// Reads for clients, less ours; `None` if its counters couldn't be read at both ends.
    pub reads: Option<u64>,
    /// Writes, on a replica those that came by replication.
    pub writes: Option<u64>,
}

impl NodeTraffic {
    /// A node that couldn't be asked at both ends.
    pub fn unheard(role: Role) -> Self {
        Self {
            role,
            reads: None,
            writes: None,
        }
    }

    /// What a node that knows these commands did between two readings. `None`, a restart, is not to be asked.
    pub fn of(role: Role, deltas: Option<&Deltas>, known: &Commands) -> Self {
        let Some(deltas) = deltas.filter(|deltas| deltas.commands.is_some() && !deltas.reset && !deltas.role_changed)
        else {
            return Self::unheard(role);
        };
        let sum = |kind: CommandKind| {
            let of_kind = deltas
                .by_command
                .iter()
                .filter(|(name, _)| CommandKind::of(name, known) == kind);
            of_kind.map(|(_, delta)| delta.executed).sum()
        };
        Self {
            role,
            reads: Some(sum(CommandKind::Read)),
            writes: Some(sum(CommandKind::Write)),
        }
    }
}

/// What part of its shard's reads and writes MONITOR on `observed` could see beside `others`, all other nodes of the shard. What nobody
/// did, and what can't be told because a node wasn't heard, is `None`.
pub fn coverage<'nodes>(observed: &NodeTraffic, others: impl IntoIterator<Item = &'nodes NodeTraffic>) -> Coverage {
    let others: Vec<&NodeTraffic> = others.into_iter().collect();
    let primary = others.iter().find(|node| node.role == Role::Primary);
    let complete = observed.role == Role::Primary || primary.is_some();
    let unseen_reads = others
        .iter()
        .map(|node| node.reads)
        .sum::<Option<u64>>()
        .filter(|_| complete);
    let writes = match observed.role {
        // All writes go through it.
        Role::Primary => observed.writes.and_then(|writes| Ratio::of(writes, writes)),
        // A write that changed nothing isn't replicated, and one that expanded into several is counted several times.
        Role::Replica => primary.and_then(|primary| {
            let (seen, all) = (observed.writes?, primary.writes?);
            Ratio::of(seen.min(all), all)
        }),
    };
    Coverage {
        reads: observed
            .reads
            .zip(unseen_reads)
            .and_then(|(seen, unseen)| Ratio::of(seen, seen + unseen)),
        writes,
        primary_reads: primary_reads(observed, &others),
    }
}

fn primary_reads(observed: &NodeTraffic, others: &[&NodeTraffic]) -> Option<Ratio> {
    let nodes = || std::iter::once(observed).chain(others.iter().copied());
    let primary = nodes().find(|node| node.role == Role::Primary)?.reads?;
    Ratio::of(primary, nodes().map(|node| node.reads).sum::<Option<u64>>()?)
}

/// What would show more of a shard, where a window on a node of this role saw little of it.
pub fn hint(coverage: Coverage, role: Role) -> Option<String> {
    let below = |part: Option<Ratio>| part.filter(|part| part.0 < ENOUGH);
    let percent = |part: Ratio| format!("{:.0} %", part.0 * 100.0);
    if let Some(reads) = below(coverage.reads) {
        let saw = format!("saw {} of the reads", percent(reads));
        return Some(match (role, coverage.primary_reads) {
            (Role::Replica, Some(primary)) if primary.0 >= ENOUGH => format!(
                "{saw}: {} go to the primary; monitor.nodes = \"primary\" (--use-primary) would see them, if it can bear that",
                percent(primary)
            ),
            (Role::Replica, Some(_)) => {
                format!("{saw}: most go to other replicas, which have their turn in other rounds")
            }
            (Role::Replica, None) => format!(
                "{saw}: the others go to other nodes; monitor.nodes = \"primary\" (--use-primary) would see those of the primary"
            ),
            (Role::Primary, _) => {
                format!("{saw}: the others go to replicas; monitor.nodes = \"replica\" would see theirs")
            }
        });
    }
    below(coverage.writes).filter(|_| role == Role::Replica).map(|writes| {
        format!(
            "saw {} of the writes: those that change nothing aren't replicated; monitor.nodes = \"primary\" (--use-primary) would \
             see them",
            percent(writes)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `role reads writes` of the observed node, then of the others; `?` is unheard.
    fn check(nodes: &[&str], expected: &str) {
        let parsed: Vec<NodeTraffic> = nodes.iter().map(|text| node(text)).collect();
        let (observed, others) = parsed.split_first().expect("a node is observed");
        let Coverage { reads, writes, .. } = coverage(observed, others);
        let shown = |ratio: Option<Ratio>| ratio.map_or_else(|| "?".into(), |ratio| ratio.0.to_string());
        assert_eq!(format!("{} {}", shown(reads), shown(writes)), expected, "{nodes:?}");
    }

    fn node(text: &str) -> NodeTraffic {
        let [role, reads, writes] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a role and two counts")
        };
        NodeTraffic {
            role: if role == "primary" {
                Role::Primary
            } else {
                Role::Replica
            },
            reads: reads.parse().ok(),
            writes: writes.parse().ok(),
        }
    }

    #[test]
    fn a_replica_does_not_see_what_others_read() {
        check(&["replica 100 50", "primary 900 50"], "0.1 1");
        check(&["replica 100 50", "primary 200 50", "replica 100 50"], "0.25 1");
        check(&["replica 0 50", "primary 900 50"], "0 1");
        check(&["replica 100 50", "primary 0 50"], "1 1");
    }

    #[test]
    fn a_replica_sees_only_writes_that_changed_something() {
        check(&["replica 1 40", "primary 1 50"], "0.5 0.8");
        check(&["replica 1 60", "primary 1 50"], "0.5 1");
    }

    #[test]
    fn a_primary_sees_all_writes_and_its_own_reads() {
        check(&["primary 300 50", "replica 100 50"], "0.75 1");
        check(&["primary 300 50"], "1 1");
    }

    #[test]
    fn what_nobody_did_or_nobody_can_tell_is_unknown() {
        check(&["replica 0 0", "primary 0 0"], "? ?");
        check(&["replica 100 50", "primary ? ?"], "? ?");
        check(&["replica 100 50", "primary 100 50", "replica ? ?"], "? 1");
        check(&["replica 100 50"], "? ?");
        check(&["replica ? ?", "primary 100 50"], "? ?");
    }

    /// The nodes as above, and what the hint contains; nothing for no hint.
    fn check_hint(nodes: &[&str], expected: &str) {
        let parsed: Vec<NodeTraffic> = nodes.iter().map(|text| node(text)).collect();
        let (observed, others) = parsed.split_first().expect("a node is observed");
        let hint = hint(coverage(observed, others), observed.role).unwrap_or_default();
        assert!(
            hint.contains(expected) && hint.is_empty() == expected.is_empty(),
            "{nodes:?}: {hint:?}"
        );
    }

    #[test]
    fn where_little_was_seen_a_hint_says_what_would_show_more() {
        check_hint(
            &["replica 100 50", "primary 900 50"],
            "saw 10 % of the reads: 90 % go to the primary",
        );
        check_hint(
            &["replica 100 50", "primary 100 50", "replica 800 50"],
            "most go to other replicas",
        );
        check_hint(&["replica 100 50", "primary 100 50"], "");
        check_hint(&["primary 100 50", "replica 900 50"], "monitor.nodes = \"replica\"");
        check_hint(&["replica 100 10", "primary 0 50"], "saw 20 % of the writes");
        check_hint(&["replica 100 50", "primary ? ?"], "");
    }

    #[test]
    fn a_node_that_was_reset_or_changed_its_role_can_not_tell() {
        let deltas = |reset, role_changed| Deltas {
            commands: Some(1),
            reset,
            role_changed,
            ..Deltas::default()
        };
        let heard = |deltas: &Deltas| NodeTraffic::of(Role::Primary, Some(deltas), &Commands::builtin()).reads;
        assert_eq!(heard(&deltas(false, false)), Some(0));
        assert_eq!((heard(&deltas(true, false)), heard(&deltas(false, true))), (None, None));
        assert_eq!(NodeTraffic::of(Role::Primary, None, &Commands::builtin()).reads, None);
    }
}
