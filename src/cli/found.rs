//! The groups of a configuration as they are now, for commands that look once.

use anyhow::Context;

use super::reach::{reach, searches};
use crate::config::{Members, Settings};
use crate::discovery::fixed;
use crate::engine::search::{Sightings, look};
use crate::model::Group;
use crate::node::Pace;
use crate::node::survey::{Reach, survey};

/// A group, and how its nodes are reached.
#[derive(Debug)]
pub(super) struct FoundGroup {
    pub(super) group: Group,
    pub(super) reach: Reach,
}

/// Every group that is configured, or why it isn't found: `orders: …`.
pub(super) async fn find(settings: &Settings) -> anyhow::Result<Vec<Result<FoundGroup, String>>> {
    let pace = Pace::new();
    let mut found = Vec::new();
    for configured in &settings.groups {
        let key = configured.key();
        let asked = match configured.members() {
            Ok(Members::Seeds(seeds)) => {
                let reach = reach(settings, configured, &pace).with_context(|| format!("cannot reach {key}"))?;
                let group = survey(&reach, &key, &seeds, None).await;
                group
                    .map(|group| FoundGroup { group, reach })
                    .map_err(|error| format!("{key}: {error}"))
            }
            Ok(Members::Given(nodes)) => {
                let reach = reach(settings, configured, &pace).with_context(|| format!("cannot reach {key}"))?;
                let group = fixed::group(key, &nodes);
                Ok(FoundGroup { group, reach })
            }
            // AWS is asked below, or it was refused when it was read.
            Ok(Members::ElastiCache(_)) | Err(_) => continue,
        };
        found.push(asked);
    }
    for search in searches(settings, &pace) {
        match look(&search, &Sightings::new()).await {
            Ok(looked) => {
                let sightings = looked.sightings.into_values().map(|sighting| FoundGroup {
                    group: sighting.found.group,
                    reach: sighting.reach,
                });
                found.extend(sightings.map(Ok));
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
