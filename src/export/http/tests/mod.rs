//! Every route from the outside, through the router.

mod access;
mod api;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode, header};
use axum::response::Response;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::routes::{App, Audience, Exposure, Need, ROUTES, router};
use super::security::Security;
use super::*;
use crate::export::fabricated;
use crate::metrics::published::Published;
use crate::model::{GroupId, GroupKey, Ratio, Region};

/// A server without sockets.
struct Stage {
    settings: WebSettings,
    exposure: Exposure,
    published: Published,
    orders: mpsc::Sender<Order>,
    asked: mpsc::Receiver<Order>,
}

fn stage() -> Stage {
    let published = Published::new();
    published.store(fabricated::snapshot(1, 3));
    let (orders, asked) = mpsc::channel(4);
    Stage {
        settings: WebSettings::default(),
        exposure: Exposure::Loopback,
        published,
        orders,
        asked,
    }
}

impl Stage {
    async fn answer(&self, request: HttpRequest<Body>) -> Response {
        let app = App::new(
            self.settings.clone(),
            Security::read(self.settings.config.file.as_deref()).expect("a test's file"),
            self.published.clone(),
            self.orders.clone(),
            CancellationToken::new(),
        );
        router(app, self.exposure)
            .oneshot(request)
            .await
            .expect("a router answers")
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        read(self.answer(request("GET", path)).await).await
    }
}

fn request(method: &str, path: &str) -> HttpRequest<Body> {
    let path = path.replace("{id}", "orders").replace("{n}", "1");
    HttpRequest::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost:9468")
        .body(Body::empty())
        .expect("a test's request")
}

async fn read(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = to_bytes(response.into_body(), 16 << 20).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn every_reading_route_answers_with_security_headers() {
    let mut stage = stage();
    stage.settings.enable_sql = true;
    for route in ROUTES.iter().filter(|route| route.audience != Audience::Operators) {
        let response = stage.answer(request("GET", route.path)).await;
        // No archive is kept here, and no statement said.
        let expected = match route.need {
            Need::Sql => StatusCode::BAD_REQUEST,
            _ if route.path.contains("/rounds") => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        assert_eq!(response.status(), expected, "{}", route.path);
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .expect("a header");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{}",
            route.path
        );
        let wrong = stage.answer(request("DELETE", route.path)).await.status();
        assert_eq!(wrong, StatusCode::METHOD_NOT_ALLOWED, "{}", route.path);
    }
    assert!(
        stage
            .get("/metrics")
            .await
            .1
            .contains("http_requests_total{route=\"/healthz\",status=\"200\"} 1")
    );
}

#[tokio::test]
async fn what_is_not_there_says_where_something_is() {
    let mut stage = stage();
    let missing = "there is nothing here; the page is /, the metrics are /metrics, and /api/openapi.json describes all there is\n";
    for path in ["/nothing", "/metrics/", "//metrics", "/api/v1/groups/orders/report/"] {
        let response = stage.answer(request("GET", path)).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(
            read(response).await,
            (StatusCode::NOT_FOUND, missing.to_owned()),
            "{path}"
        );
    }
    let off = stage.answer(request("POST", "/api/v1/groups/orders/windows")).await;
    assert!(read(off).await.1.contains("set web.enable_lifecycle"));
    let (status, off) = stage.get("/api/v1/query?sql=SELECT%201").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(off.contains("set web.enable_sql"), "{off}");
    stage.settings.enable_lifecycle = true;
    for (path, allowed) in [("/metrics", "GET,HEAD"), ("/-/pause", "POST")] {
        let response = stage.answer(request("PUT", path)).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let stage = stage();
    for route in ROUTES
        .iter()
        .filter(|route| route.audience == Audience::Probes || route.path == "/metrics")
    {
        let (status, body) = read(stage.answer(request("HEAD", route.path)).await).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""), "{}", route.path);
    }
}

#[tokio::test(start_paused = true)]
async fn healthz_fails_when_the_engine_stalls_and_comes_back() {
    let stage = stage();
    assert_eq!(stage.get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    tokio::time::advance(HEARTBEAT_MAX + Duration::from_secs(1)).await;
    let stalled = "the engine has published nothing for 11 s\n";
    assert_eq!(
        stage.get("/-/healthy").await,
        (StatusCode::SERVICE_UNAVAILABLE, stalled.to_owned())
    );
    stage.published.store(fabricated::snapshot(1, 1));
    assert_eq!(stage.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn readyz_waits_for_each_groups_first_discovery_and_poll() {
    let stage = stage();
    let check = async |change: &dyn Fn(&mut crate::metrics::snapshot::Snapshot), expected: &str| {
        let mut snapshot = fabricated::snapshot(2, 1);
        change(&mut snapshot);
        stage.published.store(snapshot);
        assert_eq!(stage.get("/readyz").await.1, expected);
    };
    check(&|_| {}, "ready\n").await;
    check(&|snapshot| snapshot.at = Default::default(), "starting\n").await;
    check(&|snapshot| snapshot.groups.clear(), "ready\n").await;
    let one = "waiting for the first discovery and poll of 1 group(s)\n";
    let unpolled = |snapshot: &mut crate::metrics::snapshot::Snapshot| {
        for node in &mut snapshot.groups[1].shards[0].nodes {
            node.poll_duration = None;
            node.poll_failures.clear();
        }
    };
    check(&unpolled, one).await;
    check(&|snapshot| snapshot.groups[0].discovered = None, "ready\n").await;
    let undiscovered = |snapshot: &mut crate::metrics::snapshot::Snapshot| {
        snapshot.groups[0].discovered = None;
        snapshot.groups[0].discovery_failures.clear();
    };
    check(&undiscovered, one).await;
    let unseen = |snapshot: &mut crate::metrics::snapshot::Snapshot| {
        snapshot.groups.clear();
        snapshot.untried = 1;
    };
    check(&unseen, one).await;
}

#[tokio::test]
async fn pages_are_compressed_and_openmetrics_for_those_who_ask() {
    let stage = stage();
    let mut request = request("GET", "/metrics");
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT_ENCODING, "gzip".parse().expect("a header"));
    headers.insert(
        header::ACCEPT,
        "application/openmetrics-text".parse().expect("a header"),
    );
    let response = stage.answer(request).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().expect("a header");
    assert!(
        content_type.starts_with("application/openmetrics-text"),
        "{content_type}"
    );
}

#[tokio::test]
async fn telemetry_path_moves_the_metrics() {
    let mut stage = stage();
    stage.settings.telemetry_path = "/probe".to_owned().try_into().expect("a free path");
    assert_eq!(stage.get("/probe").await.0, StatusCode::OK);
    assert_eq!(stage.get("/metrics").await.0, StatusCode::NOT_FOUND);
    assert!(
        stage.get("/").await.1.contains("href=\"probe\""),
        "the page links to it"
    );
}

#[tokio::test]
async fn the_page_asks_nobody_but_us() {
    let stage = stage();
    for path in ["/", "/assets/page.css", "/assets/page.js", "/assets/icon.svg"] {
        let text = stage.get(path).await.1.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("//www.") && !text.contains("http:") && !text.contains("https:"),
            "{path}"
        );
        assert!(
            !text.contains(" style=") && !text.contains(" onclick="),
            "{path}: the policy forbids it"
        );
    }
    let page = stage.get("/").await.1;
    assert!(page.contains(concat!("hotshard ", env!("CARGO_PKG_VERSION"))), "{page}");
    for asset in [
        "metrics",
        "api/openapi.json",
        "assets/page.css",
        "assets/page.js",
        "assets/icon.svg",
    ] {
        assert!(
            page.contains(&format!("\"{asset}\"")),
            "paths are relative, for proxies that add a prefix"
        );
    }
}
