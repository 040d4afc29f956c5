//! Whether hotshard lives, and whether it knows anything yet. Redis has no say in either.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use super::routes::App;
use crate::metrics::published::Published;
use crate::metrics::snapshot::{GroupSnapshot, Snapshot};

/// How long the engine may stay silent before it counts as stalled.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(10);

/// `/healthz`: 200 while the engine's heartbeat is fresh.
pub(super) async fn alive(State(app): State<App>) -> (StatusCode, String) {
    match stalled(&app.published) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(silence) => {
            let text = format!("the engine has published nothing for {} s\n", silence.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// `/readyz`: 200 after one attempt at discovery and one poll for each group.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, String) {
    match waiting(&app.published.load()) {
        Some(0) => (StatusCode::OK, "ready\n".to_owned()),
        Some(groups) => {
            let text = format!("waiting for the first discovery and poll of {groups} group(s)\n");
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
    }
}

/// Whether every group was tried once: `/readyz`, and what the supervisor is told.
pub fn is_ready(snapshot: &Snapshot) -> bool {
    waiting(snapshot) == Some(0)
}

/// How long the engine has been silent, if that is too long.
fn stalled(published: &Published) -> Option<Duration> {
    Some(published.age()).filter(|age| *age > HEARTBEAT_MAX)
}

/// How many groups, or selections of groups, weren't tried yet; `None` before the engine has said anything.
fn waiting(snapshot: &Snapshot) -> Option<usize> {
    let began = snapshot.at.0 != 0;
    began.then(|| snapshot.untried + snapshot.groups.iter().filter(|group| !was_tried(group)).count())
}

fn was_tried(group: &GroupSnapshot) -> bool {
    let polled = |shards: &[_]| {
        let mut nodes = shards
            .iter()
            .flat_map(|shard: &crate::metrics::snapshot::ShardSnapshot| &shard.nodes)
            .peekable();
        nodes.peek().is_none() || nodes.any(|node| node.poll_duration.is_some() || !node.poll_failures.is_empty())
    };
    (group.discovered.is_some() || !group.discovery_failures.is_empty()) && polled(&group.shards)
}
