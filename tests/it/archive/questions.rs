//! What is asked of an archive: the manual's questions and examples, and nothing that writes.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use super::{DEADLINE, demo, rounds, said};
use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

#[tokio::test]
async fn a_query_reads_and_does_nothing_else() {
    let hotshard = demo(&[]).await;
    rounds(&hotshard, 1).await;
    let path = hotshard.folder().join("h.db").display().to_string();
    let asked = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["query", "--db-path", &path].iter().chain(arguments).copied().collect();
        crate::cli::told(&mut crate::cli::hotshard(&arguments))
    };
    assert_eq!(
        asked(&["--sql", "SELECT 6 * 7 AS n", "-f", "csv"]),
        "n\n42\nexit code 0\n"
    );
    for statement in [
        "DELETE FROM lines",
        "ATTACH 'x' AS y",
        "PRAGMA user_version = 7",
        "SELECT load_extension('x')",
        "VACUUM INTO 'y'",
    ] {
        let told = asked(&["--sql", statement]);
        assert!(
            told.ends_with("exit code 2\n") && told.contains("--sql"),
            "{statement}: {told}"
        );
    }
    for (statement, said) in [
        (" ; ", "there is no statement"),
        ("SELECT 1; SELECT 2", "Multiple statements"),
        ("SELECT group_concat(hex(randomblob(600000))) FROM windows", "too big"),
    ] {
        let told = asked(&["--sql", statement]);
        assert!(
            told.ends_with("exit code 2\n") && told.contains(said),
            "{statement}: {told}"
        );
    }
    let told = asked(&["--shard", "nowhere", "-f", "csv"]);
    assert!(
        told.contains("no line is like this") && told.contains("exit code 0"),
        "{told}"
    );
    let other = hotshard.folder().join("other.db").display().to_string();
    let file = Connection::open(&other).expect("a new file opens");
    file.execute_batch("CREATE TABLE a (b)").expect("it is written");
    let told = crate::cli::told(&mut crate::cli::hotshard(&["query", "--db-path", &other]));
    assert!(
        told.contains("neither an archive of hotshard nor one of the earlier tool; name the archive with --db-path"),
        "{told}"
    );
    std::fs::write(&other, "no database of any kind").expect("it can be written");
    let told = crate::cli::told(&mut crate::cli::hotshard(&["query", "--db-path", &other]));
    assert_eq!(told.matches("is not a database").count(), 1, "{told}");
    let told = asked(&["--sql", "SELECT 1", "--shard", "0001"]);
    assert!(
        told.contains("cannot be used with") && told.ends_with("exit code 2\n"),
        "{told}"
    );
    // Whatever reads a pipe has no width: a row is a line.
    let told = asked(&["--sql", "SELECT * FROM windows LIMIT 1"]);
    let row = told.lines().nth(3).expect(&told);
    assert!(
        told.lines().count() == 6 && row.chars().count() > 200 && row.contains(" replica "),
        "{told}"
    );
    let told = asked(&["-cmd", "get", "-l", "1", "-f", "csv"]);
    assert!(told.contains(",GET,") && told.contains("exit code 0"), "{told}");
    let report = crate::cli::told(&mut crate::cli::hotshard(&["report", "--db-path", &path, "-f", "json"]));
    assert!(report.contains("\"source\": \"serve\""), "{report}");
}

/// The statements of the manual, which stand under `Twenty questions`.
fn questions() -> Vec<String> {
    let manual = crate::repository::read("docs/archive.md");
    let block = manual
        .split("```sql\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    statements(block.expect("the manual has a block of SQL"))
}

fn statements(block: &str) -> Vec<String> {
    let lines = block.lines().filter(|line| !line.starts_with("--"));
    lines.map(str::to_owned).collect()
}

/// Every statement of the manual.
fn all_statements() -> Vec<String> {
    let manual = crate::repository::read("docs/archive.md");
    let blocks = manual.split("```sql\n").skip(1);
    blocks
        .filter_map(|rest| rest.split("```").next())
        .flat_map(statements)
        .collect()
}

/// The commands of the manual's block of examples.
fn examples() -> Vec<String> {
    let manual = crate::repository::read("docs/archive.md");
    let block = manual.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    block
        .expect("the manual has examples")
        .lines()
        .map(str::to_owned)
        .collect()
}

fn ask(path: &Path, arguments: &[&str]) -> String {
    let path = path.display().to_string();
    let arguments = [&["query", "--db-path", &path], arguments].concat();
    crate::cli::told(&mut crate::cli::hotshard(&arguments))
}

/// The same lines and sessions in the tables that the earlier tool made, with its indexes.
fn as_earlier(archive: &Path, earlier: &Path) {
    let file = Connection::open(earlier).expect("a new file opens");
    file.execute_batch(&format!(
        "ATTACH '{}' AS ours;
         CREATE TABLE monitor_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, cluster_id TEXT NOT NULL, shard_name TEXT NOT NULL,
            timestamp REAL NOT NULL, datetime_utc TEXT NOT NULL, client_address TEXT, client_ip TEXT, command TEXT NOT NULL, key TEXT,
            key_pattern TEXT, args TEXT, raw_line TEXT, collection_time TEXT NOT NULL);
         CREATE TABLE monitoring_sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, cluster_id TEXT NOT NULL, start_time REAL NOT NULL,
            end_time REAL, duration_seconds REAL, num_shards INTEGER, total_commands INTEGER, config TEXT);
         CREATE INDEX by_cluster ON monitor_logs (cluster_id);
         CREATE INDEX by_key_pattern ON monitor_logs (key_pattern);
         INSERT INTO monitor_logs SELECT * FROM ours.monitor_logs;
         INSERT INTO monitoring_sessions SELECT * FROM ours.monitoring_sessions",
        archive.display()
    ))
    .expect("it is written");
}

#[tokio::test]
async fn the_manuals_questions_and_examples_run_on_what_was_written_under_load() {
    let cluster = Cluster::disabled(
        Server::valkey8().set("client-output-buffer-limit", "normal 64mb 0 0"),
        1,
    )
    .await;
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nschedule = \"every 3s\"\nwindow = \"1s\"\n\
         [archive]\npath = \"hotshard.db\"\nrows_per_window_max = 1000000\n",
        cluster.servers[0].address,
    );
    let keys = (0..300)
        .map(|number| format!("user:{}:profile", 10_000 + number))
        .collect();
    let traffic = Traffic::new(5)
        .plan(Plan::spread("GET", keys, 50_000).per_second(1500.0).on_replica())
        .plan(
            Plan::new("SET", "user:777:profile", 10_000)
                .with(&["x"])
                .per_second(300.0),
        );
    let hotshard = Hotshard::serve(&config).await;
    let path = hotshard.folder().join("hotshard.db");
    let archived = async {
        let seen =
            async || match Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|archive| {
                archive.query_row("SELECT count(*) FROM windows WHERE commands > 500", [], |row| {
                    row.get::<_, i64>(0)
                })
            }) {
                Ok(3..) => Ok(()),
                other => Err(other),
            };
        eventually("three rounds under load are archived", DEADLINE, seen).await;
        // While the daemon writes and the servers are busy.
        for example in examples() {
            let arguments = example.strip_prefix("hotshard ").expect("an example is a command");
            let mut command = assert_cmd::Command::new("sh");
            command
                .args(["-c", &format!("{} {arguments}", env!("CARGO_BIN_EXE_hotshard"))])
                .current_dir(hotshard.folder());
            let told = tokio::task::spawn_blocking(move || crate::cli::told(&mut command))
                .await
                .expect("a thread");
            assert!(told.ends_with("exit code 0\n") && told.len() > 30, "{example}: {told}");
        }
    };
    tokio::select! {
        () = archived => {}
        _ = traffic.run(&cluster) => panic!("the traffic ended before"),
    }
    hotshard.signal(Signal::TERM);
    let beside = path.with_extension("db-wal");
    eventually(
        "it is closed",
        DEADLINE,
        async || if beside.exists() { Err(()) } else { Ok(()) },
    )
    .await;
    let questions = questions();
    assert_eq!(questions.len(), 20);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let earlier = folder.path().join("earlier.db");
    as_earlier(&path, &earlier);
    for (place, question) in questions.iter().enumerate() {
        let answer = ask(&path, &["--sql", question, "-f", "csv"]);
        // Nothing need be new in the newest session.
        let least = if question.contains("EXCEPT") { 2 } else { 3 };
        assert!(
            answer.ends_with("exit code 0\n") && answer.lines().count() >= least,
            "{question}: {answer}"
        );
        if place < 10 {
            assert_eq!(ask(&earlier, &["--sql", question, "-f", "csv"]), answer, "{question}");
        }
    }
    for statement in all_statements().split_off(questions.len()) {
        let answer = ask(&path, &["--sql", &statement, "-f", "csv"]);
        assert!(
            answer.ends_with("exit code 0\n") && answer.lines().count() >= 3,
            "{statement}: {answer}"
        );
    }
    for arguments in [
        &["--stats"][..],
        &["--shard", "0001", "-l", "3"],
        &["-cmd", "get", "-k", "user:*"],
        &["-s", "1"],
        &["-c", "orders"],
    ] {
        let answer = ask(&earlier, arguments);
        assert!(answer.ends_with("exit code 0\n"), "{arguments:?}: {answer}");
    }
    let before = std::fs::read(&earlier).expect("it is there");
    let hotshard = Hotshard::start(&["demo", "--archive.path", &earlier.display().to_string()]).await;
    said(&hotshard, "but no archive of hotshard").await;
    hotshard.stop().await;
    assert_eq!(
        std::fs::read(&earlier).expect("it is there"),
        before,
        "it is left as it is"
    );
}
