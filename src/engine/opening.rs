//! The engine's windows: opened, told of, and rounds that somebody ordered.

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::{info, warn};

use super::admission::Unguarded;
use super::conductor::{Action, Happening};
use super::round::WindowPlan;
use super::window::{self, NoWindow};
use super::{Engine, Event, tell};
use crate::export::http::Answer;
use crate::model::GroupKey;
use crate::node::Dialer;

impl Engine {
    /// Begins a round that somebody ordered, and says what came of it: a shard without a window is nothing to keep from whoever waits for one.
    pub(super) fn order(&mut self, group: GroupKey) -> Answer {
        if self.reach(&group).is_none() {
            return Answer::Refused(format!("no group {group} is watched"));
        }
        let actions = self.conductor.take(Happening::RoundWanted(group), self.clock.now());
        let ordered = actions.iter().find_map(|action| match action {
            Action::Answer(group, ordered) => Some((group.clone(), ordered.clone())),
            _ => None,
        });
        self.act(actions);
        match ordered {
            Some((group, ordered)) if !ordered.begun => {
                Answer::Refused(format!("no window is opened on {group}: {ordered}"))
            }
            Some((group, ordered)) if !ordered.left_out.is_empty() => {
                info!(%group, "not every shard gets a window: {ordered}");
                Answer::Done
            }
            _ => Answer::Done,
        }
    }

    pub(super) fn open(&mut self, plan: WindowPlan) {
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
