//! The scenario of `hotshard demo`: a busy cluster in which one shard is always hot, each few minutes for another reason.

use std::time::Duration;

use super::act::Act;
use super::plot::Plot;
use super::scenario::Scenario;
use crate::model::{Bytes, GroupId, PerSecond, Ratio};

/// How long each cause lasts.
const SCENE: Duration = Duration::from_secs(240);

impl Scenario {
    /// The demo's cluster: `shards` with a replica each, `rate` commands a second in all before what the hot shard adds.
    pub fn demo(shards: usize, rate: PerSecond) -> Self {
        let scenario = Self {
            group: GroupId::new("demo"),
            rate,
            reads_from_replicas: Ratio(0.65),
            noise: Ratio(0.12),
            ..Self::new(shards)
        };
        let each = rate.0 / scenario.shards as f64;
        let hot = |scene: usize| (scene * 2 + 2) % scenario.shards;
        let plots = [
            Plot::HotKey {
                shard: hot(0),
                rate: PerSecond(each * 1.6),
            },
            Plot::FatReplies {
                shard: hot(1),
                rate: PerSecond(4.0),
                reply: Bytes(10_000_000),
            },
            Plot::WildClient {
                shard: hot(2),
                rate: PerSecond(each * 1.4),
            },
            Plot::HotTag {
                shard: hot(3),
                rate: PerSecond(each * 1.5),
            },
            Plot::ExpensiveCommand {
                shard: hot(4),
                rate: PerSecond(12.0),
                cost: Duration::from_millis(40),
            },
        ];
        let cycle = SCENE * plots.len() as u32;
        plots.into_iter().zip(0..).fold(scenario, |scenario, (plot, scene)| {
            let from = SCENE * scene;
            scenario.with(Act::new(plot).starting(from).until(from + SCENE).every(cycle))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_is_planted_at_every_moment() {
        let scenario = Scenario::demo(6, PerSecond(6000.0));
        for minute in 0..60 {
            let moment = Duration::from_secs(minute * 60);
            let playing: Vec<_> = scenario.acts.iter().filter(|act| act.plays(moment)).collect();
            assert_eq!(playing.len(), 1, "minute {minute}");
            assert!(playing[0].plot.cause().is_some());
        }
    }
}
