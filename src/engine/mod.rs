//! The one loop that owns the ledger: it polls, opens windows and publishes a snapshot after what happened.
//!
//! What is to be done is decided by the [`conductor`], which is pure; the loop here only waits, asks, opens and publishes.

pub mod clock;
pub mod command;
pub mod conductor;
pub mod discover;
pub mod guard;
mod hearing;
mod hints;
pub mod lessons;
pub mod live;
pub mod poller;
pub mod precheck;
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
pub mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::analysis::window::WindowEnd;
use crate::discovery::elasticache::{AwsError, Kind};
use crate::export::http::Answer;
use crate::metrics::ledger::{Event, Ledger};
use crate::metrics::published::Published;
use crate::metrics::snapshot::Snapshot;
use crate::model::{Group, GroupKey, NodeId};
use crate::node::Dialer;
use crate::node::survey::Reach;
use crate::schedule::{Schedule, Scheduler};

use clock::Clock;
use command::{Command, Instruction};
use conductor::{Action, Conductor, Happening, OnHot};
use discover::Watch;
use hints::Hints;
use poller::Watched;
use round::WindowPlan;
use rounds::Rounds;
use search::{Looked, Missing, Search};
use searches::{News, Searches};
use settings::{GuardSettings, MonitorSettings, PollSettings};
use warden::{GuardThread, Unguarded};
use window::NoWindow;

/// How many tellings of workers may wait; a worker that finds the queue full waits, and its node's next poll is skipped.
const EVENTS_WAITING: usize = 1024;

/// How often the engine looks around although nothing happens; also its heartbeat.
const TICK: Duration = Duration::from_secs(1);

/// Snapshots are at least so far apart: with 3,000 nodes answering at once, one snapshot an answer would be all we do.
const PUBLISH_PAUSE: Duration = Duration::from_millis(100);

/// A group isn't looked at again sooner, however many of its nodes change their role.
const REDISCOVERY_PAUSE: Duration = Duration::from_secs(2);

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

struct Poller {
    watched: Watched,
    due: mpsc::Sender<()>,
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
                Action::AskForSlots(group) => {
                    if !self.searches.ask_for_slots(&group) {
                        self.moved.insert(group);
                    }
                }
                Action::CloseWindows => {
                    self.stop.send_replace(Some(WindowEnd::Paused));
                }
            }
        }
    }

    fn tick(&mut self) {
        self.take(Happening::Tick(self.clock.now()));
        if let Some(archive) = &self.plan.reading.archive {
            let state = archive.state();
            self.take(Happening::Told(Event::Archived(state)));
        }
        self.look_again();
    }

    async fn obey(&mut self, instruction: Instruction, beat: &mut Beat) {
        let answer = match instruction.command {
            Command::Round(group) if self.reach(&group).is_none() => {
                Answer::Refused(format!("no group {group} is watched"))
            }
            Command::Round(group) => self.done(Happening::RoundWanted(group)),
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

    /// Pollers for the nodes of the group that have none yet; those of nodes that are gone end.
    fn watch(&mut self, group: &Group) {
        let Some((reach, serverless)) = self.reach(&group.key) else {
            return;
        };
        let mut kept = BTreeMap::new();
        for (shard, node) in group.nodes() {
            let name = (group.key.clone(), node.id.clone());
            let poller = self
                .pollers
                .remove(&name)
                .filter(|poller| poller.watched.endpoint == node.endpoint)
                .filter(|poller| poller.watched.reach.dialer.encrypts() == reach.dialer.encrypts());
            let poller = poller.unwrap_or_else(|| {
                let watched = Watched {
                    group: group.key.clone(),
                    shard: shard.id.clone(),
                    node: node.id.clone(),
                    endpoint: node.endpoint.clone(),
                    reach: reach.clone(),
                    serverless,
                };
                let (settings, tables) = (self.poll.subscribe(), self.plan.reading.commands.clone());
                let poller = poller::Poller::new(watched.clone(), settings, self.clock, tables);
                start(watched, poller, &self.events, &mut self.tasks)
            });
            kept.insert(name, poller);
        }
        self.pollers.retain(|(key, _), _| key != &group.key);
        self.pollers.append(&mut kept);
    }

    fn open(&mut self, plan: WindowPlan) {
        let (events, reading, stop) = (self.events.clone(), self.plan.reading.clone(), self.stop.subscribe());
        let Some(poller) = self.pollers.get(&(plan.group.clone(), plan.node.clone())) else {
            let skipped = skipped(
                &plan,
                "node_gone",
                "its node left the group before its turn came".to_owned(),
            );
            self.take(Happening::Told(skipped));
            return;
        };
        let watched = poller.watched.clone();
        let guard = match watched.reach.dialer {
            Dialer::Network(_) => self.guards.handle(),
            // Simulated servers live in the engine's own time, which may be paused; a thread of its own would not be.
            Dialer::Stage(_) => Handle::current(),
        };
        let guards = self.plan.guards.clone();
        self.windows.spawn(async move {
            let live = &reading.live;
            live.asking(&plan.group, &plan.shard, &plan.node);
            let window = match window::open(plan.clone(), &watched, &reading, guards, guard).await {
                Ok(window) => window,
                Err(error) => {
                    live.refused(&plan.group, &plan.shard, &plan.node, error.to_string());
                    return tell(&events, refused(&plan, &error)).await;
                }
            };
            let WindowPlan { group, shard, node, .. } = plan;
            let at = window.opened();
            tell(&events, Event::WindowOpened { group, shard, node, at }).await;
            let (window, drawn) = window.read_to_end(stop).await;
            live.closed(&window, &drawn.sample);
            let window = Arc::new(window);
            if let Some(archive) = &reading.archive {
                archive.keep(Arc::clone(&window), drawn);
            }
            tell(&events, Event::WindowClosed(window)).await;
        });
    }

    fn poll_all(&self) {
        for poller in self.pollers.values() {
            // A poller leaves out what falls due too soon; its queue is full only if it has something to leave out.
            let _ = poller.due.try_send(());
        }
    }

    /// How the nodes of a group are reached, and whether it is a serverless cache; `None` if it isn't watched.
    fn reach(&self, group: &GroupKey) -> Option<(Reach, bool)> {
        let configured = self.plan.groups.iter().find(|watch| &watch.key == group);
        let configured = configured.map(|watch| (watch.reach.clone(), false));
        configured.or_else(|| {
            let sighting = self.searches.sighting(group)?;
            Some((sighting.reach.clone(), sighting.found.kind == Kind::Serverless))
        })
    }

    fn discover(&mut self, is_due: impl Fn(&Watch) -> bool) {
        while self.tasks.try_join_next().is_some() {}
        for watch in self.plan.groups.iter().filter(|watch| is_due(watch)) {
            self.moved.remove(&watch.key);
            self.asked.insert(watch.key.clone(), Instant::now());
            let (key, clock, events) = (watch.key.clone(), self.clock, self.events.clone());
            let (watch, previous) = (watch.clone(), self.topologies.get(&key).cloned());
            let discovery = self.tasks.spawn(async move {
                discover::discover(&watch, previous, clock, &events).await;
            });
            self.discoveries.insert(key, discovery);
        }
    }

    /// Asks again, at a pace, for the groups in which roles moved.
    fn look_again(&mut self) {
        self.searches.tick();
        let rested = |key: &GroupKey| {
            let asked = self.asked.get(key);
            asked.is_none_or(|asked| asked.elapsed() >= REDISCOVERY_PAUSE)
        };
        let due: BTreeSet<GroupKey> = self.moved.iter().filter(|key| rested(key)).cloned().collect();
        if !due.is_empty() {
            self.discover(|watch| due.contains(&watch.key));
        }
    }

    fn heard(&mut self, news: News) {
        match news {
            News::RoundsDue(place) => {
                for group in self.searches.groups(place) {
                    self.take(Happening::RoundDue(group));
                }
            }
            News::Owned(group, owned) => {
                if let Some(group) = self.searches.own(&group, owned) {
                    let at = self.clock.now();
                    self.take(Happening::Told(Event::Discovered { group, at }));
                }
            }
            News::Looked(place, outcome) => {
                self.searches.ended(place);
                match outcome {
                    Ok(looked) => self.sighted(place, looked),
                    Err(error) => self.not_told(place, &error),
                }
            }
        }
    }

    /// Watches the groups there are, and forgets those that are gone: a selection's groups come and go.
    fn sighted(&mut self, place: usize, mut looked: Looked) {
        // What the configuration spells out isn't watched a second time.
        looked
            .sightings
            .retain(|key, _| !self.plan.groups.iter().any(|watch| &watch.key == key));
        let mut gone = self.searches.take(place, looked.sightings);
        // What stood in for a group until it was found.
        let stood_in = |name: &GroupKey| {
            self.searches.sighting(name).is_none() && !looked.missing.iter().any(|missing| &missing.key == name)
        };
        gone.extend(self.searches.names(place).into_iter().filter(stood_in));
        gone.iter().for_each(|group| self.forget(group));
        let at = self.clock.now();
        for key in self.searches.groups(place) {
            if let Some(sighting) = self.searches.sighting(&key) {
                let group = sighting.found.group.clone();
                self.take(Happening::Told(Event::Discovered { group, at }));
            }
        }
        for (missing, is_new) in self.searches.lacks(place, looked.missing) {
            let Missing { key, reason, text } = missing;
            if is_new {
                warn!(group = %key, "{text}");
            }
            self.take(Happening::Told(Event::DiscoveryFailed { group: key, reason, at }));
        }
    }

    /// AWS gave no answer: what is known stands, and its age tells since when.
    fn not_told(&mut self, place: usize, error: &AwsError) {
        warn!("{error}");
        let mut groups = self.searches.groups(place);
        if groups.is_empty() {
            groups = self.searches.names(place);
        }
        let (at, reason) = (self.clock.now(), error.kind());
        for group in groups {
            self.take(Happening::Told(Event::DiscoveryFailed { group, reason, at }));
        }
    }

    fn publish(&mut self, idle: bool) {
        let rested = self.published_at.is_none_or(|last| last.elapsed() >= PUBLISH_PAUSE);
        if idle || rested {
            self.published.store(self.snapshot());
            self.published_at = Some(Instant::now());
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            untried: self.untried.len() + self.searches.untried(),
            ..self.conductor.snapshot(self.clock.now())
        }
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

fn start(watched: Watched, poller: poller::Poller, events: &mpsc::Sender<Event>, tasks: &mut JoinSet<()>) -> Poller {
    let (due, asked) = mpsc::channel(1);
    // The first look is now; the next ones come with everybody's.
    let _ = due.try_send(());
    tasks.spawn(poller.run(asked, events.clone()));
    Poller { watched, due }
}

fn refused(plan: &WindowPlan, error: &NoWindow) -> Event {
    warn!(group = %plan.group, shard = %plan.shard, node = %plan.node, "no window: {error}");
    if let NoWindow::Unguarded(Unguarded::Refused(refusal)) = error {
        return skipped(plan, refusal.kind(), refusal.to_string());
    }
    Event::WindowFailed {
        group: plan.group.clone(),
        shard: plan.shard.clone(),
        node: plan.node.clone(),
        reason: error.kind(),
        text: error.to_string(),
    }
}

fn skipped(plan: &WindowPlan, reason: &'static str, text: String) -> Event {
    Event::WindowSkipped {
        group: plan.group.clone(),
        shard: plan.shard.clone(),
        reason,
        text,
    }
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
