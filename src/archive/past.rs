//! Past rounds, and what changed from one to the next. It refuses to know the tables they are read from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::query::Answer;
use crate::analysis::report::{Observation, Report, ReportSettings, Source};
use crate::analysis::window::ClosedWindow;
use crate::model::{GroupKey, Ratio, Timestamp};

/// A round that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRound {
    /// Its number.
    pub id: i64,
    /// The group it looked at.
    pub group: GroupKey,
    /// Which command watched.
    pub source: String,
    /// What its windows saw.
    pub windows: Vec<ClosedWindow>,
}

/// A round that is kept, without what its windows saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRound {
    /// Its number.
    pub id: i64,
    /// Which command watched.
    pub source: String,
    /// When its first window opened.
    pub opened: Timestamp,
    /// When its last window closed.
    pub closed: Timestamp,
    /// How many shards it looked at.
    pub shards: u64,
    /// How many commands its windows saw.
    pub commands: u64,
}

/// A shard and a pattern.
type Name = (Arc<str>, Arc<str>);

/// In each round; `None` where it didn't look at the shard.
type Shares = Vec<Option<f64>>;

/// A pattern's share must have changed by so much to have grown or shrunk.
const CHANGE_MIN: f64 = 0.02;

/// Shares below this are noise: such a pattern is neither new nor gone.
const SHARE_MIN: f64 = 0.005;

impl PastRound {
    /// The report of the round as it is shown.
    pub fn report(&self) -> Report {
        let source = if self.source == "monitor" {
            Source::Monitor
        } else {
            Source::Serve
        };
        let windows = self.windows.iter().map(|window| Observation::of_window(window, None));
        Report::compare(
            &self.group,
            source,
            windows.collect(),
            Vec::new(),
            &ReportSettings::default(),
        )
    }

    /// Per shard and pattern: its share of the touches in each round, the oldest first, and what became of it.
    pub fn compare(rounds: &[Self]) -> Answer {
        let mut shares: BTreeMap<Name, Shares> = BTreeMap::new();
        // A shard that a round didn't look at is unknown there, not idle.
        let looked_at = |shard: &str| {
            let of = |round: &Self| round.windows.iter().any(|window| window.shard.as_str() == shard);
            rounds.iter().map(|round| of(round).then_some(0.0)).collect::<Vec<_>>()
        };
        for (place, round) in rounds.iter().enumerate() {
            for window in &round.windows {
                let (shard, touches) = (Arc::from(window.shard.as_str()), window.stats.key_touches);
                for entry in &window.stats.patterns {
                    let name = (Arc::clone(&shard), Arc::clone(&entry.pattern));
                    let share = Ratio::of(entry.count, touches).map_or(0.0, |ratio| ratio.0);
                    shares.entry(name).or_insert_with(|| looked_at(&shard))[place] = Some(share);
                }
            }
        }
        let mut changes: Vec<_> = shares
            .into_iter()
            .filter_map(|(name, shares)| Some((name, change(&shares)?, shares)))
            .collect();
        changes.sort_by(|(_, _, one), (_, _, other)| difference(other).abs().total_cmp(&difference(one).abs()));
        let names = ["shard", "pattern", "change"].map(str::to_owned);
        let columns = names
            .into_iter()
            .chain(rounds.iter().map(|round| format!("session {}", round.id)));
        let row = |((shard, pattern), change, shares): (Name, &str, Shares)| {
            let texts = [&*shard, &*pattern, change].map(Json::from);
            texts
                .into_iter()
                .chain(shares.iter().map(|share| share.map(rounded).into()))
                .collect()
        };
        let mut notes = Vec::new();
        if rounds.iter().any(|round| round.group != rounds[0].group) {
            let groups: Vec<String> = rounds
                .iter()
                .map(|round| format!("{} of {}", round.id, round.group))
                .collect();
            notes.push(format!(
                "these sessions are of different clusters: {}",
                groups.join(", ")
            ));
        }
        if changes.is_empty() {
            notes.push("no pattern's share of its shard changed by 2 % or more".to_owned());
        }
        Answer {
            columns: columns.collect(),
            rows: changes.into_iter().map(row).collect(),
            notes,
            cut: false,
        }
    }
}

fn difference(shares: &[Option<f64>]) -> f64 {
    let mut known = shares.iter().flatten();
    known
        .next()
        .map_or(0.0, |first| known.next_back().map_or(0.0, |last| last - first))
}

/// What became of a pattern from the first round that looked at its shard to the last; `None` if nothing to speak of.
fn change(shares: &[Option<f64>]) -> Option<&'static str> {
    let mut known = shares.iter().flatten();
    let (first, last) = (*known.next()?, *known.next_back()?);
    match last - first {
        _ if first == 0.0 && last >= SHARE_MIN => Some("new"),
        _ if last == 0.0 && first >= SHARE_MIN => Some("vanished"),
        difference if difference >= CHANGE_MIN => Some("grew"),
        difference if difference <= -CHANGE_MIN => Some("shrank"),
        _ => None,
    }
}

fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::window::{Coverage, PatternCount, WindowEnd, WindowStats};
    use crate::model::{GroupId, Region, Role};

    fn round(id: i64, group: &str, shards: &[(&str, &[(&str, u64)])]) -> PastRound {
        let group = GroupKey {
            id: GroupId::new(group),
            region: Region::new(""),
        };
        let counted = |(pattern, count): &(&str, u64)| PatternCount {
            pattern: (*pattern).into(),
            count: *count,
            error: 0,
            example_key: "".into(),
        };
        let window = |(shard, patterns): &(&str, &[(&str, u64)])| ClosedWindow {
            group: group.clone(),
            shard: (*shard).into(),
            node: "a".into(),
            role: Role::Replica,
            opened: Timestamp(0),
            closed: Timestamp(1),
            end: WindowEnd::Duration,
            stats: WindowStats {
                key_touches: patterns.iter().map(|(_, count)| count).sum(),
                patterns: patterns.iter().map(counted).collect(),
                ..WindowStats::default()
            },
            completeness: None,
            coverage: Coverage::default(),
            server_buffer_peak: None,
        };
        PastRound {
            id,
            source: "serve".into(),
            windows: shards.iter().map(window).collect(),
            group,
        }
    }

    fn check(rounds: &[PastRound], rows: &str, notes: &str) {
        let answer = PastRound::compare(rounds);
        let shown: Vec<String> = answer
            .rows
            .iter()
            .map(|row| Json::from(row.clone()).to_string())
            .collect();
        assert_eq!(
            (shown.join(" ").as_str(), answer.notes.join(" ").as_str()),
            (rows, notes)
        );
    }

    #[test]
    fn a_shard_that_a_round_did_not_look_at_is_not_said_to_have_changed() {
        let both = round(
            1,
            "orders",
            &[("0001", &[("a", 90), ("b", 10)]), ("0002", &[("c", 100)])],
        );
        let one = round(2, "orders", &[("0001", &[("a", 45), ("b", 15), ("d", 40)])]);
        let changed = "[\"0001\",\"a\",\"shrank\",0.9,0.45] [\"0001\",\"d\",\"new\",0.0,0.4] \
                       [\"0001\",\"b\",\"grew\",0.1,0.15]";
        check(&[both.clone(), one.clone()], changed, "");
        let third = round(
            3,
            "orders",
            &[
                ("0001", &[("a", 45), ("b", 15), ("d", 40)]),
                ("0002", &[("c", 70), ("e", 30)]),
            ],
        );
        check(
            &[both.clone(), one, third],
            "[\"0001\",\"a\",\"shrank\",0.9,0.45,0.45] [\"0001\",\"d\",\"new\",0.0,0.4,0.4] \
             [\"0002\",\"c\",\"shrank\",1.0,null,0.7] [\"0002\",\"e\",\"new\",0.0,null,0.3] [\"0001\",\"b\",\"grew\",0.1,0.15,0.15]",
            "",
        );
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let one = round(1, "orders", &[("0001", &[("a", 90)])]);
        let nothing = "no pattern's share of its shard changed by 2 % or more";
        check(&[one.clone(), one.clone()], "", nothing);
        let other = round(2, "bills", &[("0001", &[("a", 90)])]);
        let different = format!("these sessions are of different clusters: 1 of orders, 2 of bills {nothing}");
        check(&[one, other], "", &different);
    }
}
