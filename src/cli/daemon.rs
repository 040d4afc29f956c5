//! The daemon itself, which `serve` runs over real servers and `demo` over simulated ones.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::configuration::{Configuration, Intent};
use super::{Outcome, desk};
use crate::config::Settings;
use crate::engine::{self, Plan};
use crate::export::http::{self, Bound, Order, Request};
use crate::export::open::OpenWindows;
use crate::export::otlp::{Identity, Push, Pusher};
use crate::metrics::ledger::Ledger;
use crate::metrics::published::Published;

/// How many orders may wait for the engine.
const ORDERS_WAITING: usize = 16;

/// A watchdog less patient than this would end us over a short pause: the engine's own beat is a second.
const WATCHDOG_MIN: Duration = Duration::from_secs(5);

/// A bound on the whole stop, beyond the graces of the parts.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Runs until SIGTERM or SIGINT, then closes windows and ends requests. `announce` hears where to look once that is known.
///
/// What can be refused comes first: whoever can't listen leaves nothing behind, neither a secret nor an archive.
pub(super) fn run(
    intent: Intent,
    source: &'static str,
    announce: impl FnOnce(&[SocketAddr]) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let runtime = super::runtime()?;
    let doors = runtime.block_on(Doors::open(intent.settings()))?;
    let (configuration, plan, keeping) = intent.take_up(source)?;
    let ended = announce(&doors.bound.addresses()).and_then(|()| runtime.block_on(watch(doors, configuration, plan)));
    // Whoever still holds the archive goes with it.
    drop(runtime);
    keeping.finish();
    ended
}

/// The ways in and out: they are open before anything is begun.
struct Doors {
    signals: Signals,
    bound: Bound,
    push: Option<Push>,
}

impl Doors {
    async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let signals = Signals::new().context("cannot listen for signals")?;
        let bound = http::bind(settings.web.clone()).await?;
        let identity = identity(settings, &bound.addresses());
        let push = Push::resolve(&settings.otlp, &identity, |name| std::env::var(name).ok())?;
        if let Some(push) = &push {
            push.verify()?;
        }
        Ok(Self { signals, bound, push })
    }
}

async fn watch(doors: Doors, configuration: Configuration, plan: Plan) -> anyhow::Result<Outcome> {
    let Doors { signals, bound, push } = doors;
    let settings = configuration.settings();
    let ledger = Ledger::new(settings.ledger());
    let live = plan.reading.live.clone();
    let bound = bound
        .keeping(settings.archive.path.clone())
        .watching(OpenWindows::seen_by(move || live.open(Instant::now())));
    let (published, shutdown) = (Published::new(), CancellationToken::new());
    let pusher = start_pushing(push, &published).await?;
    let (orders, ordered) = mpsc::channel(ORDERS_WAITING);
    let (instructions, instructed) = mpsc::channel(ORDERS_WAITING);
    let mut parts = JoinSet::new();
    parts.spawn(engine::run(
        plan,
        ledger,
        published.clone(),
        instructed,
        shutdown.clone(),
    ));
    parts.spawn(desk::run(configuration, ordered, instructions, shutdown.clone()));
    parts.spawn(bound.serve(published.clone(), orders.clone(), shutdown.clone()));
    parts.spawn(tell_supervisor(published.clone(), shutdown.clone()));
    let ended = obey(signals, &orders, &published, &mut parts).await;
    info!("stopping");
    shutdown.cancel();
    let stopped = tokio::time::timeout(STOP_PATIENCE, join(parts)).await;
    // The engine has published its last figures by now.
    if let Some(pusher) = pusher {
        tokio::task::spawn_blocking(move || pusher.stop()).await?;
    }
    ended?;
    stopped.context("could not stop in time; what was open is dropped")??;
    Ok(Outcome::Done)
}

/// Begins to push figures, if a collector is named.
async fn start_pushing(push: Option<Push>, published: &Published) -> anyhow::Result<Option<Pusher>> {
    let Some(push) = push else { return Ok(None) };
    let published = published.clone();
    // The client of HTTP blocks while it is built.
    let started = tokio::task::spawn_blocking(move || Pusher::start(&push, &published)).await?;
    Ok(Some(started?))
}

/// What is known of this instance without being told.
fn identity(settings: &Settings, addresses: &[SocketAddr]) -> Identity {
    let mut regions: Vec<String> = settings
        .groups
        .iter()
        .map(|group| group.key().region.to_string())
        .collect();
    regions.dedup();
    let region = match (&settings.discovery.region, &regions[..]) {
        (Some(region), _) => Some(region.clone()),
        (None, [region]) if !region.is_empty() => Some(region.clone()),
        _ => None,
    };
    let host = rustix::system::uname().nodename().to_str().map(str::to_owned).ok();
    Identity {
        host,
        port: addresses.first().map(SocketAddr::port),
        region,
    }
}

async fn join(mut parts: JoinSet<()>) -> anyhow::Result<()> {
    while let Some(part) = parts.join_next().await {
        part.context("a part of the daemon panicked")?;
    }
    Ok(())
}

/// Carries out what signals ask, until one asks to stop or a part of the daemon ends by itself, which it never should.
async fn obey(
    mut signals: Signals,
    orders: &mpsc::Sender<Order>,
    published: &Published,
    parts: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.reload.recv() => order(orders, Request::Reload).await,
            _ = signals.pause.recv() => {
                let paused = published.load().paused;
                order(orders, if paused { Request::Resume } else { Request::Pause }).await;
            }
            _ = signals.round.recv() => for group in &published.load().groups {
                order(orders, Request::Round(group.key.clone())).await;
            },
            Some(part) = parts.join_next() => return part.context("a part of the daemon panicked"),
        }
    }
}

async fn order(orders: &mpsc::Sender<Order>, request: Request) {
    let (answer, answered) = oneshot::channel();
    let sent = orders
        .send(Order {
            request: request.clone(),
            answer,
        })
        .await;
    match (sent, answered.await) {
        (Ok(()), Ok(http::Answer::Done)) => info!(%request, "done"),
        // Why the configuration wasn't taken has been said.
        (Ok(()), Ok(http::Answer::Refused(_))) if request == Request::Reload => {}
        (Ok(()), Ok(http::Answer::Refused(reason))) => warn!(%request, "{reason}"),
        _ => warn!(%request, "the engine is gone"),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    pause: Signal,
    round: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            pause: signal(SignalKind::user_defined2())?,
            round: signal(SignalKind::user_defined1())?,
        })
    }
}

/// Tells systemd when we are ready, that we live (while the engine publishes), and that we stop. Without systemd it does nothing.
async fn tell_supervisor(published: Published, shutdown: CancellationToken) {
    let patience = sd_notify::watchdog_enabled();
    if let Some(patience) = patience.filter(|patience| *patience < WATCHDOG_MIN) {
        warn!(
            "WatchdogSec is {patience:?}; set at least {WATCHDOG_MIN:?}, or a short pause of the machine ends hotshard"
        );
    }
    supervise(published, patience, shutdown, notify).await;
}

/// A sign of life goes out after something was published, at most four times in the patience of the watchdog: an engine that hangs
/// publishes nothing, so it is started anew.
async fn supervise(
    published: Published,
    patience: Option<Duration>,
    shutdown: CancellationToken,
    mut notify: impl FnMut(sd_notify::NotifyState<'static>),
) {
    let (mut changes, mut ready, mut last) = (published.changes(), false, None::<Instant>);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
        }
        if !ready && http::is_ready(&published.load()) {
            ready = true;
            notify(sd_notify::NotifyState::Ready);
        }
        if let Some(patience) = patience
            && last.is_none_or(|last| last.elapsed() >= patience / 4)
        {
            last = Some(Instant::now());
            notify(sd_notify::NotifyState::Watchdog);
        }
    }
    notify(sd_notify::NotifyState::Stopping);
}

fn notify(state: sd_notify::NotifyState<'static>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("cannot notify systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::metrics::snapshot::Snapshot;
    use crate::model::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn a_frozen_engine_gives_the_watchdog_no_sign_of_life() {
        let (published, shutdown) = (Published::new(), CancellationToken::new());
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let patience = Some(Duration::from_secs(20));
        let supervisor = tokio::spawn(supervise(published.clone(), patience, shutdown.clone(), move |state| {
            tell.lock().expect("nobody panics").push(format!("{state:?}"));
        }));
        let publish = async || {
            published.store(Snapshot {
                at: Timestamp(1),
                ..Snapshot::default()
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        for _ in 0..11 {
            publish().await;
        }
        // The engine freezes for longer than systemd waits.
        tokio::time::sleep(Duration::from_secs(60)).await;
        publish().await;
        shutdown.cancel();
        supervisor.await.expect("it ends");
        let told = told.lock().expect("nobody panics").join(" ");
        assert_eq!(told, "Ready Watchdog Watchdog Watchdog Stopping");
    }
}
