//! The service and the image: a unit that systemd accepts and that is locked up, a Dockerfile without complaints, and whatever
//! they bring along accepted by the program itself.

use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use serde_yaml_ng::Value;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::harness::process::Process;
use crate::harness::prometheus::promtool;
use crate::harness::tools::tool;
use crate::repository::{read, root};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hotshard");
const DEADLINE: Duration = Duration::from_secs(30);
/// systemd's own scale runs from 0 to 10; what is below 2 it calls OK.
const EXPOSURE_MAX: &str = "20";

#[test]
fn the_unit_is_locked_up() {
    let exposure = systemd_analyze(&["security", "--offline=true", &format!("--threshold={EXPOSURE_MAX}")]);
    assert!(exposure.status.success(), "{}", said(&exposure));
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    // Units are verified as they would be found: programs in their places. Here only the grammar is asked for.
    let verified = said(&systemd_analyze(&["verify", "--recursive-errors=no", "--man=no"]));
    let complaints: Vec<&str> = verified
        .lines()
        .filter(|line| line.contains("hotshard.service:") && !line.contains("is not executable"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_daemon_speaks_as_the_unit_expects() {
    let unit = read("deploy/systemd/hotshard.service");
    for line in [
        "Type=notify",
        "WatchdogSec=60",
        "ExecStartPre=/usr/local/bin/hotshard check --config /etc/hotshard/hotshard.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "LoadCredential=password:/etc/hotshard/password",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
}

#[tokio::test]
async fn the_daemon_tells_systemd_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let socket = folder.path().join("notify");
    let listener = UnixDatagram::bind(&socket).expect("a temporary folder takes a socket");
    let arguments = [
        format!("NOTIFY_SOCKET={}", socket.display()),
        "WATCHDOG_USEC=20000000".to_owned(),
        PROGRAM.to_owned(),
        "demo".to_owned(),
        "--web.listen-address=127.0.0.1:0".to_owned(),
    ];
    let mut daemon = Process::start("hotshard", "/usr/bin/env".as_ref(), &arguments, folder.path());
    for expected in ["READY=1", "WATCHDOG=1"] {
        hear(&listener, expected).await;
    }
    daemon.signal(Signal::TERM);
    hear(&listener, "STOPPING=1").await;
    assert!(daemon.end(DEADLINE).await.success());
}

/// Waits until the daemon says it.
async fn hear(listener: &UnixDatagram, expected: &str) {
    let mut said = [0; 256];
    let heard = async {
        loop {
            let length = listener.recv(&mut said).await.expect("a socket can be read");
            if String::from_utf8_lossy(&said[..length])
                .lines()
                .any(|line| line == expected)
            {
                return;
            }
        }
    };
    timeout(DEADLINE, heard)
        .await
        .unwrap_or_else(|_| panic!("{expected} isn't said within {DEADLINE:?}"));
}

#[test]
fn the_install_script_puts_everything_in_its_place() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let install = || {
        let output = Command::new(root().join("deploy/systemd/install"))
            .arg(PROGRAM)
            .env("DESTDIR", folder.path())
            .output()
            .expect("the script starts");
        assert!(output.status.success(), "{}", said(&output));
    };
    install();
    let config = folder.path().join("etc/hotshard/hotshard.toml");
    for path in [
        "usr/local/bin/hotshard",
        "etc/systemd/system/hotshard.service",
        "usr/lib/sysusers.d/hotshard.conf",
        "usr/lib/tmpfiles.d/hotshard.conf",
        "etc/hotshard/password",
    ] {
        assert!(folder.path().join(path).exists(), "{path}");
    }
    accepted(&config.display().to_string());
    std::fs::write(&config, "[[groups]]\nid = \"mine\"\nendpoints = [\"10.0.0.1:6379\"]\n").expect("it is a file");
    install();
    let kept = std::fs::read_to_string(&config).expect("it is still there");
    assert!(kept.contains("mine"), "an upgrade took the configuration away");
}

#[test]
fn the_units_user_is_created_and_finds_its_folder() {
    let unit = read("deploy/systemd/hotshard.service");
    let set = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit sets {key}")).to_owned()
    };
    let user = set("User");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("etc")).expect("a temporary folder takes a folder");
    let created = Command::new("systemd-sysusers")
        .arg(format!("--root={}", folder.path().display()))
        .arg(root().join("deploy/systemd/hotshard.sysusers.conf"))
        .output()
        .expect("systemd is installed");
    assert!(created.status.success(), "{}", said(&created));
    let users = std::fs::read_to_string(folder.path().join("etc/passwd")).expect("a user was created");
    let entry = users.lines().find(|line| line.starts_with(&format!("{user}:")));
    let home = entry.and_then(|entry| entry.split(':').nth(5));
    assert_eq!(home, Some(set("WorkingDirectory").as_str()), "{users}");
    let folders = read("deploy/systemd/hotshard.tmpfiles.conf");
    let kept: Vec<Vec<&str>> = folders
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let configuration = format!("/etc/{}", set("ConfigurationDirectory"));
    assert_eq!(kept, [["d", &configuration, "0750", "root", &user, "-"]]);
}

#[test]
fn the_dockerfile_has_no_faults() {
    let output = Command::new(tool("hadolint"))
        .arg(root().join("Dockerfile"))
        .output()
        .expect("hadolint starts");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn compose_mounts_what_is_there_and_is_understood_by_what_reads_it() {
    let compose: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("it is YAML");
    let services = compose["services"].as_mapping().expect("it has services");
    for (name, service) in services {
        for mount in service["volumes"].as_sequence().into_iter().flatten() {
            let path = mount
                .as_str()
                .and_then(|mount| mount.split(':').next())
                .unwrap_or_default();
            assert!(root().join(path).exists(), "{name:?} mounts {path}");
        }
        for port in service["ports"].as_sequence().into_iter().flatten() {
            let port = port.as_str().unwrap_or_default();
            assert!(port.starts_with("127.0.0.1:"), "{name:?} opens {port} to others");
        }
    }
    accepted(&root().join("deploy/docker/hotshard.toml").display().to_string());
    let prometheus = root().join("deploy/docker/prometheus.yml").display().to_string();
    promtool(&["check", "config", "--syntax-only", &prometheus], "").unwrap_or_else(|said| panic!("{said}"));
}

/// Every host that the mounted files name is a service, and every path is mounted where it is named.
#[test]
fn what_compose_mounts_finds_its_way() {
    let yaml = |path: &str| -> Value { serde_yaml_ng::from_str(&read(path)).expect("it is YAML") };
    let compose = yaml("docker-compose.yml");
    let mounted = |service: &str, path: &str| {
        let volumes = compose["services"][service]["volumes"].as_sequence();
        let targets = volumes.into_iter().flatten().filter_map(Value::as_str);
        let folder = path.trim_end_matches("*.yml");
        let leads = targets
            .filter_map(|mount| mount.split(':').nth(1))
            .any(|target| target.starts_with(folder));
        assert!(leads, "{service} has nothing at {path}");
    };
    let is_service = |address: &Value| {
        let address = address.as_str().expect("an address");
        let host = address
            .trim_start_matches("http://")
            .split(':')
            .next()
            .unwrap_or_default();
        assert!(!compose["services"][host].is_null(), "there is no service {host}");
    };
    let prometheus = yaml("deploy/docker/prometheus.yml");
    mounted(
        "prometheus",
        prometheus["rule_files"][0].as_str().expect("it has rules"),
    );
    is_service(&prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0]);
    is_service(&yaml("deploy/docker/grafana-datasource.yml")["datasources"][0]["url"]);
    let provider = &yaml("deploy/docker/grafana-dashboards.yml")["providers"][0];
    mounted("grafana", provider["options"]["path"].as_str().expect("it has a path"));
}

#[test]
fn the_image_starts_as_the_program_understands() {
    let dockerfile = read("Dockerfile");
    let listens = "HOTSHARD_WEB__LISTEN_ADDRESS";
    assert!(dockerfile.contains(&format!("ENV {listens}=:9468\n")));
    let output = Command::new(PROGRAM)
        .args(["check", "--config"])
        .arg(root().join("deploy/systemd/hotshard.toml"))
        .env(listens, ":9468")
        .output()
        .expect("hotshard starts");
    assert!(said(&output).contains(":9468"), "{}", said(&output));
    for command in ["healthcheck", "serve"] {
        assert!(
            dockerfile.contains(&format!("\"{command}\"")) && is_command(command),
            "{command}"
        );
    }
}

fn is_command(name: &str) -> bool {
    hotshard::cli::command().find_subcommand(name).is_some()
}

/// `hotshard check` is content with the configuration.
fn accepted(path: &str) {
    let output = Command::new(PROGRAM)
        .args(["check", "--config", path])
        .output()
        .expect("hotshard starts");
    assert!(output.status.success(), "{path}: {}", said(&output));
}

fn systemd_analyze(arguments: &[&str]) -> Output {
    Command::new(tool("systemd-analyze"))
        .args(arguments)
        .arg(root().join("deploy/systemd/hotshard.service"))
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
