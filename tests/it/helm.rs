//! The Helm chart: each set of values in its `ci/` is linted, rendered, held to Kubernetes' schemas, and what comes out is accepted
//! by the programs that will read it.

use std::path::Path;
use std::process::Command;

use hotshard::discovery::instance::Instance;
use hotshard::model::{GroupId, GroupKey, Region};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::prometheus::promtool;
use crate::harness::tools::tool;
use crate::repository::{read, root, texts};

const CHART: &str = "deploy/helm/hotshard";

#[test]
fn every_set_of_values_gives_sound_manifests_and_a_configuration_that_is_accepted() {
    let sets = texts(&format!("{CHART}/ci"), &["yaml"]);
    assert!(sets.len() >= 4, "there are sets of values");
    sets.iter().for_each(|(values, _)| accepted(&root().join(values)));
}

fn accepted(values: &Path) {
    accept(values).unwrap_or_else(|said| panic!("{}: {said}", values.display()));
}

/// Helm, Kubernetes and hotshard take what these values give; or what one of them said.
pub(crate) fn accept(values: &Path) -> Result<(), String> {
    let folder = TempDir::new().expect("a temporary folder");
    render(values, folder.path())?;
    let built_in = built_in_manifests(folder.path());
    run(Command::new(tool("python"))
        .args(["-m", "kubernetes_validate", "--strict"])
        .arg(built_in))?;
    let config = folder.path().join("hotshard.toml");
    run(Command::new(env!("CARGO_BIN_EXE_hotshard"))
        .args(["check", "--config"])
        .arg(config))
}

#[test]
fn every_pod_is_confined_and_asked_whether_it_is_well() {
    for (values, _) in texts(&format!("{CHART}/ci"), &["yaml"]) {
        let manifests = manifests(&values);
        let pod = &workload(&manifests)["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let confined = &container["securityContext"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{}", values.display());
        assert_eq!(confined["readOnlyRootFilesystem"], true, "{}", values.display());
        assert_eq!(confined["allowPrivilegeEscalation"], false, "{}", values.display());
        assert_eq!(confined["capabilities"]["drop"][0], "ALL", "{}", values.display());
        let probed = |probe: &str| container[probe]["httpGet"]["path"].clone();
        let paths = ["livenessProbe", "readinessProbe", "startupProbe"].map(probed);
        assert_eq!(paths, ["/healthz", "/readyz", "/healthz"], "{}", values.display());
        assert!(
            container["resources"]["requests"]["memory"].is_string(),
            "{}",
            values.display()
        );
    }
}

#[test]
fn pods_have_the_account_that_aws_knows() {
    let manifests = manifests(&root().join(CHART).join("ci/most.yaml"));
    let account = &of_kind(&manifests, "ServiceAccount")[0];
    let pod = &workload(&manifests)["spec"]["template"]["spec"];
    assert_eq!(account["metadata"]["name"], pod["serviceAccountName"]);
    let role = &account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert_eq!(role, "arn:aws:iam::111122223333:role/hotshard");
}

/// What Helm prints after an installation leads to a pod or a service that the chart has made, and to a port it listens on.
#[test]
fn the_notes_lead_to_what_was_installed() {
    for (values, kind) in [("least", "Service"), ("several", "StatefulSet")] {
        let folder = TempDir::new().expect("a temporary folder");
        let values = root().join(CHART).join(format!("ci/{values}.yaml"));
        render(&values, folder.path()).unwrap_or_else(|said| panic!("{said}"));
        let notes = std::fs::read_to_string(folder.path().join("NOTES.txt")).expect("they were rendered");
        let manifests = manifests(&values);
        let named = of_kind(&manifests, kind);
        let leads = named
            .iter()
            .filter_map(|one| one["metadata"]["name"].as_str())
            .any(|name| {
                let target = match kind {
                    "Service" => format!("service/{name} 9468:9468"),
                    _ => format!("pod/{name}-0 9468:9468"),
                };
                notes.contains(&format!("kubectl --namespace cache port-forward {target}"))
            });
        assert!(leads, "{notes}");
    }
}

/// What tries the chart isn't part of it.
#[test]
fn a_packed_chart_is_without_its_trials() {
    let ignored = read(Path::new(CHART).join(".helmignore"));
    let patterns: Vec<&str> = ignored.lines().collect();
    let tried: Vec<_> = texts(&format!("{CHART}/ci"), &["yaml"]);
    for (path, _) in tried {
        let inside = path.strip_prefix(CHART).expect("it lies in the chart");
        assert!(
            patterns.iter().any(|pattern| inside.starts_with(pattern)),
            "{}",
            path.display()
        );
    }
}

#[test]
fn several_pods_divide_the_groups_and_each_is_scraped_once() {
    let path = root().join(CHART).join("ci/several.yaml");
    let manifests = manifests(&path);
    let pods = workload(&manifests);
    let container = &pods["spec"]["template"]["spec"]["containers"][0];
    let name = text(&pods["metadata"]["name"]);
    let replicas = pods["spec"]["replicas"]
        .as_u64()
        .expect("it says how many pods there are");
    assert_eq!((text(&pods["kind"]), replicas), ("StatefulSet", 3));
    let told = items(&container["env"]).iter().find(|one| one["name"] == "HOSTNAME");
    assert_eq!(
        told.expect("a pod knows its name")["valueFrom"]["fieldRef"]["fieldPath"],
        "metadata.name"
    );
    let count = instance_count(items(&container["args"]));
    for group in configured(&manifests) {
        let owns = |pod: &u64| {
            let instance = Instance::among(count, None, Some(&format!("{name}-{pod}")));
            instance.expect("the pod's name ends in its number").owns(&group)
        };
        assert_eq!((0..replicas).filter(owns).count(), 1, "{group:?} in {count} instances");
    }
    let services = of_kind(&manifests, "Service");
    let headless = services
        .iter()
        .find(|one| one["metadata"]["name"] == pods["spec"]["serviceName"]);
    assert_eq!(
        headless.expect("pods have names of their own")["spec"]["clusterIP"],
        "None"
    );
    let labels = &pods["spec"]["template"]["metadata"]["labels"];
    for service in &services {
        assert!(
            selects(
                &serde_json::json!({ "matchLabels": service["spec"]["selector"] }),
                labels
            ),
            "{service}"
        );
    }
    let monitor = &of_kind(&manifests, "ServiceMonitor")[0]["spec"]["selector"];
    let scraped = services
        .iter()
        .filter(|one| selects(monitor, &one["metadata"]["labels"]));
    assert_eq!(scraped.count(), 1, "each pod is a target once");
    for (kind, selector) in [("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")] {
        assert!(
            selects(&of_kind(&manifests, kind)[0]["spec"][selector], labels),
            "{kind}"
        );
    }
    assert_eq!(
        pods["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"],
        "10Gi"
    );
    let mounted = items(&container["volumeMounts"])
        .iter()
        .find(|one| one["name"] == "data");
    assert_eq!(mounted.expect("the volume is mounted")["mountPath"], "/data");
}

/// What `--instance-count` says among a container's arguments, as the program itself reads them.
fn instance_count(arguments: &[Value]) -> u32 {
    let words = ["hotshard"].into_iter().chain(arguments.iter().map(text));
    let read = hotshard::cli::command().try_get_matches_from(words);
    let read = read.unwrap_or_else(|error| panic!("{error}"));
    let (command, arguments) = read.subcommand().expect("it names a command");
    assert_eq!(command, "serve");
    *arguments.get_one("instance_count").expect("it has a default")
}

fn configured(manifests: &[Value]) -> Vec<GroupKey> {
    let maps = of_kind(manifests, "ConfigMap");
    let config = maps.iter().find_map(|one| one["data"]["hotshard.toml"].as_str());
    let config: toml::Table = config.expect("there is a configuration").parse().expect("it is TOML");
    let groups = config["groups"].as_array().expect("it names groups");
    let word = |group: &toml::Value, key: &str| {
        group
            .get(key)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let key = |group: &toml::Value| GroupKey {
        region: Region::from(word(group, "region").as_str()),
        id: GroupId::new(word(group, "id")),
    };
    groups.iter().map(key).collect()
}

/// Whether a label selector takes something with these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(name, value)| &labels[name] == value);
    let absent = items(&selector["matchExpressions"]).iter().all(|expression| {
        assert_eq!(expression["operator"], "DoesNotExist");
        labels[text(&expression["key"])].is_null()
    });
    equal && absent
}

fn workload(manifests: &[Value]) -> Value {
    let found = ["Deployment", "StatefulSet"]
        .map(|kind| of_kind(manifests, kind))
        .concat();
    assert_eq!(found.len(), 1, "one kind of pods");
    found[0].clone()
}

fn of_kind(manifests: &[Value], kind: &str) -> Vec<Value> {
    manifests.iter().filter(|one| one["kind"] == kind).cloned().collect()
}

fn manifests(values: &Path) -> Vec<Value> {
    let folder = TempDir::new().expect("a temporary folder");
    render(&root().join(values), folder.path()).unwrap_or_else(|said| panic!("{}: {said}", values.display()));
    let all = std::fs::read_to_string(folder.path().join("manifests.yaml")).expect("the chart was rendered");
    let documents = all.split("\n---\n").filter(|text| !text.trim().is_empty());
    documents
        .map(|text| serde_yaml_ng::from_str(text).expect("a manifest is YAML"))
        .collect()
}

/// A list, or nothing where there is none.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text"))
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
    check("config: {groups: [{id: a}]}\nreplicas: 2", "write statefulSet: true");
    check(
        "config: {groups: [{id: a}]}\nstatefulSet: true\nreplicas: -1",
        "replicas",
    );
    check(
        "config: {groups: [{id: a}]}\nprometheusRule: {enabled: true, runbooks: \"https://git.example\"}",
        "runbooks",
    );
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
