//! Groups that AWS knows of: one list for all that are looked for in the same region and account.
//!
//! One selection may mean several groups, which come and go. What is known of them stands while AWS fails.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::task::JoinSet;

use super::clock::Clock;
use crate::discovery::elasticache::{self, AwsError, Found, Kind, Listing, Selection, SharedAccount};
use crate::model::{Group, GroupKey, Node};
use crate::node::survey::{self, Reach};
use crate::node::{
    Accounts, AuthSettings, AwsIdentity, Credentials, Dialer, LinkSettings, Network, Pace, TlsError, TlsSettings,
};

/// How many groups are asked for their slots at once.
const ASKED_AT_ONCE: usize = 16;

/// What is looked for in one region of one account.
#[derive(Clone, Debug)]
pub struct Search {
    /// Who asks AWS, and where.
    pub account: SharedAccount,
    /// What is looked for; where two mean the same cache, the first has it.
    pub wanted: Vec<Wanted>,
    /// How patient we are with nodes.
    pub patience: Duration,
    /// How many connections may be opened.
    pub pace: Pace,
}

/// What one entry of the configuration looks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// How it is called until it is found.
    pub key: GroupKey,
    /// Which caches are meant.
    pub selection: Selection,
    /// Who we are to their nodes.
    pub auth: AuthSettings,
    /// How connections to them are encrypted.
    pub tls: TlsSettings,
}

/// A group that was found, and how it is reached.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// What is known of it.
    pub found: Found,
    /// How it is reached.
    pub reach: Reach,
}

/// Groups that were found, each under its own name.
pub type Sightings = BTreeMap<GroupKey, Sighting>;

/// What a look brought.
#[derive(Debug, Default)]
pub struct Looked {
    /// The groups there are.
    pub sightings: Sightings,
    /// What wasn't found, and why.
    pub missing: Vec<Missing>,
}

/// A group that can't be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which one.
    pub key: GroupKey,
    /// The metric label.
    pub reason: &'static str,
    /// What to tell the operator.
    pub text: String,
}

/// Looks which groups there are now. `previous` helps where AWS gives half an answer, and keeps connections as they are.
pub async fn look(search: &Search, previous: &Sightings) -> Result<Looked, AwsError> {
    let account = search.account.get().await?;
    let listing = account.list().await?;
    let mut looked = Looked::default();
    for wanted in &search.wanted {
        let found = elasticache::find(account, &listing, &wanted.selection).await?;
        if found.is_empty() {
            looked.missing.push(absence(wanted, &listing));
        }
        for found in found {
            take(search, wanted, found, previous, &mut looked);
        }
    }
    ask_for_slots(&mut looked.sightings).await;
    Ok(looked)
}

fn absence(wanted: &Wanted, listing: &Listing) -> Missing {
    let Wanted { key, selection, .. } = wanted;
    let (reason, text) = if listing.is_memcached(&key.id) {
        let text = "this is a Memcached cluster, which has neither INFO nor MONITOR; take it out of the configuration";
        ("memcached", text)
    } else if selection.is_glob() || !selection.tags.is_empty() {
        (
            "not_found",
            "no cache of this region and account is called so and carries these tags",
        )
    } else {
        let text = "no cache of this region and account is called so; check id, region, profile and role_arn";
        ("not_found", text)
    };
    Missing {
        key: key.clone(),
        reason,
        text: text.into(),
    }
}

fn take(search: &Search, wanted: &Wanted, mut found: Found, previous: &Sightings, looked: &mut Looked) {
    let key = found.group.key.clone();
    if looked.sightings.contains_key(&key) {
        return;
    }
    let before = previous.get(&key);
    if let Some(before) = before {
        keep_unlisted(&mut found, &before.found.group);
    }
    let same = before.filter(|before| before.found.tls == found.tls && before.found.kind == found.kind);
    let reach = match same {
        Some(before) => Ok(before.reach.clone()),
        None => reach(search, wanted, &found),
    };
    match reach {
        Ok(reach) => {
            looked.sightings.insert(key, Sighting { found, reach });
        }
        Err(error) => looked.missing.push(Missing {
            key,
            reason: "tls",
            text: error.to_string(),
        }),
    }
}

/// How the nodes of a cache are reached: in TLS when AWS says so, unless the settings say otherwise.
fn reach(search: &Search, wanted: &Wanted, found: &Found) -> Result<Reach, TlsError> {
    let (patience, pace) = (search.patience, search.pace.clone());
    let network = if wanted.tls.enabled.unwrap_or(found.tls) {
        Network::encrypted(&wanted.tls, patience, pace)?
    } else {
        Network::plain(patience, pace)
    };
    let identity = AwsIdentity {
        account: search.account.clone(),
        cache: found.group.key.id.clone(),
        serverless: found.kind == Kind::Serverless,
        now: || Clock::System.now(),
    };
    Ok(Reach {
        dialer: Dialer::Network(network),
        credentials: Credentials::new(&wanted.auth).with_aws(&wanted.auth, &identity),
        accounts: Accounts::default(),
        settings: LinkSettings {
            answer_timeout: patience,
        },
    })
}

/// A member that AWS lists without an endpoint for a while is where it was.
fn keep_unlisted(found: &mut Found, before: &Group) {
    for shard in &mut found.group.shards {
        let known = before.shards.iter().find(|known| known.id == shard.id);
        let unlisted = |node: &&Node| found.without_endpoint.contains(&node.id);
        let kept = known.into_iter().flat_map(|known| known.nodes.iter().filter(unlisted));
        shard.nodes.extend(kept.cloned());
        shard.nodes.sort_by(|one, other| one.id.cmp(&other.id));
        shard.nodes.dedup_by(|one, other| one.id == other.id);
    }
}

/// AWS doesn't always say which slots a shard owns; the cluster itself does.
async fn ask_for_slots(sightings: &mut Sightings) {
    let lacks = |sighting: &Sighting| {
        let shards = &sighting.found.group.shards;
        sighting.found.kind == Kind::ClusterMode && shards.iter().any(|shard| shard.slots.is_none())
    };
    let mut waiting: VecDeque<(Reach, Group)> = sightings
        .values()
        .filter(|sighting| lacks(sighting))
        .map(|sighting| (sighting.reach.clone(), sighting.found.group.clone()))
        .collect();
    let mut asked = JoinSet::new();
    loop {
        while asked.len() < ASKED_AT_ONCE
            && let Some((reach, group)) = waiting.pop_front()
        {
            asked.spawn(async move { (group.key.clone(), survey::slots(&reach, &group).await) });
        }
        let Some(answer) = asked.join_next().await else { return };
        let (key, slots) = answer.expect("a question neither panics nor is cancelled");
        let Some(sighting) = sightings.get_mut(&key) else {
            continue;
        };
        for shard in &mut sighting.found.group.shards {
            shard.slots = shard.slots.take().or_else(|| slots.get(&shard.id).cloned());
        }
    }
}
