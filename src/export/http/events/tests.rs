//! Streams by the clock.

use std::sync::{Arc, Mutex};

use axum::body::{BodyDataStream, to_bytes};
use futures_util::StreamExt;

use super::*;
use crate::export::fabricated;
use crate::export::open::{Guarded, OpenWindow, OpenWindows};
use crate::metrics::published::Published;
use crate::model::{Bytes, GroupId, GroupKey, NodeId, Region, ShardId};

/// What somebody hears who listens.
struct Ear(BodyDataStream);

impl Ear {
    fn new(feed: &Feed, shutdown: &CancellationToken) -> Self {
        let permit = feed.admit().expect("there is room");
        let answer = Sse::new(events(feed.clone(), permit, shutdown.clone())).into_response();
        Self(answer.into_body().into_data_stream())
    }

    /// The next event: its name, and what it carries.
    async fn hear(&mut self) -> Option<(String, String)> {
        let text = self.0.next().await?.expect("it is in memory");
        let text = String::from_utf8_lossy(&text).into_owned();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        Some((field("event:"), field("data:")))
    }

    async fn name(&mut self) -> Option<String> {
        self.hear().await.map(|(name, _)| name)
    }
}

fn window(open: Duration, commands: u64) -> OpenWindow {
    OpenWindow {
        group: GroupKey {
            region: Region::from("eu-central-1"),
            id: GroupId::from("orders"),
        },
        shard: ShardId::new("0001"),
        node: NodeId::new("orders-0001-002"),
        open,
        lasts: Duration::from_secs(10),
        wanted: Duration::from_secs(10),
        commands,
        bytes: Bytes(0),
        guard: Guarded::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_changes_at_its_own_pace_and_ends_on_shutdown() {
    let published = Published::new();
    let shutdown = CancellationToken::new();
    let feed = Feed::new(published.clone(), OpenWindows::default());
    let mut ear = Ear::new(&feed, &shutdown);
    assert_eq!(
        ear.name().await.as_deref(),
        Some("groups"),
        "what is known comes at once"
    );
    let began = Instant::now();
    for _ in 0..100 {
        published.store(fabricated::snapshot(1, 300));
    }
    assert_eq!(ear.name().await.as_deref(), Some("groups"));
    let later = began.elapsed().as_secs();
    assert_eq!(later, 3, "many changes are one event, later for many shards");
    assert_eq!(ear.name().await.as_deref(), Some("alive"));
    assert_eq!(began.elapsed().as_secs(), 13, "a sign of life when nothing changes");
    shutdown.cancel();
    assert_eq!(ear.name().await, None);
}

#[tokio::test(start_paused = true)]
async fn open_windows_are_told_of_every_second_and_once_more_when_they_have_closed() {
    let (published, shutdown) = (Published::new(), CancellationToken::new());
    let windows = Arc::new(Mutex::new(Vec::new()));
    let looked = Arc::clone(&windows);
    let windows_now = move || looked.lock().expect("nobody panics").clone();
    let feed = Feed::new(published.clone(), OpenWindows::seen_by(windows_now));
    let (mut ear, mut other) = (Ear::new(&feed, &shutdown), Ear::new(&feed, &shutdown));
    assert_eq!(ear.name().await.as_deref(), Some("groups"));
    assert_eq!(other.name().await.as_deref(), Some("groups"));
    let began = Instant::now();
    let set = |now: Vec<OpenWindow>| *windows.lock().expect("nobody panics") = now;
    for (second, commands, rate) in [(1, 500, 500.0), (2, 2_500, 2_000.0), (3, 2_500, 0.0)] {
        set(vec![window(Duration::from_secs(second), commands)]);
        let (name, document) = ear.hear().await.expect("it goes on");
        assert_eq!((name.as_str(), began.elapsed().as_secs()), ("windows", second));
        let told: serde_json::Value = serde_json::from_str(&document).expect("JSON");
        assert_eq!(told["windows"][0]["commands_per_second"], rate, "{document}");
        // Whoever else listens sees the same, with the same rate.
        assert_eq!(other.hear().await, Some((name, document)));
    }
    set(Vec::new());
    let closed = Some(("windows".to_owned(), r#"{"windows":[]}"#.to_owned()));
    assert_eq!(ear.hear().await, closed);
    assert_eq!(ear.name().await.as_deref(), Some("alive"), "and then no more");
    assert_eq!(began.elapsed().as_secs(), 14);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_and_what_windows_see_dont_keep_each_other_waiting() {
    let (published, shutdown) = (Published::new(), CancellationToken::new());
    let open = || vec![window(Duration::from_secs(1), 7)];
    let feed = Feed::new(published.clone(), OpenWindows::seen_by(open));
    let mut ear = Ear::new(&feed, &shutdown);
    let mut heard = std::collections::BTreeMap::<String, usize>::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        published.store(fabricated::snapshot(1, 3));
        *heard.entry(ear.name().await.expect("it goes on")).or_default() += 1;
    }
    assert!(heard["groups"] >= 10 && heard["windows"] >= 9, "{heard:?}");
}

#[tokio::test]
async fn one_listener_too_many_is_sent_away_until_another_leaves() {
    let (published, shutdown) = (Published::new(), CancellationToken::new());
    let settings = super::super::WebSettings::default();
    let security = super::super::security::Security::read(None).expect("there is no file");
    let (orders, _asked) = tokio::sync::mpsc::channel(1);
    let app = App::new(settings, security, published, orders, shutdown);
    let mut answers = Vec::new();
    for _ in 0..LISTENERS_MAX {
        answers.push(stream(State(app.clone())).await);
    }
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
    let refused = stream(State(app.clone())).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "10");
    let body = to_bytes(refused.into_body(), 1 << 10).await.expect("a body");
    assert!(String::from_utf8_lossy(&body).contains("100 listen already"));
    answers.pop();
    assert_eq!(stream(State(app)).await.status(), StatusCode::OK);
}

#[test]
fn a_document_is_written_once_for_each_snapshot() {
    let published = Published::new();
    let feed = Feed::new(published.clone(), OpenWindows::default());
    let (first, second) = (feed.document(), feed.clone().document());
    assert!(Arc::ptr_eq(&first, &second));
    published.store(fabricated::snapshot(1, 1));
    assert_ne!(first, feed.document());
}
