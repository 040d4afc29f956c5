//! `hotshard man`: the manual page.

use clap::Args;
use clap_mangen::Man;

use super::Outcome;

/// Print the manual page, of the program or of one command
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard man serve | man -l -")]
pub(super) struct ManArgs {
    /// The command; the whole program without it
    command: Option<String>,
}

pub(super) fn run(args: &ManArgs) -> anyhow::Result<Outcome> {
    let program = super::command();
    let page = match &args.command {
        None => Man::new(program),
        Some(name) => Man::new(named(&program, name)?),
    };
    let mut text = Vec::new();
    page.render(&mut text)?;
    super::print(&text)?;
    Ok(Outcome::Done)
}

fn named(program: &clap::Command, name: &str) -> Result<clap::Command, super::UsageError> {
    let known = || {
        program
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(clap::Command::get_name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = program
        .find_subcommand(name)
        .ok_or_else(|| super::UsageError(format!("there is no command `{name}`; there is {}", known())))?;
    Ok(found
        .clone()
        .name(format!("hotshard-{name}"))
        .bin_name(format!("hotshard {name}")))
}
