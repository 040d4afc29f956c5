//! What the windows are doing, on standard error: a block that is redrawn on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use tokio::time::Instant;

use super::wording::named;
use crate::analysis::window::WindowEnd;
use crate::engine::live::{LiveWindow, Stage};
use crate::engine::precheck::Shortened;
use crate::model::{GroupKey, ShardId};

/// Where nothing can be redrawn, open windows are told of so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// More lines than this would push each other off the screen.
const LINES_MAX: usize = 20;

type Windows = BTreeMap<(GroupKey, ShardId), LiveWindow>;

/// What has been shown, and how.
pub(super) struct Progress {
    manner: Manner,
    groups: usize,
    shards: usize,
}

enum Manner {
    Silent,
    Redrawn {
        lines: usize,
    },
    Told {
        stages: BTreeMap<(GroupKey, ShardId), u8>,
        at: Instant,
    },
}

impl Progress {
    /// Of a round over so many groups and shards.
    pub(super) fn new(quiet: bool, groups: usize, shards: usize) -> Self {
        let manner = match quiet {
            true => Manner::Silent,
            false if io::stderr().is_terminal() => Manner::Redrawn { lines: 0 },
            false => Manner::Told {
                stages: BTreeMap::new(),
                at: Instant::now(),
            },
        };
        Self { manner, groups, shards }
    }

    /// Shows how far the windows are now.
    pub(super) fn show(&mut self, windows: &Windows) {
        let now = Instant::now();
        match &mut self.manner {
            Manner::Silent => {}
            Manner::Redrawn { lines } => {
                let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
                let block = block(windows, (self.groups, self.shards), now);
                let mut text = rewind(*lines);
                for line in &block {
                    let line: String = line.chars().take(width.saturating_sub(1)).collect();
                    // Writing to a String can't fail.
                    let _ = writeln!(text, "\x1b[2K{line}");
                }
                *lines = block.len();
                put(&text);
            }
            Manner::Told { stages, at } => {
                let due = now.duration_since(*at) >= TOLD_EVERY;
                if due {
                    *at = now;
                }
                for (name, window) in windows {
                    let stage = number(&window.stage);
                    let is_new = stages.insert(name.clone(), stage) != Some(stage);
                    let is_open = matches!(window.stage, Stage::Open { .. });
                    // Why there is no window is told once, at the end.
                    let is_over = matches!(window.stage, Stage::Closed { .. });
                    if is_new && (is_open || is_over) || due && is_open {
                        let line = line(&named(name, self.groups), window, now);
                        put(&format!("hotshard: {}\n", line.trim_end()));
                    }
                }
            }
        }
    }

    /// Takes the block away, so that only the report stays.
    pub(super) fn finish(&mut self) {
        if let Manner::Redrawn { lines } = &mut self.manner {
            put(&format!("{}\x1b[J", rewind(*lines)));
            *lines = 0;
        }
    }
}

fn rewind(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\x1b[{lines}A\r"),
    }
}

fn number(stage: &Stage) -> u8 {
    match stage {
        Stage::Asking => 0,
        Stage::Open { .. } => 1,
        Stage::Closed { .. } => 2,
        Stage::Refused(_) => 3,
    }
}

/// Open windows first: they are what changes.
fn block(windows: &Windows, (groups, shards): (usize, usize), now: Instant) -> Vec<String> {
    let count = |wanted: u8| {
        windows
            .values()
            .filter(|window| number(&window.stage) == wanted)
            .count()
    };
    let noun = if shards == 1 { "shard" } else { "shards" };
    let mut lines = vec![format!(
        "{shards} {noun}: {} open, {} over, {} without a window, {} to come",
        count(1),
        count(2),
        count(3),
        shards.saturating_sub(count(1) + count(2) + count(3)),
    )];
    let mut shown: Vec<_> = windows.iter().collect();
    shown.sort_by_key(|(_, window)| !matches!(window.stage, Stage::Open { .. }));
    lines.extend(
        shown
            .into_iter()
            .take(LINES_MAX)
            .map(|(name, window)| line(&named(name, groups), window, now) + &shortness(window)),
    );
    lines
}

fn line(shard: &str, window: &LiveWindow, now: Instant) -> String {
    let what = match &window.stage {
        Stage::Asking => "is asked whether it can bear a window".to_owned(),
        Stage::Open {
            since,
            granted,
            progress,
            ..
        } => {
            let open = now.duration_since(*since);
            let held = progress.buffered();
            format!(
                "{:>3} of {} s  {}  guards fine, {} held",
                open.as_secs(),
                granted.duration.as_secs_f64().ceil(),
                figures(progress.commands(), progress.bytes().0, open),
                BinaryBytes(held.0),
            )
        }
        Stage::Closed {
            end,
            lasted,
            commands,
            bytes,
            ..
        } => {
            let why = match end {
                // Here it is Ctrl-C that pauses.
                WindowEnd::Paused => "interrupted",
                other => other.kind(),
            };
            format!("over ({why})  {}", figures(*commands, bytes.0, *lasted))
        }
        Stage::Refused(reason) => format!("no window: {reason}"),
    };
    format!("{shard}  {}  {what}", window.node)
}

/// Why an open window is shorter than was asked for. What is told once and stays is told at the end, with its cure.
fn shortness(window: &LiveWindow) -> String {
    let Stage::Open { wanted, granted, .. } = &window.stage else {
        return String::new();
    };
    let why = match granted.shortened {
        None => return String::new(),
        Some(Shortened::Busy) => "the server is busy",
        Some(Shortened::Unbounded) => "the server does not bound its buffers",
    };
    format!(", not {} s: {why}", wanted.as_secs_f64().ceil())
}

fn figures(commands: u64, bytes: u64, span: Duration) -> String {
    let rate = match span.as_secs_f64() {
        seconds if seconds >= 0.1 => (commands as f64 / seconds).round() as u64,
        _ => 0,
    };
    let megabytes = bytes as f64 / 1e6;
    format!(
        "{} commands  {}/s  {megabytes:.1} MB read",
        HumanCount(commands),
        HumanCount(rate)
    )
}

/// Nobody who listens is no reason to stop.
fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
