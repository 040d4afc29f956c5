//! The twenty questions of the manual and what people ask besides, timed one by one, with and without each index.

use std::io::Write;
use std::path::Path;

use rusqlite::Connection;
use tokio::time::Instant;

/// What the manual has under `Twenty questions`.
const MANUAL: &str = include_str!("../../docs/archive.md");

/// Conditions that users of the earlier tool write.
const CONDITIONS: [(&str, &str); 6] = [
    ("one cluster and shard", "cluster_id = 'orders' AND shard_name = '0002'"),
    ("a rare command", "command = 'EVALSHA'"),
    ("a frequent command", "command = 'GET'"),
    ("a rare pattern", "key_pattern = 'lock:{ID}'"),
    ("one key", "key = 'queue:mail'"),
    ("one minute", "timestamp BETWEEN 1795202382 AND 1795202442"),
];

struct Question {
    words: String,
    sql: String,
}

/// Asks each once, as a program does that opens the file.
pub(crate) fn ask(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let connection = crate::open(path)?;
    writeln!(out, "| question | seconds | rows |\n|---|---|---|")?;
    for Question { words, sql } in questions() {
        let (seconds, rows) = timed(&connection, &sql)?;
        writeln!(out, "| {words} | {seconds:.3} | {rows} |")?;
    }
    Ok(())
}

/// What each index takes and gives: it is dropped, and all that becomes slower is shown.
pub(crate) fn without_each_index(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let connection = crate::open(path)?;
    let mut names =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut with = Vec::new();
    for question in questions() {
        with.push(timed(&connection, &question.sql)?.0);
    }
    writeln!(out, "| index | bytes | slower without it |\n|---|---|---|")?;
    for name in names {
        let bytes: i64 = connection.query_row("SELECT sum(pgsize) FROM dbstat WHERE name = ?", [&name], |row| {
            row.get(0)
        })?;
        connection.execute_batch(&format!("BEGIN; DROP INDEX {name}"))?;
        let mut slower = Vec::new();
        for (question, with) in questions().iter().zip(&with) {
            let without = timed(&connection, &question.sql)?.0;
            if without > 2.0 * with && without > with + 0.02 {
                slower.push(format!("{} ({with:.3} → {without:.3} s)", question.words));
            }
        }
        connection.execute_batch("ROLLBACK")?;
        let slower = if slower.is_empty() {
            "nothing".to_owned()
        } else {
            slower.join(", ")
        };
        writeln!(out, "| {name} | {bytes} | {slower} |")?;
    }
    Ok(())
}

fn timed(connection: &Connection, sql: &str) -> anyhow::Result<(f64, usize)> {
    let began = Instant::now();
    let mut statement = connection.prepare(sql)?;
    let (mut rows, mut count) = (statement.query([])?, 0);
    while let Some(row) = rows.next()? {
        // As much work as showing them.
        let _ = row.get_ref(0)?;
        count += 1;
    }
    Ok((began.elapsed().as_secs_f64(), count))
}

fn questions() -> Vec<Question> {
    let block = MANUAL
        .split("```sql\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let lines: Vec<&str> = block.unwrap_or_default().lines().collect();
    let manual = lines.chunks_exact(2).map(|pair| Question {
        words: pair[0].trim_start_matches("-- ").to_owned(),
        sql: pair[1].to_owned(),
    });
    let conditions = CONDITIONS.map(|(words, condition)| Question {
        words: format!("`WHERE`: {words}"),
        sql: format!("SELECT count(*) FROM monitor_logs WHERE {condition}"),
    });
    manual.chain(conditions).collect()
}
