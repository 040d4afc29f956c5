//! The API: what is known, as JSON, and what an operator orders.

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::order::{Answer, Order, Request};
use super::routes::App;
use crate::export::view;
use crate::metrics::snapshot::{GroupSnapshot, Snapshot};
use crate::model::GroupKey;

/// What stands in a path, or an answer in the form of all others.
pub(super) struct Named<Name>(pub(super) Name);

impl<Name: DeserializeOwned + Send> FromRequestParts<App> for Named<Name> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let name = Path::from_request_parts(parts, app).await;
        name.map(|Path(name)| Self(name))
            .map_err(|rejection| problem(rejection.status(), lower_case(&rejection.body_text())))
    }
}

/// What stands behind the `?` of a request, likewise.
pub(super) struct Asked<Question>(pub(super) Question);

impl<Question: DeserializeOwned + Send> FromRequestParts<App> for Asked<Question> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let question = Query::from_request_parts(parts, app).await;
        question
            .map(|Query(question)| Self(question))
            .map_err(|rejection| problem(rejection.status(), lower_case(&rejection.body_text())))
    }
}

fn lower_case(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// An answer that isn't what was asked for.
pub(super) fn problem(status: StatusCode, text: impl AsRef<str>) -> Response {
    (status, Json(json!({ "error": text.as_ref() }))).into_response()
}

/// There is no answer now, but there will be one after so many seconds.
pub(super) fn later(seconds: u32, text: impl AsRef<str>) -> Response {
    let after = [(header::RETRY_AFTER, seconds.to_string())];
    (after, problem(StatusCode::SERVICE_UNAVAILABLE, text)).into_response()
}

/// `/api/openapi.json`: what the routes take and answer.
pub(super) async fn description() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, include_str!("openapi.json")).into_response()
}

/// `/api/v1/groups`: everything that is known.
pub(super) async fn groups(State(app): State<App>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, app.feed.document().to_string()).into_response()
}

/// `/api/v1/groups/{id}/report`: the last window of each shard beside the others'.
pub(super) async fn report(State(app): State<App>, Named(id): Named<String>, Asked(place): Asked<Where>) -> Response {
    match group(&app.published.load(), &id, &place) {
        Ok(group) => Json(view::report(group)).into_response(),
        Err(unclear) => unclear.into_response(),
    }
}

pub(super) async fn reload(State(app): State<App>) -> Response {
    ask(&app, Request::Reload).await
}

pub(super) async fn pause(State(app): State<App>) -> Response {
    ask(&app, Request::Pause).await
}

pub(super) async fn resume(State(app): State<App>) -> Response {
    ask(&app, Request::Resume).await
}

/// Which of the groups of one name is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Where {
    pub(super) region: Option<String>,
}

pub(super) async fn round(State(app): State<App>, Named(id): Named<String>, Asked(place): Asked<Where>) -> Response {
    let found = group(&app.published.load(), &id, &place).map(|group| group.key.clone());
    match found {
        Ok(key) => ask(&app, Request::Round(key)).await,
        Err(unclear) => unclear.into_response(),
    }
}

/// Why a name doesn't say which group is meant.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Unclear {
    #[error("there is no such group; see /api/v1/groups")]
    Unknown,
    #[error("several regions have a group of this name; say which with ?region=")]
    Ambiguous,
}

impl IntoResponse for Unclear {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Ambiguous => StatusCode::BAD_REQUEST,
        };
        problem(status, self.to_string())
    }
}

/// The group of that name; where several regions have one, the region must be said.
pub(super) fn group<'s>(snapshot: &'s Snapshot, id: &str, place: &Where) -> Result<&'s GroupSnapshot, Unclear> {
    let is_meant = |key: &GroupKey| {
        key.id.as_str() == id
            && place
                .region
                .as_deref()
                .is_none_or(|region| key.region.as_str() == region)
    };
    let mut found = snapshot.groups.iter().filter(|group| is_meant(&group.key));
    match (found.next(), found.next()) {
        (Some(group), None) => Ok(group),
        (None, _) => Err(Unclear::Unknown),
        (Some(_), Some(_)) => Err(Unclear::Ambiguous),
    }
}

async fn ask(app: &App, request: Request) -> Response {
    let (answer, answered) = oneshot::channel();
    match app.orders.try_send(Order { request, answer }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            return problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "the engine is busy with earlier requests; try again",
            );
        }
        Err(TrySendError::Closed(_)) => return problem(StatusCode::SERVICE_UNAVAILABLE, "hotshard is stopping"),
    }
    match answered.await {
        Ok(Answer::Done) => Json(json!({ "status": "ok" })).into_response(),
        Ok(Answer::Refused(reason)) => problem(StatusCode::CONFLICT, reason),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "hotshard is stopping"),
    }
}
