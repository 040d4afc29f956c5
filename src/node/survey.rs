//! Asks nodes what they belong to, from one seed on. What follows from their answers is decided in [`crate::discovery`].

use std::collections::{BTreeMap, VecDeque};

use tokio::task::JoinSet;

use super::account::Accounts;
use super::credentials::Credentials;
use super::link::{Link, LinkSettings};
use super::{Dialer, LinkError, Parameters};
use crate::discovery::answers::ShardAnswer;
use crate::discovery::role::RoleAnswer;
use crate::discovery::topology::{self, Known, Sighting};
use crate::model::{Endpoint, Group, GroupKey, ShardId, SlotSet};

/// How many nodes of a group without a cluster are asked. A primary has a handful of replicas; this stops a chain of mistakes.
const NODES_MAX: usize = 256;

/// How many nodes of a known group are asked for its slots before the question is given up for now.
const SLOTS_ASKED_MAX: usize = 3;

/// How many nodes are asked for their shard's name at once.
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
    let mut failures = Vec::new();
    for candidate in candidates(seeds, previous) {
        let sightings = match ask(reach, &candidate).await {
            Ok(Answer::Cluster(shards)) => in_cluster(reach, &candidate, &shards, seeds, previous).await,
            Ok(Answer::Alone(role)) => {
                let (answers, silent) = relatives(reach, candidate, role, seeds).await;
                topology::with_silent(previous, topology::of_roles(&answers), &silent)
            }
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        return Ok(topology::topology(key.clone(), previous, sightings));
    }
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
    for (_, node) in group.nodes().take(SLOTS_ASKED_MAX) {
        match ask(reach, &node.endpoint).await {
            Ok(Answer::Cluster(shards)) => return owners(reach, group, &shards).await,
            Ok(Answer::Alone(_)) => break,
            Err(error) => tracing::debug!(%error, "cannot ask for the slots; the next node is asked"),
        }
    }
    BTreeMap::new()
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
        None => link.role().await.map(Answer::Alone),
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
    let mut waiting: VecDeque<usize> = (0..sightings.len())
        .filter(|place| !topology::is_familiar(previous, &sightings[*place]))
        .collect();
    let mut asked = JoinSet::new();
    loop {
        while asked.len() < ASKED_AT_ONCE
            && let Some(place) = waiting.pop_front()
        {
            let reach = reach.clone();
            let members: Vec<Endpoint> = sightings[place]
                .members
                .iter()
                .map(|member| member.endpoint.clone())
                .collect();
            asked.spawn(async move { (place, shard_id(&reach, &members).await) });
        }
        let Some(answer) = asked.join_next().await else {
            return sightings;
        };
        let (place, id) = answer.expect("a question neither panics nor is cancelled");
        sightings[place].shard_id = id;
    }
}

async fn shard_id(reach: &Reach, members: &[Endpoint]) -> Option<String> {
    for member in members {
        let answer = async { reach.link(member).await?.shard_id().await };
        match answer.await {
            Ok(id) => return id,
            Err(error) => tracing::debug!(%error, "cannot ask for the shard's name; the next member is asked"),
        }
    }
    None
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
    let mut answers = vec![(asked[0].clone(), role)];
    let mut silent = Vec::new();
    while let Some(endpoint) = waiting.pop_front()
        && asked.len() < NODES_MAX
    {
        if topology::is_known(&endpoint, &asked) {
            continue;
        }
        let known = reach.known(&endpoint).await;
        asked.push(known.clone());
        let answer = async { reach.link(&endpoint).await?.role().await };
        match answer.await {
            Ok(role) => {
                waiting.extend(topology::unasked(&role, &asked));
                answers.push((known, role));
            }
            Err(error) => {
                tracing::debug!(%error, "a node of the group does not answer");
                silent.push(endpoint);
            }
        }
    }
    silent.retain(|endpoint| seeds.contains(endpoint));
    (answers, silent)
}
