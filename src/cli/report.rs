//! `hotshard report`: a past round from the archive, or what changed between rounds.

use anyhow::Context;
use clap::Args;

use super::query::{ArchiveFile, show};
use super::{Outcome, UsageError};
use crate::archive::{PastRound, Questions};
use crate::render::{self, Format};

/// Show a past round from the archive, or compare two to four of them
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hotshard report --db-path hotshard.db --session 3 -f markdown\n  hotshard report --compare -s 2 -s 3"
)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    file: ArchiveFile,
    /// Which session; the newest by default. With --compare two to four, or one and the one before it
    #[arg(short, long = "session", value_name = "N")]
    sessions: Vec<i64>,
    /// What grew, what is new and what vanished, per shard and pattern
    #[arg(long)]
    compare: bool,
    /// How the report is shown
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

/// More rounds beside each other are hard to read.
const COMPARED_MAX: usize = 4;

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Outcome> {
    let questions = args.file.open()?;
    let rounds = args.rounds(&questions)?;
    if args.compare {
        return show(&PastRound::compare(&rounds), args.format);
    }
    let [round] = rounds.as_slice() else {
        return Err(
            UsageError("a report is of one session; add --compare to see several beside each other".into()).into(),
        );
    };
    super::print(render::render(&round.report(), args.format, super::output::look()))?;
    Ok(Outcome::Done)
}

impl ReportArgs {
    /// The rounds that are asked for, the oldest first.
    fn rounds(&self, questions: &Questions) -> anyhow::Result<Vec<PastRound>> {
        let mut sessions = self.sessions.clone();
        sessions.sort_unstable();
        sessions.dedup();
        if sessions.len() > COMPARED_MAX {
            return Err(UsageError(format!("--compare takes two to {COMPARED_MAX} sessions")).into());
        }
        if let [] | [_] = sessions.as_slice() {
            let newest = round(questions, sessions.first().copied())?;
            let mut rounds = if self.compare {
                questions.rounds_before(&newest, 1)?
            } else {
                Vec::new()
            };
            if self.compare && rounds.is_empty() {
                return Err(UsageError(format!("there is no session of {} before {}", newest.group, newest.id)).into());
            }
            rounds.push(newest);
            return Ok(rounds);
        }
        sessions
            .into_iter()
            .map(|session| round(questions, Some(session)))
            .collect()
    }
}

fn round(questions: &Questions, session: Option<i64>) -> anyhow::Result<PastRound> {
    let found = questions.round(session).context("cannot read the session")?;
    found.ok_or_else(|| {
        let which = session.map_or("no session yet".to_owned(), |session| format!("no session {session}"));
        UsageError(format!(
            "there is {which} in the archive; `hotshard query --stats` lists them"
        ))
        .into()
    })
}
