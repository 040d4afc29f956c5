//! One window on a server of a test, as the engine opens it, without the engine.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use hotshard::analysis::pattern::PatternSettings;
use hotshard::analysis::tally::TallySettings;
use hotshard::analysis::veil::Veil;
use hotshard::analysis::window::ClosedWindow;
use hotshard::archive::RawLogs;
use hotshard::config::Settings;
use hotshard::engine::clock::Clock;
use hotshard::engine::lessons::Lessons;
use hotshard::engine::live::Live;
use hotshard::engine::poller::Watched;
use hotshard::engine::round::WindowPlan;
use hotshard::engine::settings::GuardSettings;
use hotshard::engine::siblings::Sibling;
use hotshard::engine::warden::GuardThread;
use hotshard::engine::watchdog::Watchdog;
use hotshard::engine::window::{NoWindow, OpenWindow, Reading, open};
use hotshard::metrics::snapshot::Sources;
use hotshard::model::{Endpoint, GroupKey, Ratio, Role};
use hotshard::node::survey::Reach;
use hotshard::node::{Accounts, CommandTables, Credentials};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::harness::link::{SETTINGS, endpoint, plain};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(30);

/// Bounded by the server itself, so that windows keep their length.
pub(crate) fn bounded(plan: ServerPlan) -> ServerPlan {
    plan.set("client-output-buffer-limit", "normal 256mb 0 0")
}

/// The defaults, but for the machine's own load: tests share its few cores.
fn patient() -> GuardSettings {
    GuardSettings {
        silence_max: Duration::from_secs(5),
        behind_max: Duration::from_secs(10),
        cpu_max: Ratio(10.0),
        ..Settings::defaults().guards
    }
}

/// Opens a window on `server`, whose siblings are `others`.
pub(crate) struct Window<'a> {
    server: &'a Server,
    /// Where it is reached, if that isn't where it listens.
    by: Option<SocketAddr>,
    others: Vec<(&'a Server, Role)>,
    span: Duration,
    guards: GuardSettings,
    pub(crate) raw_logs: Option<RawLogs>,
    thread: GuardThread,
}

impl<'a> Window<'a> {
    pub(crate) fn on(server: &'a Server, span: Duration) -> Self {
        Self {
            server,
            by: None,
            others: Vec::new(),
            span,
            guards: patient(),
            raw_logs: None,
            thread: GuardThread::start().expect("a thread"),
        }
    }

    pub(crate) fn by(mut self, proxy: SocketAddr) -> Self {
        self.by = Some(proxy);
        self
    }

    pub(crate) fn beside(mut self, other: &'a Server, role: Role) -> Self {
        self.others.push((other, role));
        self
    }

    pub(crate) fn guarded(mut self, change: impl FnOnce(&mut GuardSettings)) -> Self {
        change(&mut self.guards);
        self
    }

    pub(crate) async fn open(&self) -> Result<OpenWindow, NoWindow> {
        let here = match self.by {
            Some(proxy) => Endpoint::new(proxy.ip().to_string(), proxy.port()),
            None => endpoint(self.server),
        };
        let group = GroupKey {
            region: "".into(),
            id: "orders".into(),
        };
        let siblings = self.others.iter().map(|(other, role)| Sibling {
            endpoint: endpoint(other),
            role: *role,
            sources: Sources::default(),
        });
        let plan = WindowPlan {
            group: group.clone(),
            shard: "0001".into(),
            node: "a".into(),
            endpoint: here.clone(),
            sources: Sources::default(),
            siblings: siblings.collect(),
            primary_allowed: true,
            duration: self.span,
            commands_max: NonZeroU64::MAX,
            bytes_max: NonZeroU64::MAX,
        };
        let watched = Watched {
            group,
            shard: "0001".into(),
            node: "a".into(),
            endpoint: here,
            serverless: false,
            reach: Reach {
                dialer: plain(),
                credentials: Credentials::none(),
                accounts: Accounts::default(),
                settings: SETTINGS,
                parameters: None,
            },
        };
        let reading = Reading {
            commands: CommandTables::default(),
            patterns: PatternSettings::default(),
            lessons: Lessons::default(),
            veil: Veil::default(),
            tally: TallySettings::default(),
            bandwidth: Settings::defaults().bandwidth,
            seed: 7,
            clock: Clock::System,
            archive: None,
            raw_logs: self.raw_logs.clone(),
            live: Live::default(),
            watchdog: Watchdog::none(),
        };
        open(plan, &watched, &reading, self.guards.clone(), self.thread.handle()).await
    }

    pub(crate) async fn opened(&self) -> OpenWindow {
        self.open().await.unwrap_or_else(|error| panic!("no window: {error}"))
    }

    pub(crate) async fn refused(&self) -> (&'static str, String) {
        let error = self.open().await.err().expect("it must be refused");
        (error.kind(), error.to_string())
    }
}

pub(crate) async fn read(window: OpenWindow) -> ClosedWindow {
    let (_open, stop) = watch::channel(None);
    timeout(LONG, window.read_to_end(stop)).await.expect("a window ends").0
}

/// Nothing that reads MONITOR is left on the server.
pub(crate) async fn check_gone(server: &Server) {
    let gone = async || {
        let clients = server.call(&["CLIENT", "LIST"]).await.text();
        match clients.lines().find(|line| line.contains(" flags=O ")) {
            None => Ok(()),
            Some(line) => Err(line.to_owned()),
        }
    };
    eventually("no MONITOR client is left", SOON, gone).await;
}

pub(crate) async fn monitors(server: &Server) -> bool {
    server.call(&["CLIENT", "LIST"]).await.text().contains(" flags=O ")
}
