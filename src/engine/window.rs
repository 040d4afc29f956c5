//! One window: a stream is opened, drained into a tally until something ends it, and closed.
//!
//! The reader shares nothing and waits for nobody but its socket. A window ends by the wall clock, also when no line comes.

mod closing;
mod intake;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::analysis::bandwidth::Survey;
use crate::analysis::completeness::completeness;
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Normaliser, PatternSettings};
use crate::analysis::tally::{Tally, TallySettings};
use crate::analysis::veil::Veil;
use crate::analysis::window::{ClosedWindow, WindowEnd};
use crate::archive::{Archive, Drawn, RawLogs};
use crate::model::Timestamp;
use crate::node::sizes::Sizes;
use crate::node::{Chunk, CommandTables, Tap, TapError, TapSettings};

use super::admission::{self, Unguarded};
use super::clock::Clock;
use super::lessons::Lessons;
use super::live::{Live, Stage};
use super::poller::Watched;
use super::progress::Progress;
use super::round::WindowPlan;
use super::settings::{BandwidthSettings, GuardSettings};
use super::watchdog::Watchdog;
use closing::{Guard, closing_counters, sent_to_clients};
use intake::Intake;

/// What every window needs besides its plan.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which commands the servers know.
    pub commands: CommandTables,
    /// How keys become patterns.
    pub patterns: PatternSettings,
    /// What earlier windows learned of them.
    pub lessons: Lessons,
    /// How keys are named.
    pub veil: Veil,
    /// How much is kept.
    pub tally: TallySettings,
    /// How bytes out are estimated.
    pub bandwidth: BandwidthSettings,
    /// Seeds the tables: keys are an attacker's choice.
    pub seed: u64,
    /// The wall clock.
    pub clock: Clock,
    /// Where windows are kept, if anywhere.
    pub archive: Option<Archive>,
    /// Where lines are kept as they came, if anywhere.
    pub raw_logs: Option<RawLogs>,
    /// Where it is noted what windows are doing.
    pub live: Live,
    /// What ends windows when this process can't.
    pub watchdog: Watchdog,
}

/// Ends open windows from outside; `None` while they may stay open.
pub type Stop = watch::Receiver<Option<WindowEnd>>;

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum NoWindow {
    /// The stream can't be opened.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The guard lets no window pass.
    #[error(transparent)]
    Unguarded(#[from] Unguarded),
    /// The guard ended before it could tell.
    #[error("the guard ended; hotshard is stopping")]
    Stopping,
}

impl NoWindow {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tap(error) => error.kind(),
            Self::Unguarded(error) => error.kind(),
            Self::Stopping => "stopping",
        }
    }
}

/// A window whose stream runs.
pub struct OpenWindow {
    plan: WindowPlan,
    tap: Tap,
    intake: Intake,
    commands: Arc<Commands>,
    /// For keys that nodes tell of.
    normaliser: Normaliser,
    patterns: PatternSettings,
    lessons: Lessons,
    bandwidth: BandwidthSettings,
    top: usize,
    clock: Clock,
    opened: Timestamp,
    deadline: Instant,
    /// When the stream last brought something.
    heard: Timestamp,
    standstill_max: Duration,
    progress: Arc<Progress>,
    guard: Guard,
}

/// Starts the stream, if the guard lets it pass; the node's own ROLE decides too.
pub async fn open(
    plan: WindowPlan,
    watched: &Watched,
    reading: &Reading,
    guards: GuardSettings,
    handle: Handle,
) -> Result<OpenWindow, NoWindow> {
    let (standstill_max, watchdog_socket) = (guards.standstill_max, guards.watchdog_socket.clone());
    let watchdog = match guards.watchdog {
        true => reading.watchdog.clone(),
        false => Watchdog::none(),
    };
    let asking = (reading.clock, reading.commands.clone());
    let asked = handle.spawn(admission::ask(plan.clone(), watched.clone(), guards, asking));
    let admission = asked.await.map_err(|_| NoWindow::Stopping)??;
    let settings = TapSettings {
        primary_allowed: plan.primary_allowed,
        ..TapSettings::default()
    };
    let (reach, endpoint) = (&watched.reach, &watched.endpoint);
    watchdog.start(watchdog_socket.as_deref()).await;
    let account = reach.accounts.of(endpoint);
    let tap = Tap::open(&reach.dialer, endpoint, &reach.credentials, &account, settings).await?;
    let over = CancellationToken::new();
    let cut = tap.cut();
    // The first sign of life, lest whoever stops us between the hold and the guard's first turn is taken for the server.
    admission.progress.pulse.beat();
    let held = watchdog.hold(cut.socket(), standstill_max);
    let watch = admission.warden.watch(tap.client_id(), cut, over.clone(), held);
    let known = reading.lessons.of(&plan.group);
    let normaliser = || {
        let mut normaliser = Normaliser::new(&reading.patterns, reading.seed).veiled(reading.veil.clone());
        normaliser.learn(&known);
        normaliser
    };
    let kept = TallySettings {
        keeps_lines: reading.bandwidth.enabled,
        ..reading.tally.clone()
    };
    let commands = Arc::clone(&admission.commands);
    let mut tally = Tally::new(&kept, commands, normaliser(), reading.seed);
    tally.set_masters(admission.masters);
    tally.add_ours(admission.ours);
    let (since, opened) = (Instant::now(), reading.clock.now());
    let stage = Stage::Open {
        since,
        wanted: plan.duration,
        granted: admission.granted,
        progress: Arc::clone(&admission.progress),
    };
    reading.live.note(&plan.group, &plan.shard, &plan.node, stage);
    Ok(OpenWindow {
        intake: Intake {
            tally,
            sampler: reading
                .archive
                .as_ref()
                .and_then(|archive| archive.sampler(&admission.commands)),
            raw: reading
                .raw_logs
                .as_ref()
                .map(|logs| logs.begin(&plan.shard, reading.clock.now())),
        },
        commands: admission.commands,
        normaliser: normaliser(),
        patterns: reading.patterns.clone(),
        lessons: reading.lessons.clone(),
        bandwidth: reading.bandwidth.clone(),
        top: reading.tally.top,
        clock: reading.clock,
        opened,
        deadline: since + admission.granted.duration,
        heard: opened,
        standstill_max,
        progress: admission.progress,
        guard: Guard {
            watch: handle.spawn(watch),
            handle,
            over,
        },
        plan,
        tap,
    })
}

impl OpenWindow {
    /// When the stream began.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Drains the stream until something ends the window. Beside it comes what was drawn for the archive.
    pub async fn read_to_end(mut self, mut stop: Stop) -> (ClosedWindow, Drawn) {
        let drained = self.drain(&mut stop).await;
        // Whatever it looks like afterwards: if this process stood still, that ended the window, and until then it saw what it saw.
        let frozen = self.progress.longest_pause() > self.standstill_max;
        let drained = if frozen { Some(WindowEnd::Frozen) } else { drained };
        if drained == Some(WindowEnd::Frozen) {
            // Said here, since the reader may find its stream cut before the guard finds how late it is.
            let (WindowPlan { group, shard, node, .. }, pause) = (&self.plan, self.progress.longest_pause());
            warn!(%group, %shard, %node, ?pause, "hotshard itself stood still, over guards.standstill_max; the window ends");
        }
        let as_planned = matches!(
            drained,
            Some(WindowEnd::Duration | WindowEnd::Commands | WindowEnd::Bytes)
        );
        let closing = match as_planned {
            true => {
                // The stream shows the closing INFO too.
                self.intake.tally.add_ours(self.progress.address());
                closing_counters(&mut self.tap, &mut self.intake).await
            }
            false => None,
        };
        // The wall clock may have been set back meanwhile; a window never ends before it began.
        let closed = if frozen { self.heard } else { self.clock.now() }.max(self.opened);
        let (opening, role, own) = (
            self.tap.opening_counters().to_owned(),
            self.tap.role(),
            self.tap.own_output(),
        );
        drop(self.tap);
        let (mut tallied, mut drawn) = self.intake.finish(Arc::clone(&self.commands));
        let learned = tallied.normaliser().learned();
        drawn.learned = self.lessons.add(&self.plan.group, &learned, &self.patterns);
        let probes = self.bandwidth.probes_max.saturating_sub(Sizes::PREPARATION);
        let survey = self
            .bandwidth
            .enabled
            .then(|| Survey::new(tallied.take_calls(), probes).veiled(tallied.normaliser().veil().clone()));
        let guarded = self.guard.finish(as_planned, survey, &self.bandwidth).await;
        let measured = closing
            .as_deref()
            .and_then(|closing| sent_to_clients(&opening, closing, own));
        let mut stats = tallied.stats(self.top);
        stats.testimony = guarded.words.by_pattern(&mut self.normaliser);
        stats.output = guarded.survey.map(|survey| survey.finish(measured));
        let completeness = closing.and_then(|closing| completeness(&opening, &closing, &self.commands, stats.lines));
        let window = ClosedWindow {
            group: self.plan.group,
            shard: self.plan.shard,
            node: self.plan.node,
            role,
            opened: self.opened,
            closed,
            // A stream that was cut, or whose guard has gone, was ended by the guard.
            end: drained.or(guarded.end).unwrap_or(WindowEnd::GuardLost),
            stats,
            completeness,
            coverage: guarded.coverage,
            server_buffer_peak: guarded.buffer_peak,
        };
        (window, drawn)
    }

    /// Reads until something ends the window, and says what; `None` if it was the guard.
    async fn drain(&mut self, stop: &mut Stop) -> Option<WindowEnd> {
        loop {
            let chunk = tokio::select! {
                biased;
                end = stopped(stop) => return Some(end),
                // A reader that was kept from reading may see both at once: the guard was first.
                () = sleep_until(self.deadline) => return (!self.tap.is_cut()).then_some(WindowEnd::Duration),
                chunk = self.tap.read() => chunk,
            };
            match chunk {
                Ok(Chunk::Lines(bytes)) => {
                    self.progress.strain.busy();
                    self.intake.feed(bytes);
                    let read = bytes.len() as u64;
                    self.heard = self.clock.now();
                    let (commands, stamp) = (self.intake.tally.commands(), self.intake.tally.last_time());
                    self.progress.has_read(read, commands, stamp, self.heard);
                    if self.tap.is_drained() && !self.intake.is_full() {
                        self.progress.strain.caught_up();
                    }
                }
                Ok(Chunk::Counters(_)) => {}
                Ok(Chunk::Cut) => return None,
                Ok(Chunk::Closed) => return Some(WindowEnd::ServerClosed),
                Err(_) => return Some(WindowEnd::ConnectionFailed),
            }
            if self.intake.tally.commands() >= self.plan.commands_max.get() {
                return Some(WindowEnd::Commands);
            }
            if self.intake.tally.bytes().0 >= self.plan.bytes_max.get() {
                return Some(WindowEnd::Bytes);
            }
        }
    }
}

async fn stopped(stop: &mut Stop) -> WindowEnd {
    match stop.wait_for(Option::is_some).await.map(|end| *end) {
        Ok(Some(end)) => end,
        // Whoever could stop the window is gone, and so is everything else.
        _ => WindowEnd::Shutdown,
    }
}
