//! The description of the API: a sound one by a validator that isn't ours, and true of a running daemon.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::hotshard::Hotshard;
use crate::harness::tools::tool;
use crate::harness::wait::eventually;
use crate::repository::root;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_description_says() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let [archive, configuration] = ["h.db", "h.toml"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&configuration, "").expect("a temporary folder takes a file");
    let often = "demo --shards 3 --poll.interval 1s --monitor.schedule every|2s --monitor.window 1s --web.enable-lifecycle true --web.enable-sql";
    let mut arguments: Vec<String> = often.split(' ').map(|word| word.replace('|', " ")).collect();
    arguments.extend(["--archive.path", &archive, "--config", &configuration].map(str::to_owned));
    let hotshard = Hotshard::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // With a round in the archive and a finding, no part of an answer is empty.
    let full = async || {
        let rounds = hotshard.get("/api/v1/groups/demo/rounds").await?;
        let known = hotshard.get("/api/v1/groups").await?;
        let [rounds, known] =
            [rounds, known].map(|answer| serde_json::from_str::<Value>(&answer.body).unwrap_or_default());
        let found = known["groups"][0]["diagnosis"][0]["cause"].is_string();
        match rounds["rounds"].as_array() {
            Some(rounds) if !rounds.is_empty() && found => Ok(()),
            _ => Err(format!("{rounds} {known}")),
        }
    };
    eventually("a round is kept and a cause is found", DEADLINE, full).await;
    let output = Command::new(tool("python"))
        .arg(root().join("tests/api.py"))
        .args([&format!("http://{}", hotshard.address), "demo", &configuration])
        .output()
        .expect("python starts");
    let (asked, complaint) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{asked}{complaint}");
    let count = |method: &str| asked.lines().filter(|line| line.starts_with(method)).count();
    assert_eq!(
        (count("GET "), count("POST ")),
        (13, 4),
        "every route is asked: {asked}"
    );
    hotshard.stop().await;
}

/// The report has a schema of its own; the API's description of it may say less of a field, but knows the same ones.
#[test]
fn the_api_describes_every_field_of_a_report() {
    let read = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).expect("it is in the repository");
        serde_json::from_str::<Value>(&text).expect("it is JSON")
    };
    let api = &read("src/export/http/openapi.json")["components"]["schemas"]["Report"];
    let report = read("docs/report.schema.json");
    assert_eq!(fields(api), fields(&report));
}

/// The names of all fields that a schema describes, each with those it stands in.
fn fields(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Some(properties) = schema["properties"].as_object() {
        for (name, field) in properties {
            found.insert(name.clone());
            found.extend(fields(field).into_iter().map(|inner| format!("{name}.{inner}")));
        }
    }
    if schema["items"].is_object() {
        found.extend(fields(&schema["items"]));
    }
    found
}
