//! Another plan for the running engine. What didn't change isn't touched, so that its series have no gap.

use std::collections::BTreeSet;

use super::command::Change;
use super::conductor::Happening;
use super::{Beat, Engine, on_hot, spread, steady};
use crate::metrics::ledger::Event;
use crate::model::GroupKey;

impl Engine {
    /// Goes on by another plan.
    pub(super) async fn change(&mut self, change: Change, beat: &mut Beat) {
        let Change {
            plan,
            ledger,
            unchanged,
        } = change;
        let former = std::mem::replace(&mut self.plan, plan);
        self.poll.send_replace(self.plan.poll.clone());
        let before: BTreeSet<GroupKey> = former.groups.iter().map(|watch| watch.key.clone()).collect();
        for kept in former.groups.into_iter().filter(|watch| unchanged.contains(&watch.key)) {
            // The former one holds connections that are open, and what they cost.
            if let Some(watch) = self.plan.groups.iter_mut().find(|watch| watch.key == kept.key) {
                *watch = kept;
            }
        }
        let now: BTreeSet<GroupKey> = self.plan.groups.iter().map(|watch| watch.key.clone()).collect();
        let actions = self.conductor.configure(ledger, &self.plan.monitor, on_hot(&self.plan));
        self.act(actions);
        if former.poll.interval != self.plan.poll.interval {
            beat.polls = steady(self.plan.poll.interval);
        }
        if former.discovery_interval != self.plan.discovery_interval {
            beat.discoveries = steady(self.plan.discovery_interval);
            beat.discoveries.reset();
        }
        before.difference(&now).for_each(|gone| self.forget(gone));
        self.change_searches(former.monitor.schedule != self.plan.monitor.schedule)
            .await;
        let afresh: Vec<GroupKey> = now.difference(&unchanged).cloned().collect();
        afresh.iter().for_each(|group| self.begin_anew(group));
        if former.monitor.schedule == self.plan.monitor.schedule {
            for gone in before.difference(&now) {
                beat.scheduler.remove(gone).await;
            }
            let added: Vec<GroupKey> = now.difference(&before).cloned().collect();
            self.schedule_rounds(&mut beat.scheduler, &added).await;
        } else {
            for known in &before {
                beat.scheduler.remove(known).await;
            }
            self.schedule_rounds(&mut beat.scheduler, &now.into_iter().collect::<Vec<_>>())
                .await;
        }
    }

    /// Looks in AWS for what is to be looked for now; groups that nothing looks for any more are gone.
    async fn change_searches(&mut self, rescheduled: bool) {
        if !rescheduled && self.searches.are(&self.plan.searches) {
            return;
        }
        for gone in self.searches.change(self.plan.searches.clone()).await {
            self.forget(&gone);
        }
        self.schedule_searches().await;
        self.searches.look_all();
    }

    /// Rounds of the groups that AWS knows.
    pub(super) async fn schedule_searches(&mut self) {
        let schedule = self.plan.monitor.schedule.clone();
        let jitter = |place, all| spread(&schedule, place, all);
        self.searches.schedule(&schedule, jitter).await;
    }

    /// The group is watched no more. Windows that are open on it end by themselves and find nobody who wants to know.
    pub(super) fn forget(&mut self, group: &GroupKey) {
        self.leave(group);
        self.plan.reading.live.forget(group);
        self.hints.forget(group);
        if self.topologies.remove(group).is_some() {
            tracing::info!(%group, "the group is watched no more");
        }
        self.take(Happening::Told(Event::GroupRemoved(group.clone())));
    }

    /// The group is new, or is reached in another way: what is known of it stands until its nodes answer.
    fn begin_anew(&mut self, group: &GroupKey) {
        self.leave(group);
        self.discover(|watch| &watch.key == group);
    }

    fn leave(&mut self, group: &GroupKey) {
        self.pollers.retain(|(key, _), _| key != group);
        if let Some(discovery) = self.discoveries.remove(group) {
            discovery.abort();
        }
    }

    /// At which moment of the interval each of these groups begins its rounds.
    pub(super) async fn schedule_rounds(
        &self,
        scheduler: &mut crate::schedule::Scheduler<GroupKey>,
        groups: &[GroupKey],
    ) {
        let schedule = &self.plan.monitor.schedule;
        for (place, watch) in self.plan.groups.iter().enumerate() {
            if !groups.contains(&watch.key) {
                continue;
            }
            let jitter = spread(schedule, place, self.plan.groups.len());
            if let Err(error) = scheduler.add(schedule, jitter, watch.key.clone()).await {
                tracing::warn!(group = %watch.key, "cannot schedule windows: {error}");
            }
        }
    }
}
