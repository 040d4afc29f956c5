//! The Helm chart: each set of values in its `ci/` is linted, rendered, held to Kubernetes' schemas, and what comes out is accepted
//! by the programs that will read it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::prometheus::promtool;
use crate::harness::tools::tool;
use crate::repository::{read, root, texts};

const CHART: &str = "deploy/helm/hotshard";

#[test]
fn every_set_of_values_gives_sound_manifests_and_a_configuration_that_is_accepted() {
    let sets = texts(&format!("{CHART}/ci"), &["yaml"]);
    assert!(sets.len() >= 3, "there are sets of values");
    for (values, _) in sets {
        let folder = TempDir::new().expect("a temporary folder");
        render(&root().join(&values), folder.path()).unwrap_or_else(|said| panic!("{}: {said}", values.display()));
        let built_in = built_in_manifests(folder.path());
        run(Command::new(tool("python"))
            .args(["-m", "kubernetes_validate", "--strict"])
            .arg(built_in))
        .unwrap_or_else(|said| panic!("{}: {said}", values.display()));
        let config = folder.path().join("hotshard.toml");
        run(Command::new(env!("CARGO_BIN_EXE_hotshard"))
            .args(["check", "--config"])
            .arg(config))
        .unwrap_or_else(|said| panic!("{}: {said}", values.display()));
    }
}

#[test]
fn the_chart_brings_the_same_rules_and_dashboards() {
    let folder = TempDir::new().expect("a temporary folder");
    render(&root().join(CHART).join("ci/most.yaml"), folder.path()).unwrap_or_else(|said| panic!("{said}"));
    for (path, text) in texts("dashboards/grafana", &["json"]) {
        let carried = folder.path().join(path.file_name().expect("a file has a name"));
        assert_eq!(
            json(&std::fs::read_to_string(carried).expect("the chart carries it")),
            json(&text),
            "{}",
            path.display()
        );
    }
    let carried = folder.path().join("rules.yml");
    promtool(&["check", "rules", &carried.display().to_string()], "").unwrap_or_else(|said| panic!("{said}"));
    let mut expected: Value =
        serde_yaml_ng::from_str(&read("dashboards/prometheus/hotshard.rules.yml")).expect("it is YAML");
    // The one threshold that these values change.
    expected["groups"][0]["rules"][0]["expr"] = "vector(3)".into();
    assert_eq!(
        json(&std::fs::read_to_string(carried).expect("it was just checked")),
        expected
    );
}

#[test]
fn values_that_make_no_sense_are_refused() {
    check("config: {groups: []}", "name at least one group");
    check("config: {groups: [{id: a}]}\nreplicas: 2", "replicas");
    check("config: {groups: [{id: a}]}\nimmage: {}", "immage");
    check(
        "config: {groups: [{id: a}]}\nprometheusRule: {enabled: true, thresholds: {skew: 3}}",
        "no threshold is called skew",
    );
}

fn check(values: &str, complaint: &str) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("values.yaml");
    std::fs::write(&path, values).expect("a temporary folder takes a file");
    let said = render(&path, folder.path()).expect_err(values);
    assert!(said.contains(complaint), "{values}: {said}");
}

fn render(values: &Path, folder: &Path) -> Result<(), String> {
    let paths = [
        &root().join("tests/fixtures/render_chart.py"),
        &root().join(CHART),
        values,
        folder,
    ]
    .map(Path::to_path_buf);
    run(Command::new(tool("python")).args(paths))
}

/// The manifests of kinds that Kubernetes itself knows, in a file; those of the Prometheus operator have no schema here.
fn built_in_manifests(folder: &Path) -> std::path::PathBuf {
    let all = std::fs::read_to_string(folder.join("manifests.yaml")).expect("the chart was rendered");
    let kept: Vec<&str> = all
        .split("\n---\n")
        .filter(|manifest| !manifest.trim().is_empty() && !manifest.contains("apiVersion: monitoring.coreos.com/"))
        .collect();
    let path = folder.join("built-in.yaml");
    std::fs::write(&path, kept.join("\n---\n")).expect("a temporary folder takes a file");
    path
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().expect("the tool starts");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}
