//! Asks nodes what they belong to, from one seed on. What follows from their answers is decided in [`crate::discovery`].

use std::collections::{BTreeMap, VecDeque};

use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;

use super::account::Accounts;
use super::credentials::Credentials;
use super::link::{Link, LinkSettings};
use super::race::first_answer;
use super::{Dialer, LinkError, Parameters};
use crate::discovery::answers::ShardAnswer;
use crate::discovery::role::RoleAnswer;
use crate::discovery::topology::{self, Known, Sighting};
use crate::model::{Endpoint, Group, GroupKey, Role, ShardId, SlotSet};

/// How many nodes of a group without a cluster are asked. A primary has a handful of replicas; this stops a chain of mistakes.
const NODES_MAX: usize = 256;

/// How many nodes of a known group are asked for its slots before the question is given up for now.
const SLOTS_ASKED_MAX: usize = 3;

/// How many shards are asked for their name at once, and how many nodes without a cluster for their role.
const ASKED_AT_ONCE: usize = 32;

/// Everything needed to reach a group's nodes.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Where connections come from.
    pub dialer: Dialer,
    /// Who we are there.
    pub credentials: Credentials,
    /// Where each node's cost is entered.
    pub accounts: Accounts,
    /// How patient we are.
    pub settings: LinkSettings,
    /// Where AWS keeps what servers there don't tell of themselves.
    pub parameters: Option<Parameters>,
}

impl Reach {
    /// Opens a link to `endpoint`.
    pub async fn link(&self, endpoint: &Endpoint) -> Result<Link, LinkError> {
        let account = self.accounts.of(endpoint);
        Link::open(&self.dialer, endpoint, &self.credentials, &account, self.settings).await
    }

    async fn known(&self, endpoint: &Endpoint) -> Known {
        Known {
            endpoint: endpoint.clone(),
            addresses: self.dialer.addresses(endpoint).await,
        }
    }
}

/// No seed, and no node known before, could be asked.
#[derive(Debug, thiserror::Error)]
#[error("no node of {group} could be asked for its topology ({} tried): {first}", .others.len() + 1)]
pub struct SurveyError {
    /// The group.
    pub group: GroupKey,
    /// Why the first one couldn't.
    pub first: LinkError,
    /// Why the others couldn't.
    pub others: Vec<LinkError>,
}

impl SurveyError {
    /// The metric label: that of the first seed's failure.
    pub fn kind(&self) -> &'static str {
        self.first.kind()
    }
}

/// Finds the group that `seeds` belong to. Where they can't be asked, the nodes it had in `previous` are.
pub async fn survey(
    reach: &Reach,
    key: &GroupKey,
    seeds: &[Endpoint],
    previous: Option<&Group>,
) -> Result<Group, SurveyError> {
    let asking = |candidate: Endpoint| {
        let reach = reach.clone();
        async move { ask(&reach, &candidate).await }
    };
    let failures = match first_answer(candidates(seeds, previous), asking).await {
        Ok((first, answer)) => {
            let sightings = match answer {
                Answer::Cluster(shards) => in_cluster(reach, &first, &shards, seeds, previous).await,
                Answer::Alone(role) => {
                    let (answers, silent) = relatives(reach, first, role, seeds).await;
                    topology::with_silent(previous, topology::of_roles(&answers), &silent)
                }
            };
            return Ok(topology::topology(key.clone(), previous, sightings));
        }
        Err(failures) => failures,
    };
    let mut failures = failures.into_iter();
    let group = key.clone();
    match failures.next() {
        Some(first) => Err(SurveyError {
            group,
            first,
            others: failures.collect(),
        }),
        // Without a seed there is nothing to find.
        None => Ok(topology::topology(group, previous, Vec::new())),
    }
}

/// Which slots each shard of a known group owns, by the word of one of its nodes; those it doesn't tell are left out.
pub async fn slots(reach: &Reach, group: &Group) -> BTreeMap<ShardId, SlotSet> {
    let candidates: Vec<Endpoint> = group
        .nodes()
        .take(SLOTS_ASKED_MAX)
        .map(|(_, node)| node.endpoint.clone())
        .collect();
    let asking = |candidate: Endpoint| {
        let reach = reach.clone();
        async move { ask(&reach, &candidate).await }
    };
    match first_answer(candidates, asking).await {
        Ok((_, Answer::Cluster(shards))) => owners(reach, group, &shards).await,
        Ok((_, Answer::Alone(_))) => BTreeMap::new(),
        Err(errors) => {
            for error in errors {
                tracing::debug!(%error, "cannot ask for the slots");
            }
            BTreeMap::new()
        }
    }
}

/// A cluster may announce addresses where the group knows names, so names are resolved until one of a shard's members is found.
async fn owners(reach: &Reach, group: &Group, shards: &[ShardAnswer]) -> BTreeMap<ShardId, SlotSet> {
    let mut owned = BTreeMap::new();
    for shard in &group.shards {
        for node in &shard.nodes {
            let known = reach.known(&node.endpoint).await;
            if let Some(answer) = topology::shard_of(shards, &known) {
                owned.insert(shard.id.clone(), answer.slots.clone());
                break;
            }
        }
    }
    owned
}

/// What one node belongs to.
enum Answer {
    Cluster(Vec<ShardAnswer>),
    Alone(RoleAnswer),
}

fn candidates(seeds: &[Endpoint], previous: Option<&Group>) -> Vec<Endpoint> {
    let mut candidates = seeds.to_vec();
    let known = previous.into_iter().flat_map(Group::nodes);
    for (_, node) in known {
        if !candidates.contains(&node.endpoint) {
            candidates.push(node.endpoint.clone());
        }
    }
    candidates
}

async fn ask(reach: &Reach, endpoint: &Endpoint) -> Result<Answer, LinkError> {
    let link = reach.link(endpoint).await?;
    match link.cluster().await? {
        Some(shards) => Ok(Answer::Cluster(shards)),
        None => role_of(&link).await.map(Answer::Alone),
    }
}

/// A node's role, and of a primary all that is attached to it: a replica that still copies everything is one, too.
async fn role_of(link: &Link) -> Result<RoleAnswer, LinkError> {
    let role = link.role().await?;
    match role.role() {
        Role::Replica => Ok(role),
        Role::Primary => {
            let info = link.info(&["replication"]).await?;
            Ok(role.with_replicas_of(RoleAnswer::of_info(&info)))
        }
    }
}

async fn in_cluster(
    reach: &Reach,
    asked: &Endpoint,
    shards: &[ShardAnswer],
    seeds: &[Endpoint],
    previous: Option<&Group>,
) -> Vec<Sighting> {
    let asked = reach.known(asked).await;
    let mut configured = Vec::with_capacity(seeds.len());
    for seed in seeds {
        configured.push(reach.known(seed).await);
    }
    let sightings = topology::of_cluster(shards, &asked, &configured, reach.dialer.encrypts());
    with_names(reach, sightings, previous).await
}

/// Asks the shards that weren't known before for the cluster's own names of them. One that can't be asked gets a number.
async fn with_names(reach: &Reach, mut sightings: Vec<Sighting>, previous: Option<&Group>) -> Vec<Sighting> {
    let unknown = (0..sightings.len()).filter(|place| !topology::is_familiar(previous, &sightings[*place]));
    let questions: Vec<_> = unknown
        .map(|place| {
            let members = sightings[place].members.iter();
            let members: Vec<Endpoint> = members.map(|member| member.endpoint.clone()).collect();
            async move { (place, shard_id(reach, members).await) }
        })
        .collect();
    let answers = stream::iter(questions).buffer_unordered(ASKED_AT_ONCE);
    for (place, id) in answers.collect::<Vec<_>>().await {
        sightings[place].shard_id = id;
    }
    sightings
}

async fn shard_id(reach: &Reach, members: Vec<Endpoint>) -> Option<String> {
    let asking = |member: Endpoint| {
        let reach = reach.clone();
        async move { reach.link(&member).await?.shard_id().await }
    };
    match first_answer(members, asking).await {
        Ok((_, id)) => id,
        Err(errors) => {
            for error in errors {
                tracing::debug!(%error, "cannot ask for the shard's name");
            }
            None
        }
    }
}

/// Everyone who replicates from or to the first node or another seed, and the seeds that don't answer.
async fn relatives(
    reach: &Reach,
    first: Endpoint,
    role: RoleAnswer,
    seeds: &[Endpoint],
) -> (Vec<(Known, RoleAnswer)>, Vec<Endpoint>) {
    let mut asked = vec![reach.known(&first).await];
    let mut waiting: VecDeque<Endpoint> = seeds.iter().cloned().collect();
    waiting.extend(topology::unasked(&role, &asked));
    let mut answers = vec![(0, role)];
    let (mut silent, mut asking) = (Vec::new(), JoinSet::new());
    loop {
        while asking.len() < ASKED_AT_ONCE
            && asked.len() < NODES_MAX
            && let Some(endpoint) = waiting.pop_front()
        {
            if topology::is_known(&endpoint, &asked) {
                continue;
            }
            let (place, reach) = (asked.len(), reach.clone());
            asked.push(reach.known(&endpoint).await);
            asking.spawn(async move {
                let asked = async { role_of(&reach.link(&endpoint).await?).await };
                (place, asked.await)
            });
        }
        let Some(answer) = asking.join_next().await else { break };
        match answer.expect("a question neither panics nor is cancelled") {
            (place, Ok(role)) => {
                waiting.extend(topology::unasked(&role, &asked));
                answers.push((place, role));
            }
            (place, Err(error)) => {
                tracing::debug!(%error, "a node of the group does not answer");
                silent.push(place);
            }
        }
    }
    // Whoever answers first is chance.
    answers.sort_by_key(|(place, _)| *place);
    silent.sort_unstable();
    let silent = silent.into_iter().map(|place| asked[place].endpoint.clone());
    let silent = silent.filter(|endpoint| seeds.contains(endpoint)).collect();
    let answers = answers.into_iter().map(|(place, role)| (asked[place].clone(), role));
    (answers.collect(), silent)
}
