//! Where the groups' nodes are: when the engine asks for it, and what it makes of what it hears.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::conductor::Happening;
use super::discover::{self, Watch};
use super::search::{Looked, Missing};
use super::searches::News;
use super::{Engine, Event};
use crate::discovery::elasticache::{AwsError, Kind};
use crate::model::GroupKey;
use crate::node::survey::Reach;

/// A group isn't looked at again sooner, however many of its nodes change their role.
const REDISCOVERY_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// How the nodes of a group are reached, and whether it is a serverless cache; `None` if it isn't watched.
    pub(super) fn reach(&self, group: &GroupKey) -> Option<(Reach, bool)> {
        let configured = self.plan.groups.iter().find(|watch| &watch.key == group);
        let configured = configured.map(|watch| (watch.reach.clone(), false));
        configured.or_else(|| {
            let sighting = self.searches.sighting(group)?;
            Some((sighting.reach.clone(), sighting.found.kind == Kind::Serverless))
        })
    }

    pub(super) fn discover(&mut self, is_due: impl Fn(&Watch) -> bool) {
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
    pub(super) fn look_again(&mut self) {
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

    pub(super) fn heard(&mut self, news: News) {
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
    pub(super) fn sighted(&mut self, place: usize, mut looked: Looked) {
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
    pub(super) fn not_told(&mut self, place: usize, error: &AwsError) {
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
}
