//! What a log holds, counted by hotshard and by a short script that was written from the format's description.

use std::collections::BTreeMap;
use std::path::Path;

use hotshard::analysis::keyspec::Commands;
use hotshard::analysis::pattern::{Normaliser, PatternSettings};
use hotshard::analysis::tally::{Tally, TallySettings};
use hotshard::analysis::window::{Counted, WindowStats};
use serde::Deserialize;

use crate::harness::server::Server;
use crate::harness::tools::tool;

#[derive(Debug, PartialEq, Deserialize)]
struct Counts {
    lines: u64,
    commands: BTreeMap<String, u64>,
    keys: BTreeMap<String, u64>,
    clients: BTreeMap<String, u64>,
}

#[test]
fn logs_of_a_primary_and_its_replica_are_counted_alike() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    check(&fixtures.join("redis7.0.15-primary-monitor.log"));
    check(&fixtures.join("redis7.0.15-replica-monitor.log"));
}

#[tokio::test]
async fn a_log_of_a_real_server_is_counted_alike() {
    let server = Server::redis().start().await;
    let mut monitor = server.connect().await;
    monitor.call(&["MONITOR"]).await.expect("MONITOR is allowed");
    let mut client = server.connect().await;
    let mut log = String::from("OK\n");
    for command in traffic() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        client.call(&words).await.expect("an answer, if only an error");
    }
    client.call(&["PING"]).await.expect("an answer");
    while !log.ends_with("\"PING\"\n") {
        log.push_str(monitor.line().await.expect("a line").trim_end());
        log.push('\n');
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("monitor.log");
    std::fs::write(&path, &log).expect("the log is written");
    let lines = check(&path);
    assert!(lines > 700, "{lines} lines");
}

/// Commands of many kinds over few and odd keys.
fn traffic() -> Vec<Vec<String>> {
    let keys = [
        "a",
        "user:1:profile",
        "with space",
        "quo\"te",
        "back\\slash",
        "] \"",
        "line\r\nend",
        "\u{7}\u{8}\t\u{e4}",
        "",
        "{tag}x",
    ];
    let mut traffic = Vec::new();
    for round in 0..12_usize {
        for (place, key) in keys.iter().enumerate() {
            let other = keys[(place + round) % keys.len()];
            let commands: [&[&str]; 7] = [
                &["SET", key, "value \" \\ \r\n"],
                &["gEt", key],
                &["MSET", key, "1", other, "2"],
                &["del", key, other, key],
                &["EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", key],
                &["EVAL", "return 1", "2", key, other],
                &["XREAD", "count", "1", "streams", key, other, "0", "0"],
            ];
            traffic.extend(
                commands
                    .iter()
                    .map(|command| command.iter().map(|&word| word.to_owned()).collect()),
            );
        }
    }
    traffic
}

/// Holds both counts of one log against each other and tells how many lines it has.
#[track_caller]
fn check(log: &Path) -> u64 {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/count_monitor.py");
    let output = std::process::Command::new(tool("python"))
        .arg(script)
        .arg(log)
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Counts = serde_json::from_slice(&output.stdout).expect("JSON");
    let bytes = std::fs::read(log).expect("the log");
    for piece in [1, 997, bytes.len()] {
        let stats = tallied(&bytes, piece);
        assert_eq!(stats.rejected, []);
        assert_eq!(counts(&stats), expected, "in pieces of {piece}");
    }
    expected.lines
}

fn tallied(bytes: &[u8], piece: usize) -> WindowStats {
    let normaliser = Normaliser::new(&PatternSettings::default(), 5);
    let settings = TallySettings {
        top: usize::MAX,
        ..TallySettings::default()
    };
    let mut tally = Tally::new(&settings, Commands::builtin(), normaliser, 5);
    bytes.chunks(piece).for_each(|piece| tally.feed(piece));
    tally.finish()
}

fn counts(stats: &WindowStats) -> Counts {
    let named = |counted: &[Counted]| counted.iter().map(|c| (c.name.to_string(), c.count)).collect();
    Counts {
        lines: stats.lines,
        commands: named(&stats.commands_by_name),
        keys: stats.keys.iter().map(|key| (key.key.to_string(), key.count)).collect(),
        clients: named(&stats.clients),
    }
}
