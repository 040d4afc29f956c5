//! Rounds read back from the tables, as the windows they were. What became of them since, it refuses to know.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::past::{KeptRound, PastRound};
use crate::analysis::bandwidth::OutputEstimate;
use crate::analysis::window::{
    ClosedWindow, Counted, Coverage, KeyCount, PatternCount, Rejection, SignatureCount, WindowEnd, WindowStats,
};
use crate::model::{Bytes, GroupId, GroupKey, Ratio, Region, Role, Slot, Timestamp};

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
