//! What keeps a statement of the user's from doing harm: it reads this file and nothing else, and not for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode};
use tokio::time::Instant;

/// How long a statement of the user's may take.
pub const SQL_TIME_MAX: Duration = Duration::from_secs(30);

/// What a statement may take, and how much its answer may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) time_max: Duration,
    pub(super) rows_max: usize,
    /// Bytes of the answer, in memory and as JSON.
    pub(super) bytes_max: usize,
    /// Bytes of the temporary files in which SQLite sorts what is large.
    spilled_max: u64,
    /// SQLite's operations between two looks at the clock.
    operations_a_look: i32,
    limits: &'static [(Limit, i32)],
    may_call: fn(&str) -> bool,
}

impl Bounds {
    /// For whoever has a process of their own for it.
    pub(super) const fn own(time_max: Duration) -> Self {
        Self {
            time_max,
            rows_max: 1_000_000,
            // More is read by nobody, and takes for ever to lay out.
            bytes_max: 256 * 1024 * 1024,
            spilled_max: u64::MAX,
            operations_a_look: 10_000,
            limits: &[
                (Limit::SQLITE_LIMIT_ATTACHED, 0),
                (Limit::SQLITE_LIMIT_LENGTH, 1024 * 1024),
                (Limit::SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024),
                (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
            ],
            may_call: |name| name != "load_extension",
        }
    }

    /// For guests of a daemon, which has other things to do than to answer them.
    pub(super) const fn guest(time_max: Duration) -> Self {
        Self {
            time_max,
            rows_max: 10_000,
            bytes_max: 8 * 1024 * 1024,
            spilled_max: 256 * 1024 * 1024,
            // A function isn't interrupted, and may look at every byte of a value.
            operations_a_look: 100,
            // A statement holds as many values at a time as it names; together they bound its memory.
            limits: &[
                (Limit::SQLITE_LIMIT_ATTACHED, 0),
                (Limit::SQLITE_LIMIT_COLUMN, 100),
                (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 20),
                (Limit::SQLITE_LIMIT_FUNCTION_ARG, 20),
                (Limit::SQLITE_LIMIT_LENGTH, 128 * 1024),
                (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
                (Limit::SQLITE_LIMIT_SQL_LENGTH, 16 * 1024),
                (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
            ],
            may_call: |name| GUESTS_FUNCTIONS.contains(&name.to_ascii_lowercase().as_str()),
        }
    }
}

/// Functions whose memory SQLite bounds by the length of a value; those that gather JSON, for one, have no bound.
#[rustfmt::skip]
const GUESTS_FUNCTIONS: &[&str] = &[
    "->", "->>", "abs", "avg", "char", "coalesce", "concat", "concat_ws", "count", "cume_dist", "date", "datetime", "dense_rank",
    "first_value", "format", "glob", "group_concat", "hex", "if", "ifnull", "iif", "instr", "json_array_length", "json_extract", "json_type",
    "json_valid", "julianday", "lag", "last_value", "lead", "length", "like", "likelihood", "likely", "lower", "ltrim", "max", "min", "nth_value",
    "ntile", "nullif", "octet_length", "percent_rank", "printf", "quote", "random", "rank", "replace", "round", "row_number", "rtrim", "sign",
    "strftime", "string_agg", "substr", "substring", "sum", "time", "timediff", "total", "trim", "typeof", "unicode", "unixepoch",
    "unlikely", "upper",
];

/// Between two looks at what was written.
const SPILL_LOOK: Duration = Duration::from_millis(10);

/// Takes everything from the connection that a statement could do harm with, and ends the statement when it is given up or has taken
/// what it may. Tells, afterwards, whether that were its files.
pub(super) fn confine(
    connection: &mut Connection,
    bounds: &Bounds,
    is_given_up: impl Fn() -> bool + Send + 'static,
) -> Result<Arc<AtomicBool>, SqlError> {
    let failed = |error| SqlError::of(error, bounds.time_max);
    for &(limit, value) in bounds.limits {
        connection.set_limit(limit, value).map_err(failed)?;
    }
    let may_call = bounds.may_call;
    let authorize = move |context: AuthContext<'_>| authorize(context.action, may_call);
    connection.authorizer(Some(authorize)).map_err(failed)?;
    let (begun, spilled_max) = (Instant::now(), bounds.spilled_max);
    let (deadline, written_before) = (begun + bounds.time_max, written());
    let spilled = Arc::new(AtomicBool::new(false));
    let (tell, mut looked) = (spilled.clone(), begun);
    let is_over = move || {
        let now = Instant::now();
        if now - looked >= SPILL_LOOK {
            looked = now;
            tell.store(
                written().saturating_sub(written_before) > spilled_max,
                Ordering::Relaxed,
            );
        }
        now >= deadline || tell.load(Ordering::Relaxed) || is_given_up()
    };
    connection
        .progress_handler(bounds.operations_a_look, Some(is_over))
        .map_err(failed)?;
    Ok(spilled)
}

/// Bytes that this thread has written so far; a system that doesn't say so leaves the clock to bound it.
fn written() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/io").unwrap_or_default();
    let bytes = told.lines().find_map(|line| line.strip_prefix("wchar: "));
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
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
    #[error("the statement took longer than {} s and was ended; ask for less, or ask the counts of windows, such as window_keys, instead of lines", .0.as_secs())]
    Time(Duration),
    /// It sorts or gathers too much.
    #[error("the statement filled {} MiB of temporary files and was ended; sort, group or gather less at a time", .0 >> 20)]
    Space(u64),
    /// It is wrong.
    #[error("SQLite says: {0}")]
    Wrong(String),
    /// The file can't be read, whatever is asked.
    #[error("the archive can't be read: {0}")]
    Unreadable(String),
}

impl SqlError {
    /// What ended it, where that were its files.
    pub(super) fn or_space(self, spilled: &AtomicBool, bounds: &Bounds) -> Self {
        match self {
            Self::Time(_) if spilled.load(Ordering::Relaxed) => Self::Space(bounds.spilled_max),
            other => other,
        }
    }

    pub(super) fn of(error: rusqlite::Error, time_max: Duration) -> Self {
        let told = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Self::Time(time_max),
            Some(ErrorCode::AuthorizationForStatementDenied) => Self::Forbidden(told),
            // A function that may not be called is an error like others to SQLite.
            _ if told.starts_with("not authorized") => Self::Forbidden(told),
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::DatabaseLocked
                | ErrorCode::NotADatabase
                | ErrorCode::SystemIoFailure,
            ) => Self::Unreadable(told),
            _ => Self::Wrong(told),
        }
    }
}

/// Reading, and nothing else: no other file, no setting, no extension.
fn authorize(action: AuthAction<'_>, may_call: fn(&str) -> bool) -> Authorization {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if may_call(function_name) => Authorization::Allow,
        _ => Authorization::Deny,
    }
}
