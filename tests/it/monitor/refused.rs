//! What can't be looked at is named with its cure, and nothing else is touched.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Run, Said, bounded, check_gone};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

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
        said.stderr.matches("instead of 30s").count() == 1
            && said
                .stderr
                .contains("its window could last 1s instead of 30s, since the server does not bound"),
        "{said:?}"
    );
    assert!(server.calls().await.contains_key("monitor"));
}

/// Somebody else's MONITOR, until it is dropped.
async fn monitoring(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    stream.write_all(b"MONITOR\r\n").await.expect("it reads");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(&answer, b"+OK\r\n");
    stream
}

#[tokio::test]
async fn why_there_is_no_window_is_said_once() {
    const WHY: &str = "another client reads MONITOR already";
    let pair = Cluster::disabled(Server::redis(), 1).await;
    let [primary, replica] = [0, 1].map(|place: usize| pair.servers[place].address.to_string());
    let other = monitoring(&pair.servers[1]).await;
    let run = Run::new();
    let arguments = ["-e", &primary, "-d", "1", "--save-to-db", "--db-path", "kept/h.db"];
    let said = run.finish(&arguments).await;
    assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{said:?}");
    assert_eq!(said.stderr.matches(WHY).count(), 1, "{said:?}");
    assert!(!said.stderr.contains("windows are short"), "{said:?}");
    let left = fs::read_dir(run.folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "an archive of nothing is left behind");

    // Where there is a report it is said there: another shard is seen.
    let run = Run::new();
    let seen = format!("{primary}:seen");
    let blocked = format!("{replica}:blocked");
    let nodes = ["-e", &seen, "-e", &blocked, "--monitor.nodes", "replica-or-primary"];
    let said = run
        .finish(&[&nodes[..], &["-d", "1", "--log.level", "info"]].concat())
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let report = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        report.matches(&format!("blocked is missing: {WHY}")).count(),
        1,
        "{said:?}"
    );
    assert!(
        said.stderr
            .contains("not seen of endpoints: blocked; the report says why\n"),
        "{said:?}"
    );
    // The server bounds nothing, and a window of a second needn't be cut for that.
    assert!(
        said.stderr.contains("the server holds any amount") && !said.stderr.contains("windows are short"),
        "{said:?}"
    );
    drop(other);
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
    check(
        &["-e", "h:1", "--password-file", "nowhere"],
        2,
        "cannot read the file of --password-file: No such file",
    );
    check(
        &["-e", "redis://:x@h:1"],
        2,
        "--endpoint: this is a URL; write host:port alone",
    );
    check(
        &["-e", "h:1", "--save-to-db", "--db-path", "."],
        1,
        ". is a folder; name the file in it",
    );
    check(
        &["-e", "h:1", "--save-to-db", "--archive.free-space-min", "1000000GiB"],
        1,
        "less free space than archive.free_space_min",
    );
    check(&["-c", "hotshard.toml"], 2, "--config hotshard.toml");
    check(&["-c", "/proc/version"], 2, "--config /proc/version");
}
