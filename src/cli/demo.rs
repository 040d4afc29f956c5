//! `hotshard demo`: the cluster that is watched instead of a real one.

use clap::Args;

use crate::model::{Endpoint, PerSecond, ShardId, Timestamp};
use crate::node::simulated::{Scenario, Stage};
use crate::node::survey::Reach;
use crate::node::{Accounts, Credentials, Dialer, LinkSettings};

/// What the simulated cluster is like.
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArgs {
    /// How many shards the simulated cluster has, each with a primary and a replica
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub shards: u16,
    /// What its dice show: the same seed plays the same keys and commands
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub seed: u64,
    /// How many commands its clients send a second, before what makes a shard hot
    #[arg(long, value_name = "R", default_value_t = 12_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
}

impl DemoArgs {
    /// Raises the curtain; the cluster's clock says `now`. Needs tokio's runtime once it is dialled.
    pub fn stage(&self, now: Timestamp) -> Stage {
        let scenario = Scenario::demo(self.shards.into(), PerSecond(self.rate.into()));
        Stage::new(scenario, self.seed, now)
    }
}

/// The stage's nodes as a configuration would write them down.
pub fn nodes(stage: &Stage) -> Vec<(Endpoint, ShardId)> {
    let group = stage.group();
    group
        .nodes()
        .map(|(shard, node)| (node.endpoint.clone(), shard.id.clone()))
        .collect()
}

/// How the stage's nodes are reached.
pub fn reach(stage: &Stage, settings: LinkSettings) -> Reach {
    Reach {
        dialer: Dialer::Stage(stage.clone()),
        credentials: Credentials::none(),
        accounts: Accounts::default(),
        settings,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_node_of_the_demo_answers() {
        let args = DemoArgs {
            shards: 3,
            seed: 1,
            rate: 300,
        };
        let stage = args.stage(Timestamp(1_795_219_200_000_000));
        let settings = LinkSettings {
            answer_timeout: Duration::from_secs(1),
        };
        let nodes = nodes(&stage);
        assert_eq!(nodes.len(), 6);
        for (endpoint, _) in nodes {
            let link = reach(&stage, settings).link(&endpoint).await.expect("it listens");
            link.role().await.expect("it answers");
        }
        assert_eq!(stage.planted().len(), 1);
    }
}
