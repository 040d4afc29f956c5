//! Groups that AWS knows of: one list for all that are looked for in the same region and account.
//!
//! One selection may mean several groups, which come and go. What is known of them stands while AWS fails.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Clock;
use crate::discovery::elasticache::{self, AwsError, Found, Kind, Listing, Selection, SharedAccount};
use crate::discovery::instance::Instance;
use crate::model::{Group, GroupKey, Node};
use crate::node::survey::Reach;
use crate::node::{
    Accounts, AuthSettings, AwsIdentity, Credentials, Dialer, LinkSettings, Network, Pace, Parameters, TlsError,
    TlsSettings,
};

/// AWS refuses such users without encryption in transit, so nobody can have meant it.
const BARE_TOKEN: &str = "auth.iam_user needs TLS, and AWS says that this cache has no encryption in transit; turn that on, or \
                          give another way in as groups.auth";

/// What is looked for in one region of one account.
#[derive(Clone, Debug)]
pub struct Search {
    /// Who asks AWS, and where.
    pub account: SharedAccount,
    /// What is looked for; where two mean the same cache, the first has it.
    pub wanted: Vec<Wanted>,
    /// Which of several hotshards this is: what it finds is divided among them.
    pub instance: Instance,
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

impl Sighting {
    /// Whether its nodes can tell which slots they own: AWS doesn't always know, and not at once.
    pub fn has_slots(&self) -> bool {
        self.found.kind == Kind::ClusterMode
    }
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
        if found.is_empty() && search.instance.owns(&wanted.key) {
            looked.missing.push(absence(wanted, &listing));
        }
        // Each group of a glob has an owner of its own.
        let owned = found.into_iter().filter(|found| search.instance.owns(&found.group.key));
        for found in owned {
            take(search, wanted, found, previous, &mut looked);
        }
    }
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
    let same = before.filter(|before| {
        let before = &before.found;
        (before.tls, before.kind, &before.parameter_group) == (found.tls, found.kind, &found.parameter_group)
    });
    let encrypted = wanted.tls.enabled.unwrap_or(found.tls);
    let reach = match same {
        Some(before) => Ok(before.reach.clone()),
        None if wanted.auth.iam_user.is_some() && !encrypted => Err(BARE_TOKEN.to_owned()),
        None => reach(search, wanted, &found, encrypted).map_err(|error| error.to_string()),
    };
    match reach {
        Ok(reach) => {
            looked.sightings.insert(key, Sighting { found, reach });
        }
        Err(text) => looked.missing.push(Missing {
            key,
            reason: "tls",
            text,
        }),
    }
}

/// How the nodes of a cache are reached: in TLS when AWS says so, unless the settings say otherwise.
fn reach(search: &Search, wanted: &Wanted, found: &Found, encrypted: bool) -> Result<Reach, TlsError> {
    let (patience, pace) = (search.patience, search.pace.clone());
    let network = if encrypted {
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
        parameters: found
            .parameter_group
            .clone()
            .map(|group| Parameters::new(search.account.clone(), group)),
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
