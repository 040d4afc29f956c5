//! `hotshard analyze` from the outside: the same report from a file, a pipe or a compressed file, and what happens when there is none.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::{Expect, expect};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{hotshard, told};

/// Known traffic: so many reads of one key, so many of many users' and a full scan now and then.
fn log(hot: usize, users: usize) -> String {
    log_every(1000, hot, users)
}

/// The same with so many microseconds between two lines.
fn log_every(pause: usize, hot: usize, users: usize) -> String {
    let mut text = String::from("OK\n");
    let mut line = |index: usize, command: String| {
        let microseconds = index * pause;
        text.push_str(&format!(
            "{}.{:06} [0 10.0.0.{}:5{:04}] {command}\n",
            1_795_219_200 + microseconds / 1_000_000,
            microseconds % 1_000_000,
            index % 3,
            index % 1000
        ));
    };
    for index in 0..hot {
        line(index, r#""GET" "config:flags""#.into());
    }
    for index in 0..users {
        line(hot + index, format!(r#""hgetall" "user:{}:profile""#, 1000 + index));
    }
    text
}

struct Logs(TempDir);

impl Logs {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, content).expect("a temporary file");
        path.to_str().expect("a path of ours").to_owned()
    }

    /// What was said, without the folder's name, which differs from run to run.
    fn check(&self, args: &[&str], expected: Expect) {
        let said = told(&mut hotshard(args));
        expected.assert_eq(&said.replace(&format!("{}/", self.0.path().display()), ""));
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn report(args: &[&str]) -> Value {
    let output = hotshard(args).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

#[test]
fn a_log_becomes_a_table() {
    let logs = Logs::new();
    let file = logs.write("orders.log", log(700, 300));
    logs.check(
        &["analyze", &file],
        expect![[r#"
        orders  2026-11-21 00:00:00 – 00:00:00 UTC
        1,000 commands · 1.0k/s · 1 shard · 1.0 s

        ── orders on orders.log ────────────────────────────────────────────────────────────
        1,000 commands · in 1.0 s · 301 keys · 3 clients

        Key patterns
           70.0%  ██████████▌             700  config:flags
           30.0%  ████▌                   300  user:{ID}:profile  e.g. user:1000:profile

        Keys
           70.0%  ██████████▌             700  config:flags
            0.1%  ▏                         1  user:1000:profile
            0.1%  ▏                         1  user:1001:profile

        Commands
           70.0%  ██████████▌             700  GET
           30.0%  ████▌                   300  HGETALL

        Signatures
           70.0%  ██████████▌             700  GET | config:flags
           30.0%  ████▌                   300  HGETALL | user:{ID}:profile  reads all

        Slots
           70.0%  ██████████▌             700  slot 9831
            0.1%  ▏                         1  slot 0
            0.1%  ▏                         1  slot 21

        Clients
           33.4%  █████                   334  10.0.0.0
           33.3%  █████                   333  10.0.0.1
           33.3%  █████                   333  10.0.0.2

        exit code 0
    "#]],
    );
}

#[test]
fn shards_are_compared_hottest_first() {
    let logs = Logs::new();
    let files = [("0001.log", 1000), ("0002.log", 250), ("0003.log", 1100)]
        .map(|(name, pause)| logs.write(name, log_every(pause, 3000, 500)));
    let mut args = vec!["analyze", "--compare", "-f", "json"];
    args.extend(files.iter().map(String::as_str));
    let report = report(&args);
    let shards: Vec<String> = report["shards"]
        .as_array()
        .expect("shards")
        .iter()
        .map(|shard| format!("{} {}", shard["shard"], shard["status"]["commands"]))
        .collect();
    assert_eq!(
        shards,
        ["\"0002\" \"very_hot\"", "\"0001\" \"cold\"", "\"0003\" \"cold\""]
    );
    assert_eq!(report["totals"]["commands"], 10_500);
}

#[test]
fn counts_are_exact() {
    let logs = Logs::new();
    let file = logs.write("orders.log", log(700, 300));
    let report = report(&["analyze", "-f", "json", &file]);
    let shard = &report["shards"][0];
    assert_eq!(report["source"], "analyze");
    assert_eq!(report["totals"]["commands"], 1000);
    assert_eq!(report["totals"]["rejected_lines"], 0);
    assert_eq!(shard["commands_by_name"][0]["count"], 700);
    assert_eq!(shard["patterns"][1]["pattern"], "user:{ID}:profile");
    assert_eq!(shard["patterns"][1]["count"], 300);
    assert_eq!(shard["keys"][0]["key"], "config:flags");
    assert_eq!(shard["signatures"][1]["signature"], "HGETALL | user:{ID}:profile");
    assert_eq!(shard["signatures"][1]["full_scan"], true);
    assert_eq!(shard["distinct_clients"], 3);
    assert_eq!(shard["coverage"], Value::Null);
}

#[test]
fn a_pipe_and_a_compressed_file_are_read_like_a_file() {
    let logs = Logs::new();
    let text = log(70, 30);
    let plain = logs.write("m.log", &text);
    let packed = logs.write("m.log.gz", gzip(&text));
    let unnamed = logs.write("packed", gzip(&text));
    let mut reports = [&plain, &packed, &unnamed].map(|file| report(&["analyze", "-f", "json", "--group", "g", file]));
    let mut piped = hotshard(&["analyze", "-f", "json", "--group", "g", "-"]);
    let output = piped.write_stdin(text).output().expect("the program runs");
    let piped: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    for report in &mut reports {
        report["shards"][0]["shard"] = piped["shards"][0]["shard"].clone();
        report["shards"][0]["node"] = piped["shards"][0]["node"].clone();
        assert_eq!(*report, piped);
    }
}

#[test]
fn parts_of_a_stream_are_the_stream() {
    let logs = Logs::new();
    let text = log(100, 200);
    let middle = text.match_indices('\n').nth(150).expect("enough lines").0 + 1;
    let whole = logs.write("whole.log", &text);
    let parts = [
        logs.write("part1.log", &text[..middle]),
        logs.write("part2.log", &text[middle..]),
    ];
    let one = report(&["analyze", "-f", "json", &whole]);
    let two = report(&["analyze", "-f", "json", &parts[0], &parts[1]]);
    for list in [
        "commands",
        "commands_by_name",
        "patterns",
        "signatures",
        "clients",
        "distinct_keys",
        "hash_tags",
    ] {
        assert_eq!(one["shards"][0][list], two["shards"][0][list], "{list}");
    }
}

#[test]
fn a_pattern_has_one_name_in_all_shards() {
    let logs = Logs::new();
    let people = |count: usize| -> String {
        let name = |index: usize| {
            format!(
                "w{}{}",
                char::from(b'g' + (index / 20) as u8),
                char::from(b'g' + (index % 20) as u8)
            )
        };
        (0..count)
            .map(|index| {
                format!(
                    "179521920{}.000000 [0 10.0.0.1:5] \"GET\" \"inbox:{}\"\n",
                    index % 10,
                    name(index)
                )
            })
            .collect()
    };
    let (many, few) = (logs.write("many.log", people(200)), logs.write("few.log", people(3)));
    let report = report(&["analyze", "--compare", "-f", "json", &many, &few]);
    for shard in report["shards"].as_array().expect("shards") {
        assert_eq!(shard["patterns"][0]["pattern"], "inbox:{VAR}", "{}", shard["shard"]);
    }
}

#[test]
fn patterns_of_the_users_own_come_first() {
    let logs = Logs::new();
    let file = logs.write("m.log", log(10, 90));
    let report = report(&["analyze", "-f", "json", "--patterns.rule", "^user:=customer", &file]);
    assert_eq!(report["shards"][0]["patterns"][0]["pattern"], "customer");
}

#[test]
fn of_several_logs_those_without_a_command_are_named() {
    let logs = Logs::new();
    let (idle, busy) = (logs.write("idle.log", "OK\n"), logs.write("busy.log", log(70, 30)));
    let output = hotshard(&["analyze", "--compare", "-f", "json", &busy, &idle])
        .output()
        .expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("idle.log holds no commands"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    assert_eq!(
        report["shards"].as_array().map(Vec::len),
        Some(2),
        "an idle shard is one of those compared"
    );
    let output = hotshard(&["analyze", &busy]).output().expect("the program runs");
    assert!(output.stderr.is_empty());
}

#[test]
fn what_cannot_be_read_is_named_with_its_cure() {
    let logs = Logs::new();
    let missing = logs.0.path().join("missing.log").display().to_string();
    logs.check(
        &["analyze", &missing],
        expect![[r#"
        hotshard: cannot read missing.log; check the path: No such file or directory (os error 2)
        exit code 1
    "#]],
    );
    let folder = format!("{}/", logs.0.path().display());
    std::fs::create_dir(Path::new(&folder).join("sub")).expect("a folder");
    logs.check(
        &["analyze", &format!("{folder}sub")],
        expect![[r#"
        hotshard: cannot read sub; check the path: it is a folder, not a log
        exit code 1
    "#]],
    );
    let novel = logs.write("novel.txt", "It was a dark and stormy night.\n".repeat(20));
    logs.check(&["analyze", &novel], expect![[r#"
        hotshard: novel.txt holds no MONITOR output: none of its lines is understood; capture with `redis-cli monitor > FILE`
        exit code 1
    "#]]);
    let mut packed = gzip(&log(100, 100));
    packed.truncate(packed.len() / 2);
    let cut = logs.write("cut.log.gz", packed);
    logs.check(&["analyze", &cut], expect![[r#"
        hotshard: cannot read cut.log.gz: the compressed data is damaged or cut short; `zcat FILE | hotshard analyze -` reads what is whole: incomplete deflate stream
        exit code 1
    "#]]);
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let logs = Logs::new();
    logs.check(
        &["analyze"],
        expect![[r#"
        hotshard: the following required arguments were not provided: <FILE>...; see --help
        exit code 2
    "#]],
    );
    logs.check(
        &["analyze", "-", "-"],
        expect![[r#"
        hotshard: standard input is named 2 times but can be read once; name `-` once
        exit code 2
    "#]],
    );
    logs.check(
        &["analyze", "-", "--top", "0"],
        expect![[r#"
        hotshard: invalid value '0' for '--top <N>': it takes a number from 1 to 1000; see --help
        exit code 2
    "#]],
    );
    logs.check(&["analyze", "-", "--patterns.rule", "user:(=x"], expect![[r#"
        hotshard: invalid value 'user:(=x' for '--patterns.rule <REGEX=NAME>': pattern rule `x`: `user:(` is no regular expression: unclosed group; mend `match`; see --help
        exit code 2
    "#]]);
}

#[test]
fn an_idle_capture_is_a_report() {
    let logs = Logs::new();
    let file = logs.write("idle.log", "OK\n");
    logs.check(
        &["analyze", &file],
        expect![[r#"
        idle  nothing seen
        0 commands · – · 1 shard · 0.0 s

        ── idle on idle.log ────────────────────────────────────────────────────────────────
        0 commands · in 0.0 s · 0 keys · 0 clients

        hotshard: idle.log holds no commands: the shard was idle, or nothing was captured; see what `redis-cli monitor` says
        exit code 0
    "#]],
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let logs = Logs::new();
    let file = logs.write("m.log", log(1000, 1000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_hotshard"))
        .args(["analyze", "-f", "html", &file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let status = child.wait().expect("the program ends");
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("it was piped")
        .read_to_string(&mut said)
        .expect("errors are text");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn nothing_but_the_report_is_written_where_no_terminal_is() {
    let logs = Logs::new();
    let file = logs.write("m.log", log(100, 100));
    let output = hotshard(&["analyze", &file]).output().expect("the program runs");
    assert!(output.stderr.is_empty());
    assert!(!output.stdout.contains(&0x1b));
}
