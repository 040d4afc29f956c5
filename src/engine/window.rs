//! One window: a stream is opened, drained into a tally until something ends it, and closed.
//!
//! The reader shares nothing and waits for nobody but its socket. A window ends by the wall clock, also when no line comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::analysis::completeness::completeness;
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Normaliser, PatternSettings};
use crate::analysis::tally::{Tally, TallySettings};
use crate::analysis::window::{ClosedWindow, Coverage, WindowEnd};
use crate::model::Timestamp;
use crate::node::{Chunk, Tap, TapError, TapSettings};

use super::clock::Clock;
use super::poller::Watched;
use super::round::WindowPlan;

/// How long the closing counters may take; a window is not held open for them.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// What every window needs besides its plan.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which arguments are keys.
    pub commands: Arc<Commands>,
    /// How keys become patterns.
    pub patterns: PatternSettings,
    /// How much is kept.
    pub tally: TallySettings,
    /// Seeds the tables: keys are an attacker's choice.
    pub seed: u64,
    /// The wall clock.
    pub clock: Clock,
}

/// Ends open windows from outside; `None` while they may stay open.
pub type Stop = watch::Receiver<Option<WindowEnd>>;

/// A window whose stream runs.
pub struct OpenWindow {
    plan: WindowPlan,
    tap: Tap,
    tally: Tally,
    commands: Arc<Commands>,
    clock: Clock,
    opened: Timestamp,
    deadline: Instant,
}

/// Starts the stream; the node's own ROLE has allowed it.
pub async fn open(plan: WindowPlan, watched: &Watched, reading: &Reading) -> Result<OpenWindow, TapError> {
    let settings = TapSettings {
        primary_allowed: plan.primary_allowed,
        ..TapSettings::default()
    };
    let (reach, endpoint) = (&watched.reach, &watched.endpoint);
    let account = reach.accounts.of(endpoint);
    let tap = Tap::open(&reach.dialer, endpoint, &reach.credentials, &account, settings).await?;
    let normaliser = Normaliser::new(&reading.patterns, reading.seed);
    Ok(OpenWindow {
        tally: Tally::new(&reading.tally, reading.commands.clone(), normaliser, reading.seed),
        commands: reading.commands.clone(),
        clock: reading.clock,
        opened: reading.clock.now(),
        deadline: Instant::now() + plan.duration,
        plan,
        tap,
    })
}

impl OpenWindow {
    /// When the stream began.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Drains the stream until something ends the window.
    pub async fn read_to_end(mut self, mut stop: Stop) -> ClosedWindow {
        let end = drain(&self.plan, &mut self.tap, &mut self.tally, self.deadline, &mut stop).await;
        let closing = match end {
            WindowEnd::Duration | WindowEnd::Commands | WindowEnd::Bytes => {
                closing_counters(&mut self.tap, &mut self.tally).await
            }
            _ => None,
        };
        let (opening, role) = (self.tap.opening_counters().to_owned(), self.tap.role());
        drop(self.tap);
        let stats = self.tally.finish();
        let completeness = closing.and_then(|closing| completeness(&opening, &closing, &self.commands, stats.lines));
        ClosedWindow {
            group: self.plan.group,
            shard: self.plan.shard,
            node: self.plan.node,
            role,
            opened: self.opened,
            // The wall clock may have been set back meanwhile; a window never ends before it began.
            closed: self.clock.now().max(self.opened),
            end,
            stats,
            completeness,
            coverage: Coverage::default(),
            server_buffer_peak: None,
        }
    }
}

/// Reads until something ends the window, and says what.
async fn drain(plan: &WindowPlan, tap: &mut Tap, tally: &mut Tally, deadline: Instant, stop: &mut Stop) -> WindowEnd {
    loop {
        let chunk = tokio::select! {
            biased;
            end = stopped(stop) => return end,
            () = sleep_until(deadline) => return WindowEnd::Duration,
            chunk = tap.read() => chunk,
        };
        match chunk {
            Ok(Chunk::Lines(bytes)) => tally.feed(bytes),
            Ok(Chunk::Counters(_)) => {}
            Ok(Chunk::Closed | Chunk::Cut) => return WindowEnd::ServerClosed,
            Err(_) => return WindowEnd::ConnectionFailed,
        }
        if tally.commands() >= plan.commands_max.get() {
            return WindowEnd::Commands;
        }
        if tally.bytes().0 >= plan.bytes_max.get() {
            return WindowEnd::Bytes;
        }
    }
}

/// The server's counters at the end of what the tally saw; `None` if they don't come in time.
async fn closing_counters(tap: &mut Tap, tally: &mut Tally) -> Option<String> {
    let asked = async {
        tap.ask_counters().await.ok()?;
        loop {
            match tap.read().await.ok()? {
                Chunk::Lines(bytes) => tally.feed(bytes),
                Chunk::Counters(text) => return Some(text),
                Chunk::Closed | Chunk::Cut => return None,
            }
        }
    };
    timeout(CLOSING_PATIENCE, asked).await.ok().flatten()
}

async fn stopped(stop: &mut Stop) -> WindowEnd {
    match stop.wait_for(Option::is_some).await.map(|end| *end) {
        Ok(Some(end)) => end,
        // Whoever could stop the window is gone, and so is everything else.
        _ => WindowEnd::Shutdown,
    }
}
