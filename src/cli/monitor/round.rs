//! One round of the engine: begun when every node has been heard, over when every window is, or when somebody has seen enough.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::absence::Absence;
use super::progress::Progress;
use super::wording::{as_typed, named};
use crate::analysis::report::{Report, Source as Origin};
use crate::analysis::tally::TallySettings;
use crate::analysis::veil::Veil;
use crate::archive::{Archive, RawLogs};
use crate::cli::found::FoundGroup;
use crate::cli::log;
use crate::config::Settings;
use crate::engine::clock::Clock;
use crate::engine::command::{Command, Instruction};
use crate::engine::discover::{Source, Watch};
use crate::engine::lessons::Lessons;
use crate::engine::live::{Live, LiveWindow, Stage};
use crate::engine::precheck::Shortened;
use crate::engine::watchdog::Watchdog;
use crate::engine::{self, Plan, window};
use crate::metrics::ledger::Ledger;
use crate::metrics::published::Published;
use crate::metrics::snapshot::{GroupSnapshot, NodeSnapshot, Snapshot};
use crate::model::written::show_duration;
use crate::model::{GroupKey, Role, ShardId};
use crate::node::CommandTables;
use crate::node::survey::Reach;

/// How often it is looked whether there is something to show.
const LOOK: Duration = Duration::from_millis(200);

/// After this most nodes have answered.
const ANSWERED: Duration = Duration::from_millis(200);

/// Windows that were told to close are waited for no longer.
const CLOSING: Duration = Duration::from_secs(10);

/// What a round needs.
pub(super) struct Round {
    pub(super) settings: Settings,
    pub(super) seed: u64,
    pub(super) veil: Veil,
    pub(super) archive: Option<Archive>,
    pub(super) raw_logs: Option<RawLogs>,
    pub(super) lessons: Lessons,
    pub(super) watchdog: Watchdog,
    pub(super) quiet: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// A report for each group, also where nothing was seen.
    pub(super) reports: Vec<Report>,
    /// What else is worth knowing of its windows.
    pub(super) remarks: Vec<String>,
    /// Whether somebody stopped it.
    pub(super) interrupted: bool,
}

impl Round {
    /// Looks at every shard of the groups once.
    pub(super) async fn run(self, found: Vec<FoundGroup>) -> anyhow::Result<Ended> {
        if found.is_empty() {
            return Ok(Ended::default());
        }
        let mut stops = Stops::new().context("cannot listen for signals")?;
        let reaches: BTreeMap<GroupKey, Reach> = found
            .iter()
            .map(|found| (found.group.key.clone(), found.reach.clone()))
            .collect();
        let (published, live, shutdown) = (Published::new(), Live::default(), CancellationToken::new());
        let (instructions, instructed) = mpsc::channel(1);
        let ledger = Ledger::new(self.settings.ledger());
        let warm_up = WarmUp {
            least: self.settings.poll.interval + ANSWERED,
            most: self.settings.poll.interval * 2 + self.settings.poll.timeout,
        };
        let shards = found.iter().map(|found| found.group.shards.len()).sum();
        let progress = Progress::new(self.quiet, reaches.len(), shards);
        let plan = self.plan(found, live.clone());
        let engine = tokio::spawn(engine::run(
            plan,
            ledger,
            published.clone(),
            instructed,
            shutdown.clone(),
        ));
        let mut watching = Watching {
            groups: reaches.keys().cloned().collect(),
            published,
            live,
            instructions,
            engine,
            progress,
        };
        let interrupted = watching.watch(&mut stops, warm_up).await;
        watching.progress.finish();
        let snapshot = watching.published.load();
        shutdown.cancel();
        watching.engine.await.context("the engine panicked")?;
        let absence = Absence {
            windows: watching.live.windows(),
            reaches,
        };
        Ok(Ended {
            reports: reports(&snapshot, &absence).await,
            remarks: remarks(&absence.windows, absence.reaches.len()),
            interrupted,
        })
    }

    fn plan(self, found: Vec<FoundGroup>, live: Live) -> Plan {
        let Self {
            settings,
            seed,
            veil,
            archive,
            raw_logs,
            lessons,
            watchdog,
            ..
        } = self;
        let watch = |FoundGroup { group, reach, .. }| Watch {
            key: group.key.clone(),
            source: Source::Known(group),
            reach,
        };
        Plan {
            groups: found.into_iter().map(watch).collect(),
            searches: Vec::new(),
            poll: settings.poll,
            monitor: settings.monitor,
            guards: settings.guards,
            discovery_interval: settings.discovery.interval,
            reading: window::Reading {
                commands: CommandTables::default(),
                patterns: settings.patterns,
                lessons,
                veil,
                tally: TallySettings::default(),
                seed,
                clock: Clock::System,
                archive,
                raw_logs,
                bandwidth: settings.bandwidth,
                live,
                watchdog,
            },
            log_dropped: log::dropped(),
        }
    }
}

/// How long the counters alone are looked at before windows open.
struct WarmUp {
    least: Duration,
    most: Duration,
}

/// The engine at work.
struct Watching {
    groups: Vec<GroupKey>,
    published: Published,
    live: Live,
    instructions: mpsc::Sender<Instruction>,
    engine: JoinHandle<()>,
    progress: Progress,
}

impl Watching {
    /// Sees one round through; tells whether it was stopped.
    async fn watch(&mut self, stops: &mut Stops, warm_up: WarmUp) -> bool {
        tokio::select! {
            biased;
            () = stops.stop() => return true,
            () = self.warm_up(warm_up) => {}
        }
        for group in self.groups.clone() {
            self.order(Command::Round(group)).await;
        }
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closed_by = None;
        while !self.is_over(&self.published.load()) {
            tokio::select! {
                biased;
                () = stops.stop() => {
                    // At a second signal whatever hangs is dropped.
                    if closed_by.replace(Instant::now() + CLOSING).is_some() {
                        break;
                    }
                    self.order(Command::Pause).await;
                }
                _ = ticks.tick() => self.progress.show(&self.live.windows()),
            }
            if self.engine.is_finished() || closed_by.is_some_and(|end| Instant::now() > end) {
                break;
            }
        }
        closed_by.is_some()
    }

    /// Waits for the first answers, and for others after a whole interval: what the nodes do without a window is what it is held against.
    async fn warm_up(&self, WarmUp { least, most }: WarmUp) {
        let end = Instant::now() + most;
        let heard = async {
            sleep(least).await;
            until(&self.published, |seen| self.is_heard(seen)).await;
        };
        // Whoever hasn't answered by then is left out.
        let _ = timeout_at(end, heard).await;
    }

    async fn order(&self, command: Command) {
        let (answer, answered) = oneshot::channel();
        // An engine that is gone is seen by whoever waits for it.
        if self.instructions.send(Instruction { command, answer }).await.is_ok() {
            let _ = answered.await;
        }
    }

    /// Whether every node has answered or failed, and every shard has the rates that two answers give.
    fn is_heard(&self, seen: &Snapshot) -> bool {
        let groups: Vec<&GroupSnapshot> = self.ours(seen).collect();
        let asked = |node: &NodeSnapshot| node.up || !node.poll_failures.is_empty();
        let primary = |node: &NodeSnapshot| node.up && node.role == Some(Role::Primary);
        groups.len() == self.groups.len()
            && groups.iter().flat_map(|group| &group.shards).all(|shard| {
                let has_rate = shard.commands.rate.is_some() || !shard.nodes.iter().any(primary);
                shard.nodes.iter().all(asked) && has_rate
            })
    }

    fn is_over(&self, seen: &Snapshot) -> bool {
        let reported = self.ours(seen).filter(|group| group.report.is_some()).count();
        reported == self.groups.len()
    }

    fn ours<'seen>(&self, seen: &'seen Snapshot) -> impl Iterator<Item = &'seen GroupSnapshot> {
        let groups = &self.groups;
        seen.groups.iter().filter(move |group| groups.contains(&group.key))
    }
}

/// Waits until what is published is as wanted.
async fn until(published: &Published, is_so: impl Fn(&Snapshot) -> bool) {
    let mut changes = published.changes();
    while !is_so(&published.load()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What the windows themselves don't show: those that were shortened, and those of which the archive has not every line.
fn remarks(windows: &BTreeMap<(GroupKey, ShardId), LiveWindow>, groups: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    for (name, window) in windows {
        let shard = named(name, groups);
        let Stage::Closed {
            wanted,
            granted,
            kept: (kept, seen),
            ..
        } = &window.stage
        else {
            continue;
        };
        if let Some(shortened) = granted.shortened {
            remarks.push(format!(
                "{shard}: its window could last {} instead of {}, since {}",
                show_duration(granted.duration),
                show_duration(*wanted),
                match shortened {
                    Shortened::Busy => "the server is busy: look at a replica with less traffic or at a quieter time",
                    Shortened::Unbounded => {
                        "the server does not bound what it holds for a client: set client-output-buffer-limit there, or \
                         guards.window_max_without_server_limit here"
                    }
                }
            ));
        }
        if kept < seen && *kept > 0 {
            remarks.push(format!(
                "{shard}: {kept} of {seen} lines are in the archive, evenly drawn; --archive.rows-per-window-max keeps more"
            ));
        }
    }
    remarks
}

async fn reports(snapshot: &Snapshot, absence: &Absence) -> Vec<Report> {
    let mut reports = Vec::new();
    for group in &snapshot.groups {
        let Some(report) = &group.report else { continue };
        let mut report = Report::clone(report);
        report.source = Origin::Monitor;
        absence.explain(group, &mut report.missing).await;
        for missing in &mut report.missing {
            missing.reason = as_typed(&missing.reason);
        }
        reports.push(report);
    }
    reports
}

/// What ends a round early: Ctrl-C, a request to end, the daemon's own kill switch, a terminal that is gone.
struct Stops([Signal; 4]);

impl Stops {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::user_defined2())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn stop(&mut self) {
        let [interrupt, terminate, pause, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = pause.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
