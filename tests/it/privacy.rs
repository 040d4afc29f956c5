//! What of keys leaves the program under `[privacy]`: names are planted in real traffic, and looked for in everything it tells.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use rusqlite::{Connection, OpenFlags};

use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// Part of every key that nobody may see, and of every value.
const PLANTED: &str = "planted";

/// The key that is read most: it is in every list.
const HOT: &str = "vip:planted-alice";

/// Names where they occur: as whole keys, hash tags, addresses, in many variants, and beside numbers.
fn traffic(seconds: u64) -> Traffic {
    let many = |form: fn(u64) -> String, count| (0..count).map(form).collect::<Vec<_>>();
    let letters = |number: u64| {
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "k"]
            .iter()
            .cycle()
            .skip(number as usize % 10)
            .take(2 + number as usize % 17)
            .copied()
            .collect::<String>()
    };
    let names = (0..170)
        .map(|number| format!("name:planted{}:profile", letters(number)))
        .collect();
    Traffic::new(11)
        .plan(Plan::new("GET", HOT, 600 * seconds).per_second(600.0).on_replica())
        .plan(Plan::spread("GET", names, 200 * seconds).per_second(200.0).on_replica())
        .plan(
            Plan::spread(
                "SET",
                many(|number| format!("cart:{{planted{number}}}:items"), 5),
                50 * seconds,
            )
            .with(&["planted-value"])
            .per_second(50.0),
        )
        .plan(
            Plan::spread(
                "HGETALL",
                many(|number| format!("mail:planted{number}@example.com"), 9),
                50 * seconds,
            )
            .per_second(50.0)
            .on_replica(),
        )
        .plan(
            Plan::spread(
                "GET",
                many(|number| format!("user:{}", 10_000 + number), 400),
                100 * seconds,
            )
            .per_second(100.0)
            .on_replica(),
        )
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    paths
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

fn check_clean(what: &str, bytes: &[u8]) {
    let found = bytes
        .windows(PLANTED.len())
        .position(|part| part.eq_ignore_ascii_case(PLANTED.as_bytes()));
    if let Some(place) = found {
        let around = &bytes[place.saturating_sub(80)..bytes.len().min(place + 80)];
        panic!("{what} tells a name: {}", around.escape_ascii());
    }
}

/// Every file below, unpacked where it is packed. How many were packed, it tells.
fn check_files(folder: &Path) -> usize {
    let mut packed = 0;
    for path in walk(folder) {
        let mut bytes = fs::read(&path).expect("it can be read");
        if path.extension().is_some_and(|end| end == "gz") {
            let mut plain = Vec::new();
            MultiGzDecoder::new(bytes.as_slice())
                .read_to_end(&mut plain)
                .expect("it is whole");
            assert!(plain.len() > 1000, "{} is nearly empty", path.display());
            bytes = plain;
            packed += 1;
        }
        check_clean(&path.display().to_string(), &bytes);
    }
    packed
}

fn texts(archive: &Path, sql: &str) -> Vec<String> {
    let archive = Connection::open_with_flags(archive, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the archive opens");
    let mut statement = archive.prepare(sql).expect("it is understood");
    let rows = statement.query_map([], |row| row.get(0)).expect("it is answered");
    rows.collect::<Result<_, _>>().expect("texts")
}

/// A daemon looks at the pair until it has archived rounds, and is asked for all it knows. Its hottest key as the archive names it.
async fn check_daemon(cluster: &Cluster, keys: &str, secret: &Path) -> String {
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nschedule = \"every 3s\"\nwindow = \"1s\"\n\
         [limits]\nkeys_max = 10\nclients_max = 10\n[archive]\npath = \"h.db\"\n[log]\nlevel = \"debug\"\n\
         [privacy]\nkeys = \"{keys}\"\nsecret_file = \"{}\"\n",
        cluster.servers[0].address,
        secret.display()
    );
    let hotshard = Hotshard::serve(&config).await;
    let path = hotshard.folder().join("h.db");
    let archived = async || {
        let found = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|archive| {
            archive.query_row("SELECT count(*) FROM windows WHERE commands > 300", [], |row| {
                row.get::<_, i64>(0)
            })
        });
        match found {
            Ok(2..) => Ok(()),
            other => Err(other),
        }
    };
    eventually("rounds with traffic are archived", DEADLINE, archived).await;
    let mut told = Vec::new();
    for route in ["/metrics", "/", "/api/v1/groups", "/api/v1/groups/orders/report"] {
        let answer = hotshard.get(route).await.expect("it answers");
        assert_eq!(answer.status, 200, "{route}: {}", answer.body);
        check_clean(route, answer.body.as_bytes());
        told.push(answer.body);
    }
    assert!(told[0].contains("hotshard_key_share_ratio{"), "{}", told[0]);
    assert!(
        told[3].contains("\"patterns\"") && told[3].contains("user:{ID}"),
        "{}",
        told[3]
    );
    let folder = hotshard.folder().to_owned();
    check_files(&folder.join("."));
    check_clean("the log", hotshard.log().as_bytes());
    let hot = texts(
        &path,
        "SELECT key FROM window_keys GROUP BY key ORDER BY sum(count) DESC LIMIT 1",
    );
    let kept = texts(&path, "SELECT DISTINCT key FROM all_lines WHERE key IS NOT NULL");
    assert!(kept.len() > 2, "{kept:?}");
    let learned = texts(&path, "SELECT segment FROM learned_segments").join("\n");
    assert!(!learned.is_empty(), "it was learned that names vary");
    check_clean("what was learned", learned.as_bytes());
    check_clean("the log", hotshard.stop().await.as_bytes());
    hot.into_iter().next().expect("a key was hot")
}

/// One round from the command line, with every file it writes.
async fn check_round(cluster: &Cluster, keys: &str, secret: &Path) -> String {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (secret, seed) = (secret.display().to_string(), cluster.servers[0].address.to_string());
    let arguments = [
        "monitor",
        "-c",
        "orders",
        "-e",
        &seed,
        "-d",
        "3",
        "--save-to-db",
        "--estimate-bandwidth",
        "--privacy.keys",
        keys,
        "--privacy.secret-file",
        &secret,
        "--log.level",
        "debug",
        "-f",
        "json",
    ];
    let mut command = crate::cli::hotshard(&arguments);
    command.current_dir(folder.path());
    let told = tokio::task::spawn_blocking(move || crate::cli::told(&mut command))
        .await
        .expect("a thread");
    assert!(told.contains("exit code 0"), "{told}");
    check_clean("monitor", told.as_bytes());
    assert!(told.contains("user:{ID}"), "{told}");
    assert_eq!(check_files(folder.path()), 1, "a raw log of one shard");
    let archive = folder.path().join("reports/monitor_logs.db");
    texts(
        &archive,
        "SELECT key FROM window_keys GROUP BY key ORDER BY sum(count) DESC LIMIT 1",
    )
    .remove(0)
}

#[tokio::test]
async fn hashed_keys_are_told_by_nothing_and_stay_the_same() {
    let cluster = Cluster::disabled(
        Server::valkey8().set("client-output-buffer-limit", "normal 64mb 0 0"),
        1,
    )
    .await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let secret = folder.path().join("secret");
    let checked = async {
        let first = check_daemon(&cluster, "hash", &secret).await;
        (first, check_round(&cluster, "hash", &secret).await)
    };
    let traffic = traffic(30);
    let (first, second) = tokio::select! {
        hot = checked => hot,
        _ = traffic.run(&cluster) => panic!("the traffic ended before"),
    };
    assert!(first.starts_with('#') && first.len() == 17, "{first}");
    assert_eq!(first, second, "another process of this installation names it alike");
}

#[tokio::test]
async fn under_patterns_alone_no_key_is_told() {
    let cluster = Cluster::disabled(Server::redis().set("client-output-buffer-limit", "normal 64mb 0 0"), 1).await;
    let nowhere = Path::new("/nowhere/secret");
    let checked = async {
        let first = check_daemon(&cluster, "patterns", nowhere).await;
        (first, check_round(&cluster, "patterns", nowhere).await)
    };
    let traffic = traffic(30);
    let (first, second) = tokio::select! {
        hot = checked => hot,
        _ = traffic.run(&cluster) => panic!("the traffic ended before"),
    };
    assert!(
        first.starts_with("{KEY}#") && second.starts_with("{KEY}#"),
        "{first} {second}"
    );
    assert_ne!(first, second, "marks end with their process");
}

/// A captured log with the planted names in every place, in two files of one shard each, that share keys.
fn captured(folder: &Path) -> Vec<String> {
    let log = |shard: u64| {
        let line = |number: u64| {
            let key = match number % 5 {
                0 => HOT.to_owned(),
                1 => format!("name:planted{number}x:profile"),
                2 => format!("cart:{{planted{}}}:items", number % 3),
                3 => format!("mail:planted{number}@example.com"),
                _ => format!("user:{}", 10_000 + number),
            };
            let stamp = format!("{}.{:06}", 1_795_219_200 + number / 100, shard);
            format!("{stamp} [0 10.0.0.{shard}:5000] \"SET\" \"{key}\" \"planted-value\"\n")
        };
        (0..1000).map(line).collect::<String>()
    };
    let write = |shard: u64| {
        let path = folder.join(format!("shard-{shard}.log"));
        fs::write(&path, log(shard)).expect("it can be written");
        path.display().to_string()
    };
    (1..=2).map(write).collect()
}

#[test]
fn reports_of_captured_logs_tell_no_key_either() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let logs = captured(folder.path());
    let secret = folder.path().join("secret").display().to_string();
    let analyzed = |arguments: &[&str]| {
        let logs = logs.iter().map(String::as_str);
        let arguments: Vec<&str> = ["analyze"]
            .into_iter()
            .chain(logs)
            .chain(arguments.iter().copied())
            .collect();
        crate::cli::told(&mut crate::cli::hotshard(&arguments))
    };
    assert!(analyzed(&[]).contains(PLANTED), "the names are there to be found");
    for keys in ["hash", "patterns"] {
        let privacy = ["--privacy.keys", keys, "--privacy.secret-file", &secret];
        for format in ["table", "json", "csv", "markdown", "html"] {
            for compared in [&[][..], &["--compare"]] {
                let told = analyzed(&[&privacy[..], &["-f", format], compared].concat());
                assert!(
                    told.ends_with("exit code 0\n") && told.contains("user:{ID}"),
                    "{keys} {format}: {told}"
                );
                check_clean(&format!("analyze -f {format} with {keys}"), told.as_bytes());
            }
        }
    }
    let hash = ["--privacy.keys", "hash", "--privacy.secret-file", &secret, "-f", "json"];
    let report = analyzed(&hash);
    assert_eq!(report, analyzed(&hash), "the secret stays, and so do the names");
    let json: serde_json::Value =
        serde_json::from_str(report.trim_end_matches("exit code 0\n")).expect("a report in JSON");
    // Both files have the key; it is one.
    let hot = &json["shards"][0]["keys"][0];
    assert_eq!(hot["count"], 400, "{hot}");
    assert!(hot["key"].as_str().is_some_and(|key| key.starts_with('#')), "{hot}");
}

#[test]
fn what_would_keep_keys_after_all_is_refused() {
    let check = |arguments: &[&str], said: &str| {
        let told = crate::cli::told(&mut crate::cli::hotshard(arguments));
        assert!(told.ends_with("exit code 2\n") && told.contains(said), "{told}");
    };
    check(&["demo", "--privacy.keys", "hash"], "privacy.secret_file");
    check(&["analyze", "-", "--privacy.keys", "hash"], "--privacy.secret-file");
    check(
        &["analyze", "-", "--privacy.keys", "none"],
        "possible values: plain, hash, patterns",
    );
    check(
        &["demo", "--privacy.keys", "patterns", "--archive.record", "full"],
        "archive.record is full",
    );
    check(
        &[
            "monitor",
            "-e",
            "127.0.0.1:1",
            "--save-values",
            "--privacy.keys",
            "patterns",
        ],
        "--save-values keeps keys and values",
    );
}
