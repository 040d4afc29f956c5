//! `hotshard serve`: the daemon.

use std::hash::{BuildHasher, RandomState};

use anyhow::Context;
use clap::Args;
use tracing::{info, warn};

use super::reach::reach;
use super::{Outcome, SettingsArgs, daemon};
use crate::analysis::keyspec::Commands;
use crate::analysis::tally::TallySettings;
use crate::config::{GroupSettings, Members, Settings};
use crate::engine::clock::Clock;
use crate::engine::discover::{Source, Watch};
use crate::engine::{Plan, window};
use crate::metrics::ledger::Ledger;
use crate::node::Pace;

/// Watch the configured groups until told to stop
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard serve --config hotshard.toml --web.listen-address 127.0.0.1:9468")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Outcome> {
    let loaded = args.settings.load()?;
    loaded.settings.require_groups()?;
    super::log::start(&loaded.settings.log);
    let settings = &loaded.settings;
    let watches = watches(settings)?;
    let (plan, ledger) = (plan(settings, watches), Ledger::new(settings.ledger()));
    let daemon = daemon::run(plan, ledger, settings.web.clone(), |addresses| {
        for address in addresses {
            info!(%address, "listening");
        }
        Ok(())
    });
    super::runtime()?.block_on(daemon)
}

/// What the engine needs, from the settings.
pub(super) fn plan(settings: &Settings, groups: Vec<Watch>) -> Plan {
    Plan {
        groups,
        poll: settings.poll.clone(),
        monitor: settings.monitor.clone(),
        discovery_interval: settings.discovery.interval,
        reading: window::Reading {
            commands: Commands::builtin(),
            patterns: settings.patterns.clone(),
            tally: TallySettings::default(),
            // A new one in every process: nobody outside can know which keys would collide.
            seed: RandomState::new().hash_one("hotshard"),
            clock: Clock::System,
        },
    }
}

/// How each group of the configuration is reached. Certificates are read now, so that a wrong path is known at the start.
fn watches(settings: &Settings) -> anyhow::Result<Vec<Watch>> {
    if settings.tls.insecure {
        warn!(
            "tls.insecure is set: servers' certificates are not verified, and anybody in between can read and change what is said"
        );
    }
    let pace = Pace::new();
    settings
        .groups
        .iter()
        .map(|group| watch(group, settings, &pace))
        .collect()
}

fn watch(group: &GroupSettings, settings: &Settings, pace: &Pace) -> anyhow::Result<Watch> {
    let source = match group.members() {
        Ok(Members::Seeds(seeds)) => Source::Seeds(seeds),
        Ok(Members::Given(nodes)) => Source::Given(nodes),
        Err(_) => unreachable!("the configuration was checked when it was read"),
    };
    let reach = reach(settings, group, pace).with_context(|| format!("cannot watch {}", group.key()))?;
    Ok(Watch {
        key: group.key(),
        source,
        reach,
    })
}
