//! Server-sent events: everything that is known, whenever it changes, and a sign of life in between.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::routes::App;
use crate::export::view;
use crate::metrics::published::Published;
use crate::metrics::snapshot::Snapshot;

/// The least time between two changes that are told.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// What is added to that for each shard, since more shards make larger messages.
const PAUSE_PER_SHARD: Duration = Duration::from_millis(10);
/// How often a sign of life is sent when nothing changes.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// After what time a browser tries again once it has lost us.
const RETRY: Duration = Duration::from_secs(2);

/// The document of everything that is known; written once for each snapshot, however many ask for it.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    published: Published,
    written: Arc<Mutex<Option<Written>>>,
}

#[derive(Debug)]
struct Written {
    of: Arc<Snapshot>,
    document: Arc<str>,
}

impl Feed {
    pub(super) fn new(published: Published) -> Self {
        Self {
            published,
            written: Arc::default(),
        }
    }

    /// What is known now, as JSON on one line.
    pub(super) fn document(&self) -> Arc<str> {
        let snapshot = self.published.load();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*written
            && Arc::ptr_eq(&last.of, &snapshot)
        {
            return last.document.clone();
        }
        let document: Arc<str> = view::document(&snapshot).into();
        *written = Some(Written {
            of: snapshot,
            document: document.clone(),
        });
        document
    }

    fn pause(&self) -> Duration {
        let shards: usize = self
            .published
            .load()
            .groups
            .iter()
            .map(|group| group.shards.len())
            .sum();
        PAUSE_MIN.max(PAUSE_PER_SHARD * u32::try_from(shards).unwrap_or(u32::MAX))
    }
}

/// `/api/v1/events`
pub(super) async fn stream(State(app): State<App>) -> Response {
    let no_buffering = [("x-accel-buffering", "no")];
    (no_buffering, Sse::new(events(app.feed, app.published, app.shutdown))).into_response()
}

/// Where one client's stream stands.
struct Listener {
    feed: Feed,
    changes: watch::Receiver<Instant>,
    shutdown: CancellationToken,
    told: Option<Instant>,
}

fn events(
    feed: Feed,
    published: Published,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let listener = Listener {
        feed,
        changes: published.changes(),
        shutdown,
        told: None,
    };
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        let Some(told) = self.told else {
            return Some(self.tell().retry(RETRY));
        };
        let shutdown = self.shutdown.clone();
        let alive = tokio::time::sleep_until(told + ALIVE_EVERY);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            changed = self.changes.changed() => {
                changed.ok()?;
                let pause = tokio::time::sleep_until(told + self.feed.pause());
                tokio::select! {
                    () = shutdown.cancelled() => None,
                    () = pause => Some(self.tell()),
                }
            }
            () = alive => {
                self.told = Some(Instant::now());
                Some(Event::default().event("alive").data(""))
            }
        }
    }

    fn tell(&mut self) -> Event {
        self.changes.mark_unchanged();
        self.told = Some(Instant::now());
        Event::default().event("groups").data(self.feed.document())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::export::fabricated;

    #[tokio::test(start_paused = true)]
    async fn a_stream_tells_changes_at_its_own_pace_and_ends_on_shutdown() {
        let published = Published::new();
        let shutdown = CancellationToken::new();
        let feed = Feed::new(published.clone());
        let mut stream = Box::pin(events(feed.clone(), published.clone(), shutdown.clone()));
        assert!(stream.next().await.is_some(), "what is known comes at once");
        let began = Instant::now();
        for _ in 0..100 {
            published.store(fabricated::snapshot(1, 300));
        }
        assert!(stream.next().await.is_some());
        assert_eq!(
            began.elapsed().as_secs(),
            3,
            "many changes are one event, later for many shards"
        );
        assert!(stream.next().await.is_some());
        assert_eq!(began.elapsed().as_secs(), 13, "a sign of life when nothing changes");
        shutdown.cancel();
        assert!(stream.next().await.is_none());
    }

    #[test]
    fn a_document_is_written_once_for_each_snapshot() {
        let published = Published::new();
        let feed = Feed::new(published.clone());
        let (first, second) = (feed.document(), feed.clone().document());
        assert!(Arc::ptr_eq(&first, &second));
        published.store(fabricated::snapshot(1, 1));
        assert_ne!(first, feed.document());
    }
}
