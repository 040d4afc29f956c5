//! Server-sent events: everything that is known, whenever it changes; what open windows see, as long as there are any; and a sign of life.

mod feed;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::api::problem;
use super::routes::App;
pub(super) use feed::Feed;
use feed::LISTENERS_MAX;

/// How often a sign of life is sent when nothing else is.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// After what time a browser tries again once it has lost us.
const RETRY: Duration = Duration::from_secs(2);

/// `/api/v1/events`
pub(super) async fn stream(State(app): State<App>) -> Response {
    let Some(permit) = app.feed.admit() else {
        let text = format!("{LISTENERS_MAX} listen already; ask /api/v1/groups, or try again later");
        let after = [(header::RETRY_AFTER, "10")];
        return (after, problem(StatusCode::SERVICE_UNAVAILABLE, text)).into_response();
    };
    let no_buffering = [("x-accel-buffering", "no")];
    let events = events(app.feed, permit, app.shutdown);
    (no_buffering, Sse::new(events)).into_response()
}

fn events(
    feed: Feed,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let listener = Listener::new(feed, permit, shutdown);
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}

/// Where one client's stream stands. It is asked for the next event only when the client has taken the last one, so a slow client
/// misses events rather than piling them up.
struct Listener {
    feed: Feed,
    changes: watch::Receiver<Instant>,
    shutdown: CancellationToken,
    /// When everything that is known was told last; never yet.
    told: Option<Instant>,
    /// Whether there is something to tell since.
    is_behind: bool,
    /// When it was looked whether windows are open, and whether some were.
    looked: Instant,
    saw_windows: bool,
    /// When anything was said last.
    spoke: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    fn new(feed: Feed, permit: OwnedSemaphorePermit, shutdown: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            changes: feed.changes(),
            feed,
            shutdown,
            told: None,
            is_behind: true,
            looked: now,
            saw_windows: false,
            spoke: now,
            _permit: permit,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        let Some(told) = self.told else {
            return Some(self.tell().retry(RETRY));
        };
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                () = sleep_until(told + self.feed.pause()), if self.is_behind => return Some(self.tell()),
                changed = self.changes.changed(), if !self.is_behind => {
                    changed.ok()?;
                    self.is_behind = true;
                }
                () = sleep_until(self.looked + self.feed.glance_pause()) => {
                    if let Some(event) = self.look() {
                        return Some(event);
                    }
                }
                () = sleep_until(self.spoke + ALIVE_EVERY) => {
                    self.spoke = Instant::now();
                    return Some(Event::default().event("alive").data(""));
                }
            }
        }
    }

    fn tell(&mut self) -> Event {
        self.changes.mark_unchanged();
        self.is_behind = false;
        self.spoke = Instant::now();
        self.told = Some(self.spoke);
        Event::default().event("groups").data(self.feed.document())
    }

    /// What open windows see; once more when the last one has closed, so that nobody goes on showing it.
    fn look(&mut self) -> Option<Event> {
        self.looked = Instant::now();
        let glance = self.feed.glance();
        let (sees, saw) = (glance.count > 0, self.saw_windows);
        self.saw_windows = sees;
        (sees || saw).then(|| {
            self.spoke = Instant::now();
            Event::default().event("windows").data(glance.document)
        })
    }
}

#[cfg(test)]
mod tests;
