//! `hotshard serve`: the daemon.

use anyhow::Context;
use clap::Args;
use tracing::{info, warn};

use super::configuration::Intent;
use super::reach::reach;
use super::{Outcome, SettingsArgs, UsageError, daemon};
use crate::config::{GroupSettings, Members, Settings};
use crate::discovery::instance::Instance;
use crate::engine::discover::{Source, Watch};
use crate::node::Pace;

/// Watch the configured groups until told to stop
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard serve --config hotshard.toml --web.listen-address 127.0.0.1:9468")]
pub(super) struct ServeArgs {
    /// Which of several instances this is, from 0; unsaid, the number that HOSTNAME ends in, as in a StatefulSet
    #[arg(long, value_name = "I", env = "HOTSHARD_INSTANCE_INDEX")]
    instance_index: Option<u32>,
    /// How many instances share the groups, each group watched by one of them
    #[arg(long, value_name = "N", env = "HOTSHARD_INSTANCE_COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    instance_count: u32,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Outcome> {
    let instance = args.instance()?;
    let (args, pace) = (args.settings.clone(), Pace::new());
    let read = move || {
        let mut settings = args.load()?.settings;
        settings.require_groups()?;
        // What is found in AWS is divided when it is found: a glob may stand for many groups.
        let in_aws = |group: &GroupSettings| matches!(group.members(), Ok(Members::ElastiCache(_)));
        settings
            .groups
            .retain(|group| in_aws(group) || instance.owns(&group.key()));
        Ok(settings)
    };
    let shared = pace.clone();
    let intent = Intent::read(read, move |settings| watches(settings, &shared))?.searching(pace, instance);
    super::log::start(&intent.settings().log);
    daemon::run(intent, "serve", |addresses| {
        for address in addresses {
            info!(%address, "listening");
        }
        Ok(())
    })
}

impl ServeArgs {
    fn instance(&self) -> Result<Instance, UsageError> {
        let hostname = std::env::var("HOSTNAME").ok();
        Instance::among(self.instance_count, self.instance_index, hostname.as_deref())
            .map_err(|error| UsageError(error.to_string()))
    }
}

/// How each group of the configuration is reached. Certificates are read now, so that a wrong path is known at the start.
pub(super) fn watches(settings: &Settings, pace: &Pace) -> anyhow::Result<Vec<Watch>> {
    if settings.tls.insecure {
        warn!(
            "tls.insecure is set: servers' certificates are not verified, and anybody in between can read and change what is said"
        );
    }
    let mut watches = Vec::new();
    for group in &settings.groups {
        let source = match group.members() {
            Ok(Members::Seeds(seeds)) => Source::Seeds(seeds),
            Ok(Members::Given(nodes)) => Source::Given(nodes),
            Ok(Members::ElastiCache(_)) => continue,
            Err(_) => unreachable!("the configuration was checked when it was read"),
        };
        watches.push(watch(group, source, settings, pace)?);
    }
    Ok(watches)
}

fn watch(group: &GroupSettings, source: Source, settings: &Settings, pace: &Pace) -> anyhow::Result<Watch> {
    let reach = reach(settings, group, pace).with_context(|| format!("cannot watch {}", group.key()))?;
    Ok(Watch {
        key: group.key(),
        source,
        reach,
    })
}
