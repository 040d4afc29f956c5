//! The guard of an open window: looks at the node, and ends the window when a limit is crossed.
//!
//! Guards run on a thread of their own, so that a busy reader can't starve them, over connections of their own. What their looks mean
//! is decided by [`super::guard`], which is pure; whether there is a window at all, by [`super::admission`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::clock::Clock;
use super::eye::Eye;
use super::guard::{History, judge};
use super::poller::Watched;
use super::progress::Progress;
use super::round::WindowPlan;
use super::settings::{BandwidthSettings, GuardSettings};
use super::siblings::{Observed, Siblings};
use super::watchdog::{Held, Pulse};
use crate::analysis::bandwidth::Survey;
use crate::analysis::window::{Coverage, WindowEnd};
use crate::analysis::witness::Words;
use crate::model::Bytes;
use crate::node::sizes::{SizeLimits, Sizes};
use crate::node::{Cut, Link, LinkError};

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

/// A guard that has let a window pass.
#[derive(Debug)]
pub struct Warden {
    pub(super) plan: WindowPlan,
    pub(super) watched: Watched,
    pub(super) settings: GuardSettings,
    pub(super) clock: Clock,
    pub(super) link: Link,
    pub(super) siblings: Siblings,
    pub(super) began: Instant,
    pub(super) history: History,
    pub(super) progress: Arc<Progress>,
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
            () = stands_still(&progress.pulse, &held) => Some(WindowEnd::Frozen),
            end = self.look_until_crossed(id, &mut buffer_peak) => Some(end),
        };
        if let Some(end) = end {
            progress.pulse.end();
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
            self.progress.is_held(buffered);
            let readings = self.history.add(look);
            if let Some(end) = judge(&readings, &self.settings) {
                let WindowPlan { group, shard, node, .. } = &self.plan;
                warn!(%group, %shard, %node, end = end.kind(), ?readings, "a guard was crossed, the window ends");
                return end;
            }
        }
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

/// Gives signs of life, until one comes later than the watchdog waits for it.
async fn stands_still(pulse: &Pulse, held: &Held) {
    let mut ticks = interval(held.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if pulse.beat() > held.patience() {
            return;
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
