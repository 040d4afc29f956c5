//! Whatever the documents show in YAML is understood by the program it is for, or by a reader of our own where that program is none of ours.

use std::path::Path;
use std::process::Command;

use serde_yaml_ng::Value;
use tempfile::TempDir;

use crate::harness::prometheus::promtool;
use crate::harness::tls::Authority;
use crate::harness::tools::tool;
use crate::helm;
use crate::repository::markdown::fences;
use crate::repository::{root, texts};

/// For whom a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Prometheus,
    PrometheusRules,
    Alertmanager,
    WebConfiguration,
    Collector,
    HelmValues,
    EarlierTool,
}

const READERS: [Reader; 7] = [
    Reader::Prometheus,
    Reader::PrometheusRules,
    Reader::Alertmanager,
    Reader::WebConfiguration,
    Reader::Collector,
    Reader::HelmValues,
    Reader::EarlierTool,
];

impl Reader {
    /// By the keys that this reader alone has; `None` if nobody has them.
    fn of(block: &Value) -> Option<Self> {
        let has = |key: &str| !block[key].is_null();
        Some(match () {
            () if has("scrape_configs") => Self::Prometheus,
            () if has("route") => Self::Alertmanager,
            () if has("tls_server_config") || has("basic_auth_users") => Self::WebConfiguration,
            () if has("exporters") => Self::Collector,
            () if has("image") => Self::HelmValues,
            () if has("cluster") => Self::EarlierTool,
            () if block["groups"][0]["rules"].is_sequence() => Self::PrometheusRules,
            () => return None,
        })
    }
}

#[test]
fn every_yaml_of_the_documents_is_understood_by_whom_it_is_for() {
    let (mut wrong, mut met) = (Vec::new(), Vec::new());
    for (path, text) in texts("", &["md"]) {
        for block in fences(&text).into_iter().filter(|fence| is_yaml(&fence.language)) {
            match understood(&block.text) {
                Ok(reader) => met.push(reader),
                Err(said) => wrong.push(format!("{}:\n{}{said}", path.display(), block.text)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    met.sort();
    met.dedup();
    assert_eq!(met, READERS, "the documents show something to each");
}

#[test]
fn yaml_that_its_reader_refuses_is_found() {
    check("scrape_config: []", "nobody is known who reads this");
    check(
        "scrape_configs: [{job_name: a, scrape_intervall: 1s}]",
        "scrape_intervall",
    );
    check(
        "rule_files: [nowhere.yml]\nscrape_configs: [{job_name: a}]",
        "nowhere.yml",
    );
    check(
        "groups: [{name: a, rules: [{record: b, expr: sum without (c}]}]",
        "parse error",
    );
    check("route: {receiver: a}\nreceivers: [{name: b}]", "undefined receiver");
    check("basic_auth_users: {a: plain}", "bcrypt");
    check("tls_server_config: {cert_fil: a}", "cert_fil");
    check(
        "exporters: {a: {}}\nreceivers: {b: {}}\nservice: {pipelines: {metrics: {receivers: [b], exporters: [c]}}}",
        "c is nowhere set up",
    );
    check("image: {repository: a}\nconfigg: {}", "configg");
    check("cluster: {id: 7, regio: 7", "mapping");
}

fn check(block: &str, complaint: &str) {
    let said = understood(block).expect_err(block);
    assert!(said.contains(complaint), "{block}: {said}");
}

fn is_yaml(language: &str) -> bool {
    matches!(language, "yaml" | "yml")
}

/// Who understands the block, or what is wrong with it.
fn understood(block: &str) -> Result<Reader, String> {
    let value: Value = serde_yaml_ng::from_str(block).map_err(|error| error.to_string())?;
    let reader = Reader::of(&value).ok_or("nobody is known who reads this")?;
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("block.yml");
    std::fs::write(&path, block).expect("a temporary folder takes a file");
    let file = path.display().to_string();
    match reader {
        Reader::Prometheus => {
            let rules = "hotshard.rules.yml";
            std::fs::copy(
                root().join("dashboards/prometheus").join(rules),
                folder.path().join(rules),
            )
            .expect("the rules can be copied");
            promtool(&["check", "config", &file], "").map(drop)
        }
        Reader::PrometheusRules => promtool(&["check", "rules", "--lint-fatal", &file], "").map(drop),
        Reader::Alertmanager => run(Command::new(tool("amtool")).args(["check-config", &file])),
        Reader::WebConfiguration => web_configuration(folder.path(), block),
        Reader::Collector => pipelines(&value),
        Reader::HelmValues => helm::accept(&path),
        Reader::EarlierTool => earlier(&path),
    }?;
    Ok(reader)
}

/// With the certificates that it names, and a password where its own is left to the reader.
fn web_configuration(folder: &Path, block: &str) -> Result<(), String> {
    let authority = Authority::new();
    for (name, file) in [
        ("server.pem", authority.certificate_file()),
        ("server-key.pem", authority.key_file()),
        ("ca.pem", authority.ca_file()),
    ] {
        std::fs::copy(file, folder.join(name)).expect("it can be copied");
    }
    let hash = bcrypt::hash("orange", 4).expect("a short password can be hashed");
    let path = folder.join("web.yml");
    // What is commented out is shown, too.
    for text in [block.to_owned(), block.replace("  # client_", "  client_")] {
        std::fs::write(&path, text.replace("$2y$10$…", &hash)).expect("a temporary folder takes a file");
        promtool(&["check", "web-config", &path.display().to_string()], "")?;
        hotshard(&["--web.config.file", &path.display().to_string()])?;
    }
    Ok(())
}

/// A collector reads it elsewhere; here every part that a pipeline names must be there, and every part be used.
fn pipelines(block: &Value) -> Result<(), String> {
    let mut used = Vec::new();
    let pipelines = block["service"]["pipelines"]
        .as_mapping()
        .ok_or("it has no pipelines")?;
    for (_, pipeline) in pipelines {
        for kind in ["receivers", "processors", "exporters"] {
            used.extend(names(&pipeline[kind]).map(|name| (kind, name)));
        }
    }
    used.extend(names(&block["service"]["extensions"]).map(|name| ("extensions", name)));
    let is_set_up = |(kind, name): &(&str, String)| block[*kind].get(name.as_str()).is_some();
    if let Some((_, name)) = used.iter().find(|part| !is_set_up(part)) {
        return Err(format!("{name} is nowhere set up"));
    }
    for kind in ["extensions", "receivers", "processors", "exporters"] {
        for (name, _) in block[kind].as_mapping().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !used.iter().any(|part| *part == (kind, name.to_owned())) {
                return Err(format!("{name} is set up and never used"));
            }
        }
    }
    Ok(())
}

fn names(list: &Value) -> impl Iterator<Item = String> {
    let list = list.as_sequence().cloned().unwrap_or_default();
    list.into_iter().filter_map(|name| name.as_str().map(str::to_owned))
}

/// The program answers with the same in TOML, which it takes itself.
fn earlier(path: &Path) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_hotshard"))
        .args(["check", "--config"])
        .arg(path)
        .output()
        .expect("hotshard starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(2) || !said.contains("the same in TOML") {
        return Err(said);
    }
    let toml = path.with_extension("toml");
    std::fs::write(&toml, output.stdout).expect("a temporary folder takes a file");
    hotshard(&["--config", &toml.display().to_string()])
}

/// `hotshard check` is content.
fn hotshard(arguments: &[&str]) -> Result<(), String> {
    let folder = TempDir::new().expect("a temporary folder");
    let group = folder.path().join("group.toml");
    std::fs::write(&group, "[[groups]]\nid = \"a\"\nendpoints = [\"10.0.3.7:6379\"]\n").expect("it takes a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotshard"));
    command.arg("check").args(arguments);
    if !arguments.contains(&"--config") {
        command.arg("--config").arg(group);
    }
    run(&mut command)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().expect("the tool starts");
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said).into_owned()),
    }
}
