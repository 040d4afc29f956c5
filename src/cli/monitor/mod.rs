//! `hotshard monitor`: one round of windows now, what it found, and an exit.
//!
//! It is the daemon's engine, run for one round: the same guards, the same verdict. It refuses to know how windows are kept harmless.

mod absence;
mod files;
mod progress;
mod round;
mod target;
mod wording;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use self::files::{ArchivePlace, Folder};
use self::round::{Ended, Round};
use self::target::Target;
use self::wording::as_typed;
use super::found::{FoundGroup, find_as};
use super::{Outcome, UsageError, failure, keeping};
use crate::analysis::keyspec::Commands;
use crate::analysis::report::Report;
use crate::analysis::veil::{KeyNames, Veil};
use crate::archive::{self, RawLogs, RawSettings, RawSummary, RawThread, Record};
use crate::config::{LogFormat, Settings};
use crate::engine::clock::Clock;
use crate::metrics::snapshot::ArchiveSnapshot;
use crate::render::{Format, render};

/// Look at all shards of a cluster once, and tell which is hot and why
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("config", |arg| arg.short(None)))]
pub(super) struct MonitorArgs {
    #[command(flatten)]
    target: Target,
    /// Keep every command that was seen, up to archive.rows-per-window-max of each window, in an SQLite file
    #[arg(long)]
    save_to_db: bool,
    /// That file
    #[arg(long, value_name = "FILE", default_value = "reports/monitor_logs.db")]
    db_path: PathBuf,
    /// The folder for reports
    #[arg(short, long, value_name = "FOLDER", default_value = "reports")]
    output_dir: PathBuf,
    /// Don't keep the lines of each window as a compressed log in the folder of reports
    #[arg(long)]
    no_save_logs: bool,
    /// Keep whole commands, with the values they write, where lines are kept; else only command and keys
    #[arg(long)]
    save_values: bool,
    /// How the report is written on standard output; the files are written in every format
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
    /// Don't ask before looking at primaries; where standard input is no terminal, nobody is asked anyway
    #[arg(short, long)]
    yes: bool,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "Example:\n  hotshard monitor -c orders -r eu-central-1 -d 30\n  \
    hotshard monitor -e 10.0.3.7:6379 --password-file token -f markdown";

/// A window of one round keeps so many lines, where nothing else is said: all of them, for most clusters.
const ROWS_MAX: NonZeroUsize = NonZeroUsize::new(200_000).expect("it isn't zero");

pub(super) fn run(args: &MonitorArgs) -> anyhow::Result<Outcome> {
    let settings = args.settings()?;
    super::log::start(&settings.log);
    args.warn();
    args.ask()?;
    let folder = Folder::create(&args.output_dir)?;
    let place = args.place(&settings)?;
    let runtime = super::runtime()?;
    let (found, absent) = runtime.block_on(args.find(&settings))?;
    // A new one in every process: nobody outside can know which keys would collide.
    let seed = RandomState::new().hash_one("hotshard");
    let veil = settings.privacy.veil()?;
    let lessons = keeping::lessons(&settings);
    let (archive, keeping) = keeping::start(&settings, "monitor", seed, veil.clone())?;
    let (raw_logs, raw_thread) = args.raw_logs(&settings, &folder, (&veil, seed))?.unzip();
    let round = Round {
        watchdog: super::watchdog::of(&settings.log)?,
        settings,
        seed,
        veil,
        archive,
        raw_logs,
        lessons,
        quiet: args.quiet,
    };
    let ended = runtime.block_on(round.run(found));
    let (kept, raw) = (keeping.finish(), raw_thread.map(RawThread::join));
    tell_kept(kept.as_ref().zip(place.as_ref()), raw.as_ref());
    ended.and_then(|ended| args.tell(ended, absent, &folder))
}

impl MonitorArgs {
    fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.target.settings()?;
        if settings.log.format == LogFormat::Auto {
            // Somebody waits for the answer, though perhaps in a script.
            settings.log.format = LogFormat::Text;
        }
        if !self.target.is_written("archive.rows_per_window_max")? {
            settings.archive.rows_per_window_max = ROWS_MAX;
        }
        settings.archive.path = self.save_to_db.then(|| self.db_path.clone());
        settings.archive.record = if self.save_values { Record::Full } else { Record::Keys };
        if self.save_values && settings.privacy.keys != KeyNames::Plain {
            let text = "--save-values keeps keys and values as they are, against privacy.keys; leave one of them out";
            return Err(UsageError(text.to_owned()).into());
        }
        Ok(settings)
    }

    fn warn(&self) {
        if self.target.given().is_some() {
            failure::say(
                "the password on the command line can be read by everybody on this machine; use --password-file or $REDIS_PASSWORD",
            );
        }
    }

    /// Looking at primaries is asked about where somebody can answer.
    fn ask(&self) -> anyhow::Result<()> {
        if !self.target.use_primary || self.yes || !io::stdin().is_terminal() {
            return Ok(());
        }
        failure::say("MONITOR on a primary slows down every write of its clients; go on? [y/N]");
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(UsageError("primaries are left alone; --yes goes on without asking".to_owned()).into()),
        }
    }

    /// Where the archive goes, if there is to be one. Who asks for it learns before anything is looked at that it can't be written.
    fn place(&self, settings: &Settings) -> anyhow::Result<Option<ArchivePlace>> {
        if !self.save_to_db {
            return Ok(None);
        }
        let place = ArchivePlace::create(&self.db_path)?;
        archive::try_out(&settings.archive).map_err(|error| anyhow!(as_typed(&error.to_string())))?;
        Ok(Some(place))
    }

    /// Begins raw logs, if they are wanted.
    fn raw_logs(
        &self,
        settings: &Settings,
        folder: &Folder,
        (veil, seed): (&Veil, u64),
    ) -> anyhow::Result<Option<(RawLogs, RawThread)>> {
        if self.no_save_logs {
            return Ok(None);
        }
        let folder = folder.raw_logs();
        let started = RawLogs::start(RawSettings {
            folder: folder.clone(),
            with_values: self.save_values,
            free_space_min: settings.archive.free_space_min,
            commands: Commands::builtin(),
            patterns: settings.patterns.clone(),
            veil: veil.clone(),
            seed,
        });
        let cure = || format!("cannot keep logs in {}; --no-save-logs does without", folder.display());
        Ok(Some(started.with_context(cure)?))
    }

    /// The groups there are, and why others aren't.
    async fn find(&self, settings: &Settings) -> anyhow::Result<(Vec<FoundGroup>, Vec<String>)> {
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        for group in find_as(settings, self.target.given().as_ref()).await? {
            match group {
                Ok(group) if group.serverless => absent.push(format!(
                    "{}: a serverless cache has no MONITOR; `hotshard serve` watches its counters",
                    group.group.key
                )),
                Ok(group) => found.push(group),
                Err(reason) => absent.push(reason),
            }
        }
        Ok((found, absent))
    }

    /// Prints and writes what was seen, and says what wasn't.
    fn tell(&self, ended: Ended, absent: Vec<String>, folder: &Folder) -> anyhow::Result<Outcome> {
        absent
            .iter()
            .chain(&ended.remarks)
            .for_each(|text| failure::say(&as_typed(text)));
        let (seen, unseen): (Vec<_>, Vec<_>) = ended.reports.iter().partition(|report| !report.shards.is_empty());
        for report in &unseen {
            for missing in &report.missing {
                failure::say(&format!("{} {}: {}", report.group, missing.shard, missing.reason));
            }
        }
        if ended.interrupted && seen.iter().all(|report| report.totals.lines == 0) {
            failure::say("interrupted before anything was seen");
            return Ok(Outcome::Interrupted);
        }
        if seen.is_empty() {
            failure::say("nothing could be monitored");
            return Ok(Outcome::NothingMonitored);
        }
        let at = Clock::System.now();
        let mut written = Vec::new();
        for report in &seen {
            written.extend(folder.write(report, at)?);
        }
        for path in written {
            failure::say(&format!("wrote {}", path.display()));
        }
        for report in &seen {
            super::print(render(report, self.format, super::output::look()))?;
            point_at_missing(report);
        }
        Ok(Outcome::Done)
    }
}

/// Why a shard is missing is told by its report, which may go where nobody looks now.
fn point_at_missing(report: &Report) {
    let missing: Vec<&str> = report.missing.iter().map(|missing| missing.shard.as_str()).collect();
    if !missing.is_empty() && !io::stdout().is_terminal() {
        let shards = missing.join(", ");
        failure::say(&format!("not seen of {}: {shards}; the report says why", report.group));
    }
}

/// Says where lines are kept, and which aren't.
fn tell_kept(archive: Option<(&ArchiveSnapshot, &ArchivePlace)>, raw: Option<&RawSummary>) {
    if let Some((archive, place)) = archive {
        for (reason, rows) in &archive.dropped {
            failure::say(&format!("{rows} rows are not in the archive: {reason}"));
        }
        if let Some(path) = place.kept(archive.rows) {
            failure::say(&format!("wrote {}", path.display()));
        }
    }
    let Some(raw) = raw else { return };
    if let Some(trouble) = &raw.trouble {
        failure::say(trouble);
    }
    for (count, what) in [
        (
            raw.dropped_bytes.0,
            "bytes came faster than raw logs could be written and are not in them",
        ),
        (
            raw.cut_lines,
            "lines were too long for raw logs, which have their beginnings",
        ),
        (
            raw.unreadable_lines,
            "lines were not understood and are not in raw logs",
        ),
    ] {
        if count > 0 {
            failure::say(&format!("{count} {what}"));
        }
    }
    for path in &raw.files {
        failure::say(&format!("wrote {}", path.display()));
    }
}
