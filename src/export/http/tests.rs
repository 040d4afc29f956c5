//! Every route from the outside, through the router.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode, header};
use axum::response::Response;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::routes::{App, Audience, Exposure, ROUTES, router};
use super::security::Security;
use super::*;
use crate::export::fabricated;
use crate::metrics::published::Published;
use crate::model::{GroupId, GroupKey, Region};

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
    let stage = stage();
    for route in ROUTES.iter().filter(|route| route.audience != Audience::Operators) {
        let response = stage.answer(request("GET", route.path)).await;
        // No archive is kept here.
        let expected = if route.path.contains("/rounds") {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
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

#[tokio::test]
async fn a_question_that_is_none_is_answered_in_the_form_of_all_others() {
    let stage = stage();
    for (path, expected) in [
        (
            "/api/v1/groups/orders/report?reigon=x",
            "unknown field `reigon`, expected `region`",
        ),
        (
            "/api/v1/groups/orders/rounds?limit=many",
            "limit: invalid digit found in string",
        ),
        ("/api/v1/groups/%ff/report", "invalid UTF-8 in `id`"),
        ("/api/v1/rounds/last/report", "cannot parse `last` to a `i64`"),
    ] {
        let (status, body) = stage.get(path).await;
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let text = problem["error"].as_str().expect("a text").to_lowercase();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(text.contains(&expected.to_lowercase()), "{path}: {text}");
    }
}

#[tokio::test]
async fn names_in_paths_may_be_percent_encoded() {
    let mut snapshot = fabricated::snapshot(1, 1);
    snapshot.groups[0].key.id = GroupId::from("a/b c%");
    let stage = stage();
    stage.published.store(snapshot);
    let (status, body) = stage.get("/api/v1/groups/a%2Fb%20c%25/report").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("\"group\":\"a/b c%\""), "{body}");
}

#[tokio::test]
async fn a_body_beyond_every_need_is_refused() {
    let mut stage = stage();
    stage.settings.enable_lifecycle = true;
    let mut large = request("POST", "/-/pause");
    let length = (16 * 1024 + 1).to_string().parse().expect("a header");
    large.headers_mut().insert(header::CONTENT_LENGTH, length);
    *large.body_mut() = Body::from(vec![b'x'; 16 * 1024 + 1]);
    assert_eq!(stage.answer(large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(stage.asked.try_recv().is_err(), "the engine hears nothing of it");
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
async fn strangers_get_metrics_and_health_alone() {
    let mut stage = stage();
    stage.exposure = Exposure::Network;
    stage.settings.enable_lifecycle = true;
    for route in ROUTES {
        let method = if route.audience == Audience::Operators {
            "POST"
        } else {
            "GET"
        };
        let status = stage.answer(request(method, route.path)).await.status();
        let expected = if route.audience == Audience::Probes || route.audience == Audience::Scrapers {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(status, expected, "{}", route.path);
    }
    stage.settings.allow_unauthenticated = true;
    assert_eq!(stage.get("/").await.0, StatusCode::OK);
}

#[tokio::test]
async fn with_passwords_everything_but_health_asks_for_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("web.yml");
    let hash = bcrypt::hash("sesame", 4).expect("a hash");
    std::fs::write(&path, format!("basic_auth_users: {{ ali: \"{hash}\" }}")).expect("a file");
    let mut stage = stage();
    stage.exposure = Exposure::Network;
    stage.settings.enable_lifecycle = true;
    stage.settings.allow_unauthenticated = true;
    stage.settings.config.file = Some(path);
    for route in ROUTES {
        let method = if route.audience == Audience::Operators {
            "POST"
        } else {
            "GET"
        };
        let response = stage.answer(request(method, route.path)).await;
        let open = route.audience == Audience::Probes;
        let expected = if open { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(response.status(), expected, "{}", route.path);
        assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), !open);
    }
    let nothing = stage.answer(request("GET", "/nothing")).await;
    assert_eq!(nothing.status(), StatusCode::UNAUTHORIZED, "not even what there isn't");
    let mut known = request("GET", "/");
    let right = "Basic YWxpOnNlc2FtZQ==".parse().expect("a header");
    known.headers_mut().insert(header::AUTHORIZATION, right);
    assert_eq!(stage.answer(known).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn lifecycle_is_absent_unless_enabled() {
    let stage = stage();
    for route in ROUTES.iter().filter(|route| route.audience == Audience::Operators) {
        let status = stage.answer(request("POST", route.path)).await.status();
        assert_eq!(status, StatusCode::NOT_FOUND, "{}", route.path);
    }
}

#[tokio::test]
async fn an_order_reaches_the_engine_and_its_answer_comes_back() {
    let mut stage = stage();
    stage.settings.enable_lifecycle = true;
    let key = GroupKey {
        region: Region::from("eu-central-1"),
        id: GroupId::from("orders"),
    };
    for (path, expected, answer, status) in [
        (
            "/-/reload",
            Request::Reload,
            Answer::Refused("line 3: no".to_owned()),
            StatusCode::CONFLICT,
        ),
        ("/-/pause", Request::Pause, Answer::Done, StatusCode::OK),
        ("/-/resume", Request::Resume, Answer::Done, StatusCode::OK),
        (
            "/api/v1/groups/orders/windows",
            Request::Round(key),
            Answer::Done,
            StatusCode::OK,
        ),
    ] {
        let app = App::new(
            stage.settings.clone(),
            Security::read(None).expect("there is no file"),
            stage.published.clone(),
            stage.orders.clone(),
            CancellationToken::new(),
        );
        let answered = tokio::spawn(router(app, Exposure::Loopback).oneshot(request("POST", path)));
        let order = stage.asked.recv().await.expect("an order");
        assert_eq!(order.request, expected);
        order.answer.send(answer).expect("someone waits");
        let response = answered.await.expect("no panic").expect("a router answers");
        assert_eq!(response.status(), status, "{path}");
    }
    let unknown = stage.answer(request("POST", "/api/v1/groups/none/windows")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn another_sites_page_cannot_pause_windows() {
    let mut stage = stage();
    stage.settings.enable_lifecycle = true;
    for (name, value) in [(header::ORIGIN, "http://evil.example"), (header::HOST, "evil.example")] {
        let mut request = request("POST", "/-/pause");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a test's header"));
        assert_eq!(stage.answer(request).await.status(), StatusCode::FORBIDDEN);
    }
    assert!(stage.asked.try_recv().is_err());
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

#[tokio::test]
async fn the_api_tells_what_is_known() {
    let (_, body) = stage().get("/api/v1/groups").await;
    let document: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let shard = &document["groups"][0]["shards"][1];
    assert_eq!(shard["signals"]["commands"]["status"], "very_hot");
    assert_eq!(shard["window"]["patterns"][0]["pattern"], "leaderboard:{DATE}");
    let sent = &shard["window"]["bytes_out"];
    assert_eq!(
        (&sent["patterns"][0]["pattern"], &sent["sizes"]),
        (&"leaderboard:{DATE}".into(), &"untouched".into())
    );
    // Of what was measured: 0.81 × 1950 ÷ 1980.
    assert!(
        sent["patterns"][0]["share"]
            .as_f64()
            .is_some_and(|share| (share - 0.798).abs() < 0.001),
        "{sent}"
    );
    assert_eq!(document["at"], "2026-09-21T14:13:20.000Z");
}

#[tokio::test]
async fn a_groups_last_windows_are_a_report() {
    let mut snapshot = fabricated::snapshot(2, 3);
    snapshot.groups[0].shards[2].windows.last = None;
    snapshot.groups[1].key.id = GroupId::from("orders");
    snapshot.groups[1].key.region = Region::from("us-east-1");
    let stage = stage();
    stage.published.store(snapshot);
    assert_eq!(
        stage.get("/api/v1/groups/orders/report").await.0,
        StatusCode::BAD_REQUEST
    );
    let (status, body) = stage.get("/api/v1/groups/orders/report?region=eu-central-1").await;
    assert_eq!(status, StatusCode::OK);
    let report: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(report["shards"][0]["shard"], "0002");
    assert_eq!(report["shards"][0]["status"]["cpu"], "very_hot");
    assert_eq!(report["missing"][0]["reason"], fabricated::ABSENCE);
    assert_eq!(stage.get("/api/v1/groups/none/report").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_description_names_exactly_the_routes_there_are() {
    let (_, body) = stage().get("/api/openapi.json").await;
    let description: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        described.extend(
            methods
                .as_object()
                .expect("methods")
                .keys()
                .map(|method| (path.clone(), method.clone())),
        );
    }
    let method = |audience| if audience == Audience::Operators { "post" } else { "get" };
    let mut routes: Vec<(String, String)> = ROUTES
        .iter()
        .filter(|route| !route.path.starts_with("/assets/"))
        .map(|route| (route.path.to_owned(), method(route.audience).to_owned()))
        .collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}

#[tokio::test]
async fn answers_have_the_fields_that_the_description_names() {
    let stage = stage();
    let read =
        async |path: &str| -> serde_json::Value { serde_json::from_str(&stage.get(path).await.1).expect("JSON") };
    let description = read("/api/openapi.json").await;
    let known = read("/api/v1/groups").await;
    let shard = &known["groups"][0]["shards"][0];
    for (schema, answer) in [
        ("Known", &known),
        ("Group", &known["groups"][0]),
        ("Shard", shard),
        ("Signal", &shard["signals"]["cpu"]),
        ("Node", &shard["nodes"][0]),
        ("Window", &shard["window"]),
        ("Report", &read("/api/v1/groups/orders/report").await),
    ] {
        let names = |object: &serde_json::Value| {
            let mut names: Vec<_> = object.as_object().expect("an object").keys().cloned().collect();
            names.sort();
            names
        };
        let properties = &description["components"]["schemas"][schema]["properties"];
        assert_eq!(names(answer), names(properties), "{schema}");
    }
}
