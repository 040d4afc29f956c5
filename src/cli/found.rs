//! The groups of a configuration as they are now, for commands that look once.

use std::collections::BTreeMap;

use anyhow::Context;

use super::UsageError;
use super::reach::{reach, searches};
use crate::config::{GroupSettings, Members, Settings};
use crate::discovery::elasticache::Kind;
use crate::discovery::fixed;
use crate::discovery::instance::Instance;
use crate::engine::search::{Sightings, look};
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

/// The same with credentials that no configuration names.
pub(super) async fn find_as(
    settings: &Settings,
    given: Option<&Credentials>,
) -> anyhow::Result<Vec<Result<FoundGroup, String>>> {
    let with_given = |mut reach: Reach| {
        if let Some(given) = given {
            reach.credentials = given.clone();
        }
        reach
    };
    let pace = Pace::new();
    let mut found = Vec::new();
    for configured in &settings.groups {
        let key = configured.key();
        let asked = match configured.members() {
            Ok(Members::Seeds(seeds)) => {
                let reach = reach(settings, configured, &pace).with_context(|| format!("cannot reach {key}"))?;
                let reach = with_given(reach);
                let group = survey(&reach, &key, &seeds, None).await;
                group
                    .map(|group| FoundGroup {
                        group,
                        reach,
                        serverless: false,
                    })
                    .map_err(|error| format!("{key}: {error}"))
            }
            Ok(Members::Given(nodes)) => {
                let reach = reach(settings, configured, &pace).with_context(|| format!("cannot reach {key}"))?;
                let group = fixed::group(key, &nodes);
                Ok(FoundGroup {
                    group,
                    reach: with_given(reach),
                    serverless: false,
                })
            }
            // AWS is asked below, or it was refused when it was read.
            Ok(Members::ElastiCache(_)) | Err(_) => continue,
        };
        found.push(asked);
    }
    for search in searches(settings, &pace, Instance::ALONE) {
        match look(&search, &Sightings::new()).await {
            Ok(looked) => {
                for sighting in looked.sightings.into_values() {
                    found.push(Ok(FoundGroup {
                        group: sighting.found.group,
                        reach: with_given(sighting.reach),
                        serverless: sighting.found.kind == Kind::Serverless,
                    }));
                }
                let missing = looked.missing.into_iter();
                found.extend(missing.map(|missing| Err(format!("{}: {}", missing.key, missing.text))));
            }
            Err(error) => {
                let names: Vec<String> = search.wanted.iter().map(|wanted| wanted.key.to_string()).collect();
                found.push(Err(format!("{}: {error}", names.join(", "))));
            }
        }
    }
    Ok(found)
}
