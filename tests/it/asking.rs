//! The archive, asked in SQL over HTTP.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::hotshard::Hotshard;
use crate::harness::http::{self, Answer, percent_encoded};
use crate::harness::wait::eventually;
use crate::repository::read;

const DEADLINE: Duration = Duration::from_secs(60);
/// Longer than a statement may take.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(15);
/// A word that no log may have.
const SHIBBOLETH: &str = "shibboleth";

fn path(statement: &str) -> String {
    format!("/api/v1/query?sql={}", percent_encoded(statement))
}

async fn ask(daemon: &Hotshard, statement: &str) -> Answer {
    let path = path(statement);
    let answer = http::request_within(STATEMENT_DEADLINE, daemon.address, "GET", &path, &[]).await;
    answer.expect("it answers")
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// The rows of an answer that has all of them.
async fn rows(daemon: &Hotshard, statement: &str) -> Vec<Value> {
    let answer = ask(daemon, statement).await;
    assert_eq!(answer.status, 200, "{statement}: {}", answer.body);
    let answer = json(&answer);
    assert_eq!(answer["complete"], true, "{statement}: {answer}");
    answer["rows"].as_array().expect("an answer has rows").clone()
}

fn without_end(asked: &str) -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {asked} FROM n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_answers_sql_over_http_and_does_nothing_else() {
    let often =
        "demo --shards 2 --poll.interval 1s --monitor.schedule every|1h --monitor.on-hot false --monitor.window 1s";
    let more = "--web.enable-lifecycle --archive.path h.db --web.enable-sql --log.level trace";
    let arguments: Vec<String> = [often, more]
        .iter()
        .flat_map(|part| part.split(' '))
        .map(|word| word.replace('|', " "))
        .collect();
    let daemon = Hotshard::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let file = daemon.folder().join("h.db");
    let polled = async || {
        let page = daemon.metrics().await;
        let up = |line: &&str| line.starts_with("hotshard_node_up{") && line.ends_with(" 1");
        if page.lines().filter(up).count() == 4 {
            Ok(())
        } else {
            Err(page)
        }
    };
    eventually("each shard has a replica to look at", DEADLINE, polled).await;
    let ordered = async || match http::request(daemon.address, "POST", "/api/v1/groups/demo/windows", &[]).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        answer => Err(answer),
    };
    eventually("a round begins", DEADLINE, ordered).await;
    let kept = async || {
        let answer = ask(&daemon, "SELECT count(*) FROM windows").await;
        match json(&answer)["rows"][0][0].as_i64() {
            Some(2..) => Ok(()),
            _ => Err(answer),
        }
    };
    eventually("a round of two windows is kept", DEADLINE, kept).await;
    the_questions_of_the_manual(&daemon, &file).await;
    what_does_more_than_read(&daemon, &file).await;
    what_is_too_much(&daemon).await;
    what_has_no_end(&daemon).await;
    whoever_leaves(&daemon).await;
    let log = daemon.stop().await;
    assert!(!log.contains(SHIBBOLETH), "no log has a statement: {log}");
    assert!(
        !log.contains("can't be asked"),
        "nor that the archive was new once: {log}"
    );
}

async fn the_questions_of_the_manual(daemon: &Hotshard, file: &std::path::Path) {
    let manual = read("docs/archive.md");
    let blocks = manual
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let statements: Vec<&str> = blocks
        .flat_map(str::lines)
        .filter(|line| line.starts_with("SELECT"))
        .collect();
    assert!(statements.len() >= 26, "{statements:?}");
    for statement in statements {
        rows(daemon, statement).await;
    }
    let statement = "SELECT command, sum(count) AS commands FROM window_commands GROUP BY command ORDER BY 1";
    let answered = rows(daemon, statement).await;
    let archive = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
    let mut prepared = archive.prepare(statement).expect("it is SQL");
    let counted = prepared.query_map([], |row| {
        Ok(serde_json::json!([row.get::<_, String>(0)?, row.get::<_, i64>(1)?]))
    });
    let counted: Vec<Value> = counted.expect("it answers").map(|row| row.expect("a row")).collect();
    assert!(!counted.is_empty());
    assert_eq!(answered, counted);
}

async fn what_does_more_than_read(daemon: &Hotshard, file: &std::path::Path) {
    let elsewhere = file.with_file_name("elsewhere.db");
    for (statement, reason) in [
        ("DELETE FROM sessions".to_owned(), "not authorized"),
        (
            format!("ATTACH DATABASE '{}' AS other", elsewhere.display()),
            "not authorized",
        ),
        ("PRAGMA user_version = 99".to_owned(), "not authorized"),
        ("PRAGMA query_only = false".to_owned(), "not authorized"),
        ("SELECT load_extension('elsewhere')".to_owned(), "not authorized"),
        ("VACUUM".to_owned(), "would change the archive"),
        (format!("SELECT {SHIBBOLETH} FROM sessions"), "no such column"),
        (" ; ".to_owned(), "there is no statement"),
    ] {
        let answer = ask(daemon, &statement).await;
        let said = json(&answer)["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && said.contains(reason), "{statement}: {answer:?}");
    }
    assert_eq!(daemon.get("/api/v1/query").await.expect("it answers").status, 400);
    assert_eq!(
        rows(daemon, "SELECT count(*) FROM windows").await,
        [serde_json::json!([2])]
    );
    assert!(!elsewhere.exists());
}

async fn what_is_too_much(daemon: &Hotshard) {
    let answer = ask(daemon, &without_end("i")).await;
    assert_eq!(answer.status, 200);
    let answer = json(&answer);
    assert_eq!(answer["rows"].as_array().map(Vec::len), Some(10_000));
    assert_eq!(answer["complete"], false);
    let note = "only the first 10000 rows are shown; ask for less";
    assert_eq!(answer["notes"], serde_json::json!([note]));
    // Six letters of JSON for each.
    let answer = ask(daemon, &without_end("replace(printf('%50000s', ''), ' ', char(1))")).await;
    assert!(answer.body.len() < (8 << 20) + 1_000, "{}", answer.body.len());
    assert_eq!(json(&answer)["complete"], false);
}

/// It ends in time, and nothing else waits for it but another statement.
async fn what_has_no_end(daemon: &Hotshard) {
    let begun = Instant::now();
    let endless = async {
        let answer = ask(daemon, &without_end(&format!("max(i) AS {SHIBBOLETH}"))).await;
        (answer, begun.elapsed())
    };
    let others = async {
        let taken = async || match ask(daemon, "SELECT 1").await {
            answer if answer.status == 503 => Ok(answer),
            answer => Err(answer),
        };
        let busy = eventually("the endless statement is at work", DEADLINE, taken).await;
        assert!(busy.head.to_lowercase().contains("\nretry-after: 10"), "{}", busy.head);
        assert!(
            busy.body.contains("another statement is being answered"),
            "{}",
            busy.body
        );
        let mut slowest = Duration::ZERO;
        let mut asked = 0;
        while begun.elapsed() < Duration::from_secs(8) {
            for path in ["/healthz", "/metrics", "/api/v1/groups/demo/rounds"] {
                let asking = Instant::now();
                assert_eq!(daemon.get(path).await.expect("it answers").status, 200, "{path}");
                slowest = slowest.max(asking.elapsed());
                asked += 1;
            }
        }
        assert!(
            asked > 9 && slowest < Duration::from_secs(3),
            "{asked} answers, {slowest:?}"
        );
    };
    let ((answer, took), ()) = tokio::join!(endless, others);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(
        answer.body.contains("took longer than 10 s and was ended"),
        "{}",
        answer.body
    );
    assert!(
        took >= Duration::from_secs(10) && took < Duration::from_secs(14),
        "{took:?}"
    );
}

/// Their statement ends with them: the next one needn't wait for its ten seconds.
async fn whoever_leaves(daemon: &Hotshard) {
    let mut stream = TcpStream::connect(daemon.address).await.expect("it listens");
    let (path, address) = (path(&without_end("max(i)")), daemon.address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it takes a request");
    let taken = async || match ask(daemon, "SELECT 1").await {
        answer if answer.status == 503 => Ok(()),
        answer => Err(answer),
    };
    eventually("the statement is at work", DEADLINE, taken).await;
    let left = Instant::now();
    drop(stream);
    let free = async || match ask(daemon, "SELECT 1").await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer),
    };
    eventually("the statement has ended", DEADLINE, free).await;
    assert!(left.elapsed() < Duration::from_secs(6), "{:?}", left.elapsed());
}

#[tokio::test]
async fn without_an_archive_or_the_setting_there_is_nothing_to_ask() {
    for (arguments, status, cure) in [
        (&["demo", "--web.enable-sql"][..], 404, "set archive.path"),
        (&["demo", "--archive.path", "h.db"], 404, "set web.enable_sql"),
        (
            &["demo", "--archive.path", "nowhere/h.db", "--web.enable-sql"],
            503,
            "the log says what is in the way",
        ),
    ] {
        let daemon = Hotshard::start(arguments).await;
        let answer = ask(&daemon, "SELECT 1").await;
        assert!(answer.status == status && answer.body.contains(cure), "{answer:?}");
        let later = answer.head.to_lowercase().contains("\nretry-after: 5");
        assert_eq!(later, status == 503, "{}", answer.head);
        let metrics = daemon.metrics().await;
        assert!(
            !(later && metrics.contains("hotshard_archive_size_bytes")),
            "what isn't there has no size"
        );
        let log = daemon.stop().await;
        assert!(!log.contains(" WARN "), "a question is no trouble of hotshard's: {log}");
    }
}

#[tokio::test]
async fn where_others_can_reach_it_a_password_is_needed() {
    let arguments = [
        "demo",
        "--archive.path",
        "h.db",
        "--web.enable-sql",
        "--web.listen-address",
        "0.0.0.0:0",
    ];
    let daemon = Hotshard::start(&arguments).await;
    let port = async || {
        let said = daemon.said() + &daemon.log();
        let address = said
            .split("0.0.0.0:")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
        address.and_then(|port: String| port.parse::<u16>().ok()).ok_or(said)
    };
    let port = eventually("it says where others reach it", DEADLINE, port).await;
    let open = ([127, 0, 0, 1], port).into();
    let answer = http::get(open, &path("SELECT 1")).await.expect("it answers");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(http::get(open, "/healthz").await.expect("it answers").status, 200);
    assert_ne!(ask(&daemon, "SELECT 1").await.status, 403);
    daemon.stop().await;
}
