//! `hotshard query`: the archive, asked.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::{Outcome, UsageError};
use crate::archive::{Answer, ArchiveError, Filter, Questions, SQL_TIME_MAX};
use crate::render::{self, Format};

/// Ask the archive: which lines, which figures, or any SQL that reads
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hotshard query --db-path hotshard.db --shard 0002 --command GET -k 'user:*' -l 20\n  \
    hotshard query --stats\n  hotshard query --sql 'SELECT key, sum(count) FROM window_keys GROUP BY key ORDER BY 2 DESC LIMIT 10'"
)]
pub(super) struct QueryArgs {
    #[command(flatten)]
    file: ArchiveFile,
    /// Of this session alone
    #[arg(short, long, value_name = "N", conflicts_with = "sql")]
    session: Option<i64>,
    /// Of this cluster alone
    #[arg(short, long, value_name = "ID", conflicts_with = "sql")]
    cluster: Option<String>,
    /// Of this shard alone
    #[arg(long, value_name = "SHARD", conflicts_with = "sql")]
    shard: Option<String>,
    /// Of this command alone, in any case
    #[arg(long, value_name = "COMMAND", conflicts_with = "sql")]
    command: Option<String>,
    /// Keys or patterns like this: `*` stands for anything; without one, a part of it
    #[arg(short = 'k', long, value_name = "PATTERN", conflicts_with = "sql")]
    pattern: Option<String>,
    /// No more rows than this
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "sql")]
    limit: u32,
    /// Figures over all windows instead of lines: sessions, shards, commands, patterns, keys, clients
    #[arg(long)]
    stats: bool,
    /// Any statement that reads; see the manual for tables and views. It says itself which rows, and how many
    #[arg(long, value_name = "STATEMENT", conflicts_with = "stats")]
    sql: Option<String>,
    /// How the answer is shown
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

/// Which file is read.
#[derive(Debug, Args)]
pub(super) struct ArchiveFile {
    /// The archive [default: hotshard.db, else reports/monitor_logs.db]
    #[arg(long, value_name = "FILE", env = "HOTSHARD_ARCHIVE__PATH")]
    db_path: Option<PathBuf>,
}

impl ArchiveFile {
    /// Opens it for reading alone.
    pub(super) fn open(&self) -> Result<Questions, ArchiveError> {
        let usual = ["hotshard.db", "reports/monitor_logs.db"].map(PathBuf::from);
        let found = || usual.iter().find(|path| path.exists()).unwrap_or(&usual[0]).clone();
        Questions::open(&self.db_path.clone().unwrap_or_else(found))
    }
}

pub(super) fn run(args: &QueryArgs) -> anyhow::Result<Outcome> {
    let mut questions = args.file.open()?;
    if let Some(statement) = &args.sql {
        let answer = questions
            .sql(statement, SQL_TIME_MAX)
            .map_err(|error| UsageError(format!("--sql: {error}")))?;
        return show(&answer, args.format);
    }
    let filter = args.filter();
    if args.stats {
        let parts = questions.stats(&filter).context("cannot count")?;
        super::print(stats(&parts, args.format))?;
        return Ok(Outcome::Done);
    }
    show(&questions.lines(&filter)?, args.format)
}

impl QueryArgs {
    fn filter(&self) -> Filter {
        Filter {
            session: self.session,
            cluster: self.cluster.clone(),
            shard: self.shard.clone(),
            command: self.command.clone(),
            pattern: self.pattern.clone(),
            limit: self.limit,
        }
    }
}

/// Prints an answer, and on standard error what has to be known of it.
pub(super) fn show(answer: &Answer, format: Format) -> anyhow::Result<Outcome> {
    super::print(render::rows(
        &answer.columns,
        &answer.rows,
        format,
        super::output::width(),
    ))?;
    for note in &answer.notes {
        super::failure::say(note);
    }
    Ok(Outcome::Done)
}

fn stats(parts: &[(&'static str, Answer)], format: Format) -> String {
    if format == Format::Json {
        let object = parts
            .iter()
            .map(|(title, answer)| ((*title).to_owned(), render::rows_as_json(&answer.columns, &answer.rows)));
        return format!("{:#}\n", Value::Object(object.collect()));
    }
    let part = |(title, answer): &(&str, Answer)| {
        let heading = if format == Format::Markdown {
            format!("## {title}\n\n")
        } else {
            format!("{title}\n")
        };
        heading + &render::rows(&answer.columns, &answer.rows, format, super::output::width())
    };
    parts.iter().map(part).collect::<Vec<_>>().join("\n")
}
