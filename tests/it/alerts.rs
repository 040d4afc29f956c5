//! The alert rules: sound, each tried both ways, each with a runbook, and the whole chain from a hot shard to a webhook.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hotshard::metrics::catalog;
use serde_yaml_ng::Value;

use crate::harness::alertmanager::Alertmanager;
use crate::harness::hotshard::Hotshard;
use crate::harness::prometheus::{Prometheus, promtool};
use crate::harness::wait::eventually;
use crate::repository::{read, root, texts};

const RULES: &str = "dashboards/prometheus/hotshard.rules.yml";
const TESTS: &str = "dashboards/prometheus/tests/hotshard.rules.test.yml";
const CHAIN_DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn rules_are_sound_and_do_what_their_tests_say() {
    let path = |path: &str| root().join(path).display().to_string();
    promtool(&["check", "rules", "--lint-fatal", &path(RULES)], "").unwrap_or_else(|said| panic!("{said}"));
    promtool(&["test", "rules", &path(TESTS)], "").unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn every_alert_is_tried_as_it_fires_and_as_it_is_quiet() {
    let tests = yaml(TESTS);
    let mut tried = BTreeSet::new();
    for case in list(&tests["tests"])
        .iter()
        .flat_map(|test| list(&test["alert_rule_test"]))
    {
        let fires = !list(&case["exp_alerts"]).is_empty();
        tried.insert((text(&case["alertname"]).to_owned(), fires));
    }
    let expected: BTreeSet<_> = alerts()
        .iter()
        .flat_map(|alert| [true, false].map(|fires| (text(&alert["alert"]).to_owned(), fires)))
        .collect();
    assert_eq!(tried, expected);
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let linked: BTreeSet<String> = alerts()
        .iter()
        .map(|alert| {
            let path = text(&alert["annotations"]["runbook_url"]);
            assert_eq!(path, format!("docs/runbooks/{}.md", text(&alert["alert"])));
            path.to_owned()
        })
        .collect();
    let written: BTreeSet<String> = texts("docs/runbooks", &["md"])
        .into_iter()
        .map(|(path, _)| path.display().to_string())
        .filter(|path| path.contains("/Hotshard"))
        .collect();
    assert_eq!(linked, written);
    for path in written {
        let page = read(&path);
        for heading in ["Symptom", "What to look at", "What to do", "Does resharding help?"] {
            assert!(
                page.contains(&format!("\n## {heading}\n")),
                "{path} doesn't say: {heading}"
            );
        }
    }
}

#[test]
fn every_cause_has_a_section_that_says_what_to_look_at_and_what_to_do() {
    let source = read("src/analysis/diagnosis/finding.rs");
    let (_, arms) = source.split_once("fn kind(self)").expect("a cause has a name");
    let (arms, _) = arms.split_once("\n    }\n").expect("the function ends");
    let mut causes: Vec<&str> = arms.split('"').skip(1).step_by(2).collect();
    let page = read("docs/runbooks/causes.md");
    let mut explained: Vec<&str> = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let name = section.split('`').nth(1).expect("a section names its cause");
        for heading in ["**Look at**: ", "**Do**: ", "**Resharding**: "] {
            assert!(section.contains(heading), "{name} doesn't say: {heading}");
        }
        explained.push(name);
    }
    causes.sort_unstable();
    explained.sort_unstable();
    assert!(causes.len() >= 12, "{causes:?}");
    assert_eq!(explained, causes);
}

#[test]
fn every_threshold_is_one_line_and_is_used() {
    let rules = read(RULES);
    let mut defined: Vec<String> = rules_of(&yaml(RULES))
        .iter()
        .filter(|rule| rule["record"] == "hotshard:threshold")
        .map(|rule| text(&rule["labels"]["of"]).to_owned())
        .collect();
    defined.sort();
    let mut used: Vec<String> = rules
        .split("of=\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    used.sort();
    used.dedup();
    assert_eq!(defined, used);
}

#[test]
fn whatever_names_a_metric_names_one_that_exists() {
    let known: BTreeSet<String> = catalog::all().map(catalog::Metric::full_name).collect();
    for folder in ["dashboards", "deploy", "docs"] {
        for (path, text) in texts(folder, &["json", "md", "toml", "tpl", "yaml", "yml"]) {
            for name in names(&text) {
                assert!(known.contains(name), "{}: there is no metric {name}", path.display());
            }
        }
    }
}

#[test]
fn names_of_metrics_are_found() {
    let check = |text: &str, expected: &[&str]| assert_eq!(names(text).collect::<Vec<_>>(), expected, "{text}");
    check(
        "sum(hotshard_node_up{a=\"b\"}) / `hotshard_x_total`",
        &["hotshard_node_up", "hotshard_x_total"],
    );
    check(
        "hotshard:threshold, hotshard-shards, hotshard_ and HOTSHARD_POLL__INTERVAL",
        &[],
    );
}

/// What begins like one of our metrics.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(move |letter| !is_inside(letter))
        .filter(|word| word.starts_with(catalog::PREFIX) && word.len() > catalog::PREFIX.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_shard_reaches_the_webhook() {
    let hotshard = Hotshard::start(&["demo", "--poll.interval", "1s"]).await;
    let planted = planted(&hotshard);
    let alertmanager = Alertmanager::start().await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, impatient(&read(RULES))).expect("a temporary folder takes a file");
    let _prometheus = Prometheus::start(&configuration(&hotshard, &alertmanager, &rules)).await;
    let alert = eventually("the webhook hears of the hot shard", CHAIN_DEADLINE, async || {
        let alerts = alertmanager.received();
        let hot = alerts.iter().find(|alert| {
            let labels = &alert["labels"];
            labels["alertname"] == "HotshardHotShard"
                && labels["shard"] == planted.as_str()
                && alert["status"] == "firing"
        });
        hot.cloned().ok_or(alerts.len())
    })
    .await;
    let summary = alert["annotations"]["summary"]
        .as_str()
        .expect("it says what is the matter");
    assert!(
        summary.starts_with(&format!("Shard {planted} of demo is hot by ")),
        "{summary}"
    );
    for other in alertmanager.received() {
        let is_itself = ["HotshardDown", "HotshardStalled", "HotshardDiscoveryStale"]
            .iter()
            .any(|name| other["labels"]["alertname"] == *name);
        assert!(!is_itself, "hotshard is well, and yet: {other}");
    }
}

/// The same rules for somebody who doesn't wait.
fn impatient(rules: &str) -> String {
    let waits = |line: &&str| line.trim_start().starts_with("for: ");
    let kept: Vec<&str> = rules.lines().filter(|line| !waits(line)).collect();
    assert!(kept.len() < rules.lines().count());
    kept.join("\n")
}

fn configuration(hotshard: &Hotshard, alertmanager: &Alertmanager, rules: &Path) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n\
         scrape_configs: [{{job_name: hotshard, static_configs: [{{targets: ['{}']}}]}}]\n",
        rules.display(),
        alertmanager.address,
        hotshard.address
    )
}

/// The shard that the demo says it planted.
fn planted(hotshard: &Hotshard) -> String {
    let greeting = hotshard.said();
    let (_, rest) = greeting.split_once("\nShard ").expect("the demo names the shard");
    rest.split(' ').next().expect("a split has a first part").to_owned()
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules_of(file: &Value) -> Vec<&Value> {
    list(&file["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]))
        .collect()
}

fn alerts() -> Vec<Value> {
    let file = yaml(RULES);
    let alerts: Vec<Value> = rules_of(&file)
        .into_iter()
        .filter(|rule| !rule["alert"].is_null())
        .cloned()
        .collect();
    assert!(!alerts.is_empty());
    alerts
}

/// A list, or nothing where there is none.
fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text"))
}
