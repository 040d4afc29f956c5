//! What a shard's nodes did in the last minute, by command: what the totals can't tell.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::node::Contribution;
use crate::analysis::diagnosis::CommandCost;
use crate::model::Timestamp;

/// The contributions of all nodes of a shard within a time.
#[derive(Debug)]
pub(super) struct RecentWork {
    window: Duration,
    kept: VecDeque<Work>,
}

/// One node's part, from one poll to the next.
#[derive(Debug)]
struct Work {
    began: Timestamp,
    at: Timestamp,
    by_command: Vec<(Arc<str>, u64, Duration)>,
    connections: u64,
}

impl RecentWork {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            kept: VecDeque::new(),
        }
    }

    /// What has no known length makes no rate.
    pub(super) fn add(&mut self, at: Timestamp, contribution: &Contribution) {
        let Some(span) = contribution.span else { return };
        self.kept.push_back(Work {
            began: at - span,
            at,
            by_command: contribution.by_command.clone(),
            connections: contribution.connections,
        });
        while self
            .kept
            .front()
            .is_some_and(|oldest| at.since(oldest.at) >= self.window)
        {
            self.kept.pop_front();
        }
    }

    /// What each command does in a second, all nodes together.
    pub(super) fn costs(&self) -> BTreeMap<Arc<str>, CommandCost> {
        let mut costs: BTreeMap<Arc<str>, CommandCost> = BTreeMap::new();
        let Some(seconds) = self.seconds() else { return costs };
        for (command, calls, time) in self.kept.iter().flat_map(|work| &work.by_command) {
            let cost = costs.entry(Arc::clone(command)).or_default();
            cost.calls += *calls as f64 / seconds;
            cost.cores += time.as_secs_f64() / seconds;
        }
        costs
    }

    pub(super) fn connections_per_second(&self) -> Option<f64> {
        let connections: u64 = self.kept.iter().map(|work| work.connections).sum();
        self.seconds().map(|seconds| connections as f64 / seconds)
    }

    fn seconds(&self) -> Option<f64> {
        let began = self.kept.iter().map(|work| work.began).min()?;
        let ended = self.kept.iter().map(|work| work.at).max()?;
        Some(ended.since(began).as_secs_f64()).filter(|seconds| *seconds > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(polls: &[(u64, u64)], expected: Option<f64>) {
        let mut recent = RecentWork::new(Duration::from_secs(60));
        for (second, calls) in polls {
            let contribution = Contribution {
                by_command: vec![("GET".into(), *calls, Duration::ZERO)],
                connections: *calls,
                span: Some(Duration::from_secs(10)),
            };
            recent.add(Timestamp(second * 1_000_000), &contribution);
        }
        assert_eq!(recent.costs().get("GET").map(|cost| cost.calls), expected);
        assert_eq!(recent.connections_per_second(), expected);
    }

    #[test]
    fn only_the_last_minute_counts() {
        check(&[], None);
        check(&[(10, 500)], Some(50.0));
        check(&[(10, 500), (20, 700)], Some(60.0));
        check(&[(10, 90_000), (100, 500), (110, 500)], Some(50.0));
    }

    #[test]
    fn nodes_of_a_shard_add_up() {
        check(&[(10, 500), (10, 300)], Some(80.0));
    }
}
