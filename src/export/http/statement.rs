//! SQL over HTTP: the archive answers one statement at a time, where the operator lets it.
//!
//! It refuses to know what a statement says: it is handed on, and stands in no log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::api::{Asked, later, problem};
use super::rounds::Unready;
use super::routes::App;
use crate::archive::{ArchiveError, Questions, SqlError};

/// How long a statement may take: with the wait, less than an answer may.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a statement waits for the one before it.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// After how many seconds whoever found the desk taken may ask again: one statement is over by then.
const FREE_AFTER: u32 = 10;

/// Where statements are taken.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    archive: Option<Arc<Path>>,
    free: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(archive: Option<&Path>) -> Self {
        Self {
            archive: archive.map(Arc::from),
            free: Arc::new(Semaphore::new(1)),
        }
    }

    /// The answer as JSON.
    async fn ask(&self, statement: String) -> Result<String, Unanswered> {
        let archive = self.archive.clone().ok_or(Unanswered::NothingKept)?;
        let turn = timeout(WAIT_MAX, self.free.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Unanswered::Busy)?;
        let asker = Arc::new(());
        let waiting = Arc::downgrade(&asker);
        let asked = tokio::task::spawn_blocking(move || {
            // Held until the statement has ended, though whoever asked may have left.
            let _turn = turn;
            let has_left = move || waiting.strong_count() == 0;
            let mut questions = Questions::open_written(&archive)?;
            let found = questions.sql_of_guest(&statement, STATEMENT_TIME_MAX, has_left)?;
            let shown = Shown {
                columns: &found.columns,
                rows: &found.rows,
                complete: !found.cut,
                notes: &found.notes,
            };
            serde_json::to_string(&shown).map_err(|error| Unanswered::unreadable(&error))
        });
        let answer = asked.await.unwrap_or_else(|error| Err(Unanswered::unreadable(&error)));
        drop(asker);
        answer
    }
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    sql: String,
}

/// An answer, as it is given out.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    columns: &'a [String],
    rows: &'a [Vec<Value>],
    complete: bool,
    notes: &'a [String],
}

/// Why a statement has no answer. Where the file lies is nobody's business here.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("there is no archive to ask; set archive.path")]
    NothingKept,
    #[error(transparent)]
    Unready(Unready),
    #[error("another statement is being answered, and one is answered at a time; ask again in {FREE_AFTER} s")]
    Busy,
    #[error(transparent)]
    Refused(SqlError),
    #[error("the archive can't be read now; the log says why")]
    Unreadable,
}

impl Unanswered {
    fn unreadable(reason: &dyn std::error::Error) -> Self {
        tracing::warn!("the archive can't be asked over HTTP: {reason}");
        Self::Unreadable
    }
}

impl From<ArchiveError> for Unanswered {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Missing(_) | ArchiveError::Unready(_) => Self::Unready(Unready),
            error => Self::unreadable(&error),
        }
    }
}

impl From<SqlError> for Unanswered {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unreadable(_) => Self::unreadable(&error),
            error => Self::Refused(error),
        }
    }
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::NothingKept => problem(StatusCode::NOT_FOUND, text),
            Self::Refused(_) => problem(StatusCode::BAD_REQUEST, text),
            Self::Unreadable => problem(StatusCode::SERVICE_UNAVAILABLE, text),
            Self::Busy => later(FREE_AFTER, text),
            Self::Unready(unready) => unready.into_response(),
        }
    }
}

/// `/api/v1/query`: what the archive answers to a statement.
pub(super) async fn answer(State(app): State<App>, Asked(wanted): Asked<Wanted>) -> Response {
    match app.desk.ask(wanted.sql).await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(unanswered) => unanswered.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::analysis::pattern::PatternSettings;
    use crate::analysis::veil::Veil;
    use crate::archive::{Reading, Record, Store};

    #[tokio::test]
    async fn an_archive_that_is_being_made_is_asked_for_patience() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("h.db");
        let desk = Desk::new(Some(&path));
        let asked = async || desk.ask("SELECT 1 AS n".to_owned()).await;
        let unready = async || matches!(asked().await, Err(Unanswered::Unready(_)));
        assert!(unready().await, "there is no file yet");
        let file = rusqlite::Connection::open(&path).expect("a new file opens");
        assert!(unready().await, "there is nothing in it");
        let written = |sql: &str| file.execute_batch(sql).expect("it is written");
        // `hsar`, after the first of several steps.
        written(
            "PRAGMA application_id = 1752392050; PRAGMA user_version = 1; CREATE VIEW monitor_logs AS SELECT 1 AS id",
        );
        assert!(unready().await, "it has an earlier form");
        drop(file);
        std::fs::remove_file(&path).expect("it is there");
        let reading = Reading {
            patterns: PatternSettings::default(),
            veil: Veil::default(),
            record: Record::Keys,
            source: "serve",
            seed: 7,
        };
        drop(Store::open(&path, reading).expect("it is made"));
        assert!(asked().await.is_ok());
    }

    /// On a runtime of one thread, on which nothing else would run if a statement took it.
    #[tokio::test]
    async fn a_statement_takes_no_thread_of_http_and_ends_with_whoever_asked() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("earlier.db");
        let earlier = rusqlite::Connection::open(&path).expect("a new file opens");
        let created = earlier.execute_batch("CREATE TABLE monitor_logs (id)");
        created.expect("it is written");
        let desk = Desk::new(Some(&path));
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let begun = Instant::now();
        let left = timeout(Duration::from_millis(50), desk.ask(endless.to_owned())).await;
        assert!(left.is_err(), "{left:?}");
        let answer = desk.ask("SELECT 1 AS n".to_owned()).await.expect("its turn comes");
        assert_eq!(answer, r#"{"columns":["n"],"rows":[[1]],"complete":true,"notes":[]}"#);
        assert!(begun.elapsed() < STATEMENT_TIME_MAX, "{:?}", begun.elapsed());
    }
}
