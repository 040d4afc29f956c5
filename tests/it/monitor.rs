//! `hotshard monitor` from the outside, on real clusters: one round, its report and files, and every way it may end.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::browser::browse_printed;
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

/// The name of the shard, as the report has it, whose node listens there.
fn shard_of(data: &Value, address: &str) -> String {
    let shards = data["shards"].as_array().expect("a list");
    let shard = shards.iter().find(|shard| shard["node"] == address);
    shard.unwrap_or_else(|| panic!("{address} isn't in {data:#}"))["shard"]
        .as_str()
        .expect("a name")
        .to_owned()
}

#[tokio::test]
async fn one_round_names_the_hot_shard_and_the_cause() {
    let cluster = Cluster::of(bounded(Server::redis())).await;
    let hot = "counter:global";
    let owner = cluster.shard_of(hot).await;
    let seed = cluster.servers[0].address.to_string();
    let run = Run::new();
    let arguments = ["-c", "orders", "-e", &seed, "-d", "4", "--save-to-db"];
    let (said, _) = {
        let traffic = traffic(hot, 12);
        tokio::join!(run.finish(&arguments), traffic.run(&cluster))
    };
    assert_eq!(said.code, Some(0), "{said:?}");
    let data = run.data();
    let shard = shard_of(&data, &cluster.servers[owner.replicas[0]].address.to_string());
    assert_eq!(data["shards"].as_array().map(Vec::len), Some(3), "{data:#}");
    assert_eq!(
        (&data["source"], &data["shards"][0]["shard"]),
        (&"monitor".into(), &shard.as_str().into())
    );
    let finding = &data["diagnosis"][0];
    assert_eq!(
        (&finding["shard"], &finding["cause"], &finding["subject"]),
        (&shard.as_str().into(), &"single_key".into(), &hot.into()),
        "{data:#}"
    );
    for (begin, end) in [
        ("report_orders_", ".txt"),
        ("report_orders_", ".md"),
        ("report_orders_", ".html"),
    ] {
        let text = String::from_utf8(run.file(begin, end)).expect("text");
        assert!(text.contains(hot) && text.contains(&shard), "{end}: {text}");
    }
    assert!(said.stdout.contains(hot), "{said:?}");
    assert!(
        said.stderr.contains("commands") && said.stderr.contains("MB read"),
        "{said:?}"
    );
    check_archive(&run, hot);
    check_page(&run, hot);
    for path in walk(run.folder.path()) {
        let bytes = fs::read(&path).expect("it can be read");
        let held = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!held, "{} holds a value", path.display());
    }
    assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET));
    check_gone(&cluster).await;
}

/// The page of a live round has its charts, and comes out on paper as it is: nothing cut off, no text on another.
fn check_page(run: &Run, hot: &str) {
    let page = String::from_utf8(run.file("report_orders_", ".html")).expect("text");
    for chart in [
        "Commands a second by shard, against the mean",
        "Commands a second of each shard over time",
        "Slots from 0 to 16383 with their owners",
    ] {
        assert!(page.contains(chart), "{chart}: {page}");
    }
    let path = fs::canonicalize(run.path("report_orders_", ".html")).expect("it is there");
    let printed = browse_printed(&format!("file://{}", path.display()), hot);
    assert_eq!(printed["errors"], serde_json::json!([]), "{printed:#}");
    let faults = (&printed["cut"], &printed["overlapping"]);
    assert_eq!(faults, (&serde_json::json!([]), &serde_json::json!([])), "{printed:#}");
    assert!(
        (1..=6).contains(&printed["sheets"].as_u64().expect("a number")),
        "{printed:#}"
    );
}

/// Every line with a client's command is in the archive; what hotshard asks and what replication adds for its own sake are not.
fn check_archive(run: &Run, hot: &str) {
    let query = |sql: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_hotshard"))
            .current_dir(run.folder.path())
            .args([
                "query",
                "--db-path",
                "reports/monitor_logs.db",
                "-f",
                "csv",
                "--sql",
                sql,
            ])
            .output()
            .expect("hotshard starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let commands = run.data()["totals"]["commands"].as_u64().expect("a number");
    let kept = query("SELECT count(*) AS n FROM monitor_logs WHERE args IS NULL");
    assert_eq!(kept.lines().last(), Some(commands.to_string().as_str()), "{kept}");
    let sessions = query("SELECT num_shards, cluster_id FROM monitoring_sessions");
    assert!(sessions.contains("3,orders"), "{sessions}");
    let top = query("SELECT key FROM monitor_logs GROUP BY key ORDER BY count(*) DESC LIMIT 1");
    assert!(top.contains(hot), "{top}");
    check_past_report(run);
}

/// The round as it is read back says the same of bytes out.
fn check_past_report(run: &Run) {
    let mut report = Command::new(env!("CARGO_BIN_EXE_hotshard"));
    report
        .current_dir(run.folder.path())
        .args(["report", "--db-path", "reports/monitor_logs.db", "-f", "json"]);
    let past: Value = serde_json::from_slice(&report.output().expect("hotshard starts").stdout).expect("JSON");
    let output = |report: &Value| -> Vec<(String, Value, Vec<Value>)> {
        let shards = report["shards"].as_array().expect("a list").iter();
        let mut output: Vec<_> = shards
            .map(|shard| {
                let patterns = shard["patterns"].as_array().expect("a list").iter();
                let patterns = patterns.map(|pattern| pattern["bytes_out"].clone()).collect();
                (shard["shard"].to_string(), shard["bytes_out"].clone(), patterns)
            })
            .collect();
        output.sort_by(|one, other| one.0.cmp(&other.0));
        output
    };
    let live = output(&run.data());
    assert!(
        live.iter().all(|(_, output, _)| output["estimated"].as_u64() > Some(0)),
        "{live:?}"
    );
    assert_eq!(output(&past), live);
}

#[tokio::test]
async fn an_interrupted_round_reports_what_was_seen_and_leaves_nothing_open() {
    let cluster = Cluster::of(bounded(Server::valkey8())).await;
    let hot = "counter:global";
    let seed = cluster.servers[0].address.to_string();
    let run = Run::new();
    let child = run.start(&["-e", &seed, "-d", "60"]);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    let interrupt = async {
        let seen = async || {
            let mut monitors = 0;
            for server in &cluster.servers {
                let clients = server.call(&["CLIENT", "LIST"]).await.text();
                monitors += clients.lines().filter(|line| line.contains(" flags=O ")).count();
            }
            if monitors == 3 { Ok(()) } else { Err(monitors) }
        };
        eventually("three windows are open", SOON, seen).await;
        let sent = async || -> u64 {
            let mut sent = 0;
            for server in &cluster.servers {
                sent += server.calls().await.get("get").copied().unwrap_or(0);
            }
            sent
        };
        let before = sent().await;
        let read = async || match sent().await {
            now if now > before + 100 => Ok(()),
            now => Err(now),
        };
        eventually("traffic flows", SOON, read).await;
        kill_process(pid, Signal::INT).expect("it runs");
    };
    let traffic = traffic(hot, 12);
    let (said, (), _) = tokio::join!(ended(child), interrupt, traffic.run(&cluster));
    assert_eq!(said.code, Some(0), "{said:?}");
    let data = run.data();
    assert!(data["totals"]["lines"].as_u64() > Some(0), "{data:#}");
    let ends: Vec<&Value> = data["shards"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|shard| &shard["window_end"])
        .collect();
    assert_eq!(ends, [&Value::from("paused"); 3]);
    check_gone(&cluster).await;
}

#[tokio::test]
async fn a_shard_without_a_replica_is_named_and_nothing_else_is_touched() {
    let server = Server::redis().start().await;
    let seed = server.address.to_string();
    let said = Run::new().finish(&["-e", &format!("{seed}:0001"), "-d", "1"]).await;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.stderr.contains("endpoints 0001: it has no replica that answers") && said.stderr.contains("--use-primary"),
        "{said:?}"
    );
    assert_eq!(said.stdout, "");
    assert!(!server.calls().await.contains_key("monitor"), "no stream was opened");
    let arguments = [
        "-e",
        &seed,
        "-d",
        "30",
        "--use-primary",
        "--guards.window-max-without-server-limit",
        "1s",
    ];
    let said = Run::new().finish(&arguments).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.stderr.contains("its window lasted 1 s instead of 30 s"),
        "{said:?}"
    );
    assert!(server.calls().await.contains_key("monitor"));
}

#[tokio::test]
async fn a_wrong_password_is_named_but_never_shown() {
    let plan = bounded(Server::redis()).password("right-4711");
    let pair = Cluster::disabled(plan, 1).await;
    let seed = pair.servers[0].address.to_string();
    let replica = format!("{}:0001", pair.servers[1].address);
    let check = |said: &Said, why: &str| {
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.stderr.contains(why), "{why}: {said:?}");
        assert!(
            !said.stderr.contains("4711") && !said.stdout.contains("4711"),
            "{said:?}"
        );
    };
    let run = Run::new();
    let said = run.finish(&["-e", &seed, "-d", "1", "-p", "wrong-4711"]).await;
    check(&said, "refused the password given");
    assert!(
        !run.folder.path().join("reports").exists(),
        "nothing to report makes no folder"
    );
    assert!(said.stderr.contains("--password-file"), "it warns: {said:?}");
    let said = Run::new()
        .finish(&["-e", &replica, "-d", "1", "-p", "wrong-4711"])
        .await;
    check(&said, "refused the password given");
    let run = Run::new().with("REDIS_PASSWORD", "wrong-4711");
    check(
        &run.finish(&["-e", &seed, "-d", "1"]).await,
        "refused the password in $REDIS_PASSWORD",
    );
    check(
        &Run::new().finish(&["-e", &seed, "-d", "1"]).await,
        "demands a password; give it in $REDIS_PASSWORD or by --password-file (and --username for RBAC)",
    );
    for encrypted in [&["--tls"][..], &["--tls-insecure"]] {
        let arguments: Vec<&str> = ["-e", &seed, "-d", "1"].iter().chain(encrypted).copied().collect();
        check(
            &Run::new().finish(&arguments).await,
            "does not speak TLS; leave out --tls",
        );
    }
    let run = Run::new().with("REDIS_PASSWORD", "right-4711");
    let said = run.finish(&["-e", &seed, "-d", "1", "-q"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let file = run.folder.path().join("token");
    fs::write(&file, "right-4711\n").expect("a temporary folder takes a file");
    let said = Run::new()
        .finish(&["-e", &seed, "-d", "1", "--password-file", &file.display().to_string()])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    check_gone(&pair).await;
}

#[tokio::test]
async fn an_interrupt_before_anything_was_seen_says_so() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    // A node that doesn't answer keeps the round from beginning.
    pair.servers[1].freeze();
    let run = Run::new();
    let given = [0, 1].map(|place: usize| format!("{}:0001", pair.servers[place].address));
    let child = run.start(&["-e", &given[0], "-e", &given[1], "-d", "60"]);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    let asked = async || match pair.servers[0].call(&["CLIENT", "LIST"]).await.text() {
        clients if clients.contains("name=hotshard") => Ok(()),
        clients => Err(clients),
    };
    eventually("it asks the primary", SOON, asked).await;
    kill_process(pid, Signal::INT).expect("it runs");
    let said = ended(child).await;
    pair.servers[1].thaw();
    assert_eq!(said.code, Some(130), "{said:?}");
    assert!(said.stderr.contains("interrupted before anything was seen"), "{said:?}");
    check_gone(&pair).await;
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    let run = Run::new();
    let mut child = run.start(&["-e", &pair.servers[0].address.to_string(), "-d", "1", "-q"]);
    drop(child.stdout.take());
    let said = ended(child).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.stderr.contains("cannot write"), "{said:?}");
    run.data();
}

#[test]
fn wrong_usage_and_an_unknown_place_are_said_before_anything_is_looked_at() {
    let check = |arguments: &[&str], code: i32, why: &str| {
        let run = Run::new();
        let said: Said = run.start(arguments).wait_with_output().expect("it ends").into();
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.stderr.contains(why), "{why}: {said:?}");
        let left = fs::read_dir(run.folder.path()).expect("a folder").count();
        assert_eq!(left, 0, "{arguments:?} left something behind");
    };
    check(&[], 2, "name a cluster by --cluster-id");
    check(&["-e", "nowhere"], 2, "has no port");
    check(&["-e", "h:1", "-d", "0"], 2, "sees nothing");
    check(&["-e", "h:1", "-d", "soon"], 2, "soon");
    check(
        &["-e", "h:1", "-p", "x", "--password-file", "y"],
        2,
        "cannot be used with",
    );
    check(&["-e", "127.0.0.1:1", "-d", "1"], 3, "connection refused");
    check(
        &["-e", "127.0.0.1:1", "--iam-user", "watcher"],
        2,
        "set tls.enabled = true (--tls)",
    );
    check(&["-e", "h:1", "-o", "/proc/nowhere"], 1, "--output-dir");
    check(&["-e", "h:1", "--commands-max", "0"], 2, "at least 1");
    check(&["-c", "hotshard.toml"], 2, "--config hotshard.toml");
    check(&["-c", "/proc/version"], 2, "--config /proc/version");
}

#[tokio::test]
async fn a_raw_log_has_keys_but_no_values_unless_they_are_asked_for() {
    let pair = Cluster::disabled(bounded(Server::valkey9()), 1).await;
    let seed = pair.servers[0].address.to_string();
    for (values, arguments) in [(false, &["-q"][..]), (true, &["-q", "--save-values", "--save-to-db"])] {
        let run = Run::new();
        let arguments = [&["-e", &seed, "-d", "2", "-f", "json"], arguments].concat();
        let traffic = traffic("counter:global", 6);
        let (said, _) = tokio::join!(run.finish(&arguments), traffic.run(&pair));
        assert_eq!(said.code, Some(0), "{said:?}");
        let report: Value = serde_json::from_str(&said.stdout).expect("JSON on standard output");
        assert_eq!(report, run.data(), "and the same in its file");
        let path = walk(&run.folder.path().join("reports/raw_logs"))
            .pop()
            .expect("a raw log");
        assert_eq!(
            fs::metadata(&path).expect("it is there").permissions().mode() & 0o777,
            0o600
        );
        let mut text = String::new();
        let file = fs::File::open(&path).expect("it is there");
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .expect("it is whole");
        assert_eq!(text.contains(SECRET), values, "{}", path.display());
        assert!(
            text.contains("\"SET\" \"cart:") && text.contains("\"counter:global\""),
            "{text}"
        );
        let lines = report["totals"]["lines"].as_u64().expect("a number");
        assert_eq!(text.lines().count() as u64, lines, "every line that was read is there");
        let again = crate::cli::hotshard(&["analyze", &path.display().to_string(), "-f", "json"]).output();
        let again: Value = serde_json::from_slice(&again.expect("it runs").stdout).expect("JSON");
        assert_eq!(again["shards"][0]["keys"][0], report["shards"][0]["keys"][0]);
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
