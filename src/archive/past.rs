//! Past rounds, read back as the windows they were, and what changed from one to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value as Json;

use super::query::Answer;
use crate::analysis::bandwidth::OutputEstimate;
use crate::analysis::report::{Observation, Report, ReportSettings, Source};
use crate::analysis::window::{
    ClosedWindow, Counted, Coverage, KeyCount, PatternCount, Rejection, SignatureCount, WindowEnd, WindowStats,
};
use crate::model::{Bytes, GroupId, GroupKey, Ratio, Region, Role, Slot, Timestamp};

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

/// The round of that number, or the newest.
pub(super) fn round(connection: &Connection, session: Option<i64>) -> rusqlite::Result<Option<PastRound>> {
    let sql = "SELECT id, cluster, region, source FROM sessions WHERE ?1 IS NULL OR id = ?1 ORDER BY id DESC LIMIT 1";
    let found = connection
        .query_row(sql, [session], |row| {
            Ok(PastRound {
                id: row.get(0)?,
                group: GroupKey {
                    id: GroupId::new(row.get::<_, String>(1)?),
                    region: Region::new(row.get::<_, String>(2)?),
                },
                source: row.get(3)?,
                windows: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut round) = found else { return Ok(None) };
    let mut statement = connection.prepare("SELECT * FROM windows WHERE session = ? ORDER BY id")?;
    let windows = statement.query_map([round.id], |row| Ok((row.get("id")?, window(row, &round.group)?)))?;
    let windows: Vec<(i64, ClosedWindow)> = windows.collect::<Result<_, _>>()?;
    for (id, mut window) in windows {
        counts(connection, id, &mut window.stats)?;
        round.windows.push(window);
    }
    Ok(Some(round))
}

/// The newest rounds of a group, the newest first.
pub(super) fn newest(connection: &Connection, group: &GroupKey, count: u32) -> rusqlite::Result<Vec<KeptRound>> {
    let sql =
        "SELECT id, source, opened, closed, (SELECT count(DISTINCT shard) FROM windows WHERE session = sessions.id),
            (SELECT coalesce(sum(commands), 0) FROM windows WHERE session = sessions.id)
        FROM sessions WHERE cluster = ? AND region = ? ORDER BY id DESC LIMIT ?";
    let mut statement = connection.prepare(sql)?;
    let rounds = statement.query_map((group.id.as_str(), group.region.as_str(), count), |row| {
        Ok(KeptRound {
            id: row.get(0)?,
            source: row.get(1)?,
            opened: Timestamp(self::count(row, 2)?),
            closed: Timestamp(self::count(row, 3)?),
            shards: self::count(row, 4)?,
            commands: self::count(row, 5)?,
        })
    })?;
    rounds.collect()
}

/// The newest rounds of the same group before this one.
pub(super) fn before(connection: &Connection, later: &PastRound, count: u32) -> rusqlite::Result<Vec<PastRound>> {
    let sql = "SELECT id FROM sessions WHERE cluster = ? AND region = ? AND id < ? ORDER BY id DESC LIMIT ?";
    let mut statement = connection.prepare(sql)?;
    let values = (later.group.id.as_str(), later.group.region.as_str(), later.id, count);
    let ids: Vec<i64> = statement
        .query_map(values, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let rounds = ids.into_iter().filter_map(|id| round(connection, Some(id)).transpose());
    rounds.collect()
}

fn window(row: &Row<'_>, group: &GroupKey) -> rusqlite::Result<ClosedWindow> {
    let text = |column: &str| row.get::<_, String>(column);
    let ratio = |column: &str| row.get::<_, Option<f64>>(column).map(|ratio| ratio.map(Ratio));
    let moment = |column: &str| {
        row.get::<_, Option<i64>>(column)
            .map(|time| time.map(|time| Timestamp(number(time))))
    };
    let (role, end) = (text("role")?, text("ended_by")?);
    Ok(ClosedWindow {
        group: group.clone(),
        shard: text("shard")?.as_str().into(),
        node: text("node")?.as_str().into(),
        role: if role == Role::Primary.as_str() {
            Role::Primary
        } else {
            Role::Replica
        },
        opened: moment("opened")?.unwrap_or(Timestamp(0)),
        closed: moment("closed")?.unwrap_or(Timestamp(0)),
        end: WindowEnd::ALL
            .into_iter()
            .find(|known| known.kind() == end)
            .unwrap_or(WindowEnd::Duration),
        stats: WindowStats {
            bytes_read: Bytes(count(row, "bytes_read")?),
            lines: count(row, "lines")?,
            commands: count(row, "commands")?,
            replicated: count(row, "replicated")?,
            reads: count(row, "reads")?,
            writes: count(row, "writes")?,
            first: moment("first_line")?,
            last: moment("last_line")?,
            key_touches: count(row, "key_touches")?,
            cut_keys: count(row, "cut_keys")?,
            distinct_keys: count(row, "distinct_keys")?,
            distinct_clients: count(row, "distinct_clients")?,
            output: output(row)?,
            ..WindowStats::default()
        },
        completeness: ratio("completeness")?,
        coverage: Coverage {
            reads: ratio("reads_coverage")?,
            writes: ratio("writes_coverage")?,
            primary_reads: None,
        },
        server_buffer_peak: row
            .get::<_, Option<i64>>("server_buffer_peak")?
            .map(|bytes| Bytes(number(bytes))),
    })
}

/// What was sent to clients, if that was estimated; files that an earlier version wrote have no place for it.
fn output(row: &Row<'_>) -> rusqlite::Result<Option<OutputEstimate>> {
    const COLUMN: &str = "output_estimate";
    let Ok(column) = row.as_ref().column_index(COLUMN) else {
        return Ok(None);
    };
    let text = row.get::<_, Option<String>>(column)?;
    let estimate = text.map(|text| serde_json::from_str(&text)).transpose();
    estimate.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// Everything that was counted in the window, most frequent first.
fn counts(connection: &Connection, window: i64, stats: &mut WindowStats) -> rusqlite::Result<()> {
    let counted = |row: &Row<'_>| {
        Ok(Counted {
            name: text(row, 0)?,
            count: count(row, 1)?,
            error: count(row, 2)?,
        })
    };
    stats.commands_by_name = all(
        connection,
        "SELECT name, count, 0 FROM command_counts JOIN commands ON id = command WHERE window = ? ORDER BY count DESC, name",
        window,
        counted,
    )?;
    stats.clients = all(
        connection,
        "SELECT name, count, 0 FROM client_counts JOIN clients ON id = client WHERE window = ? ORDER BY count DESC, name",
        window,
        counted,
    )?;
    stats.hash_tags = all(
        connection,
        "SELECT hash_tag, count, error FROM hash_tag_counts WHERE window = ? ORDER BY count DESC, hash_tag",
        window,
        counted,
    )?;
    stats.patterns = all(
        connection,
        "SELECT name, count, error, example FROM pattern_counts JOIN patterns ON id = pattern WHERE window = ?
            ORDER BY count DESC, name",
        window,
        |row| {
            Ok(PatternCount {
                pattern: text(row, 0)?,
                count: count(row, 1)?,
                error: count(row, 2)?,
                example_key: text(row, 3)?,
            })
        },
    )?;
    stats.signatures = all(
        connection,
        "SELECT signature, count, error, full_scan FROM signature_counts WHERE window = ? ORDER BY count DESC, signature",
        window,
        |row| {
            Ok(SignatureCount {
                signature: text(row, 0)?,
                count: count(row, 1)?,
                error: count(row, 2)?,
                full_scan: row.get(3)?,
            })
        },
    )?;
    stats.keys = all(
        connection,
        "SELECT key, count, error, slot FROM key_counts WHERE window = ? ORDER BY count DESC, key",
        window,
        |row| {
            Ok(KeyCount {
                key: text(row, 0)?,
                count: count(row, 1)?,
                error: count(row, 2)?,
                slot: slot(row, 3)?,
            })
        },
    )?;
    stats.slots = all(
        connection,
        "SELECT slot, count FROM slot_counts WHERE window = ? ORDER BY count DESC, slot",
        window,
        |row| Ok((slot(row, 0)?, count(row, 1)?)),
    )?;
    let rejected = all(
        connection,
        "SELECT reason, count FROM rejection_counts WHERE window = ?",
        window,
        |row| Ok((row.get::<_, String>(0)?, count(row, 1)?)),
    )?;
    let known = |(reason, count): (String, u64)| {
        let rejection = Rejection::ALL.into_iter().find(|known| known.kind() == reason)?;
        Some((rejection, count))
    };
    stats.rejected = rejected.into_iter().filter_map(known).collect();
    Ok(())
}

fn all<Entry>(
    connection: &Connection,
    sql: &str,
    window: i64,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Entry>,
) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([window], |row| read(row))?.collect()
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(row.get::<_, String>(column)?.into())
}

fn count(row: &Row<'_>, column: impl rusqlite::RowIndex) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(number)
}

/// A slot that can't be is shown as the first one: the file was written by others.
fn slot(row: &Row<'_>, column: usize) -> rusqlite::Result<Slot> {
    let slot = row.get::<_, u16>(column)?;
    Ok(Slot::new(slot).unwrap_or(Slot::of_checksum(0)))
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
