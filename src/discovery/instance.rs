//! Which of several hotshards watches a group: each group has exactly one, and a further instance takes groups from all others alike.
//!
//! Every instance has the whole configuration and decides for itself; nothing here knows that there are others running. The choice
//! depends on the group's name alone, so it is the same in every process, on every machine and in every release.
//!
//! ```
//! use hotshard::discovery::instance::Instance;
//! use hotshard::model::{GroupId, GroupKey, Region};
//!
//! let group = GroupKey { region: Region::from("eu-central-1"), id: GroupId::new("orders") };
//! let owners = (0..5).filter(|index| Instance::new(*index, 5).unwrap().owns(&group));
//! assert_eq!(owners.count(), 1);
//! ```

use crate::model::GroupKey;

/// One of several instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    index: u32,
    count: u32,
}

/// Why there is no such instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceError {
    /// The first is number 0.
    #[error("there is no instance {index} of {count}; --instance-index goes from 0 to one less than --instance-count")]
    Beyond {
        /// Which one.
        index: u32,
        /// Of how many.
        count: u32,
    },
    /// Nothing says which one this is.
    #[error(
        "which of the {0} instances is this? say it by --instance-index, or by a HOSTNAME that ends in -0, -1, … as in a StatefulSet"
    )]
    Unnumbered(u32),
}

impl Instance {
    /// The only one.
    pub const ALONE: Self = Self { index: 0, count: 1 };

    /// Number `index`, from 0, of `count`.
    pub fn new(index: u32, count: u32) -> Result<Self, InstanceError> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(InstanceError::Beyond { index, count })
        }
    }

    /// One of `count`: the one that was said, else the one that the host's name ends in, as in a StatefulSet (`hotshard-2`).
    pub fn among(count: u32, said: Option<u32>, hostname: Option<&str>) -> Result<Self, InstanceError> {
        match said.or_else(|| ordinal(hostname?)) {
            Some(index) if said.is_some() || count > 1 => Self::new(index, count),
            Some(_) => Ok(Self::ALONE),
            None if count > 1 => Err(InstanceError::Unnumbered(count)),
            None => Self::new(0, count),
        }
    }

    /// Whether this one watches the group: the one whose number, mixed with the group's name, weighs most.
    pub fn owns(self, group: &GroupKey) -> bool {
        let name = digest(group);
        let owner = (0..self.count).max_by_key(|index| (mixed(name ^ mixed(u64::from(*index) + 1)), *index));
        owner == Some(self.index)
    }
}

/// The number behind the last dash of a pod's name.
fn ordinal(hostname: &str) -> Option<u32> {
    let pod = hostname.split('.').next()?;
    let (_, number) = pod.rsplit_once('-')?;
    number.parse().ok()
}

/// FNV-1a over the group's name: it is written here because a hash of the standard library may change with its release.
fn digest(group: &GroupKey) -> u64 {
    let bytes = group
        .region
        .as_str()
        .bytes()
        .chain([b'/'])
        .chain(group.id.as_str().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Spreads what FNV leaves close together.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, Region};

    fn group(number: u32) -> GroupKey {
        GroupKey {
            region: Region::from("eu-central-1"),
            id: GroupId::new(format!("group-{number}")),
        }
    }

    fn owner(group: &GroupKey, count: u32) -> u32 {
        let owners: Vec<u32> = (0..count)
            .filter(|index| Instance { index: *index, count }.owns(group))
            .collect();
        assert_eq!(owners.len(), 1, "{group} has one owner of {count}: {owners:?}");
        owners[0]
    }

    #[test]
    fn every_group_has_one_owner_and_all_have_their_part() {
        for count in [1, 2, 3, 10] {
            let mut owned = vec![0_u32; count as usize];
            (0..1000).for_each(|number| owned[owner(&group(number), count) as usize] += 1);
            let fair = 1000 / count;
            assert!(owned.iter().all(|part| part.abs_diff(fair) <= fair / 3), "{owned:?}");
        }
    }

    #[test]
    fn a_further_instance_takes_its_part_and_nothing_else_moves() {
        let moved: Vec<u32> = (0..1000)
            .map(group)
            .filter(|group| owner(group, 4) != owner(group, 5))
            .map(|group| owner(&group, 5))
            .collect();
        assert!(moved.iter().all(|owner| *owner == 4), "{moved:?}");
        assert!((150..=250).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn the_choice_is_the_same_in_every_release() {
        let owners: Vec<u32> = (0..12).map(|number| owner(&group(number), 3)).collect();
        expect_test::expect!["[2, 0, 2, 0, 2, 1, 0, 0, 1, 1, 2, 1]"].assert_eq(&format!("{owners:?}"));
    }

    #[test]
    fn the_number_is_said_or_found_in_the_hosts_name() {
        let check = |count, said, hostname, expected: Result<(u32, u32), &str>| {
            let outcome = Instance::among(count, said, hostname)
                .map(|instance| (instance.index, instance.count))
                .map_err(|error| error.to_string());
            assert_eq!(
                outcome,
                expected.map_err(str::to_owned),
                "{count} {said:?} {hostname:?}"
            );
        };
        check(1, None, Some("web-7"), Ok((0, 1)));
        check(3, None, Some("hotshard-2"), Ok((2, 3)));
        check(3, None, Some("hotshard-2.hotshard.monitoring.svc"), Ok((2, 3)));
        check(3, Some(1), Some("hotshard-2"), Ok((1, 3)));
        check(
            3,
            Some(3),
            None,
            Err("there is no instance 3 of 3; --instance-index goes from 0 to one less than --instance-count"),
        );
        check(
            3,
            None,
            Some("laptop"),
            Err(
                "which of the 3 instances is this? say it by --instance-index, or by a HOSTNAME that ends in -0, -1, … as in a StatefulSet",
            ),
        );
    }
}
