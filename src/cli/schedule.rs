//! `hotshard schedule`: a command of an earlier tool, kept to say what took its place.

use clap::Args;

use super::{Outcome, UsageError};

/// Explain what took the place of `schedule`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard serve --config hotshard.toml")]
pub(super) struct ScheduleArgs {
    /// Whatever the earlier tool took
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

pub(super) fn run(args: &ScheduleArgs) -> anyhow::Result<Outcome> {
    let instead = if args.rest.iter().any(|arg| arg == "--once") {
        "one round now is `hotshard monitor`"
    } else {
        "`hotshard serve` runs the rounds, as monitor.schedule in its configuration says; one round now is `hotshard monitor`"
    };
    Err(UsageError(format!("there is no command `schedule` any more: {instead}")).into())
}
