//! `hotshard completions`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::Shell;

use super::Outcome;

/// Print the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard completions bash > /etc/bash_completion.d/hotshard")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    // Into memory first: the generator panics where a pipe breaks.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "hotshard", &mut script);
    super::print(&script)?;
    Ok(Outcome::Done)
}
