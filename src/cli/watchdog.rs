//! `hotshard watchdog`: the process that ends MONITOR streams when hotshard itself stands still. `serve` and `monitor` start it and hand it
//! the line as its standard input; people start it only to have it apart, in a service or a container of its own.

use std::io;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::Outcome;
use crate::config::{LogFormat, LogSettings, Settings};
use crate::engine::watchdog::{Watchdog, serve, stand_by};

/// End the MONITOR streams of a hotshard that stands still; started by hotshard itself, or apart from it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard watchdog --listen /run/hotshard-watchdog/socket")]
pub(super) struct WatchdogArgs {
    /// Wait here for hotshards whose guards.watchdog_socket this is, until SIGTERM or SIGINT
    #[arg(long, value_name = "PATH")]
    listen: Option<PathBuf>,
    /// Log as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &WatchdogArgs) -> anyhow::Result<Outcome> {
    super::log::start(&args.log());
    if let Some(place) = &args.listen {
        serve(place).with_context(|| {
            format!(
                "cannot listen at {}; name a socket in a folder that can be written",
                place.display()
            )
        })?;
        return Ok(Outcome::Done);
    }
    // Whoever stops hotshard may signal all its processes; this one must outlive it, by a moment, and ends by the end of the line.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let _deaf = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .context("cannot listen for signals")?;
    stand_by(io::stdin()).context("standard input is not hotshard's; this command is started by hotshard itself")?;
    Ok(Outcome::Done)
}

impl WatchdogArgs {
    fn log(&self) -> LogSettings {
        LogSettings {
            format: match (self.json, &self.listen) {
                (true, _) => LogFormat::Json,
                (false, Some(_)) => LogFormat::Auto,
                (false, None) => LogFormat::Text,
            },
            ..Settings::defaults().log
        }
    }
}

/// The watchdog of this process, which logs as this process does.
pub(super) fn of(log: &LogSettings) -> anyhow::Result<Watchdog> {
    let json = super::log::is_json(log).then_some("--json");
    Watchdog::of_this_program(["watchdog"].into_iter().chain(json)).context("cannot tell which program this is")
}
