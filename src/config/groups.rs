//! `[[groups]]`: what to watch.

use serde::{Deserialize, Serialize};

use crate::model::{Endpoint, GroupId, GroupKey, Region, ShardId};
use crate::node::{AuthSettings, TlsSettings};

/// One replication group as the file names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// Its id: the label `replication_group`.
    pub id: GroupId,
    /// What people call it, if that is something else.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it lives; empty without AWS.
    #[serde(default = "nowhere")]
    pub region: Region,
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
}

impl GroupSettings {
    /// What tells it from every other group.
    pub fn key(&self) -> GroupKey {
        GroupKey {
            region: self.region.clone(),
            id: self.id.clone(),
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
            problems.push((None, "has no endpoints; add endpoints = [\"host:port\"]".into()));
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
        return Err("is a URL; write host:port, and the credentials as [auth] says".into());
    }
    Endpoint::parse_named(text).map_err(|error| error.to_string())
}
