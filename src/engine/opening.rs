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
use crate::node::{Dialer, TapError};

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
    match error {
        NoWindow::Unguarded(Unguarded::Refused(refusal)) => skipped(plan, refusal.kind(), refusal.to_string()),
        // A failover after the round was planned: that a node has another role is no failure of it.
        NoWindow::Tap(TapError::Primary(endpoint)) => skipped(
            plan,
            error.kind(),
            format!(
                "{endpoint} became a primary when its turn came, and primaries are left alone; the next round looks for a replica"
            ),
        ),
        NoWindow::Tap(_) | NoWindow::Unguarded(Unguarded::Link(_)) | NoWindow::Stopping => Event::WindowFailed {
            group: plan.group.clone(),
            shard: plan.shard.clone(),
            node: plan.node.clone(),
            reason: error.kind(),
            text: error.to_string(),
        },
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;
    use crate::metrics::catalog::SKIPPED_FROM_ZERO;
    use crate::metrics::snapshot::Sources;
    use crate::model::Endpoint;
    use crate::node::LinkError;

    fn plan() -> WindowPlan {
        WindowPlan {
            group: GroupKey {
                region: "".into(),
                id: "orders".into(),
            },
            shard: "0001".into(),
            node: "a".into(),
            endpoint: Endpoint::new("10.0.3.7", 6379),
            sources: Sources::default(),
            siblings: Vec::new(),
            primary_allowed: false,
            duration: Duration::from_secs(10),
            commands_max: NonZeroU64::MAX,
            bytes_max: NonZeroU64::MAX,
        }
    }

    #[test]
    fn a_node_that_became_a_primary_has_not_failed() {
        let here = plan().endpoint;
        match refused(&plan(), &NoWindow::Tap(TapError::Primary(here.clone()))) {
            Event::WindowSkipped {
                reason: "primary",
                text,
                ..
            } => assert!(text.starts_with("10.0.3.7:6379 became a primary"), "{text}"),
            other => panic!("{other:?}"),
        }
        let closed = NoWindow::Tap(TapError::Link(LinkError::Closed(here)));
        let failed = refused(&plan(), &closed);
        assert!(
            matches!(failed, Event::WindowFailed { reason: "closed", .. }),
            "{failed:?}"
        );
    }

    /// The labels that `kind` gives, by the source of its type.
    fn kinds(source: &'static str, kind: &str) -> Vec<&'static str> {
        let (_, arms) = source.split_once(kind).expect("it has a label");
        let (arms, _) = arms.split_once("\n    }\n").expect("the function ends");
        arms.split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn every_reason_of_our_own_to_skip_a_window_begins_at_zero() {
        let mut reasons = kinds(include_str!("round.rs"), "fn kind(self)");
        reasons.extend(kinds(include_str!("precheck.rs"), "fn kind(&self)"));
        reasons.extend(["node_gone", "primary"]);
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons, SKIPPED_FROM_ZERO);
    }
}
