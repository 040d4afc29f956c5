//! `hotshard check`: is the configuration sound, and what would be watched?

use std::fmt::Write as _;

use clap::Args;

use super::{Outcome, SettingsArgs};
use crate::config::{Loaded, Members, Settings};
use crate::engine::settings::NodeChoice;
use crate::model::written::show_duration;

/// Check a configuration and tell what would be watched
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard check --config hotshard.toml")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let loaded = args.settings.load()?;
    loaded.settings.require_groups()?;
    super::log::start(&loaded.settings.log)?;
    super::print(describe(&loaded))?;
    Ok(Outcome::Done)
}

/// What would be watched, how, and which settings made it so.
fn describe(loaded: &Loaded) -> String {
    let mut text = String::from("The configuration is sound.\n\n");
    // Writing to a String can't fail.
    let _ = groups(&mut text, &loaded.settings);
    let _ = routine(&mut text, &loaded.settings);
    let _ = origins(&mut text, loaded);
    text
}

fn groups(text: &mut String, settings: &Settings) -> std::fmt::Result {
    writeln!(text, "Groups:")?;
    for group in &settings.groups {
        match group.members() {
            Ok(Members::Seeds(seeds)) => {
                let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
                writeln!(text, "  {}: the cluster found from {}", group.key(), seeds.join(" or "))?;
            }
            Ok(Members::Given(nodes)) => {
                writeln!(text, "  {}: these nodes", group.key())?;
                for (endpoint, shard) in nodes {
                    writeln!(text, "    {endpoint} in shard {shard}")?;
                }
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn routine(text: &mut String, settings: &Settings) -> std::fmt::Result {
    let (poll, monitor) = (&settings.poll, &settings.monitor);
    writeln!(text, "\nLoad: INFO of every node each {}", show_duration(poll.interval))?;
    if !monitor.enabled {
        return writeln!(text, "Windows: none (monitor.enabled is false)");
    }
    writeln!(
        text,
        "Windows: {}, {} each on {} of each shard, at most {} at the same time",
        monitor.schedule,
        show_duration(monitor.window),
        match monitor.nodes {
            NodeChoice::Replica => "a replica",
            NodeChoice::Primary => "the primary",
            NodeChoice::ReplicaOrPrimary => "a replica, or else the primary,",
        },
        monitor.concurrency,
    )
}

fn origins(text: &mut String, loaded: &Loaded) -> std::fmt::Result {
    if loaded.written.is_empty() {
        return writeln!(text, "\nEvery setting has its default.");
    }
    writeln!(text, "\nSettings that were written:")?;
    for setting in &loaded.written {
        let value = setting.value.as_deref().unwrap_or("(not shown)");
        writeln!(text, "  {} = {value}  ({})", setting.path, setting.place)?;
    }
    Ok(())
}
