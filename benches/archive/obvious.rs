//! The design everybody would begin with: one table, a row for a command with all its names spelled out, and five indexes.

use std::path::Path;

use rusqlite::Connection;
use tokio::time::Instant;

use crate::Written;

/// Rows in one transaction.
const BATCH: usize = 10_000;

type Row = (
    String,
    String,
    f64,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
);

/// Writes what the archive holds. Its rows are read beforehand, so only writing is counted.
pub(crate) fn copy(archive: &Path, to: &Path) -> anyhow::Result<Written> {
    let rows = rows(archive)?;
    let mut connection = Connection::open(to)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE TABLE monitor_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, cluster_id TEXT NOT NULL, shard_name TEXT NOT NULL,
            timestamp REAL NOT NULL, datetime_utc TEXT NOT NULL, client_address TEXT, client_ip TEXT, command TEXT NOT NULL, key TEXT,
            key_pattern TEXT, args TEXT, raw_line TEXT, collection_time TEXT NOT NULL);
         CREATE INDEX by_cluster ON monitor_logs (cluster_id);
         CREATE INDEX by_shard ON monitor_logs (shard_name);
         CREATE INDEX by_timestamp ON monitor_logs (timestamp);
         CREATE INDEX by_command ON monitor_logs (command);
         CREATE INDEX by_pattern ON monitor_logs (key_pattern)",
    )?;
    let began = Instant::now();
    for batch in rows.chunks(BATCH) {
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO monitor_logs (cluster_id, shard_name, timestamp, datetime_utc, client_address, client_ip, command, key,
                key_pattern, collection_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        for row in batch {
            insert.execute((
                &row.0, &row.1, row.2, &row.3, &row.4, &row.5, &row.6, &row.7, &row.8, &row.9,
            ))?;
        }
        drop(insert);
        transaction.commit()?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(Written {
        rows: rows.len() as u64,
        seconds: began.elapsed().as_secs_f64(),
        bytes: std::fs::metadata(to)?.len(),
    })
}

fn rows(archive: &Path) -> anyhow::Result<Vec<Row>> {
    let archive = crate::open(archive)?;
    let mut statement = archive.prepare(
        "SELECT cluster_id, shard_name, timestamp, datetime_utc, client_address, client_ip, command, key, key_pattern, collection_time
         FROM monitor_logs",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
            row.get(7)?,
            row.get(8)?,
            row.get(9)?,
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
