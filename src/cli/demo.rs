//! `hotshard demo`: the daemon over a simulated cluster, with one shard planted hot.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::configuration::Intent;
use super::{Outcome, SettingsArgs, daemon};
use crate::config::{Loaded, Settings};
use crate::engine::clock::Clock;
use crate::engine::discover::{Source, Watch};
use crate::model::{Endpoint, PerSecond, ShardId, Timestamp};
use crate::node::simulated::{Scenario, Stage};
use crate::node::survey::Reach;
use crate::node::{Accounts, Credentials, Dialer, LinkSettings};
use crate::schedule::Schedule;

/// Watch a simulated cluster with a planted hot shard: no Redis, no AWS, nothing written to disk
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard demo --shards 6 --seed 42")]
pub(super) struct DemoArgs {
    /// How many shards the simulated cluster has, each with a primary and a replica
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    shards: u16,
    /// What its dice show: the same seed plays the same keys and commands
    #[arg(long, value_name = "S", default_value_t = 42)]
    seed: u64,
    /// How many commands its clients send a second, before what makes a shard hot
    #[arg(long, value_name = "R", default_value_t = 12_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    let stage = args.stage(Clock::System.now());
    let (sources, played) = (args.settings.clone(), stage.clone());
    let read = move || Ok(hasten(sources.load()?).settings);
    let reach = move |settings: &Settings| {
        let settings = LinkSettings {
            answer_timeout: settings.poll.timeout,
        };
        Ok(vec![watch(&played, settings)])
    };
    let intent = Intent::read(read, reach)?;
    super::log::start(&intent.settings().log);
    let path = intent.settings().web.telemetry_path.clone();
    daemon::run(intent, "demo", |addresses| {
        Ok(super::print(args.greeting(&stage, addresses, path.as_str()))?)
    })
}

/// A demo is looked at for minutes, not for months: it polls and looks more often, unless the user said how often.
fn hasten(mut loaded: Loaded) -> Loaded {
    let is_written = |path: &str| loaded.written.iter().any(|setting| setting.path == path);
    let [polls, rounds, windows, log] =
        ["poll.interval", "monitor.schedule", "monitor.window", "log.level"].map(is_written);
    let settings = &mut loaded.settings;
    if !polls {
        settings.poll.interval = Duration::from_secs(2);
    }
    if !rounds {
        settings.monitor.schedule = Schedule::Every(Duration::from_secs(15));
        settings.monitor.on_hot_cool_down = Duration::from_secs(30);
    }
    if !windows {
        settings.monitor.window = Duration::from_secs(5);
    }
    if !log {
        // Where to look is the last thing said at the start, and stays in sight.
        let level = "info,hotshard::engine::poller=warn,hotshard::node::commands=warn";
        settings.log.level = level.to_owned().try_into().expect("it is a level");
    }
    loaded
}

fn watch(stage: &Stage, settings: LinkSettings) -> Watch {
    Watch {
        key: stage.group().key,
        source: Source::Given(nodes(stage)),
        reach: reach(stage, settings),
    }
}

/// The stage's nodes as a configuration would write them down.
fn nodes(stage: &Stage) -> Vec<(Endpoint, ShardId)> {
    let group = stage.group();
    group
        .nodes()
        .map(|(shard, node)| (node.endpoint.clone(), shard.id.clone()))
        .collect()
}

/// How the stage's nodes are reached.
fn reach(stage: &Stage, settings: LinkSettings) -> Reach {
    Reach {
        dialer: Dialer::Stage(stage.clone()),
        credentials: Credentials::none(),
        accounts: Accounts::default(),
        settings,
        parameters: None,
    }
}

impl DemoArgs {
    /// Raises the curtain; the cluster's clock says `now`. Needs tokio's runtime once it is dialled.
    fn stage(&self, now: Timestamp) -> Stage {
        let scenario = Scenario::demo(self.shards.into(), PerSecond(self.rate.into()));
        Stage::new(scenario, self.seed, now)
    }

    fn greeting(&self, stage: &Stage, addresses: &[SocketAddr], metrics: &str) -> String {
        let Self { shards, seed, rate, .. } = self;
        let mut text =
            format!("A simulated cluster of {shards} shards is being watched ({rate} commands/s, seed {seed}).\n");
        // Writing to a String can't fail.
        for planted in stage.planted() {
            let _ = writeln!(
                text,
                "Shard {} is planted hot; every four minutes another one is, for another reason.",
                planted.shard
            );
        }
        for address in addresses {
            let _ = writeln!(
                text,
                "\n  page     http://{address}/\n  metrics  http://{address}{metrics}"
            );
            let _ = writeln!(text, "  health   http://{address}/healthz and http://{address}/readyz");
        }
        text.push_str("\nStop it with Ctrl-C.\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_node_of_the_demo_answers() {
        let args = DemoArgs {
            shards: 3,
            seed: 1,
            rate: 300,
            settings: SettingsArgs::default(),
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
