//! The command line: one file per command, each a table of contents of what it does.
//!
//! Results go to standard output, logs and errors to standard error. An error is one line that names the thing and the cure.

mod analyze;
mod check;
mod completions;
mod configuration;
mod daemon;
mod demo;
mod desk;
mod endpoints;
mod failure;
mod found;
mod healthcheck;
mod keeping;
pub mod log;
mod man;
mod monitor;
mod output;
mod query;
mod reach;
mod report;
mod schedule;
mod serve;
mod settings;
mod watchdog;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

pub use failure::{Outcome, UsageError};
pub use output::{OutputError, print};
pub use settings::SettingsArgs;

/// Tells which shard of an ElastiCache (Redis/Valkey) cluster is hot, why, and what would help.
#[derive(Debug, Parser)]
#[command(name = "hotshard", version, disable_help_subcommand = true, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Example:\n  hotshard check --config hotshard.toml\n\nExit codes:\n  \
    0 done, 1 failed, 2 wrong usage or configuration, 3 nothing could be monitored, 130 interrupted before anything was seen";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Monitor(Box<monitor::MonitorArgs>),
    Analyze(analyze::AnalyzeArgs),
    Endpoints(endpoints::EndpointsArgs),
    Check(check::CheckArgs),
    Query(query::QueryArgs),
    Report(report::ReportArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Schedule(schedule::ScheduleArgs),
    #[command(hide = true)]
    Watchdog(watchdog::WatchdogArgs),
}

/// Runs the command that the command line names.
pub fn run() -> ExitCode {
    // It fails only if there is one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let code = match CommandLine::try_parse_from(std::env::args_os().map(understood)) {
        Ok(line) => failure::end(line.command.run()),
        Err(error) => failure::refuse(&error),
    };
    log::flush();
    code
}

/// The earlier tool's `-cmd`, which would read as `-c md`.
fn understood(argument: OsString) -> OsString {
    if argument == "-cmd" {
        "--command".into()
    } else {
        argument
    }
}

/// The whole command line, for completions and the manual page.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// The threads of a daemon: readers of busy streams and everything else beside them.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Two at least: when the engine hangs, somebody must be left to say so.
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the threads of the program")
}

impl Command {
    fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Serve(args) => serve::run(&args),
            Self::Demo(args) => demo::run(&args),
            Self::Monitor(args) => monitor::run(&args),
            Self::Analyze(args) => analyze::run(&args),
            Self::Endpoints(args) => endpoints::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Query(args) => query::run(&args),
            Self::Report(args) => report::run(&args),
            Self::Healthcheck(args) => healthcheck::run(&args),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
            Self::Schedule(args) => schedule::run(&args),
            Self::Watchdog(args) => watchdog::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
