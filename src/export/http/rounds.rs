//! Rounds of the past, read from the archive.
//!
//! The archive is read on threads that may wait, by a few requests at a time. It refuses to know how it is written.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::api::{Asked, Named, Where, group, later, problem};
use super::routes::App;
use crate::archive::{ArchiveError, KeptRound, Questions};
use crate::export::view::moment;

/// Requests that read the archive at the same time; more wait.
const READERS_MAX: usize = 2;
/// How many rounds are listed where nobody says otherwise.
const LISTED: u32 = 100;
/// How many are listed at most.
const LISTED_MAX: u32 = 1_000;

/// Where past rounds lie, if any are kept.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    path: Option<Arc<FilePath>>,
    free: Arc<Semaphore>,
}

impl Shelf {
    pub(super) fn new(path: Option<&FilePath>) -> Self {
        Self {
            path: path.map(Arc::from),
            free: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    async fn ask<Found: Send + 'static>(
        &self,
        question: impl FnOnce(&Questions) -> Result<Found, ArchiveError> + Send + 'static,
    ) -> Result<Found, Absence> {
        let path = self.path.clone().ok_or(Absence::NothingKept)?;
        let permit = self.free.clone().acquire_owned().await;
        let asked = tokio::task::spawn_blocking(move || {
            // Held until the answer is there, though whoever asked may have left.
            let _permit = permit;
            question(&Questions::open_written(&path)?)
        });
        match asked.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(ArchiveError::Missing(_) | ArchiveError::Unready(_))) => Err(Absence::Unready(Unready)),
            Ok(Err(error)) => {
                tracing::warn!("a request cannot read the archive: {error}");
                Err(Absence::Unreadable)
            }
            Err(_) => Err(Absence::Unreadable),
        }
    }
}

/// The writer has yet to bring the file into its form. If it can't, it has said so in the log, and that is nothing for each request to repeat.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the archive isn't there yet: hotshard is making it, or rewriting it for this version; ask again in {READY_AFTER} s, and if that goes on, the log says what is in the way"
)]
pub(super) struct Unready;

/// After how many seconds a new archive is there; to rewrite a large one takes longer.
const READY_AFTER: u32 = 5;

impl IntoResponse for Unready {
    fn into_response(self) -> Response {
        later(READY_AFTER, self.to_string())
    }
}

/// Why there is no past to show. Where the file lies is nobody's business here.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Absence {
    #[error("no rounds are kept; set archive.path")]
    NothingKept,
    #[error("there is no such round; see /api/v1/groups/{{id}}/rounds")]
    Unknown,
    #[error(transparent)]
    Unready(Unready),
    #[error("the archive can't be read now; the log says why")]
    Unreadable,
}

impl IntoResponse for Absence {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NothingKept | Self::Unknown => StatusCode::NOT_FOUND,
            Self::Unready(unready) => return unready.into_response(),
            Self::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        };
        problem(status, self.to_string())
    }
}

/// Which rounds are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    region: Option<String>,
    limit: Option<u32>,
}

/// `/api/v1/groups/{id}/rounds`: the rounds that are kept, the newest first.
pub(super) async fn list(State(app): State<App>, Named(id): Named<String>, Asked(wanted): Asked<Wanted>) -> Response {
    let place = Where { region: wanted.region };
    let key = match group(&app.published.load(), &id, &place) {
        Ok(group) => group.key.clone(),
        Err(unclear) => return unclear.into_response(),
    };
    let count = wanted.limit.unwrap_or(LISTED).min(LISTED_MAX);
    match app.shelf.ask(move |archive| archive.rounds(&key, count)).await {
        Ok(rounds) => Json(json!({ "rounds": rounds.iter().map(shown).collect::<Vec<_>>() })).into_response(),
        Err(absence) => absence.into_response(),
    }
}

/// `/api/v1/rounds/{n}/report`: what a past round found.
pub(super) async fn report(State(app): State<App>, Named(number): Named<i64>) -> Response {
    let found = app.shelf.ask(move |archive| archive.round(Some(number))).await;
    match found.and_then(|found| found.ok_or(Absence::Unknown)) {
        Ok(round) => Json(round.report()).into_response(),
        Err(absence) => absence.into_response(),
    }
}

fn shown(round: &KeptRound) -> Value {
    json!({
        "round": round.id,
        "source": round.source,
        "started_at": moment(round.opened),
        "ended_at": moment(round.closed),
        "shards": round.shards,
        "commands": round.commands,
    })
}
