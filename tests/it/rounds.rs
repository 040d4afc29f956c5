//! Rounds over HTTP: those of the past, and those an operator orders.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{hotshard, told};
use crate::harness::hotshard::Hotshard;
use crate::harness::http;
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);
const ROUNDS: &str = "/api/v1/groups/demo/rounds";

fn json(answer: &http::Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

fn names(object: &Value) -> Vec<&String> {
    let mut names: Vec<&String> = object.as_object().expect("an object").keys().collect();
    names.sort();
    names
}

#[tokio::test]
async fn past_rounds_are_listed_and_their_reports_are_those_of_the_command() {
    let often = ["--monitor.schedule", "every 3s", "--monitor.window", "1s"];
    let arguments = ["demo", "--shards", "2", "--archive.path", "h.db"];
    let arguments: Vec<&str> = arguments.iter().chain(&often).copied().collect();
    let daemon = Hotshard::start(&arguments).await;
    let listed = async || {
        let answer = daemon.get(ROUNDS).await?;
        let rounds = json(&answer)["rounds"].as_array().cloned().unwrap_or_default();
        if rounds.len() >= 2 {
            Ok(rounds)
        } else {
            Err(answer.body)
        }
    };
    let rounds = eventually("two rounds are listed", DEADLINE, listed).await;
    let number = |round: &Value| round["round"].as_i64().expect("a round has a number");
    assert!(
        number(&rounds[0]) > number(&rounds[1]),
        "the newest comes first: {rounds:?}"
    );
    let described = json(&daemon.get("/api/openapi.json").await.expect("it answers"));
    assert_eq!(
        names(&rounds[0]),
        names(&described["components"]["schemas"]["Round"]["properties"])
    );
    let one = daemon.get(&format!("{ROUNDS}?limit=1")).await.expect("it answers");
    assert_eq!(json(&one)["rounds"].as_array().map(Vec::len), Some(1));

    let oldest = rounds.last().expect("there are two");
    assert_eq!((&oldest["shards"], &oldest["source"]), (&2.into(), &"demo".into()));
    let number = number(oldest).to_string();
    let answer = daemon.get(&format!("/api/v1/rounds/{number}/report")).await;
    let report = json(&answer.expect("it answers"));
    assert_eq!(report["totals"]["commands"], oldest["commands"]);
    let path = daemon.folder().join("h.db").display().to_string();
    let printed = told(&mut hotshard(&[
        "report",
        "--db-path",
        &path,
        "--session",
        &number,
        "-f",
        "json",
    ]));
    let printed = printed
        .trim_end()
        .strip_suffix("exit code 0")
        .expect("it prints a report");
    assert_eq!(serde_json::from_str::<Value>(printed).expect("it is JSON"), report);

    for (path, status) in [
        ("/api/v1/rounds/999999/report", 404),
        ("/api/v1/rounds/last/report", 400),
        ("/api/v1/groups/none/rounds", 404),
        ("/api/v1/groups/demo/rounds?last=1", 400),
    ] {
        assert_eq!(daemon.get(path).await.expect("it answers").status, status, "{path}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn without_an_archive_the_past_says_what_to_set() {
    let daemon = Hotshard::start(&["demo", "--shards", "2"]).await;
    for path in [ROUNDS, "/api/v1/rounds/1/report"] {
        let answer = daemon.get(path).await.expect("it answers");
        assert_eq!(answer.status, 404);
        assert_eq!(json(&answer)["error"], "no rounds are kept; set archive.path");
    }
    daemon.stop().await;
}

/// `POST path`, as a client that sends these headers.
async fn post(daemon: &Hotshard, path: &str, headers: &[(&str, &str)]) -> u16 {
    let answer = http::request(daemon.address, "POST", path, headers).await;
    answer.expect("it answers").status
}

/// Waits until a page of metrics, fetched with the password, has a line that begins and ends so.
async fn until(daemon: &Hotshard, line: &str, ending: &str) {
    let seen = async || {
        let page = http::request(daemon.address, "GET", "/metrics", &[RIGHT]).await?.body;
        let has = page.lines().any(|one| one.starts_with(line) && one.ends_with(ending));
        if has { Ok(()) } else { Err(page) }
    };
    eventually(line, DEADLINE, seen).await;
}

/// `ali:sesame`.
const RIGHT: (&str, &str) = ("Authorization", "Basic YWxpOnNlc2FtZQ==");
const WRONG: (&str, &str) = ("Authorization", "Basic YWxpOm9yYW5nZQ==");

#[tokio::test]
async fn an_operator_with_the_password_pauses_resumes_and_orders_a_round() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("web.yml");
    // The cheapest hash there is: nothing here is worth guessing.
    let hash = bcrypt::hash("sesame", 4).expect("a short password can be hashed");
    std::fs::write(&path, format!("basic_auth_users: {{ ali: \"{hash}\" }}")).expect("it takes a file");
    let path = path.display().to_string();
    let web = ["--web.enable-lifecycle", "--web.config.file", &path];
    let arguments = [
        "demo",
        "--shards",
        "2",
        "--monitor.schedule",
        "every 1h",
        "--monitor.on-hot",
        "false",
        "--monitor.window",
        "1s",
    ];
    let arguments: Vec<&str> = arguments.iter().chain(&web).copied().collect();
    let daemon = Hotshard::start(&arguments).await;
    let orders = ["/-/pause", "/-/resume", "/-/reload", "/api/v1/groups/demo/windows"];
    for order in orders {
        assert_eq!(post(&daemon, order, &[]).await, 401, "{order}");
        assert_eq!(post(&daemon, order, &[WRONG]).await, 401, "{order}");
        let foreign = ("Origin", "http://evil.example");
        assert_eq!(post(&daemon, order, &[RIGHT, foreign]).await, 403, "{order}");
    }
    until(&daemon, "hotshard_paused", " 0").await;
    assert_eq!(post(&daemon, "/-/pause", &[RIGHT]).await, 200);
    until(&daemon, "hotshard_paused", " 1").await;
    assert_eq!(post(&daemon, "/-/resume", &[RIGHT]).await, 200);
    until(&daemon, "hotshard_paused", " 0").await;
    assert_eq!(post(&daemon, "/-/reload", &[RIGHT]).await, 200);
    let page = http::request(daemon.address, "GET", "/metrics", &[RIGHT]).await;
    let page = page.expect("it answers").body;
    assert!(!page.contains("hotshard_window_last_end_timestamp_seconds{"), "{page}");
    assert_eq!(post(&daemon, "/api/v1/groups/demo/windows", &[RIGHT]).await, 200);
    until(&daemon, "hotshard_window_last_end_timestamp_seconds{", "").await;
    daemon.stop().await;
}

#[tokio::test]
async fn whoever_orders_a_round_is_told_why_no_window_is_opened() {
    let daemon = Hotshard::serve(
        "[[groups]]\nid = \"far\"\nendpoints = [\"127.0.0.1:1:0001\", \"127.0.0.1:1:0002\"]\n[web]\nenable_lifecycle = true\n",
    )
    .await;
    let answer = http::request(daemon.address, "POST", "/api/v1/groups/far/windows", &[]).await;
    let answer = answer.expect("it answers");
    assert_eq!(answer.status, 409, "{}", answer.body);
    let reason =
        "no window is opened on far: shard 0001, 0002: none of its nodes answers; `hotshard check --connect` says why";
    assert!(answer.body.contains(reason), "{}", answer.body);
    daemon.signal(Signal::USR1);
    eventually("a signal is answered in the log", DEADLINE, async || {
        let log = daemon.log();
        if log.contains(reason) { Ok(()) } else { Err(log) }
    })
    .await;
    let skipped = "hotshard_windows_skipped_total{replication_group=\"far\",shard=\"0002\",reason=\"no_node_up\"} 2\n";
    eventually("both are counted", DEADLINE, async || {
        let metrics = daemon.metrics().await;
        if metrics.contains(skipped) {
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;
    daemon.stop().await;
}
