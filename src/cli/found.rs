//! The groups of a configuration as they are now, for commands that look once.

use anyhow::Context;

use super::reach::{reach, searches};
use crate::config::{Members, Settings};
use crate::discovery::elasticache::Kind;
use crate::discovery::fixed;
use crate::engine::search::{Sightings, look};
use crate::model::Group;
use crate::node::survey::{Reach, slots, survey};
use crate::node::{Credentials, Pace};

/// A group, and how its nodes are reached.
#[derive(Debug)]
pub(super) struct FoundGroup {
    pub(super) group: Group,
    pub(super) reach: Reach,
    /// Whether it is a serverless cache, which has no MONITOR.
    pub(super) serverless: bool,
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
    for search in searches(settings, &pace) {
        match look(&search, &Sightings::new()).await {
            Ok(looked) => {
                for sighting in looked.sightings.into_values() {
                    let cluster_mode = sighting.found.kind == Kind::ClusterMode;
                    let mut sighted = FoundGroup {
                        group: sighting.found.group,
                        reach: with_given(sighting.reach),
                        serverless: sighting.found.kind == Kind::Serverless,
                    };
                    if given.is_some() && cluster_mode {
                        // The search asked without what was given here.
                        add_slots(&mut sighted).await;
                    }
                    found.push(Ok(sighted));
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

async fn add_slots(found: &mut FoundGroup) {
    let known = slots(&found.reach, &found.group).await;
    for shard in &mut found.group.shards {
        shard.slots = shard.slots.take().or_else(|| known.get(&shard.id).cloned());
    }
}
