//! What is played: the cluster, its traffic, and the acts that disturb it. Pure: a scenario and a moment give the cast.

use std::time::Duration;

use super::act::Act;
use super::cast::Cast;
use crate::model::{Bytes, GroupId, PerSecond, Ratio};

/// A cluster and what happens to it. Everything is decided here; the seed only fills in names and dice.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The group's name, from which the nodes' names are made.
    pub group: GroupId,
    /// How many shards, at least one.
    pub shards: usize,
    /// Replicas of each shard.
    pub replicas: usize,
    /// Commands of clients, the whole cluster together, without what acts add.
    pub rate: PerSecond,
    /// How many keys there are, the whole cluster together.
    pub keys: usize,
    /// What part of the reads goes to replicas, where there are any.
    pub reads_from_replicas: Ratio,
    /// How far a shard's rate strays from its mean: 0.1 is up to a tenth, both ways.
    pub noise: Ratio,
    /// How the slots are shared out, one weight for each shard; evenly where one is missing.
    pub slot_weights: Vec<f64>,
    /// The password of the default user.
    pub password: Option<String>,
    /// A client whose unread output passes this is closed.
    pub output_buffer_max: Bytes,
    /// The servers' `maxmemory`; 0 is none.
    pub memory_max: Bytes,
    /// What disturbs the cluster.
    pub acts: Vec<Act>,
}
impl Scenario {
    /// An even cluster with one replica a shard and quiet traffic of 1,000 commands a second for each shard.
    pub fn new(shards: usize) -> Self {
        let shards = shards.max(1);
        Self {
            group: GroupId::new("stage"),
            shards,
            replicas: 1,
            rate: PerSecond(1000.0 * shards as f64),
            keys: 2000 * shards,
            reads_from_replicas: Ratio(0.5),
            noise: Ratio(0.0),
            slot_weights: Vec::new(),
            password: None,
            output_buffer_max: Bytes(256 << 20),
            memory_max: Bytes(6 << 30),
            acts: Vec::new(),
        }
    }

    /// The same with so many commands a second, the whole cluster together.
    #[must_use]
    pub fn rate(self, rate: PerSecond) -> Self {
        Self { rate, ..self }
    }

    /// The same with one act more.
    #[must_use]
    pub fn with(mut self, act: impl Into<Act>) -> Self {
        self.acts.push(act.into());
        self
    }

    /// Nodes of each shard.
    pub fn members(&self) -> usize {
        self.replicas + 1
    }

    /// Who plays what in a shard at a moment.
    pub(super) fn cast(&self, shard: usize, moment: Duration) -> Cast {
        let mut cast = Cast::at_rest(self.members());
        for (act, index) in self.acts.iter().zip(0..) {
            act.join(&mut cast, index, shard, moment);
        }
        cast.primary %= self.members();
        cast
    }

    /// When the shard's cast changes next, after `moment`.
    pub(super) fn next_change(&self, shard: usize, moment: Duration) -> Option<Duration> {
        self.acts
            .iter()
            .filter(|act| act.plot.shard() == shard)
            .filter_map(|act| act.next_edge(moment))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::act::Act;
    use super::super::plot::Plot;
    use super::*;

    #[test]
    fn a_failover_passes_the_role_on_for_good() {
        let scenario = Scenario::new(2)
            .with(Act::new(Plot::Failover { shard: 1 }).starting(Duration::from_secs(5)))
            .with(Act::new(Plot::Failover { shard: 1 }).starting(Duration::from_secs(9)));
        let primaries = [0, 5, 9].map(|second| scenario.cast(1, Duration::from_secs(second)).primary);
        assert_eq!(primaries, [0, 1, 0]);
        assert_eq!(scenario.cast(0, Duration::from_secs(9)).primary, 0);
    }
}
