//! `[[groups]]`: what to watch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::discovery::elasticache::{Access, Selection};
use crate::engine::settings::DiscoverySettings;
use crate::model::{Endpoint, GroupId, GroupKey, Region, ShardId};
use crate::node::{AuthSettings, TlsSettings};

/// One replication group as the file names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// Its id: the label `replication_group`. Of caches in AWS also a glob, which then stands for all of them.
    pub id: GroupId,
    /// What people call it, if that is something else.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it lives; empty without AWS, and where everybody's region is meant.
    #[serde(default = "nowhere")]
    pub region: Region,
    /// The profile of the shared AWS configuration.
    #[serde(default)]
    pub profile: Option<String>,
    /// A role to assume, for caches of another account.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// Tags a cache must carry, with these values.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Seeds (`host:port`), or every node with its shard (`host:port:shard`).
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Another way in than everybody's.
    #[serde(default)]
    pub auth: Option<AuthSettings>,
    /// Another encryption than everybody's.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
}

/// What a group's endpoints mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Nodes from which the whole cluster is found.
    Seeds(Vec<Endpoint>),
    /// All nodes, each with its shard.
    Given(Vec<(Endpoint, ShardId)>),
    /// Whatever AWS says of the caches that are meant.
    ElastiCache(Selection),
}

impl GroupSettings {
    /// What tells it from every other group.
    pub fn key(&self) -> GroupKey {
        GroupKey {
            region: self.region.clone(),
            id: self.id.clone(),
        }
    }

    /// How AWS is asked about it. What it doesn't say itself, `[discovery]` says for all.
    pub fn access(&self, discovery: &DiscoverySettings) -> Access {
        let own = Some(self.region.as_str()).filter(|region| !region.is_empty());
        Access {
            region: own.map(str::to_owned).or_else(|| discovery.region.clone()),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            endpoint_url: discovery.endpoint_url.clone(),
        }
    }

    fn selection(&self) -> Selection {
        Selection {
            id: self.id.as_str().to_owned(),
            tags: self.tags.clone(),
        }
    }

    /// What its endpoints mean; every reason why they mean nothing, with the position of the one at fault.
    pub fn members(&self) -> Result<Members, Vec<(Option<usize>, String)>> {
        let mut problems = Vec::new();
        let (mut seeds, mut given) = (Vec::new(), Vec::new());
        for (position, text) in self.endpoints.iter().enumerate() {
            match endpoint(text) {
                Ok((endpoint, None)) => seeds.push(endpoint),
                Ok((endpoint, Some(shard))) => given.push((endpoint, ShardId::new(shard))),
                Err(problem) => problems.push((Some(position), problem)),
            }
        }
        if self.endpoints.is_empty() {
            return Ok(Members::ElastiCache(self.selection()));
        }
        if self.selection().is_glob() || !self.tags.is_empty() {
            let text = "selects caches of AWS by a glob or by tags and has endpoints too; leave one of them out";
            problems.push((None, text.into()));
        }
        if let (Some(seed), Some((named, shard))) = (seeds.first(), given.first()) {
            problems.push((
                None,
                format!(
                    "mixes seeds ({seed}) and nodes with their shard ({named}:{shard}); write all of them the same way"
                ),
            ));
        }
        match (problems.is_empty(), given.is_empty()) {
            (false, _) => Err(problems),
            (true, true) => Ok(Members::Seeds(seeds)),
            (true, false) => Ok(Members::Given(given)),
        }
    }
}

fn nowhere() -> Region {
    Region::new("")
}

fn endpoint(text: &str) -> Result<(Endpoint, Option<&str>), String> {
    // A URL may carry a password, so it isn't repeated.
    if text.contains("://") || text.contains('@') {
        return Err("this is a URL; write host:port alone, and the credentials as [auth] says".into());
    }
    Endpoint::parse_named(text).map_err(|error| error.to_string())
}
