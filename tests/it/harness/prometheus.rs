//! A real Prometheus that scrapes what a test points it at, and promtool.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::http;
use super::port::Port;
use super::process::Process;
use super::tools::tool;
use super::wait::eventually;

const START_DEADLINE: Duration = Duration::from_secs(30);
const QUERY_DEADLINE: Duration = Duration::from_secs(30);

/// A running Prometheus with a scrape every second.
pub(crate) struct Prometheus {
    pub address: SocketAddr,
    // Fields drop in order: the process before its folder and its port.
    _process: Process,
    _folder: TempDir,
    _port: Port,
}

impl Prometheus {
    /// Starts it, and waits until the target has been scraped once.
    pub(crate) async fn scraping(target: SocketAddr) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: hotshard, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let prometheus = Self::start(&config).await;
        prometheus.value("up{job='hotshard'}", |up| up == 1.0).await;
        prometheus
    }

    /// Starts it with a configuration of the test's own, and waits until it answers.
    pub(crate) async fn start(config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let port = Port::lease();
        let config_path = folder.path().join("prometheus.yml");
        std::fs::write(&config_path, config).expect("a temporary folder takes a file");
        let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
        let arguments = [
            format!("--config.file={}", config_path.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let process = Process::start("prometheus", &tool("prometheus"), &arguments, folder.path());
        let prometheus = Self {
            address,
            _process: process,
            _folder: folder,
            _port: port,
        };
        eventually("Prometheus answers", START_DEADLINE, async || {
            prometheus.query("vector(1)").await
        })
        .await;
        prometheus
    }

    /// The instant vector that the expression gives now: each series' labels, and its value.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<(serde_json::Value, f64)>, String> {
        let answer = http::get(
            self.address,
            &format!("/api/v1/query?query={}", http::percent_encoded(expression)),
        )
        .await?;
        let json: serde_json::Value =
            serde_json::from_str(&answer.body).map_err(|error| format!("{error}: {}", answer.body))?;
        let series = json["data"]["result"]
            .as_array()
            .ok_or_else(|| format!("{expression}: {json}"))?;
        let value = |one: &serde_json::Value| one["value"][1].as_str()?.parse().ok();
        series
            .iter()
            .map(|one| {
                value(one)
                    .map(|value| (one["metric"].clone(), value))
                    .ok_or_else(|| format!("no vector: {json}"))
            })
            .collect()
    }

    /// Waits until the expression gives one series whose value is accepted; returns that value.
    pub(crate) async fn value(&self, expression: &str, accepted: impl Fn(f64) -> bool) -> f64 {
        let attempt = async || match self.query(expression).await?.as_slice() {
            [(_, value)] if accepted(*value) => Ok(*value),
            other => Err(format!("{other:?}")),
        };
        eventually(expression, QUERY_DEADLINE, attempt).await
    }
}

/// Runs promtool with `stdin`; `Err` with what it said when it isn't content.
pub(crate) fn promtool(arguments: &[&str], stdin: &str) -> Result<String, String> {
    let mut child = Command::new(tool("promtool"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    // promtool reads all before it writes, so the pipes can't block each other.
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(stdin.as_bytes())
        .expect("promtool reads its input");
    let output = child.wait_with_output().expect("promtool ends");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() { Ok(said) } else { Err(said) }
}
