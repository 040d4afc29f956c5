//! Questions to an archive: rows that filters choose, figures over all of it, and SQL that can read and nothing else.
//!
//! A file that the earlier tool wrote has tables where ours has views of the same names and columns, so it answers too. It refuses to
//! know how answers are shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde_json::Value as Json;

use super::confined::{Bounds, SQL_TIME_MAX, SqlError, confine};
use super::filter::{Chosen, Filter, glob};
use super::past::{KeptRound, PastRound};
use super::rounds;
use super::schema;
use super::trouble::ArchiveError;
use crate::model::GroupKey;

/// An archive, open for reading alone; it may be written meanwhile.
#[derive(Debug)]
pub struct Questions {
    path: PathBuf,
    connection: Connection,
    form: Form,
}

/// Who wrote the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Ours,
    Earlier,
}

/// An answer: named columns and rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Json>>,
    /// What has to be known of it, such as that it comes from a sample.
    pub notes: Vec<String>,
    /// Whether there are more rows than these.
    pub cut: bool,
}

/// The columns of a line that are shown.
const SHOWN: &str = "datetime_utc, cluster_id, shard_name, client_address, command, key, key_pattern";

impl Questions {
    /// Opens the file without changing it.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        if !path.exists() {
            return Err(ArchiveError::Missing(path.into()));
        }
        if path.is_dir() {
            return Err(ArchiveError::Folder(path.into()));
        }
        let failed = |error| ArchiveError::database(path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        let form = form(&connection, path)?;
        Ok(Self {
            path: path.into(),
            connection,
            form,
        })
    }

    /// The same of the file that a daemon of this version writes, once it has brought it into its form.
    pub fn open_written(path: &Path) -> Result<Self, ArchiveError> {
        let questions = Self::open(path)?;
        let current = schema::is_current(&questions.connection);
        let current = current.map_err(|error| ArchiveError::database(path, error))?;
        // What the earlier tool wrote nobody brings into another form.
        if current || questions.form == Form::Earlier {
            Ok(questions)
        } else {
            Err(ArchiveError::Unready(path.into()))
        }
    }

    /// The newest lines that the filter lets through.
    pub fn lines(&self, filter: &Filter) -> Result<Answer, ArchiveError> {
        let (mut sql, values) = self.chosen(filter);
        let order = match self.form {
            Form::Ours => "session_id DESC, timestamp DESC, id DESC",
            Form::Earlier => "timestamp DESC, id DESC",
        };
        sql.push_str(&format!(" ORDER BY {order} LIMIT {}", filter.limit));
        let columns = match self.form {
            Form::Ours => format!("{SHOWN}, sample_rate"),
            Form::Earlier => SHOWN.to_owned(),
        };
        let mut answer = self.ask(&format!("SELECT {columns} {sql}"), values)?;
        if self.form == Form::Ours {
            Self::note_samples(&mut answer);
        }
        if answer.rows.is_empty() {
            let note = "no line is like this; `hotshard query --stats` shows what there is";
            answer.notes.push(note.to_owned());
        }
        Ok(answer)
    }

    /// What is in the archive as a whole, or in the part that the filter lets through: by shard, command and pattern.
    pub fn stats(&self, filter: &Filter) -> Result<Vec<(&'static str, Answer)>, ArchiveError> {
        let parts = match self.form {
            Form::Ours => self.counted(filter),
            Form::Earlier => self.counted_by_line(filter),
        };
        parts
            .into_iter()
            .map(|(title, sql, values)| Ok((title, self.ask(&sql, values)?)))
            .collect()
    }

    /// The answer to a statement of the user's, which can read this file and nothing else, and not for longer than this
    /// ([`SQL_TIME_MAX`], usually).
    pub fn sql(&mut self, statement: &str, time_max: Duration) -> Result<Answer, SqlError> {
        self.bounded(statement, &Bounds::own(time_max), || false)
    }

    /// The same for a guest of a daemon: at most 10,000 rows and 8 MiB of JSON, in little memory, and only until it is given up.
    pub fn sql_of_guest(
        &mut self,
        statement: &str,
        time_max: Duration,
        is_given_up: impl Fn() -> bool + Send + 'static,
    ) -> Result<Answer, SqlError> {
        self.bounded(statement, &Bounds::guest(time_max), is_given_up)
    }

    fn bounded(
        &mut self,
        statement: &str,
        bounds: &Bounds,
        is_given_up: impl Fn() -> bool + Send + 'static,
    ) -> Result<Answer, SqlError> {
        let failed = |error| SqlError::of(error, bounds.time_max);
        if statement
            .trim_matches(|sign: char| sign.is_whitespace() || sign == ';')
            .is_empty()
        {
            return Err(SqlError::Empty);
        }
        let spilled = confine(&mut self.connection, bounds, is_given_up)?;
        let mut prepared = self.connection.prepare(statement).map_err(failed)?;
        if !prepared.readonly() {
            return Err(SqlError::Writes);
        }
        answer(&mut prepared, Vec::new(), bounds).map_err(|error| failed(error).or_space(&spilled, bounds))
    }

    /// The round of that number, or the newest, with its windows as they were.
    pub fn round(&self, session: Option<i64>) -> Result<Option<PastRound>, ArchiveError> {
        if self.form == Form::Earlier {
            return Err(ArchiveError::Foreign(self.path.clone()));
        }
        rounds::round(&self.connection, session).map_err(|error| ArchiveError::database(&self.path, error))
    }

    /// The newest rounds of a group without their windows, the newest first.
    pub fn rounds(&self, group: &GroupKey, count: u32) -> Result<Vec<KeptRound>, ArchiveError> {
        if self.form == Form::Earlier {
            return Err(ArchiveError::Foreign(self.path.clone()));
        }
        rounds::newest(&self.connection, group, count).map_err(|error| ArchiveError::database(&self.path, error))
    }

    /// The newest rounds of a cluster before a round, the newest first.
    pub fn rounds_before(&self, round: &PastRound, count: u32) -> Result<Vec<PastRound>, ArchiveError> {
        rounds::before(&self.connection, round, count).map_err(|error| ArchiveError::database(&self.path, error))
    }

    fn ask(&self, sql: &str, values: Vec<Value>) -> Result<Answer, ArchiveError> {
        let failed = |error| ArchiveError::database(&self.path, error);
        let mut prepared = self.connection.prepare(sql).map_err(failed)?;
        answer(&mut prepared, values, &Bounds::own(SQL_TIME_MAX)).map_err(failed)
    }

    /// `FROM … WHERE …` with its values.
    fn chosen(&self, filter: &Filter) -> (String, Vec<Value>) {
        let mut chosen = Chosen::default();
        match (self.form, filter.session) {
            (Form::Ours, Some(session)) => chosen.and("session_id = ?", session),
            (Form::Earlier, Some(session)) => {
                chosen.and(
                    "EXISTS (SELECT 1 FROM monitoring_sessions AS s WHERE s.id = ? AND s.cluster_id = monitor_logs.cluster_id
                        AND monitor_logs.timestamp BETWEEN s.start_time AND s.end_time)",
                    session,
                );
            }
            (_, None) => {}
        }
        chosen.and_text("cluster_id = ?", filter.cluster.as_deref());
        chosen.and_text("shard_name = ?", filter.shard.as_deref());
        chosen.and_text(
            "command = ?",
            filter.command.as_deref().map(str::to_uppercase).as_deref(),
        );
        if let Some(pattern) = &filter.pattern {
            let glob = glob(pattern);
            chosen.and("(key GLOB ? OR key_pattern GLOB ?)", glob.clone());
            chosen.values.push(glob.into());
        }
        let table = match self.form {
            Form::Ours => "all_lines",
            Form::Earlier => "monitor_logs",
        };
        (format!("FROM {table} WHERE {}", chosen.conditions()), chosen.values)
    }

    /// From the exact counts of windows; a pattern is looked for among patterns and keys.
    fn counted(&self, filter: &Filter) -> Vec<(&'static str, String, Vec<Value>)> {
        let mut windows = Chosen::default();
        if let Some(session) = filter.session {
            windows.and("session_id = ?", session);
        }
        windows.and_text("cluster_id = ?", filter.cluster.as_deref());
        windows.and_text("shard_name = ?", filter.shard.as_deref());
        let with = |condition: &str, text: Option<String>| {
            let mut chosen = windows.clone();
            chosen.and_text(condition, text.as_deref());
            chosen
        };
        let command = || filter.command.as_deref().map(str::to_uppercase);
        let like = || filter.pattern.as_deref().map(glob);
        let limit = filter.limit;
        let part = |title, select: &str, chosen: Chosen, rest: &str| {
            let sql = format!("{select} WHERE {} {rest} LIMIT {limit}", chosen.conditions());
            (title, sql, chosen.values)
        };
        vec![
            part(
                "sessions",
                "SELECT session_id, cluster_id, datetime(min(start_time), 'unixepoch') AS began, count(*) AS windows,
                    sum(window_total) AS commands FROM all_windows",
                windows.clone(),
                "GROUP BY session_id ORDER BY session_id DESC",
            ),
            part(
                "shards",
                "SELECT cluster_id, shard_name, count(*) AS windows, sum(window_total) AS commands,
                    round(sum(window_total) / sum(end_time - start_time), 1) AS commands_per_second FROM all_windows",
                windows.clone(),
                "GROUP BY cluster_id, shard_name ORDER BY commands_per_second DESC",
            ),
            part(
                "commands",
                "SELECT command, sum(count) AS count FROM window_commands",
                with("command = ?", command()),
                "GROUP BY command ORDER BY count DESC",
            ),
            part(
                "patterns",
                "SELECT key_pattern, sum(count) AS count, max(example_key) AS example_key FROM window_patterns",
                with("key_pattern GLOB ?", like()),
                "GROUP BY key_pattern ORDER BY count DESC",
            ),
            part(
                "keys",
                "SELECT key, sum(count) AS count, sum(error) AS error, slot FROM window_keys",
                with("key GLOB ?", like()),
                "GROUP BY key ORDER BY count DESC",
            ),
            part(
                "clients",
                "SELECT client_ip, sum(count) AS count FROM window_clients",
                windows.clone(),
                "GROUP BY client_ip ORDER BY count DESC",
            ),
        ]
    }

    /// The earlier tool kept lines alone.
    fn counted_by_line(&self, filter: &Filter) -> Vec<(&'static str, String, Vec<Value>)> {
        let by = |title, column: &str| {
            let (chosen, values) = self.chosen(filter);
            let limit = filter.limit;
            let sql = format!(
                "SELECT {column}, count(*) AS count {chosen} GROUP BY {column} ORDER BY count DESC LIMIT {limit}"
            );
            (title, sql, values)
        };
        vec![
            by("shards", "shard_name"),
            by("commands", "command"),
            by("patterns", "key_pattern"),
            by("keys", "key"),
            by("clients", "client_ip"),
        ]
    }

    fn note_samples(answer: &mut Answer) {
        let rate = |row: &Vec<Json>| row.last().and_then(Json::as_f64).filter(|rate| *rate < 1.0);
        let rates: Vec<f64> = answer.rows.iter().filter_map(rate).collect();
        let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        if !rates.is_empty() {
            let sampled = rates.len();
            answer.notes.push(format!(
                "{sampled} of these rows come from a sample (down to 1 line in {:.0}); counts of whole windows: --stats",
                1.0 / lowest
            ));
        }
    }
}

fn form(connection: &Connection, path: &Path) -> Result<Form, ArchiveError> {
    schema::refuse_newer(connection, path)?;
    let (kind, things): (Option<String>, i64) = connection
        .query_row(
            "SELECT max(type) FILTER (WHERE name = 'monitor_logs'), count(*) FROM sqlite_schema",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(|error| ArchiveError::database(path, error))?;
    match kind.as_deref() {
        Some("view") => Ok(Form::Ours),
        Some("table") => Ok(Form::Earlier),
        None if things == 0 => Err(ArchiveError::Unready(path.into())),
        _ => Err(ArchiveError::NoArchive(path.into())),
    }
}

fn answer(statement: &mut rusqlite::Statement<'_>, values: Vec<Value>, bounds: &Bounds) -> rusqlite::Result<Answer> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut answer = Answer {
        columns,
        ..Answer::default()
    };
    let (mut rows, mut bytes) = (statement.query(params_from_iter(values))?, 0);
    while let Some(row) = rows.next()? {
        let cells = (0..answer.columns.len()).map(|column| row.get_ref(column).map(cell));
        let cells: Vec<Json> = cells.collect::<Result<_, _>>()?;
        bytes += cells.iter().map(weight).sum::<usize>();
        if answer.rows.len() == bounds.rows_max || bytes > bounds.bytes_max {
            let shown = answer.rows.len();
            answer
                .notes
                .push(format!("only the first {shown} rows are shown; ask for less"));
            answer.cut = true;
            break;
        }
        answer.rows.push(cells);
    }
    Ok(answer)
}

/// A value as JSON has it; bytes that are no text are shown in hexadecimal.
fn cell(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
    }
}

/// What a value takes, in memory and as JSON: no less than either.
fn weight(value: &Json) -> usize {
    let written = |letter: u8| match letter {
        b'"' | b'\\' => 2,
        0..0x20 => "\\u0000".len(),
        _ => 1,
    };
    // What stands here is more than a number and the signs around a text have.
    size_of::<Json>() + value.as_str().map_or(0, |text| text.bytes().map(written).sum())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

    /// A file with nothing in it, and the folder it is in.
    fn nothing() -> (Questions, tempfile::TempDir) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("earlier.db");
        let earlier = Connection::open(&path).expect("a new file opens");
        earlier
            .execute_batch("CREATE TABLE monitor_logs (id)")
            .expect("it is written");
        (Questions::open(&path).expect("it opens"), folder)
    }

    /// What a guest is answered: rows, bytes as JSON at most so many, and whether there is more; or why nothing.
    #[track_caller]
    fn check_guest(statement: &str, expected: Result<(usize, usize, bool), &str>) {
        let (mut questions, _folder) = nothing();
        let answer = questions.sql_of_guest(statement, SQL_TIME_MAX, || false);
        match (answer, expected) {
            (Ok(answer), Ok((rows, bytes_max, cut))) => {
                assert_eq!((answer.rows.len(), answer.cut), (rows, cut), "{:?}", answer.notes);
                assert_eq!(answer.notes.len(), usize::from(cut), "what is cut is said");
                let bytes = serde_json::to_string(&answer.rows).expect("it is JSON").len();
                assert!(bytes <= bytes_max, "{bytes} bytes");
            }
            (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
            (answer, _) => panic!("{:?}", answer.map(|answer| answer.rows.len())),
        }
    }

    #[test]
    fn a_guest_gets_no_more_than_a_daemon_can_spare() {
        const BYTES_MAX: usize = 8 << 20;
        check_guest("SELECT 1", Ok((1, 8, false)));
        check_guest(
            &format!("{ENDLESS} SELECT i FROM n LIMIT 10000"),
            Ok((10_000, BYTES_MAX, false)),
        );
        check_guest(&format!("{ENDLESS} SELECT i FROM n"), Ok((10_000, BYTES_MAX, true)));
        let long = "printf('%100000s', '')";
        check_guest(&format!("{ENDLESS} SELECT {long} FROM n"), Ok((83, BYTES_MAX, true)));
        // Signs that JSON writes in six letters each.
        check_guest(
            &format!("{ENDLESS} SELECT replace({long}, ' ', char(1)) FROM n"),
            Ok((13, BYTES_MAX, true)),
        );
        // One row of what is too much altogether.
        let wide = vec![long; 100].join(", ");
        check_guest(&format!("SELECT {wide}"), Ok((0, BYTES_MAX, true)));
        check_guest(&format!("SELECT {wide}, 1"), Err("too many columns in result set"));
        check_guest("SELECT printf('%200000s', '')", Err("string or blob too big"));
        check_guest(
            &format!("{ENDLESS} SELECT json_group_array(i) FROM n"),
            Err("nothing else done: not authorized to use function: json_group_array"),
        );
        check_guest(
            &format!("{ENDLESS} SELECT count(DISTINCT printf('%100000d', i)) FROM n"),
            Err("filled 256 MiB of temporary files"),
        );
        check_guest(
            "SELECT 'a' LIKE printf('%2000s', '')",
            Err("LIKE or GLOB pattern too complex"),
        );
    }

    #[test]
    fn a_statement_that_is_given_up_is_ended() {
        let (mut questions, _folder) = nothing();
        let (begun, time_max) = (Instant::now(), Duration::from_secs(10));
        let ended = questions.sql_of_guest(&format!("{ENDLESS} SELECT max(i) FROM n"), time_max, || true);
        assert!(matches!(ended, Err(SqlError::Time(_))), "{ended:?}");
        assert!(begun.elapsed() < time_max, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_statement_without_end_is_ended() {
        let (mut questions, _folder) = nothing();
        let ended = questions.sql(&format!("{ENDLESS} SELECT max(i) FROM n"), Duration::from_millis(20));
        assert!(matches!(ended, Err(SqlError::Time(_))), "{ended:?}");
        let answer = questions
            .sql("SELECT 1 AS n", SQL_TIME_MAX)
            .expect("the next one has its own time");
        assert_eq!(answer.rows, [[Json::from(1)]]);
    }
}
