//! Names for shards that stick.

use std::cmp::Reverse;

use super::{Sighting, first_slot};
use crate::model::{Group, Shard, ShardId, SlotSet};

/// How much of the cluster's own name is shown, where that tells the shards apart.
const SHORT_ID: usize = 8;

/// How many digits a number has at least.
const DIGITS: usize = 4;

/// Until a failed primary comes back, clusters before 7.2 show it as a shard of its own: it stays with the one it belonged to.
pub(super) fn reunited(previous: Option<&Group>, sightings: Vec<Sighting>) -> Vec<Sighting> {
    let (lost, mut present): (Vec<Sighting>, Vec<Sighting>) = sightings.into_iter().partition(is_lost);
    for sighting in lost {
        let home = previous.and_then(|group| {
            let shard = group.shards.iter().find(|shard| shared_members(shard, &sighting) > 0)?;
            present.iter_mut().find(|other| shared_members(shard, other) > 0)
        });
        match home {
            Some(home) => home.members.extend(sighting.members),
            None => present.push(sighting),
        }
    }
    present
}

fn is_lost(sighting: &Sighting) -> bool {
    sighting.slots.as_ref().is_some_and(SlotSet::is_empty) && sighting.members.iter().all(|member| member.failed)
}

/// One name for each sighting, in their order.
pub(super) fn names(previous: Option<&Group>, sightings: &[Sighting]) -> Vec<ShardId> {
    let known = previous.map(|group| group.shards.as_slice()).unwrap_or_default();
    let mut names = kept(known, sightings);
    let mut number = known.iter().filter_map(number).max().unwrap_or(0);
    for (place, sighting) in sightings.iter().enumerate() {
        if names[place].is_some() {
            continue;
        }
        let own = sighting.shard_id.as_deref().and_then(|id| shortened(id, &names));
        names[place] = Some(own.unwrap_or_else(|| {
            number += 1;
            ShardId::new(format!("{number:0DIGITS$}"))
        }));
    }
    names
        .into_iter()
        .map(|name| name.expect("the loop above names every shard"))
        .collect()
}

/// The names that shards had: by the cluster's own name, then whoever shares most members, and of those most slots.
fn kept(known: &[Shard], sightings: &[Sighting]) -> Vec<Option<ShardId>> {
    let mut candidates = Vec::new();
    for (place, sighting) in sightings.iter().enumerate() {
        for shard in known {
            let members = shared_members(shard, sighting);
            let slots = shared_slots(shard, sighting);
            let same_id = sighting
                .shard_id
                .as_ref()
                .is_some_and(|id| is_short_for(shard.id.as_str(), id));
            let same_slots = slots > 0 && shard.slots == sighting.slots;
            if same_id || members > 0 || same_slots {
                candidates.push((Reverse((same_id, members, slots)), first_slot(sighting), place, shard));
            }
        }
    }
    candidates.sort_by_key(|(rank, slot, place, _)| (*rank, *slot, *place));
    let mut names: Vec<Option<ShardId>> = vec![None; sightings.len()];
    for (_, _, place, shard) in candidates {
        if names[place].is_none() && !names.contains(&Some(shard.id.clone())) {
            names[place] = Some(shard.id.clone());
        }
    }
    names
}

pub(super) fn shared_members(shard: &Shard, sighting: &Sighting) -> usize {
    let is_member = |member: &&super::Member| shard.nodes.iter().any(|node| node.endpoint == member.endpoint);
    sighting.members.iter().filter(is_member).count()
}

fn shared_slots(shard: &Shard, sighting: &Sighting) -> u32 {
    let (Some(before), Some(now)) = (&shard.slots, &sighting.slots) else {
        return 0;
    };
    let shared = |one: &crate::model::SlotRange, other: &crate::model::SlotRange| {
        let first = one.first.max(other.first).number();
        let last = one.last.min(other.last).number();
        (u32::from(last) + 1).saturating_sub(u32::from(first))
    };
    before
        .ranges()
        .iter()
        .flat_map(|one| now.ranges().iter().map(move |other| shared(one, other)))
        .sum()
}

fn number(shard: &Shard) -> Option<u32> {
    // Eight digits may also be the beginning of a random name.
    let written = shard.id.as_str();
    written.parse().ok().filter(|_| written.len() < SHORT_ID)
}

fn is_short_for(name: &str, id: &str) -> bool {
    name.len() >= SHORT_ID && id.starts_with(name)
}

/// As little of the cluster's own name as no other shard has.
fn shortened(id: &str, taken: &[Option<ShardId>]) -> Option<ShardId> {
    let lengths = [SHORT_ID.min(id.len()), id.len()];
    let candidates = lengths.into_iter().filter_map(|length| id.get(..length));
    candidates
        .filter(|name| !name.is_empty())
        .map(ShardId::from)
        .find(|name| !taken.contains(&Some(name.clone())))
}
