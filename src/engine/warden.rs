//! The guard of a window: asks the node before it opens, looks at it while it is open, and ends it when a limit is crossed.
//!
//! Guards run on a thread of their own, so that a busy reader can't starve them, over connections of their own. What their looks mean
//! is decided by [`super::guard`] and [`super::precheck`], which are pure.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::clock::Clock;
use super::guard::{History, Look, judge};
use super::hearing::CLIENTS_LISTED_MAX;
use super::poller::Watched;
use super::precheck::{Candidate, Refusal, admit};
use super::round::WindowPlan;
use super::settings::{BandwidthSettings, GuardSettings};
use super::siblings::{Observed, Siblings};
use super::strain::Strain;
use super::watchdog::{Held, Pulse};
use crate::analysis::bandwidth::Survey;
use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::analysis::window::{Coverage, WindowEnd};
use crate::analysis::witness::Words;
use crate::model::{Bytes, Timestamp};
use crate::node::sizes::{SizeLimits, Sizes};
use crate::node::{ClientLine, CommandTables, Cut, Link, LinkError, ServerLimit, watch};

/// Between the two looks before a window: long enough for rates, short enough for a round.
const FIRST_SPAN: Duration = Duration::from_millis(500);

/// A node that doesn't answer questions about its keys within this is left alone.
const SURVEY_PATIENCE: Duration = Duration::from_secs(2);

/// The thread on which all guards run.
#[derive(Debug)]
pub struct GuardThread(Option<Runtime>);

impl GuardThread {
    /// Starts it.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("hotshard-guard")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where guards are put to work.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().expect("it runs until it is dropped").handle().clone()
    }
}

impl Drop for GuardThread {
    fn drop(&mut self) {
        // All windows are closed by then, and waiting for threads is not allowed where this happens.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// What reader and guard tell each other without waiting.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    commands: AtomicU64,
    /// What the server held for us at the last look.
    buffered: AtomicU64,
    /// Where the stream's client comes from, as MONITOR prints it; known from the first look on.
    address: OnceLock<String>,
    behind_micros: AtomicU64,
    /// The same as the last look found it.
    behind_seen: AtomicU64,
    /// What the server's clock shows when ours shows zero.
    server_clock: AtomicI64,
    /// The guard's signs of life.
    pulse: Pulse,
    /// Whether the reader keeps up.
    pub strain: Strain,
}

impl Progress {
    /// The reader took `bytes` more, has seen `commands` in all, the last of which the server stamped so; `now` is our clock.
    pub fn has_read(&self, bytes: u64, commands: u64, stamp: Option<Timestamp>, now: Timestamp) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        self.commands.store(commands, Ordering::Relaxed);
        let server_clock = self.server_clock.load(Ordering::Relaxed);
        // Before the guard's first look nobody knows what the server's clock shows.
        if let (Some(stamp), true) = (stamp, server_clock != 0) {
            let behind = now.0 as i64 + server_clock - stamp.0 as i64;
            self.behind_micros.store(behind.max(0) as u64, Ordering::Relaxed);
        }
    }

    /// Commands seen so far.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.read.load(Ordering::Relaxed))
    }

    /// What the server held for us at the guard's last look.
    pub fn buffered(&self) -> Bytes {
        Bytes(self.buffered.load(Ordering::Relaxed))
    }

    /// How far the stream was behind at the guard's last look.
    pub fn behind(&self) -> Duration {
        Duration::from_micros(self.behind_seen.load(Ordering::Relaxed))
    }

    /// Where the stream's client comes from, as MONITOR prints it, once that is known.
    pub fn address(&self) -> Option<&str> {
        self.address.get().map(String::as_str)
    }

    /// The longest time in which the guard gave no sign of life, this moment's included.
    pub fn longest_pause(&self) -> Duration {
        self.pulse.longest_pause()
    }

    fn set_server_clock(&self, server: Timestamp, ours: Timestamp) {
        let ahead = server.0 as i64 - ours.0 as i64;
        // Zero stands for unknown.
        self.server_clock
            .store(if ahead == 0 { 1 } else { ahead }, Ordering::Relaxed);
    }
}

/// Why a node gets no window.
#[derive(Debug, thiserror::Error)]
pub enum Unguarded {
    /// The guard can't reach the node.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The node isn't fit for a window.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Unguarded {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(error) => error.kind(),
            Self::Refused(refusal) => refusal.kind(),
        }
    }
}

/// A guard that has let a window pass.
#[derive(Debug)]
pub struct Warden {
    plan: WindowPlan,
    watched: Watched,
    settings: GuardSettings,
    clock: Clock,
    link: Link,
    siblings: Siblings,
    began: Instant,
    history: History,
    progress: Arc<Progress>,
}

/// What a guard lets pass.
#[derive(Debug)]
pub struct Admission {
    /// The guard itself.
    pub warden: Warden,
    /// How long the window may last.
    pub duration: Duration,
    /// Whether the server bounds by itself what it holds for us.
    pub bounded: bool,
    /// Where replication comes from, as MONITOR will show it.
    pub masters: Vec<String>,
    /// The commands that the node knows.
    pub commands: Arc<Commands>,
    /// Where our own other connections come from, as MONITOR will show them.
    pub ours: Vec<String>,
    /// For the reader.
    pub progress: Arc<Progress>,
}

/// A guard whose window is over.
#[derive(Debug)]
pub struct Watch {
    /// The guard itself.
    pub warden: Warden,
    /// Why the guard ended the window; `None` if it didn't.
    pub end: Option<WindowEnd>,
    /// The most the server held for us.
    pub buffer_peak: Option<Bytes>,
}

/// What is asked when a window is over.
#[derive(Debug, Default)]
pub struct LastWords {
    /// What part of the shard's traffic it could see.
    pub coverage: Coverage,
    /// What the shard's nodes tell.
    pub words: Words,
    /// With its answers, if it was wanted.
    pub survey: Option<Survey>,
}

/// Asks the node whether a window may be opened.
pub async fn ask(
    plan: WindowPlan,
    watched: Watched,
    settings: GuardSettings,
    (clock, tables): (Clock, CommandTables),
) -> Result<Admission, Unguarded> {
    let link = watched.reach.link(&watched.endpoint).await?;
    let mut siblings = Siblings::connect(&watched.reach, &plan.siblings).await;
    let progress = Arc::new(Progress::default());
    let began = Instant::now();
    let eye = Eye {
        link: &link,
        began,
        clock,
        progress: &progress,
    };
    let before = eye.look(None, &siblings).await?;
    let rest = sleep(FIRST_SPAN);
    let limit = watched.reach.server_limit(&link).await?;
    let masters = link.client_list_masters().await?;
    let can_be_watched = link.version().lists_clients_by_id();
    let ours = match can_be_watched {
        true => link.own_addresses().await?,
        false => Vec::new(),
    };
    let clients = list_clients(&link, &before.reading).await?;
    let monitor = clients.iter().flatten().find(|client| client.monitors());
    let other_monitor = monitor.map(|client| client.address.clone());
    let commands = tables.of(&link, before.reading.engine.as_ref()).await?;
    let commands = commands.unwrap_or_else(Commands::builtin);
    rest.await;
    let after = eye.look(None, &siblings).await?;
    let history = History::new(after.clone());
    let candidate = Candidate {
        can_be_watched,
        before,
        after,
        other_monitor,
        limit,
    };
    let duration = admit(&candidate, plan.duration, &settings)?;
    tell_limit(&plan, limit, duration);
    let observed = Observed {
        link: &link,
        sources: plan.sources,
        clock,
    };
    siblings.open(observed, &commands, clients).await;
    let masters = masters.into_iter().map(|client| client.address).collect();
    let warden = Warden {
        plan,
        watched,
        settings,
        clock,
        link,
        siblings,
        began,
        history,
        progress: Arc::clone(&progress),
    };
    Ok(Admission {
        warden,
        duration,
        bounded: limit.is_bounded(),
        masters,
        commands,
        ours,
        progress,
    })
}

impl Warden {
    /// Looks again and again at the stream of client `id`, until a limit is crossed or `over` says that the window is over. The
    /// watchdog holds the stream too, and is told that we live.
    pub fn watch(
        self,
        id: u64,
        cut: Cut,
        over: CancellationToken,
        held: Held,
    ) -> impl Future<Output = Watch> + Send + 'static {
        // Now, and not when it is first polled: a guard that never gets its turn cuts the stream, too.
        let leash = Leash(cut);
        self.watch_on(id, leash, over, held)
    }

    async fn watch_on(mut self, id: u64, leash: Leash, over: CancellationToken, held: Held) -> Watch {
        let mut buffer_peak = None;
        let progress = Arc::clone(&self.progress);
        let end = tokio::select! {
            biased;
            () = over.cancelled() => None,
            pause = stands_still(&progress.pulse, &held) => Some(self.stood_still(pause)),
            end = self.look_until_crossed(id, &mut buffer_peak) => Some(end),
        };
        if let Some(end) = end {
            leash.0.cut();
            self.kill(id, end).await;
        }
        Watch {
            warden: self,
            end,
            buffer_peak,
        }
    }

    /// The window is over: what part of the shard's traffic it could see, what its nodes tell, and the survey with answers.
    pub async fn finish(self, mut survey: Option<Survey>, bandwidth: BandwidthSettings) -> LastWords {
        let observed = Observed {
            link: &self.link,
            sources: self.plan.sources,
            clock: self.clock,
        };
        let told = timeout(self.settings.silence_max, self.siblings.close(observed)).await;
        let (coverage, words) = told.unwrap_or_default();
        if let Some(survey) = &mut survey {
            let asked = timeout(SURVEY_PATIENCE, self.ask_sizes(survey, &bandwidth)).await;
            if let Ok(Err(error)) = asked {
                debug!(%error, "cannot ask for the sizes of keys");
            }
        }
        LastWords {
            coverage,
            words,
            survey,
        }
    }

    async fn ask_sizes(&self, survey: &mut Survey, bandwidth: &BandwidthSettings) -> Result<(), LinkError> {
        let limits = SizeLimits {
            commands_max: bandwidth.probes_max,
            bytes_max: bandwidth.probe_bytes_max.0,
            touch: bandwidth.touch,
        };
        let mut sizes = Sizes::open(&self.link, limits).await?;
        survey.asked_by(sizes.probing());
        loop {
            let questions = survey.next_questions();
            if questions.is_empty() {
                return Ok(());
            }
            survey.take(sizes.answer(questions).await?);
        }
    }

    async fn look_until_crossed(&mut self, id: u64, buffer_peak: &mut Option<Bytes>) -> WindowEnd {
        let mut ticks = interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            ticks.tick().await;
            let eye = Eye {
                link: &self.link,
                began: self.began,
                clock: self.clock,
                progress: &self.progress,
            };
            let look = match timeout_at(heard + self.settings.silence_max, eye.look(Some(id), &self.siblings)).await {
                Ok(Ok(look)) => look,
                Ok(Err(error)) => return self.lost(&error.to_string()),
                Err(_elapsed) => return self.lost("it was silent for guards.silence_max"),
            };
            heard = Instant::now();
            *buffer_peak = look.buffer.max(*buffer_peak);
            let buffered = look.buffer.unwrap_or_default();
            self.progress.buffered.store(buffered.0, Ordering::Relaxed);
            let readings = self.history.add(look);
            if let Some(end) = judge(&readings, &self.settings) {
                let WindowPlan { group, shard, node, .. } = &self.plan;
                warn!(%group, %shard, %node, end = end.kind(), ?readings, "a guard was crossed, the window ends");
                return end;
            }
        }
    }

    fn stood_still(&self, pause: Duration) -> WindowEnd {
        let WindowPlan { group, shard, node, .. } = &self.plan;
        warn!(%group, %shard, %node, ?pause, "hotshard itself stood still, over guards.standstill_max; the window ends");
        WindowEnd::Frozen
    }

    fn lost(&self, reason: &str) -> WindowEnd {
        let WindowPlan { group, shard, node, .. } = &self.plan;
        warn!(%group, %shard, %node, "the guard's connection is lost ({reason}), the window ends: no watch, no window");
        WindowEnd::GuardLost
    }

    /// Closes our stream from the server's side too, over a new connection if the guard's own is lost.
    async fn kill(&self, id: u64, end: WindowEnd) {
        let kill = async {
            if end == WindowEnd::GuardLost {
                let link = self.watched.reach.link(&self.watched.endpoint).await?;
                return link.client_kill_id(id).await;
            }
            self.link.client_kill_id(id).await
        };
        match timeout(self.settings.silence_max, kill).await {
            Ok(Ok(_)) => {}
            // The socket was reset already; this was the second way.
            Ok(Err(error)) => debug!(%error, "cannot close our client on the server"),
            Err(_elapsed) => {
                debug!(endpoint = %self.watched.endpoint, "cannot close our client on the server: it is silent")
            }
        }
    }
}

/// Gives signs of life, until one comes later than the watchdog waits for it; how late it was.
async fn stands_still(pulse: &Pulse, held: &Held) -> Duration {
    let mut ticks = interval(held.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let pause = pulse.beat();
        if pause > held.patience() {
            return pause;
        }
        held.beat();
    }
}

/// Cuts the stream when the guard is gone, however it went: no watch, no window.
struct Leash(Cut);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// Whatever is needed for a look.
struct Eye<'a> {
    link: &'a Link,
    began: Instant,
    clock: Clock,
    progress: &'a Progress,
}

impl Eye<'_> {
    async fn look(&self, id: Option<u64>, siblings: &Siblings) -> Result<Look, LinkError> {
        let (sight, primary_offset) = tokio::join!(watch::look(self.link, id), siblings.primary_offset());
        let sight = sight?;
        let reading = Reading::parse(&sight.info);
        if let Some(server) = reading.server_time {
            self.progress.set_server_clock(server, self.clock.now());
        }
        if let Some(client) = &sight.client {
            self.progress.address.get_or_init(|| client.address.clone());
        }
        // Told once: a stream in which nothing comes is not behind.
        let behind = self.progress.behind_micros.swap(0, Ordering::Relaxed);
        self.progress.behind_seen.store(behind, Ordering::Relaxed);
        Ok(Look {
            at: self.began.elapsed(),
            reading,
            role: sight.role.role(),
            buffer: sight.client.map(|client| client.output_memory),
            primary_offset,
            read: Bytes(self.progress.read.load(Ordering::Relaxed)),
            behind: Duration::from_micros(behind),
            strained: self.progress.strain.lasted(),
        })
    }
}

/// All clients, if there are few.
async fn list_clients(link: &Link, reading: &Reading) -> Result<Option<Vec<ClientLine>>, LinkError> {
    if reading.connected_clients.is_none_or(|count| count > CLIENTS_LISTED_MAX) {
        return Ok(None);
    }
    link.client_list().await.map(Some)
}

fn tell_limit(plan: &WindowPlan, limit: ServerLimit, duration: Duration) {
    let WindowPlan { group, shard, node, .. } = plan;
    if limit.is_bounded() {
        debug!(%group, %shard, %node, "{limit}");
    } else {
        info!(%group, %shard, %node, ?duration, wanted = ?plan.duration, "{limit}; until then windows are short");
    }
}
