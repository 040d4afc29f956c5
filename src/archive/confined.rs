//! What keeps a statement of the user's from doing harm: it reads this file and nothing else, and not for long.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use tokio::time::Instant;

/// How long a statement of the user's may take.
pub const SQL_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of one value.
const VALUE_BYTES_MAX: i32 = 1024 * 1024;

/// Between two looks at the clock.
const OPERATIONS_A_LOOK: i32 = 10_000;

/// Takes everything from the connection that a statement could do harm with.
pub(super) fn confine(connection: &mut Connection, time_max: Duration) -> Result<(), SqlError> {
    let failed = |error| SqlError::of(error, time_max);
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value).map_err(failed)?;
    }
    connection.authorizer(Some(authorize)).map_err(failed)?;
    let deadline = Instant::now() + time_max;
    connection
        .progress_handler(OPERATIONS_A_LOOK, Some(move || Instant::now() >= deadline))
        .map_err(failed)
}

/// Why a statement of the user's has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It would change something.
    #[error("this statement would change the archive, which is only read")]
    Writes,
    /// There is none.
    #[error("there is no statement; write one, such as 'SELECT * FROM monitoring_sessions'")]
    Empty,
    /// It does something that isn't allowed.
    #[error("only the tables and views of the archive can be read, and nothing else done: {0}")]
    Forbidden(String),
    /// It takes too long.
    #[error("the statement took longer than {} s and was ended; ask for less, or use --stats, which reads counts", .0.as_secs())]
    Time(Duration),
    /// It is wrong.
    #[error("SQLite says: {0}")]
    Wrong(String),
}

impl SqlError {
    pub(super) fn of(error: rusqlite::Error, time_max: Duration) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::Time(time_max),
            Some(rusqlite::ErrorCode::AuthorizationForStatementDenied) => Self::Forbidden(error.to_string()),
            _ => Self::Wrong(error.to_string()),
        }
    }
}

/// Reading, and nothing else: no other file, no setting, no extension.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if function_name != "load_extension" => Authorization::Allow,
        _ => Authorization::Deny,
    }
}
