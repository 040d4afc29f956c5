//! `hotshard monitor` from the outside, on real clusters.

mod interrupted;
mod refused;
mod round;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::cluster::Cluster;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(20);

/// What the traffic writes, and nobody may find again.
const SECRET: &str = "planted-secret-4711";

/// A server that bounds its own buffers gets windows of any length.
pub(crate) fn bounded(plan: ServerPlan) -> ServerPlan {
    plan.set("client-output-buffer-limit", "normal 64mb 0 0")
}

/// One run in a folder of its own.
pub(crate) struct Run {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How it ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &str, text: &str) -> Self {
        self.variables.push((name.to_owned(), text.to_owned()));
        self
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_hotshard"))
            .env_clear()
            .envs(self.variables.iter().map(|(name, text)| (name, text)))
            .current_dir(self.folder.path())
            .arg("monitor")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hotshard starts")
    }

    /// Runs to the end, beside the test's own traffic.
    pub(crate) async fn finish(&self, arguments: &[&str]) -> Said {
        ended(self.start(arguments)).await
    }

    /// What is in the file whose name begins and ends so.
    fn file(&self, begin: &str, end: &str) -> Vec<u8> {
        fs::read(self.path(begin, end)).expect("it can be read")
    }

    fn path(&self, begin: &str, end: &str) -> PathBuf {
        let folder = self.folder.path().join("reports");
        let names: Vec<_> = walk(&folder);
        let is_it = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(begin) && name.ends_with(end)
        };
        let found = names
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("no {begin}*{end} among {names:?}"));
        found.clone()
    }

    pub(crate) fn data(&self) -> Value {
        serde_json::from_slice(&self.file("data_", ".json")).expect("JSON")
    }
}

async fn ended(child: Child) -> Said {
    let waited = tokio::task::spawn_blocking(move || child.wait_with_output());
    waited.await.expect("a thread").expect("it ends").into()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    paths
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

/// Reads and writes that are even over all shards, and one key that is read far more often, everything on replicas.
fn traffic(hot: &str, seconds: u64) -> Traffic {
    let keys = |name: &str| {
        (0..300)
            .map(|number| format!("{name}:{number}:profile"))
            .collect::<Vec<_>>()
    };
    Traffic::new(7)
        .plan(
            Plan::spread("GET", keys("user"), 300 * seconds)
                .per_second(300.0)
                .on_replica(),
        )
        .plan(
            Plan::spread("SET", keys("cart"), 100 * seconds)
                .with(&[SECRET])
                .per_second(100.0),
        )
        .plan(
            Plan::new("GET", hot, 1500 * seconds)
                .per_second(1500.0)
                .on_replica()
                .from("127.0.0.9"),
        )
}

/// Nothing of ours is left on any server.
async fn check_gone(cluster: &Cluster) {
    for server in &cluster.servers {
        let gone = async || {
            let clients = server.call(&["CLIENT", "LIST"]).await.text();
            let ours = |line: &&str| line.contains(" flags=O ") || line.contains("name=hotshard");
            match clients.lines().find(ours) {
                None => Ok(()),
                Some(line) => Err(line.to_owned()),
            }
        };
        eventually("nothing of ours is left", SOON, gone).await;
    }
}

/// The earlier tool's command lines, with the binary's name changed and our own addresses in them.
#[tokio::test]
async fn the_earlier_tools_command_lines_work() {
    let plan = bounded(Server::redis()).password("right-4711");
    let pair = Cluster::disabled(plan, 1).await;
    let named = format!("{}:0001", pair.servers[1].address);
    let primary = format!("{}:0001", pair.servers[0].address);
    for line in [
        "-c orders -e NAMED -d 1 -p right-4711",
        "--cluster orders --endpoints NAMED --duration 1 --password right-4711 --no-save-logs",
        "--cluster-id orders --region ap-south-1 --endpoint NAMED --duration 1s --password right-4711",
        "-c orders -r ap-south-1 -e NAMED PRIMARY -d 1 -p right-4711 --save-to-db",
        "-c orders -e NAMED -d 1 -p right-4711 --save-to-db --db-path other/logs.db",
        "-c orders -e NAMED -d 1 -p right-4711 -o elsewhere --estimate-bandwidth",
        "-c orders -e PRIMARY -d 1 -p right-4711 --use-primary --no-tls",
    ] {
        let run = Run::new();
        let line = line.replace("NAMED", &named).replace("PRIMARY", &primary);
        let said = run.finish(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        let folder = if line.contains("elsewhere") {
            "elsewhere"
        } else {
            "reports"
        };
        let written = walk(&run.folder.path().join(folder));
        let ends = |end: &str| {
            written
                .iter()
                .any(|path| path.extension().is_some_and(|found| found == end))
        };
        assert!(
            ["txt", "md", "html", "json"].into_iter().all(ends),
            "{line}: {written:?}"
        );
        assert_eq!(ends("gz"), !line.contains("--no-save-logs"), "{line}: {written:?}");
        assert_eq!(
            run.folder.path().join("other/logs.db").exists(),
            line.contains("other/logs.db"),
            "{line}"
        );
        assert_eq!(
            run.folder.path().join("reports/monitor_logs.db").exists(),
            line.ends_with("--save-to-db"),
            "{line}"
        );
    }
}
