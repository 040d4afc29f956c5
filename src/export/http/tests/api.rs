//! What the API answers, through the router.

use super::*;

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
async fn a_little_load_is_told_as_exactly_as_a_lot() {
    let mut snapshot = fabricated::snapshot(1, 1);
    snapshot.groups[0].shards[0].cpu.rate = Some(Ratio(0.007_452_4));
    let stage = stage();
    stage.published.store(snapshot);
    let (_, body) = stage.get("/api/v1/groups").await;
    let document: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(document["groups"][0]["shards"][0]["signals"]["cpu"]["rate"], 0.007_452);
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
