//! The one loop that owns the ledger: it polls, opens windows and publishes a snapshot after what happened.
//!
//! What is to be done is decided by the [`conductor`], which is pure; the loop here only waits, asks, opens and publishes.

pub mod admission;
pub mod arrivals;
pub mod clock;
pub mod command;
pub mod conductor;
pub mod discover;
mod eye;
pub mod guard;
mod hearing;
mod hints;
pub mod hot;
pub mod lessons;
pub mod live;
mod opening;
pub mod poller;
mod polling;
pub mod precheck;
pub mod progress;
mod publishing;
pub mod redirects;
mod reload;
pub mod rest;
pub mod round;
pub mod rounds;
pub mod search;
mod searches;
pub mod settings;
pub mod siblings;
pub mod strain;
pub mod warden;
pub mod watchdog;
mod whereabouts;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::analysis::window::WindowEnd;
use crate::export::http::Answer;
use crate::metrics::ledger::{Event, Ledger};
use crate::metrics::published::Published;
use crate::model::{Group, GroupKey, NodeId};
use crate::schedule::{Schedule, Scheduler};

use clock::Clock;
use command::{Command, Instruction};
use conductor::{Action, Conductor, Happening};
use discover::Watch;
use hints::Hints;
use hot::OnHot;
use polling::Poller;
use rounds::Rounds;
use search::Search;
use searches::Searches;
use settings::{GuardSettings, MonitorSettings, PollSettings};
use warden::GuardThread;

/// How many tellings of workers may wait; a worker that finds the queue full waits, and its node's next poll is skipped.
const EVENTS_WAITING: usize = 1024;

/// How often the engine looks around although nothing happens; also its heartbeat.
const TICK: Duration = Duration::from_secs(1);

/// How long open windows may take to close when hotshard stops.
const GRACE: Duration = Duration::from_secs(5);

/// Everything the engine needs to begin.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to watch.
    pub groups: Vec<Watch>,
    /// What to look for in AWS, and to watch as long as it is there.
    pub searches: Vec<Search>,
    /// How load figures are read.
    pub poll: PollSettings,
    /// When windows are opened.
    pub monitor: MonitorSettings,
    /// What keeps windows harmless.
    pub guards: GuardSettings,
    /// How often the topology is asked for again.
    pub discovery_interval: Duration,
    /// What windows need.
    pub reading: window::Reading,
    /// How many lines of the log were dropped so far: nobody reads it.
    pub log_dropped: Arc<AtomicU64>,
}

/// Runs until `shutdown`; then closes what is open and publishes a last time.
pub async fn run(
    plan: Plan,
    ledger: Ledger,
    published: Published,
    instructions: mpsc::Receiver<Instruction>,
    shutdown: CancellationToken,
) {
    let (events, told) = mpsc::channel(EVENTS_WAITING);
    let (rounds_due, due) = mpsc::channel(EVENTS_WAITING);
    let guards = match GuardThread::start() {
        Ok(guards) => guards,
        Err(error) => return error!("cannot start the thread that guards windows: {error}"),
    };
    let mut engine = Engine::new(plan, ledger, published, events, guards);
    let mut beat = Beat {
        polls: steady(engine.plan.poll.interval),
        discoveries: steady(engine.plan.discovery_interval),
        scheduler: Scheduler::new(rounds_due),
    };
    // The first look is now, at each node as soon as it is found.
    beat.discoveries.reset();
    beat.polls.reset();
    let all: Vec<GroupKey> = engine.plan.groups.iter().map(|watch| watch.key.clone()).collect();
    engine.schedule_rounds(&mut beat.scheduler, &all).await;
    engine.schedule_searches().await;
    engine.discover(|_| true);
    engine.searches.look_all();
    engine.turn(told, due, instructions, &mut beat, &shutdown).await;
    if let Err(error) = beat.scheduler.stop().await {
        warn!("cannot stop the scheduler: {error}");
    }
}

/// What comes round again.
struct Beat {
    polls: Interval,
    discoveries: Interval,
    scheduler: Scheduler<GroupKey>,
}

struct Engine {
    plan: Plan,
    clock: Clock,
    conductor: Conductor,
    published: Published,
    published_at: Option<Instant>,
    events: mpsc::Sender<Event>,
    guards: GuardThread,
    topologies: BTreeMap<GroupKey, Group>,
    searches: Searches,
    /// When each configured group was last asked for.
    asked: BTreeMap<GroupKey, Instant>,
    /// Configured groups that are being looked for the first time since the start.
    untried: BTreeSet<GroupKey>,
    /// Configured groups in which roles or slots moved since.
    moved: BTreeSet<GroupKey>,
    pollers: BTreeMap<(GroupKey, NodeId), Poller>,
    poll: watch::Sender<PollSettings>,
    windows: JoinSet<()>,
    stop: watch::Sender<Option<WindowEnd>>,
    hints: Hints,
    tasks: JoinSet<()>,
    discoveries: BTreeMap<GroupKey, AbortHandle>,
}

impl Engine {
    fn new(plan: Plan, ledger: Ledger, published: Published, events: mpsc::Sender<Event>, guards: GuardThread) -> Self {
        let on_hot = on_hot(&plan);
        Self {
            clock: plan.reading.clock,
            conductor: Conductor::new(ledger, Rounds::new(plan.monitor.clone()), on_hot),
            searches: Searches::new(plan.searches.clone()),
            poll: watch::Sender::new(plan.poll.clone()),
            untried: plan.groups.iter().map(|watch| watch.key.clone()).collect(),
            plan,
            published,
            published_at: None,
            events,
            guards,
            topologies: BTreeMap::new(),
            asked: BTreeMap::new(),
            moved: BTreeSet::new(),
            pollers: BTreeMap::new(),
            windows: JoinSet::new(),
            stop: watch::Sender::new(None),
            hints: Hints::default(),
            tasks: JoinSet::new(),
            discoveries: BTreeMap::new(),
        }
    }

    async fn turn(
        &mut self,
        mut told: mpsc::Receiver<Event>,
        mut due: mpsc::Receiver<GroupKey>,
        mut instructions: mpsc::Receiver<Instruction>,
        beat: &mut Beat,
        shutdown: &CancellationToken,
    ) {
        let mut ticks = steady(TICK);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(event) = told.recv() => self.take(Happening::Told(event)),
                Some(instruction) = instructions.recv() => self.obey(instruction, beat).await,
                Some(group) = due.recv() => self.take(Happening::RoundDue(group)),
                news = self.searches.next() => self.heard(news),
                _ = ticks.tick() => self.tick(),
                _ = beat.polls.tick() => self.poll_all(),
                _ = beat.discoveries.tick() => {
                    self.discover(|_| true);
                    self.searches.look_all();
                }
            }
            self.publish(told.is_empty());
        }
        self.close(told).await;
    }

    fn take(&mut self, happening: Happening) {
        if let Happening::Told(event) = &happening
            && let Some(group) = event.looked_for()
        {
            self.untried.remove(group);
        }
        if let Happening::Told(Event::WindowClosed(window)) = &happening {
            let (group, shard, node) = (&window.group, &window.shard, &window.node);
            if let Some(words) = hints::ended(window) {
                warn!(%group, %shard, %node, "{words}");
            }
            if let Some(hint) = self.hints.take(window) {
                info!(%group, %shard, %node, "its window {hint}");
            }
        }
        let actions = self.conductor.take(happening, self.clock.now());
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Watch(group) => {
                    self.watch(&group);
                    self.topologies.insert(group.key.clone(), group);
                }
                Action::Open(plan) => self.open(plan),
                Action::LookAgain(group) => {
                    if !self.searches.want(&group) {
                        self.moved.insert(group);
                    }
                }
                Action::LookForReplicas(group) => {
                    // Of the others AWS and the configuration tell.
                    if self
                        .plan
                        .groups
                        .iter()
                        .any(|watch| watch.key == group && watch.is_found_by_asking())
                    {
                        self.moved.insert(group);
                    }
                }
                Action::AskForSlots(group) => {
                    if !self.searches.ask_for_slots(&group) {
                        self.moved.insert(group);
                    }
                }
                Action::CloseWindows => {
                    self.stop.send_replace(Some(WindowEnd::Paused));
                }
                // Whoever ordered a round reads it out of the actions itself.
                Action::Answer(..) => {}
            }
        }
    }

    fn tick(&mut self) {
        self.take(Happening::Tick(self.clock.now()));
        let dropped = self.plan.log_dropped.load(Ordering::Relaxed);
        self.take(Happening::Told(Event::LogDropped(dropped)));
        if let Some(archive) = &self.plan.reading.archive {
            let state = archive.state();
            self.take(Happening::Told(Event::Archived(state)));
        }
        self.look_again();
    }

    async fn obey(&mut self, instruction: Instruction, beat: &mut Beat) {
        let answer = match instruction.command {
            Command::Round(group) => self.order(group),
            Command::Pause => self.done(Happening::Pause(true)),
            Command::Resume => {
                self.stop.send_replace(None);
                self.done(Happening::Pause(false))
            }
            Command::Reload(change) => {
                let successful = change.is_some();
                if let Some(change) = change {
                    self.change(*change, beat).await;
                }
                self.done(Happening::Told(Event::Reloaded { successful }))
            }
        };
        // Whoever asked may have left.
        let _ = instruction.answer.send(answer);
    }

    fn done(&mut self, happening: Happening) -> Answer {
        self.take(happening);
        Answer::Done
    }

    /// Ends what is open, hears what it has to tell, and publishes a last time.
    async fn close(&mut self, mut told: mpsc::Receiver<Event>) {
        self.stop.send_replace(Some(WindowEnd::Shutdown));
        self.pollers.clear();
        let deadline = Instant::now() + GRACE;
        while !self.windows.is_empty() && Instant::now() < deadline {
            tokio::select! {
                Some(event) = told.recv() => { self.conductor.take(Happening::Told(event), self.clock.now()); }
                _ = self.windows.join_next() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
        while let Ok(event) = told.try_recv() {
            self.conductor.take(Happening::Told(event), self.clock.now());
        }
        self.tasks.shutdown().await;
        self.searches.stop().await;
        self.windows.shutdown().await;
        self.published.store(self.snapshot());
        info!("all windows are closed");
    }
}

/// The engine outlives its workers: it hears them until the last one has ended.
async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}

fn on_hot(plan: &Plan) -> OnHot {
    OnHot {
        enabled: plan.monitor.on_hot,
        cool_down: plan.monitor.on_hot_cool_down,
    }
}

fn steady(span: Duration) -> Interval {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// Groups begin their rounds spread over the first tenth of the interval. The first tick of an interval comes a whole interval
/// after the start: a crash loop of ours must not open window after window.
fn spread(schedule: &Schedule, place: usize, groups: usize) -> Duration {
    let share = place as f64 / groups.max(1) as f64;
    match schedule {
        Schedule::Every(span) => *span + span.mul_f64(share / 10.0),
        Schedule::Cron(_) => Duration::from_secs_f64(5.0 * share),
    }
}
