//! One round to its end: its report, its page, its archive and its raw logs.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use super::{Run, SECRET, bounded, check_gone, traffic, walk};
use crate::harness::browser::browse_printed;
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

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
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}: it names keys", path.display());
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
