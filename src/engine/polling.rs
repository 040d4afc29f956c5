//! The engine's pollers: one for each node that is watched.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::poller::{self, Watched};
use super::{Engine, Event};
use crate::model::Group;

/// A poller at work, and how it is told to look.
pub(super) struct Poller {
    pub(super) watched: Watched,
    due: mpsc::Sender<()>,
}

impl Engine {
    /// Pollers for the nodes of the group that have none yet; those of nodes that are gone end.
    pub(super) fn watch(&mut self, group: &Group) {
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
            let mut poller = poller.unwrap_or_else(|| {
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
            // Its connections and their account go on; its cache may have another parameter group by now.
            poller.watched.reach.parameters.clone_from(&reach.parameters);
            kept.insert(name, poller);
        }
        self.pollers.retain(|(key, _), _| key != &group.key);
        self.pollers.append(&mut kept);
    }

    pub(super) fn poll_all(&self) {
        for poller in self.pollers.values() {
            // A poller leaves out what falls due too soon; its queue is full only if it has something to leave out.
            let _ = poller.due.try_send(());
        }
    }
}

fn start(watched: Watched, poller: poller::Poller, events: &mpsc::Sender<Event>, tasks: &mut JoinSet<()>) -> Poller {
    let (due, asked) = mpsc::channel(1);
    // The first look is now; the next ones come with everybody's.
    let _ = due.try_send(());
    tasks.spawn(poller.run(asked, events.clone()));
    Poller { watched, due }
}
