//! `hotshard analyze`: captured MONITOR logs through the same engine, into the same report. No server is talked to.

mod input;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::{NonZero, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::bail;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use self::input::{Input, Progress};
use super::{Outcome, UsageError, failure};
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Learned, Normaliser, PatternSettings, Rule};
use crate::analysis::report::{Observation, Report, ReportSettings, Source};
use crate::analysis::tally::{Tallied, Tally, TallySettings};
use crate::analysis::veil::{KeyNames, Veil};
use crate::analysis::window::WindowStats;
use crate::config::PrivacySettings;
use crate::model::{GroupId, GroupKey, NodeId, Region, ShardId};
use crate::render::{Format, Look, render};

/// Tell from captured MONITOR logs what was hot
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AnalyzeArgs {
    /// Logs that `redis-cli monitor` wrote, also compressed with gzip; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take each file for a shard and compare them; else all files are one stream
    #[arg(long)]
    compare: bool,
    /// How the report is written
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
    /// What the report calls the logs
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The most entries of a list, in every format [default: 20 in JSON and CSV, in the others as many as are easily read]
    #[arg(long, value_name = "N", value_parser = entries)]
    top: Option<NonZeroUsize>,
    /// With more distinct values than this a segment of a key becomes {VAR}
    #[arg(long = "patterns.learn-after", value_name = "N", default_value_t = PatternSettings::default().learn_after, value_parser = at_least_one)]
    learn_after: usize,
    /// A pattern of your own: keys that REGEX matches are called NAME; repeatable, the first that matches counts
    #[arg(long = "patterns.rule", value_name = "REGEX=NAME", value_parser = rule)]
    rules: Vec<Rule>,
    /// How keys are named: as they are, by a keyed hash, or by their patterns alone
    #[arg(long = "privacy.keys", value_name = "HOW", default_value = "plain", value_parser = key_names(), env = "HOTSHARD_PRIVACY__KEYS")]
    key_names: KeyNames,
    /// The file with the secret of `hash`, the same for all that is to be compared; it is made if there is none
    #[arg(
        long = "privacy.secret-file",
        value_name = "FILE",
        env = "HOTSHARD_PRIVACY__SECRET_FILE"
    )]
    secret_file: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

impl AnalyzeArgs {
    fn entries_max(&self) -> usize {
        self.top
            .map_or(ReportSettings::default().entries_max, NonZeroUsize::get)
    }
}

/// An idle capture is but the server's `OK`.
const GREETING_MAX: u64 = 16;

const EXAMPLES: &str = "Example:\n  hotshard analyze --compare shard-*.log.gz -f html > report.html\n  \
    redis-cli -h replica.example monitor | head -n 10000 | hotshard analyze -\n  \
    hotshard analyze --privacy.keys patterns shard-0001.log > to-share.txt";

pub(super) fn run(args: &AnalyzeArgs) -> anyhow::Result<Outcome> {
    let inputs = Input::all(&args.files)?;
    let reader = Reader::new(args, args.veil()?);
    let progress = Progress::new(&inputs, args.quiet);
    let tallied = reader.read_all(&inputs, &progress);
    progress.finish();
    let tallied = tallied?;
    tell_empty(&inputs, &tallied);
    let windows = reader.windows(&inputs, tallied, args.compare);
    let report = report(args, &windows);
    let look = Look {
        entries: args.top,
        ..super::output::look()
    };
    super::print(render(&report, args.format, look))?;
    Ok(Outcome::Done)
}

/// Names the logs without a command. A shard may well have been idle, so that is no failure; but a capture that failed looks the same.
fn tell_empty(inputs: &[Input], tallied: &[Tallied]) {
    for (input, _) in inputs.iter().zip(tallied).filter(|(_, log)| log.commands_seen() == 0) {
        failure::say(&format!(
            "{input} holds no commands: the shard was idle, or nothing was captured; see what `redis-cli monitor` says"
        ));
    }
}

/// A shard, where its lines come from, and what they were.
struct Window {
    shard: String,
    node: String,
    stats: WindowStats,
}

impl Window {
    fn observation(&self) -> Observation<'_> {
        Observation::of_log(
            ShardId::new(self.shard.as_str()),
            NodeId::new(self.node.as_str()),
            &self.stats,
        )
    }
}

impl AnalyzeArgs {
    /// What names of keys go through.
    fn veil(&self) -> anyhow::Result<Veil> {
        let privacy = PrivacySettings {
            keys: self.key_names,
            secret_file: self.secret_file.clone(),
        };
        if privacy.keys == KeyNames::Hash && privacy.secret_file.is_none() {
            let text = "--privacy.keys is hash, but --privacy.secret-file doesn't say where the secret is kept; name a file that stays, and it is made";
            return Err(UsageError(text.into()).into());
        }
        Ok(privacy.veil()?)
    }
}

/// What every log is read with.
struct Reader {
    veil: Veil,
    patterns: PatternSettings,
    tally: TallySettings,
    commands: Arc<Commands>,
    /// Keys are strangers' choice: what they are hashed with must be ours.
    seed: u64,
}

impl Reader {
    fn new(args: &AnalyzeArgs, veil: Veil) -> Self {
        Self {
            veil,
            patterns: PatternSettings {
                rules: args.rules.clone(),
                learn_after: args.learn_after,
                ..PatternSettings::default()
            },
            tally: TallySettings {
                top: args.entries_max(),
                ..TallySettings::default()
            },
            commands: Commands::builtin(),
            seed: RandomState::new().build_hasher().finish(),
        }
    }

    fn start(&self, learned: &Learned) -> Tally {
        let mut normaliser = Normaliser::new(&self.patterns, self.seed).veiled(self.veil.clone());
        normaliser.learn(learned);
        Tally::new(&self.tally, self.commands.clone(), normaliser, self.seed)
    }

    /// Every log, each by one thread, as many at a time as there are cores.
    fn read_all(&self, inputs: &[Input], progress: &Progress) -> anyhow::Result<Vec<Tallied>> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(input) = inputs.get(index) else {
                    return done;
                };
                done.push((index, self.read(input, progress)));
            }
        };
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let mut done = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores.min(inputs.len())).map(|_| scope.spawn(work)).collect();
            let join =
                |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("a worker that panicked has said so");
            workers.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, tallied)| tallied).collect()
    }

    /// One log. One of which nothing is understood is the wrong file, not a quiet shard.
    fn read(&self, input: &Input, progress: &Progress) -> anyhow::Result<Tallied> {
        let mut tally = self.start(&Learned::default());
        input.read(progress, |bytes| tally.feed(bytes))?;
        if tally.last_time().is_none() && tally.bytes().0 > GREETING_MAX {
            bail!(
                "{input} holds no MONITOR output: none of its lines is understood; capture with `redis-cli monitor > FILE`"
            );
        }
        Ok(tally.close())
    }

    /// Gives all of them what each has learned, so that a pattern has one name in all shards.
    fn share_learned(&self, tallied: &mut [Tallied]) {
        let mut all = Normaliser::new(&self.patterns, self.seed);
        for one in &*tallied {
            all.adopt(one.normaliser());
        }
        let learned = all.learned();
        for one in tallied {
            one.merge(self.start(&learned).close());
        }
    }

    /// What each shard's lines were: a shard a file, or all files one.
    fn windows(&self, inputs: &[Input], mut tallied: Vec<Tallied>, compare: bool) -> Vec<Window> {
        if compare {
            self.share_learned(&mut tallied);
            let names = inputs.iter().zip(Input::shard_names(inputs));
            let window = |(tallied, (input, shard)): (Tallied, (&Input, String))| Window {
                shard,
                node: input.to_string(),
                stats: tallied.stats(self.tally.top),
            };
            return tallied.into_iter().zip(names).map(window).collect();
        }
        let whole = tallied.into_iter().reduce(|mut whole, part| {
            whole.merge(part);
            whole
        });
        let (shard, node) = match inputs {
            [only] => (only.stem(), only.to_string()),
            many => ("all".into(), format!("{} files", many.len())),
        };
        let stats = whole.map(|whole| whole.stats(self.tally.top));
        stats.map(|stats| Window { shard, node, stats }).into_iter().collect()
    }
}

fn report(args: &AnalyzeArgs, windows: &[Window]) -> Report {
    let name = match (&args.group, windows) {
        (Some(name), _) => name.clone(),
        (None, [only]) if only.shard != "all" => only.shard.clone(),
        _ => "logs".into(),
    };
    let group = GroupKey {
        region: Region::new(""),
        id: GroupId::new(name),
    };
    let settings = ReportSettings {
        entries_max: args.entries_max(),
        ..ReportSettings::default()
    };
    let observations = windows.iter().map(Window::observation).collect();
    Report::compare(&group, Source::Analyze, observations, Vec::new(), &settings)
}

fn entries(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(entries) if entries.get() <= 1000 => Ok(entries),
        _ => Err("it takes a number from 1 to 1000".into()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it takes a number of at least 1".into()),
        Ok(number) => Ok(number),
    }
}

fn key_names() -> impl TypedValueParser<Value = KeyNames> {
    PossibleValuesParser::new(["plain", "hash", "patterns"]).map(|name| match name.as_str() {
        "hash" => KeyNames::Hash,
        "patterns" => KeyNames::Patterns,
        _ => KeyNames::Plain,
    })
}

/// The name stands behind the last `=`, so that an expression may hold one.
fn rule(text: &str) -> Result<Rule, String> {
    let (expression, name) = text.rsplit_once('=').ok_or("write REGEX=NAME, as in '^cart:=cart'")?;
    Rule::new(expression, name).map_err(|error| error.to_string())
}
