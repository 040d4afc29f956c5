//! The Grafana dashboards: written by their script, understood by Grafana's library, and full of data beside a live demo.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use hotshard::metrics::catalog;
use serde_json::Value;

use crate::harness::hotshard::Hotshard;
use crate::harness::prometheus::Prometheus;
use crate::harness::tools::tool;
use crate::harness::wait::eventually;
use crate::repository::{root, texts};

const FOLDER: &str = "dashboards/grafana";
const DATA_DEADLINE: Duration = Duration::from_secs(90);

#[test]
fn dashboards_are_what_their_script_writes() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let script = root().join(FOLDER).join("build.py");
    python(&[&script.display().to_string(), &folder.path().display().to_string()])
        .unwrap_or_else(|said| panic!("{said}"));
    for (path, committed) in texts(FOLDER, &["json"]) {
        let name = path.file_name().expect("a file has a name");
        let written = std::fs::read_to_string(folder.path().join(name)).expect("the script writes every dashboard");
        assert!(written == committed, "{}: run {}", path.display(), script.display());
    }
}

#[test]
fn grafana_understands_every_field() {
    let paths: Vec<String> = texts(FOLDER, &["json"])
        .iter()
        .map(|(path, _)| root().join(path).display().to_string())
        .collect();
    reencode(&paths).unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn a_field_that_grafana_does_not_know_is_found() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("misspelt.json");
    let text = r#"{"title": "t", "panels": [{"type": "stat", "titel": "misspelt"}]}"#;
    std::fs::write(&path, text).expect("a temporary folder takes a file");
    let said = reencode(&[path.display().to_string()]).expect_err("a field is misspelt");
    assert!(said.contains(".panels[0].titel is dropped"), "{said}");
}

#[test]
fn dashboards_link_to_each_other_and_say_what_they_show() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.iter().filter_map(|one| one["uid"].as_str()).collect();
    for dashboard in &dashboards {
        let text = dashboard.to_string();
        for link in text.split("\"/d/").skip(1) {
            let uid = link.split('?').next().expect("a split has a first part");
            assert!(uids.contains(uid), "a link leads to {uid}, which isn't there");
        }
        let described =
            panels(dashboard).all(|panel| panel["description"].as_str().is_some_and(|text| text.ends_with('.')));
        assert!(described, "{}", dashboard["title"]);
        let foreign = text
            .split("\"datasource\":")
            .skip(1)
            .any(|rest| !rest.contains("${datasource}"));
        assert!(!foreign, "{} names a data source", dashboard["title"]);
    }
}

/// Whoever looks for what went wrong finds it without knowing the metric's name.
#[test]
fn whatever_fails_or_is_lost_is_on_a_dashboard() {
    let shown: String = dashboards().iter().map(Value::to_string).collect();
    let is_shown = |name: &str| {
        let after = shown.split(name).skip(1);
        after
            .into_iter()
            .any(|rest| !rest.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_'))
    };
    let words = [
        "circuit", "dropped", "errors", "exports", "failures", "refused", "rejected", "skipped",
    ];
    let named = catalog::all().map(catalog::Metric::full_name);
    let told: Vec<String> = named
        .filter(|name| words.iter().any(|word| name.contains(word)))
        .collect();
    assert!(told.len() >= 10, "{told:?}");
    let missing: Vec<&String> = told.iter().filter(|name| !is_shown(name)).collect();
    assert!(missing.is_empty(), "no dashboard has {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_finds_data_beside_a_demo() {
    let hurried = [
        "--poll.interval",
        "1s",
        "--monitor.schedule",
        "every 3s",
        "--monitor.window",
        "1s",
    ];
    // A collector that takes a push and never answers it, and an archive: what there is to say of these.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("it is bound"));
    let pushed = [
        "--otlp.endpoint",
        &endpoint,
        "--otlp.interval",
        "1s",
        "--otlp.timeout",
        "1s",
    ];
    let kept = ["--archive.path", "h.db"];
    let hotshard = Hotshard::start(&[&["demo"], &hurried[..], &pushed, &kept].concat()).await;
    let prometheus = Prometheus::scraping(hotshard.address).await;
    for dashboard in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().expect("a panel has targets") {
                let expression = filled_in(target["expr"].as_str().expect("a target has an expression"));
                let what = format!("{} / {}: {expression}", dashboard["title"], panel["title"]);
                eventually(&what, DATA_DEADLINE, async || {
                    match prometheus.query(&expression).await {
                        Ok(series) if !series.is_empty() => Ok(()),
                        other => Err(other),
                    }
                })
                .await;
            }
        }
    }
}

/// The expression as Grafana sends it when everything is chosen.
fn filled_in(expression: &str) -> String {
    ["region", "replication_group", "shard", "instance"]
        .iter()
        .fold(expression.replace("$__rate_interval", "30s"), |text, name| {
            text.replace(&format!("\"${name}\""), "\".*\"")
        })
}

fn dashboards() -> Vec<Value> {
    let found: Vec<Value> = texts(FOLDER, &["json"])
        .iter()
        .map(|(path, text)| serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .collect();
    assert!(!found.is_empty());
    found
}

/// All but headings.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let all = dashboard["panels"].as_array().expect("a dashboard has panels");
    all.iter().filter(|panel| panel["type"] != "row")
}

fn reencode(paths: &[String]) -> Result<(), String> {
    let script = root()
        .join("tests/fixtures/reencode_dashboards.py")
        .display()
        .to_string();
    let arguments: Vec<&str> = std::iter::once(&script).chain(paths).map(String::as_str).collect();
    python(&arguments)
}

fn python(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(tool("python"))
        .args(arguments)
        .output()
        .expect("python starts");
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said).into_owned())
    }
}
