//! Who may do what, through the router.

use super::*;

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

#[tokio::test]
async fn strangers_get_metrics_and_health_alone() {
    let mut stage = stage();
    stage.exposure = Exposure::Network;
    stage.settings.enable_lifecycle = true;
    stage.settings.enable_sql = true;
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
    stage.settings.enable_sql = true;
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

/// As browsers mark an image, a link or a frame of another site, a socket, and a name that was led to our address.
#[tokio::test]
async fn another_sites_page_cannot_ask_the_archive() {
    let mut stage = stage();
    stage.settings.enable_sql = true;
    let mut check = async |allow_unauthenticated: bool, name: &'static str, value: &str, expected: StatusCode| {
        stage.settings.allow_unauthenticated = allow_unauthenticated;
        stage.exposure = if allow_unauthenticated {
            Exposure::Network
        } else {
            Exposure::Loopback
        };
        let mut request = request("GET", "/api/v1/query?sql=SELECT%201");
        let value = value.parse().expect("a test's header");
        request.headers_mut().insert(name, value);
        let status = stage.answer(request).await.status();
        assert_eq!(status, expected, "{name} {allow_unauthenticated}");
    };
    for open in [false, true] {
        check(open, "sec-fetch-site", "cross-site", StatusCode::FORBIDDEN).await;
        check(open, "sec-fetch-site", "same-site", StatusCode::FORBIDDEN).await;
        check(open, "origin", "http://evil.example", StatusCode::FORBIDDEN).await;
        check(open, "origin", "null", StatusCode::FORBIDDEN).await;
        // There is no archive here; what is meant is that it was looked for.
        check(open, "sec-fetch-site", "same-origin", StatusCode::NOT_FOUND).await;
        check(open, "sec-fetch-site", "none", StatusCode::NOT_FOUND).await;
        check(open, "origin", "http://localhost:9468", StatusCode::NOT_FOUND).await;
        check(open, "host", "127.0.0.1:9468", StatusCode::NOT_FOUND).await;
        check(open, "host", "evil.example:9468", StatusCode::FORBIDDEN).await;
    }
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
