//! When a shard that turned hot is looked at out of turn. Pure: snapshots in, groups out.
//!
//! The window that matters is the one taken while a shard burns. A group is not looked at for it again before its cool-down is over; what
//! turns hot meanwhile isn't forgotten, but looked at then, if it is still hot and no other round has looked at it since.

use std::collections::HashMap;
use std::time::Duration;

use crate::metrics::snapshot::{GroupSnapshot, ShardSnapshot, Snapshot, Status};
use crate::model::{GroupKey, ShardId, Timestamp};

/// When a shard that turned hot is looked at out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnHot {
    /// Whether it is.
    pub enabled: bool,
    /// How long not again in the same group.
    pub cool_down: Duration,
}

/// Which shards are hot, and when their group was last looked at.
#[derive(Debug)]
pub(super) struct HotWatch {
    settings: OnHot,
    /// Since when each of them is.
    hot: HashMap<(GroupKey, ShardId), Timestamp>,
    /// When a group's last round began, for whatever reason.
    seen: HashMap<GroupKey, Timestamp>,
    /// When one last began because a shard was hot.
    looked: HashMap<GroupKey, Timestamp>,
}

impl HotWatch {
    /// Nothing is hot yet.
    pub(super) fn new(settings: OnHot) -> Self {
        Self {
            settings,
            hot: HashMap::new(),
            seen: HashMap::new(),
            looked: HashMap::new(),
        }
    }

    /// Goes by other settings from now on.
    pub(super) fn configure(&mut self, settings: OnHot) {
        self.settings = settings;
    }

    /// A round of the group begins.
    pub(super) fn round_begins(&mut self, group: &GroupKey, now: Timestamp) {
        self.seen.insert(group.clone(), now);
    }

    /// The groups (by their place in the snapshot) to look at now. One that `may_begin` no round keeps its turn.
    pub(super) fn due(&mut self, snapshot: &Snapshot, may_begin: impl Fn(&GroupKey) -> bool) -> Vec<usize> {
        let mut hot = HashMap::new();
        for group in &snapshot.groups {
            for shard in group.shards.iter().filter(|shard| is_hot(shard)) {
                let name = (group.key.clone(), shard.id.clone());
                let since = self.hot.get(&name).copied().unwrap_or(snapshot.at);
                hot.insert(name, since);
            }
        }
        self.hot = hot;
        let exists = |key: &GroupKey| snapshot.groups.iter().any(|group| &group.key == key);
        self.seen.retain(|key, _| exists(key));
        self.looked.retain(|key, _| exists(key));
        if !self.settings.enabled {
            return Vec::new();
        }
        let groups = snapshot.groups.iter().enumerate();
        let is_due = |(_, group): &(usize, &GroupSnapshot)| {
            self.burns_unseen(&group.key) && self.has_rested(&group.key, snapshot.at) && may_begin(&group.key)
        };
        let due: Vec<usize> = groups.filter(is_due).map(|(place, _)| place).collect();
        for place in &due {
            self.looked.insert(snapshot.groups[*place].key.clone(), snapshot.at);
        }
        due
    }

    /// Whether a shard of the group is hot that wasn't when it was last looked at.
    fn burns_unseen(&self, group: &GroupKey) -> bool {
        let seen = self.seen.get(group);
        let hot = self.hot.iter().filter(|((key, _), _)| key == group);
        hot.into_iter().any(|(_, since)| seen.is_none_or(|seen| since > seen))
    }

    fn has_rested(&self, group: &GroupKey, now: Timestamp) -> bool {
        let looked = self.looked.get(group);
        looked.is_none_or(|last| now.since(*last) >= self.settings.cool_down)
    }
}

fn is_hot(shard: &ShardSnapshot) -> bool {
    [shard.commands.status, shard.bytes_out.status, shard.cpu.status]
        .into_iter()
        .any(Status::is_hot)
}

#[cfg(test)]
mod tests {
    use super::super::round::tests::group;
    use super::*;

    /// The cool-down is a minute. `10:ab` are the shards that are hot after ten seconds, `10!ab` the same while no round may begin, `10:r`
    /// is a round for another reason: after which seconds the group is looked at.
    fn check(story: &str, expected: &str) {
        let mut watch = HotWatch::new(OnHot {
            enabled: true,
            cool_down: Duration::from_secs(60),
        });
        let mut looked = Vec::new();
        for (at, may_begin, what) in story.split(' ').filter_map(|word| {
            let place = word.find([':', '!'])?;
            Some((&word[..place], word.as_bytes()[place] == b':', &word[place + 1..]))
        }) {
            let now = Timestamp(0) + Duration::from_secs(at.parse().expect("seconds"));
            let mut known = group("a replica");
            if what == "r" {
                watch.round_begins(&known.key, now);
                continue;
            }
            let mut shards = Vec::new();
            for name in ["a", "b"] {
                let mut shard = known.shards[0].clone();
                shard.id = name.into();
                if what.contains(name) {
                    shard.bytes_out.status = Status::Hot;
                }
                shards.push(shard);
            }
            known.shards = shards;
            let key = known.key.clone();
            let snapshot = Snapshot {
                at: now,
                groups: vec![known],
                ..Snapshot::default()
            };
            if !watch.due(&snapshot, |_| may_begin).is_empty() {
                watch.round_begins(&key, now);
                looked.push(at);
            }
        }
        assert_eq!(looked.join(" "), expected, "{story}");
    }

    #[test]
    fn a_shard_is_looked_at_once_when_it_turns_hot() {
        check("0:- 10:a 11:a 200:a", "10");
        check("0:- 10:a 20:- 100:a", "10 100");
        check("0:-", "");
    }

    #[test]
    fn what_turns_hot_in_the_cool_down_is_looked_at_when_that_is_over() {
        check("0:- 10:a 20:ab 69:ab 70:ab 71:ab 200:ab", "10 70");
        // No longer hot by then.
        check("0:- 10:a 20:ab 30:a 70:a", "10");
        // The same shard, hot anew.
        check("0:- 10:a 20:- 30:a 70:a", "10 70");
    }

    #[test]
    fn a_round_for_another_reason_has_looked_at_what_was_hot() {
        check("0:- 10:a 20:ab 30:r 70:ab", "10");
        check("0:- 10:a 30:r 40:ab 70:ab", "10 70");
    }

    #[test]
    fn a_turn_is_kept_while_no_round_may_begin() {
        check("0:- 10!a 20!a 30:a 40:a", "30");
        check("0:- 10!a 20!- 30:-", "");
    }
}
