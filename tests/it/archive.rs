//! The archive: what a daemon wrote, faults of the file, and what is asked of it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// A demo that archives into its own folder, often.
async fn demo(more: &[&str]) -> Hotshard {
    let arguments = [
        "demo",
        "--shards",
        "3",
        "--archive.path",
        "h.db",
        "--monitor.schedule",
        "every 3s",
        "--monitor.window",
        "1s",
    ];
    let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
    Hotshard::start(&arguments).await
}

fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the archive opens")
}

fn number(archive: &Connection, sql: &str) -> i64 {
    archive
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Waits until the demo has archived so many rounds.
async fn rounds(hotshard: &Hotshard, wanted: i64) {
    let path = hotshard.folder().join("h.db");
    let seen = async || {
        let found = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|archive| {
            archive.query_row(
                "SELECT count(*) FROM monitoring_sessions WHERE num_shards = 3",
                [],
                |row| row.get::<_, i64>(0),
            )
        });
        match found {
            Ok(found) if found >= wanted => Ok(()),
            other => Err(other),
        }
    };
    eventually("rounds are archived", DEADLINE, seen).await;
}

#[tokio::test]
async fn what_the_daemon_saw_is_kept() {
    let hotshard = demo(&["--archive.rows-per-window-max", "100000"]).await;
    rounds(&hotshard, 2).await;
    let path = hotshard.folder().join("h.db");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let metrics = hotshard.metrics().await;
    assert!(metrics.contains("hotshard_archive_size_bytes "), "{metrics}");
    hotshard.signal(Signal::TERM);
    let beside = path.with_extension("db-wal");
    eventually("the log is gone", DEADLINE, async || {
        if beside.exists() { Err(()) } else { Ok(()) }
    })
    .await;
    let archive = open(&path);
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"
        ),
        1
    );
    let lines = number(&archive, "SELECT count(*) FROM monitor_logs");
    assert!(lines > 1000, "{lines}");
    // Every line of the complete sessions is there, and says what the counts say.
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM (
                SELECT window_id, command, count(*) AS lines FROM all_lines GROUP BY 1, 2
            ) JOIN window_commands USING (window_id, command) WHERE lines <> count"
        ),
        0
    );
    // What hotshard itself asks, and what replication adds, are lines of the stream and no load.
    assert_eq!(lines, number(&archive, "SELECT sum(commands) FROM windows"));
    assert!(lines < number(&archive, "SELECT sum(lines) FROM windows"));
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM monitor_logs WHERE args IS NOT NULL OR raw_line IS NOT NULL"
        ),
        0
    );
}

#[tokio::test]
async fn a_killed_daemon_loses_no_file_and_no_finished_round() {
    let hotshard = demo(&[]).await;
    rounds(&hotshard, 1).await;
    let path = hotshard.folder().join("h.db");
    hotshard.signal(Signal::KILL);
    let archive = open(&path);
    assert_eq!(
        number(
            &archive,
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"
        ),
        1
    );
    assert!(number(&archive, "SELECT count(*) FROM window_keys") > 0);
}

/// Starts a demo on a file that holds this, and waits until its log says so.
async fn check_begun_on(file: &[u8], said: &str) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.db");
    std::fs::write(&path, file).expect("it can be written");
    let hotshard = Hotshard::start(&["demo", "--shards", "3", "--archive.path", &path.display().to_string()]).await;
    let heard = async || {
        if hotshard.log().contains(said) {
            Ok(())
        } else {
            Err(hotshard.log())
        }
    };
    eventually("the log tells it", DEADLINE, heard).await;
    let kept = std::fs::read(&path).expect("it is there");
    let aside = std::fs::read_dir(folder.path())
        .expect("it is there")
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().contains(".corrupt-"));
    match aside {
        Some(aside) => assert_eq!(std::fs::read(aside.path()).expect("it was set aside"), file),
        None => assert_eq!(kept, file, "the file was changed"),
    }
    hotshard.stop().await;
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside_and_a_new_one_begun() {
    check_begun_on(&[b'x'; 8192], "the archive is corrupt, was set aside").await;
}

#[tokio::test]
async fn a_newer_file_is_left_as_it_is() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("newer.db");
    let newer = Connection::open(&path).expect("a new file opens");
    newer
        .execute_batch("PRAGMA application_id = 1752392050; PRAGMA user_version = 999; CREATE TABLE a (b)")
        .expect("it is written");
    newer.close().expect("it closes");
    let file = std::fs::read(&path).expect("it is there");
    check_begun_on(&file, "was written by a newer hotshard").await;
}

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
    let told = asked(&["-cmd", "get", "-l", "1", "-f", "csv"]);
    assert!(told.contains(",GET,") && told.contains("exit code 0"), "{told}");
    let report = crate::cli::told(&mut crate::cli::hotshard(&["report", "--db-path", &path, "-f", "json"]));
    assert!(report.contains("\"source\": \"serve\""), "{report}");
}

/// Waits until the log says it.
async fn said(hotshard: &Hotshard, words: &str) {
    let heard = async || match hotshard.log() {
        log if log.contains(words) => Ok(()),
        log => Err(log),
    };
    eventually(words, DEADLINE, heard).await;
}

/// Waits until rows were counted as lost for this reason.
async fn dropped(hotshard: &Hotshard, reason: &str) {
    let series = format!("hotshard_archive_dropped_rows_total{{reason=\"{reason}\"}}");
    let counted = async || match hotshard.metrics().await {
        page if page.contains(&series) => Ok(()),
        _ => Err(hotshard.log()),
    };
    eventually(&series, DEADLINE, counted).await;
}

fn check_sound(path: &Path) {
    let sound = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(number(&open(path), sound), 1, "{} is damaged", path.display());
}

/// What another process would find if this one were gone now: a copy, since SQLite finds no way into the folder that it alone sees.
fn check_frozen(hotshard: &Hotshard, folder: &Path) {
    let copies = tempfile::TempDir::new().expect("a temporary folder");
    hotshard.signal(Signal::STOP);
    for name in ["h.db", "h.db-wal"] {
        std::fs::copy(folder.join(name), copies.path().join(name)).expect("it can be read");
    }
    hotshard.signal(Signal::CONT);
    let copy = Connection::open(copies.path().join("h.db")).expect("it opens");
    let sound = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(number(&copy, sound), 1, "{} is damaged", folder.display());
    assert!(
        number(&copy, "SELECT count(*) FROM windows") > 0,
        "what was written before is lost"
    );
}

const OFTEN: [&str; 7] = [
    "demo",
    "--shards",
    "3",
    "--monitor.schedule",
    "every 3s",
    "--monitor.window",
    "1s",
];

#[tokio::test]
async fn a_full_disk_stops_the_archive_and_not_the_daemon() {
    // A small disk that this process alone sees, part of it taken by something else.
    let small = "mount -t tmpfs -o size=3m tmpfs /mnt && head -c 2000000 /dev/zero > /mnt/else && exec \"$@\"";
    let starter = ["unshare", "-Urm", "sh", "-c", small, "sh"];
    let path = ["--archive.path", "/mnt/h.db", "--archive.free-space-min", "0"];
    let rows = ["--archive.rows-per-window-max", "100000"];
    let hotshard = Hotshard::started_by(&starter, &[&OFTEN[..], &path, &rows].concat()).await;
    dropped(&hotshard, "disk_full").await;
    assert_eq!(hotshard.get("/healthz").await.expect("it answers").status, 200);
    let told = hotshard
        .log()
        .matches("nothing is archived until this is cured")
        .count();
    assert_eq!(told, 1, "{}", hotshard.log());
    let disk = std::path::PathBuf::from(format!("/proc/{}/root/mnt", hotshard.pid()));
    check_frozen(&hotshard, &disk);
    std::fs::remove_file(disk.join("else")).expect("it can be removed");
    said(&hotshard, "the archive is written again").await;
    check_frozen(&hotshard, &disk);
    hotshard.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_and_counted() {
    let sealed = "mount -t tmpfs -o size=1m tmpfs /mnt && mount -o remount,ro /mnt && exec \"$@\"";
    let starter = ["unshare", "-Urm", "sh", "-c", sealed, "sh"];
    let hotshard = Hotshard::started_by(
        &starter,
        &[
            &OFTEN[..],
            &["--archive.path", "/mnt/h.db", "--archive.free-space-min", "0"],
        ]
        .concat(),
    )
    .await;
    dropped(&hotshard, "read_only").await;
    assert_eq!(hotshard.get("/healthz").await.expect("it answers").status, 200);
    let log = hotshard.stop().await;
    assert!(
        log.contains("/mnt/h.db") && log.matches("nothing is archived until").count() == 1,
        "{log}"
    );
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_written_again_once_it_is_free() {
    let hotshard = demo(&[]).await;
    rounds(&hotshard, 1).await;
    let path = hotshard.folder().join("h.db");
    let other = Connection::open(&path).expect("it opens");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("it is free between two rounds");
    dropped(&hotshard, "locked").await;
    other.execute_batch("ROLLBACK").expect("it is let go");
    said(&hotshard, "the archive is written again").await;
    drop(other);
    check_sound(&path);
    hotshard.stop().await;
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_left_alone() {
    let hotshard = demo(&["--archive.free-space-min", "1000000GiB"]).await;
    dropped(&hotshard, "free_space").await;
    let path = hotshard.folder().join("h.db");
    assert_eq!(number(&open(&path), "SELECT count(*) FROM windows"), 0);
    hotshard.stop().await;
}

#[tokio::test]
async fn a_daemon_killed_while_it_writes_loses_its_last_batch_at_most() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.db");
    let written = path.display().to_string();
    let mut kept = 0;
    for _ in 0..3 {
        let arguments = [
            &OFTEN[..],
            &["--archive.path", &written, "--archive.rows-per-window-max", "100000"],
        ]
        .concat();
        let hotshard = Hotshard::start(&arguments).await;
        let log = path.with_extension("db-wal");
        let length = || std::fs::metadata(&log).map_or(0, |file| file.len());
        let before = length();
        // The log grows while a transaction is under way.
        let grows = async || if length() > before { Ok(()) } else { Err(length()) };
        eventually("something is written", DEADLINE, grows).await;
        hotshard.signal(Signal::KILL);
        drop(hotshard);
        check_sound(&path);
        let now = number(&open(&path), "SELECT count(*) FROM windows");
        assert!(now >= kept, "{now} windows where {kept} were");
        kept = now;
        let torn = "SELECT count(*) FROM windows WHERE id NOT IN (SELECT window FROM command_counts) AND commands > 0";
        assert_eq!(number(&open(&path), torn), 0, "a window is there whole or not at all");
    }
    assert!(kept > 0);
}

/// What is left of the archive of a demo that ran until the oldest windows had left it: the file's bytes, and its pages that are free.
async fn tidied(limit: &[&str]) -> (u64, i64) {
    let hotshard = demo(limit).await;
    let path = hotshard.folder().join("h.db");
    let left = async || match Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|archive| archive.query_row("SELECT min(id) FROM windows", [], |row| row.get::<_, Option<i64>>(0)))
    {
        Ok(Some(7..)) => Ok(()),
        other => Err(other),
    };
    eventually("two rounds have left", DEADLINE, left).await;
    let folder = hotshard.folder().to_owned();
    let copy = tempfile::TempDir::new().expect("a temporary folder");
    hotshard.signal(Signal::TERM);
    let beside = folder.join("h.db-wal");
    eventually(
        "it is closed",
        DEADLINE,
        async || if beside.exists() { Err(()) } else { Ok(()) },
    )
    .await;
    let kept = copy.path().join("h.db");
    std::fs::copy(&path, &kept).expect("it is there");
    check_sound(&kept);
    (
        std::fs::metadata(&kept).expect("it is there").len(),
        number(&open(&kept), "SELECT freelist_count FROM pragma_freelist_count"),
    )
}

#[tokio::test]
async fn a_file_stays_below_its_size_and_gives_space_back() {
    let (bytes, free) = tidied(&["--archive.size-max", "500kB"]).await;
    assert!(bytes <= 500_000 && free == 0, "{bytes} bytes, {free} pages free");
}

#[tokio::test]
async fn old_windows_leave_and_the_file_shrinks() {
    let (bytes, free) = tidied(&["--archive.retention", "4s"]).await;
    assert!(free == 0, "{bytes} bytes, {free} pages free");
}

/// Names of keys of one kind, so many of them.
fn names(count: usize) -> Vec<String> {
    let letters = |number: usize| {
        let digit = |place: u32| char::from(b'a' + (number / 5_usize.pow(place) % 5) as u8);
        [digit(2), digit(1), digit(0)].iter().collect::<String>()
    };
    (0..count)
        .map(|number| format!("name:{}:profile", letters(number)))
        .collect()
}

/// A daemon that archives there looks at a cluster that is asked for so many names, until `windows` windows with them are kept.
async fn watched(cluster: &Cluster, path: &Path, count: usize, windows: i64) {
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\n\
         [patterns]\nlearn_after = 8\n[archive]\npath = \"{}\"\n",
        cluster.servers[0].address,
        path.display()
    );
    let before = if path.exists() {
        number(&open(path), "SELECT max(id) FROM windows")
    } else {
        0
    };
    let hotshard = Hotshard::serve(&config).await;
    let traffic = Traffic::new(3).plan(Plan::spread("GET", names(count), 60_000).per_second(500.0).on_replica());
    let kept = async || {
        let sql = format!("SELECT count(*) FROM windows WHERE id > {before} AND commands > 100");
        match Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .and_then(|archive| archive.query_row(&sql, [], |row| row.get::<_, i64>(0)))
        {
            Ok(found) if found >= windows => Ok(()),
            other => Err(other),
        }
    };
    tokio::select! {
        () = eventually("windows are archived", DEADLINE, kept) => {}
        _ = traffic.run(cluster) => panic!("the traffic ended before"),
    }
    hotshard.stop().await;
}

#[tokio::test]
async fn what_was_learned_of_keys_outlives_the_daemon() {
    let cluster = Cluster::disabled(Server::redis().set("client-output-buffer-limit", "normal 64mb 0 0"), 1).await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.db");
    watched(&cluster, &path, 50, 1).await;
    let first = number(&open(&path), "SELECT max(id) FROM windows");
    // Far fewer names than it takes to learn that they vary.
    watched(&cluster, &path, 3, 1).await;
    let archive = open(&path);
    for view in ["window_patterns", "all_lines"] {
        let sql = format!(
            "SELECT group_concat(DISTINCT key_pattern) FROM {view} WHERE window_id > {first} AND key_pattern LIKE 'name:%'"
        );
        let patterns: String = archive.query_row(&sql, [], |row| row.get(0)).expect("there are some");
        assert_eq!(patterns, "name:{VAR}:profile", "{view}");
    }
    assert!(number(&archive, &format!("SELECT count(*) FROM windows WHERE id > {first}")) > 0);
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
