//! What a shard's nodes did in the last minute, by command: what the totals can't tell.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::gathered::Pace;
use crate::analysis::diagnosis::{CommandCost, Streamed};
use crate::model::Timestamp;

/// What all nodes of a shard did within a time.
#[derive(Debug)]
pub(super) struct RecentWork {
    window: Duration,
    kept: VecDeque<Work>,
}

/// What they did together in one round of polls.
#[derive(Debug)]
struct Work {
    at: Timestamp,
    seconds: f64,
    /// A second.
    by_command: BTreeMap<Arc<str>, CommandCost>,
    connections: f64,
    /// Of the node with most.
    streamed: Streamed,
}

impl RecentWork {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            kept: VecDeque::new(),
        }
    }

    /// Adds what the nodes did in the `span` that ended at `at`, each at its own pace.
    pub(super) fn add(&mut self, at: Timestamp, span: Duration, nodes: impl Iterator<Item = Pace>) {
        let mut work = Work {
            at,
            seconds: span.min(self.window).as_secs_f64(),
            by_command: BTreeMap::new(),
            connections: 0.0,
            streamed: Streamed::default(),
        };
        for node in nodes {
            work.connections += node.connections;
            work.streamed.input = work.streamed.input.max(node.streamed.input);
            work.streamed.commands = work.streamed.commands.max(node.streamed.commands);
            for (command, cost) in node.by_command {
                let sum = work.by_command.entry(command).or_default();
                sum.calls += cost.calls;
                sum.cores += cost.cores;
            }
        }
        self.kept.push_back(work);
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
        for work in &self.kept {
            for (command, cost) in &work.by_command {
                let mean = costs.entry(Arc::clone(command)).or_default();
                mean.calls += cost.calls * work.seconds / seconds;
                mean.cores += cost.cores * work.seconds / seconds;
            }
        }
        costs
    }

    pub(super) fn connections_per_second(&self) -> Option<f64> {
        let seconds = self.seconds()?;
        let connections: f64 = self.kept.iter().map(|work| work.connections * work.seconds).sum();
        Some(connections / seconds)
    }

    /// What the busiest node takes in and does, by each of the two.
    pub(super) fn streamed(&self) -> Option<Streamed> {
        let seconds = self.seconds()?;
        let mean = |figure: fn(&Streamed) -> f64| {
            let works = self.kept.iter();
            works.map(|work| figure(&work.streamed) * work.seconds).sum::<f64>() / seconds
        };
        Some(Streamed {
            input: mean(|streamed| streamed.input),
            commands: mean(|streamed| streamed.commands),
        })
    }

    fn seconds(&self) -> Option<f64> {
        let seconds: f64 = self.kept.iter().map(|work| work.seconds).sum();
        (seconds > 0.0).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of so many seconds that end at a second, with what each node does a second.
    fn check(rounds: &[(u64, u64, &[f64])], expected: Option<f64>) {
        let mut recent = RecentWork::new(Duration::from_secs(60));
        for (second, span, nodes) in rounds {
            let pace = |calls: &f64| Pace {
                by_command: BTreeMap::from([(
                    "GET".into(),
                    CommandCost {
                        calls: *calls,
                        cores: 0.0,
                    },
                )]),
                connections: *calls,
                ..Pace::default()
            };
            recent.add(
                Timestamp(second * 1_000_000),
                Duration::from_secs(*span),
                nodes.iter().map(pace),
            );
        }
        assert_eq!(recent.costs().get("GET").map(|cost| cost.calls), expected);
        assert_eq!(recent.connections_per_second(), expected);
    }

    #[test]
    fn only_the_last_minute_counts() {
        check(&[], None);
        check(&[(10, 10, &[50.0])], Some(50.0));
        check(&[(10, 10, &[50.0]), (20, 10, &[70.0])], Some(60.0));
        check(
            &[(10, 10, &[9000.0]), (100, 10, &[50.0]), (110, 10, &[50.0])],
            Some(50.0),
        );
    }

    #[test]
    fn a_short_round_weighs_little() {
        check(&[(10, 1, &[90.0]), (19, 9, &[50.0])], Some(54.0));
    }

    #[test]
    fn a_stream_shows_what_the_busiest_node_does() {
        let mut recent = RecentWork::new(Duration::from_secs(60));
        let node = |input: f64, commands: f64| Pace {
            streamed: Streamed { input, commands },
            ..Pace::default()
        };
        let span = Duration::from_secs(10);
        let both = [node(1000.0, 10.0), node(400.0, 90.0)];
        recent.add(Timestamp(10_000_000), span, both.into_iter());
        recent.add(Timestamp(20_000_000), span, [node(2000.0, 30.0)].into_iter());
        let expected = Streamed {
            input: 1500.0,
            commands: 60.0,
        };
        assert_eq!(recent.streamed(), Some(expected));
    }

    #[test]
    fn nodes_of_a_shard_add_up() {
        check(&[(10, 10, &[50.0, 30.0])], Some(80.0));
    }
}
