//! The searches that run: when AWS is asked again, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use super::search::{Looked, Missing, Search, Sighting, Sightings, look};
use crate::discovery::elasticache::AwsError;
use crate::model::{Group, GroupKey, ShardId, SlotSet};
use crate::node::survey;
use crate::schedule::{Schedule, Scheduler};

/// AWS isn't asked again sooner, however many nodes change their role: it throttles.
const PAUSE: Duration = Duration::from_secs(10);

/// How many tellings may wait.
const NEWS_WAITING: usize = 64;

/// What is heard of searches. The number is the search's place.
#[derive(Debug)]
pub(super) enum News {
    /// A look is over.
    Looked(usize, Result<Looked, AwsError>),
    /// A group's nodes were asked which slots its shards own.
    Owned(GroupKey, BTreeMap<ShardId, SlotSet>),
    /// The schedule says that rounds are due for all its groups.
    RoundsDue(usize),
}

/// All searches.
pub(super) struct Searches {
    all: Vec<Searching>,
    news: mpsc::Sender<News>,
    told: mpsc::Receiver<News>,
    due: mpsc::Receiver<usize>,
    rounds: Scheduler<usize>,
    looks: JoinSet<()>,
    /// Groups whose nodes are being asked for their slots.
    asked: BTreeSet<GroupKey>,
}

struct Searching {
    search: Search,
    sightings: Sightings,
    missing: Vec<Missing>,
    running: bool,
    /// Whether a first look is over; a search that a reload brings keeps nobody waiting.
    tried: bool,
    wanted: bool,
    begun: Option<Instant>,
}

impl Searching {
    fn new(search: Search) -> Self {
        Self {
            search,
            sightings: Sightings::new(),
            missing: Vec::new(),
            running: false,
            tried: false,
            wanted: false,
            begun: None,
        }
    }

    fn is(&self, search: &Search) -> bool {
        let known = &self.search;
        known.account.access() == search.account.access()
            && known.wanted == search.wanted
            && known.patience == search.patience
    }
}

impl Searches {
    /// None of them has been begun.
    pub(super) fn new(searches: Vec<Search>) -> Self {
        let (news, told) = mpsc::channel(NEWS_WAITING);
        let (ticks, due) = mpsc::channel(NEWS_WAITING);
        Self {
            all: searches.into_iter().map(Searching::new).collect(),
            news,
            told,
            due,
            rounds: Scheduler::new(ticks),
            looks: JoinSet::new(),
            asked: BTreeSet::new(),
        }
    }

    /// Whether these are the searches that run.
    pub(super) fn are(&self, searches: &[Search]) -> bool {
        self.all.len() == searches.len() && self.all.iter().zip(searches).all(|(known, search)| known.is(search))
    }

    /// Goes on with these; what the same search found stands. Returns the groups that nobody looks for any more.
    pub(super) async fn change(&mut self, searches: Vec<Search>) -> Vec<GroupKey> {
        self.stop().await;
        let mut former = std::mem::replace(self, Self::new(Vec::new())).all;
        for search in searches {
            let known = former.iter().position(|known| known.is(&search));
            let mut searching = match known {
                Some(place) => former.swap_remove(place),
                None => Searching::new(search),
            };
            (searching.running, searching.tried) = (false, true);
            self.all.push(searching);
        }
        let gone = former.into_iter().flat_map(|lost| {
            let names = lost.search.wanted.into_iter().map(|wanted| wanted.key);
            lost.sightings.into_keys().chain(names)
        });
        gone.filter(|group| self.sighting(group).is_none()).collect()
    }

    /// Lets rounds come due. Groups come and go, so it is the search that has a schedule.
    pub(super) async fn schedule(&mut self, schedule: &Schedule, jitter: impl Fn(usize, usize) -> Duration) {
        for place in 0..self.all.len() {
            if let Err(error) = self.rounds.add(schedule, jitter(place, self.all.len()), place).await {
                warn!("cannot schedule windows of groups that AWS knows: {error}");
            }
        }
    }

    /// Waits for the next news.
    pub(super) async fn next(&mut self) -> News {
        tokio::select! {
            Some(news) = self.told.recv() => news,
            Some(place) = self.due.recv() => News::RoundsDue(place),
            else => std::future::pending().await,
        }
    }

    /// Asks for all groups again; a look that still runs is as good.
    pub(super) fn look_all(&mut self) {
        (0..self.all.len()).for_each(|place| self.begin(place));
    }

    /// Wants the search that found `group` to look again soon; `false` if none did.
    pub(super) fn want(&mut self, group: &GroupKey) -> bool {
        let mut finder = self.all.iter_mut().filter(|one| one.sightings.contains_key(group));
        finder.next().map(|searching| searching.wanted = true).is_some()
    }

    /// Begins looks that are wanted and not too soon.
    pub(super) fn tick(&mut self) {
        while self.looks.try_join_next().is_some() {}
        let rested = |begun: Option<Instant>| begun.is_none_or(|begun| begun.elapsed() >= PAUSE);
        for place in 0..self.all.len() {
            if self.all[place].wanted && rested(self.all[place].begun) {
                self.begin(place);
            }
        }
    }

    /// The group, by whichever search found it first.
    pub(super) fn sighting(&self, group: &GroupKey) -> Option<&Sighting> {
        self.all.iter().find_map(|searching| searching.sightings.get(group))
    }

    /// The groups that one search found.
    pub(super) fn groups(&self, place: usize) -> Vec<GroupKey> {
        self.all[place].sightings.keys().cloned().collect()
    }

    /// How what one search looks for is called until it is found.
    pub(super) fn names(&self, place: usize) -> Vec<GroupKey> {
        let Search { wanted, instance, .. } = &self.all[place].search;
        let owned = wanted.iter().filter(|wanted| instance.owns(&wanted.key));
        owned.map(|wanted| wanted.key.clone()).collect()
    }

    /// Takes what a look brought, less what another search found first; returns the groups that are gone.
    pub(super) fn take(&mut self, place: usize, mut sightings: Sightings) -> Vec<GroupKey> {
        for (other, searching) in self.all.iter().enumerate() {
            if other != place {
                sightings.retain(|key, _| !searching.sightings.contains_key(key));
            }
        }
        for (key, sighting) in &mut sightings {
            if let Some(known) = self.all[place].sightings.get(key) {
                sighting.found.group.keep_slots(&known.found.group);
            }
        }
        let before = std::mem::replace(&mut self.all[place].sightings, sightings);
        for group in self.groups(place) {
            // Nobody waits for the slots: the nodes are known, and the first one asked may hang.
            self.ask_for_slots(&group);
        }
        let now = &self.all[place].sightings;
        before.into_keys().filter(|key| !now.contains_key(key)).collect()
    }

    /// Asks the nodes of a group who owns which slots, unless they are being asked; `false` if no search found it.
    pub(super) fn ask_for_slots(&mut self, group: &GroupKey) -> bool {
        let Some(sighting) = self.sighting(group) else {
            return false;
        };
        if sighting.has_slots() && !self.asked.contains(group) {
            self.looks.spawn(ask(sighting.clone(), self.news.clone()));
            self.asked.insert(group.clone());
        }
        true
    }

    /// Takes the slots that a group's nodes told; the group as it is then, if it is still there.
    pub(super) fn own(&mut self, group: &GroupKey, owned: BTreeMap<ShardId, SlotSet>) -> Option<Group> {
        self.asked.remove(group);
        let mut finders = self.all.iter_mut();
        let sighting = finders.find_map(|searching| searching.sightings.get_mut(group))?;
        if owned.is_empty() {
            return None;
        }
        sighting.found.group.set_slots(owned);
        Some(sighting.found.group.clone())
    }

    /// Remembers what can't be watched, and tells of each whether that is news.
    pub(super) fn lacks(&mut self, place: usize, missing: Vec<Missing>) -> Vec<(Missing, bool)> {
        let before = std::mem::replace(&mut self.all[place].missing, missing.clone());
        let judged = missing.into_iter().map(|one| {
            let is_new = !before.contains(&one);
            (one, is_new)
        });
        judged.collect()
    }

    /// A look is over.
    pub(super) fn ended(&mut self, place: usize) {
        let searching = &mut self.all[place];
        (searching.running, searching.tried) = (false, true);
    }

    /// How many of them haven't looked once since the start.
    pub(super) fn untried(&self) -> usize {
        self.all.iter().filter(|searching| !searching.tried).count()
    }

    /// Ends all looks and schedules.
    pub(super) async fn stop(&mut self) {
        self.looks.shutdown().await;
        if let Err(error) = self.rounds.stop().await {
            warn!("cannot stop the scheduler: {error}");
        }
    }

    fn begin(&mut self, place: usize) {
        let searching = &mut self.all[place];
        if searching.running {
            return;
        }
        (searching.running, searching.wanted) = (true, false);
        searching.begun = Some(Instant::now());
        let (search, previous) = (searching.search.clone(), searching.sightings.clone());
        let news = self.news.clone();
        self.looks.spawn(async move {
            let looked = look(&search, &previous).await;
            // The engine outlives its looks.
            let _ = news.send(News::Looked(place, looked)).await;
        });
    }
}

async fn ask(sighting: Sighting, news: mpsc::Sender<News>) {
    let group = &sighting.found.group;
    let owned = survey::slots(&sighting.reach, group).await;
    // The engine outlives its questions.
    let _ = news.send(News::Owned(group.key.clone(), owned)).await;
}
