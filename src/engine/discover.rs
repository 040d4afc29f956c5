//! Where a group's nodes are, asked again and again: the shell around the pure parts of [`crate::discovery`].

use tokio::sync::mpsc;
use tracing::warn;

use crate::discovery::fixed;
use crate::metrics::ledger::Event;
use crate::model::{Endpoint, Group, GroupKey, ShardId};
use crate::node::survey::{self, Reach, SurveyError, survey};

use super::clock::Clock;
use super::tell;

/// A group to watch: where its nodes are found, and how they are reached.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Which one.
    pub key: GroupKey,
    /// Where its nodes are found.
    pub source: Source,
    /// How they are reached.
    pub reach: Reach,
}

impl Watch {
    /// Whether its nodes tell which nodes there are.
    pub(super) fn is_found_by_asking(&self) -> bool {
        matches!(self.source, Source::Seeds(_))
    }
}

/// Where a group's nodes are found.
#[derive(Clone, Debug)]
pub enum Source {
    /// They are all written down; the clusters' slots are still their own to tell.
    Given(Vec<(Endpoint, ShardId)>),
    /// From any of these, by asking it.
    Seeds(Vec<Endpoint>),
    /// They have just been found, for whoever looks once.
    Known(Group),
}

/// Looks where the group's nodes are now, and tells; what was known before helps to keep names.
pub async fn discover(watch: &Watch, previous: Option<Group>, clock: Clock, events: &mpsc::Sender<Event>) {
    let mut group = match &watch.source {
        Source::Given(nodes) => fixed::group(watch.key.clone(), nodes),
        Source::Known(group) => group.clone(),
        Source::Seeds(seeds) => {
            let found = survey(&watch.reach, &watch.key, seeds, previous.as_ref()).await;
            return tell(events, of(watch, found, clock)).await;
        }
    };
    if let Some(previous) = &previous {
        group.keep_slots(previous);
    }
    // Nobody waits for the slots: the nodes are known, and the first one asked may hang.
    tell(events, of(watch, Ok(group.clone()), clock)).await;
    let owned = survey::slots(&watch.reach, &group).await;
    if !owned.is_empty() {
        group.set_slots(owned);
        tell(events, of(watch, Ok(group), clock)).await;
    }
}

fn of(watch: &Watch, found: Result<Group, SurveyError>, clock: Clock) -> Event {
    match found {
        Ok(group) => Event::Discovered { group, at: clock.now() },
        Err(error) => {
            warn!(group = %watch.key, "{error}");
            Event::DiscoveryFailed {
                group: watch.key.clone(),
                reason: error.kind(),
                at: clock.now(),
            }
        }
    }
}
