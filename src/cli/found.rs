//! The groups of a configuration as they are now, for commands that look once.

use std::collections::BTreeMap;

use anyhow::Context;
use futures_util::{StreamExt, stream};

use super::UsageError;
use super::reach::{reach, searches};
use crate::config::{GroupSettings, Members, Settings};
use crate::discovery::elasticache::Kind;
use crate::discovery::fixed;
use crate::discovery::instance::Instance;
use crate::engine::search::{Search, Sightings, look};
use crate::model::{Group, GroupId, Region};
use crate::node::survey::{Reach, survey};
use crate::node::{Credentials, Pace};

/// A group, and how its nodes are reached.
#[derive(Debug)]
pub(super) struct FoundGroup {
    pub(super) group: Group,
    pub(super) reach: Reach,
    /// Whether it is a serverless cache, which has no MONITOR.
    pub(super) serverless: bool,
}

/// How a region is named that is missing: by a setting, and by the flag of commands that have one.
pub(super) const REGION: (&str, &str) = (
    "set discovery.region, groups.region, AWS_REGION",
    "name it by --region, AWS_REGION",
);

/// The group that a command line alone names: a cache in AWS, or whatever is at `endpoints`.
pub(super) fn named(
    cluster: Option<&str>,
    region: Option<&str>,
    profile: Option<&str>,
    endpoints: &[String],
) -> Result<GroupSettings, UsageError> {
    let group = GroupSettings {
        id: GroupId::new(cluster.unwrap_or("endpoints")),
        name: None,
        region: Region::new(region.unwrap_or_default()),
        profile: profile.map(str::to_owned),
        role_arn: None,
        tags: BTreeMap::new(),
        endpoints: endpoints.to_vec(),
        auth: None,
        tls: None,
    };
    match group.members() {
        Ok(_) => Ok(group),
        Err(problems) => {
            let texts: Vec<String> = problems.into_iter().map(|(_, text)| text).collect();
            Err(UsageError(format!("--endpoint: {}", texts.join("; "))))
        }
    }
}

/// Every group that is configured, or why it isn't found: `orders: …`.
pub(super) async fn find(settings: &Settings) -> anyhow::Result<Vec<Result<FoundGroup, String>>> {
    find_as(settings, None).await
}

/// The same with credentials that no configuration names. Groups are asked side by side: one whose nodes hang delays no other.
pub(super) async fn find_as(
    settings: &Settings,
    given: Option<&Credentials>,
) -> anyhow::Result<Vec<Result<FoundGroup, String>>> {
    let pace = Pace::new();
    let mut written = Vec::new();
    for configured in &settings.groups {
        let key = configured.key();
        let (seeds, nodes) = match configured.members() {
            Ok(Members::Seeds(seeds)) => (Some(seeds), Vec::new()),
            Ok(Members::Given(nodes)) => (None, nodes),
            // AWS is asked below, or it was refused when it was read.
            Ok(Members::ElastiCache(_)) | Err(_) => continue,
        };
        let reach = reach(settings, configured, &pace).with_context(|| format!("cannot reach {key}"))?;
        written.push((key, reach, seeds, nodes));
    }
    let written = side_by_side(written, async |(key, reach, seeds, nodes)| {
        let reach = with_given(reach, given);
        let group = match seeds {
            Some(seeds) => survey(&reach, &key, &seeds, None)
                .await
                .map_err(|error| format!("{key}: {error}"))?,
            None => fixed::group(key, &nodes),
        };
        Ok(FoundGroup {
            group,
            reach,
            serverless: false,
        })
    });
    let searches = searches(settings, &pace, Instance::ALONE);
    let in_aws = side_by_side(searches, async |search| sightings(&search, given).await);
    let (mut found, in_aws) = tokio::join!(written, in_aws);
    found.extend(in_aws.into_iter().flatten());
    Ok(found)
}

/// What one search finds, and what it doesn't.
async fn sightings(search: &Search, given: Option<&Credentials>) -> Vec<Result<FoundGroup, String>> {
    let looked = match look(search, &Sightings::new()).await {
        Ok(looked) => looked,
        Err(error) => {
            let names: Vec<String> = search.wanted.iter().map(|wanted| wanted.key.to_string()).collect();
            return vec![Err(format!("{}: {error}", names.join(", ")))];
        }
    };
    let found = looked.sightings.into_values().map(|sighting| {
        Ok(FoundGroup {
            group: sighting.found.group,
            reach: with_given(sighting.reach, given),
            serverless: sighting.found.kind == Kind::Serverless,
        })
    });
    let missing = looked.missing.into_iter();
    found
        .chain(missing.map(|missing| Err(format!("{}: {}", missing.key, missing.text))))
        .collect()
}

fn with_given(mut reach: Reach, given: Option<&Credentials>) -> Reach {
    if let Some(given) = given {
        reach.credentials = given.clone();
    }
    reach
}

/// How many groups are asked at the same time; the pace of new connections bounds what they cost.
const GROUPS_AT_ONCE: usize = 32;

/// Asks for all groups side by side; the answers come in the order of the groups.
pub(super) async fn side_by_side<Group, Answer>(
    groups: impl IntoIterator<Item = Group>,
    ask: impl AsyncFn(Group) -> Answer,
) -> Vec<Answer> {
    let asked = stream::iter(groups).map(|group| ask(group));
    asked.buffered(GROUPS_AT_ONCE).collect().await
}
