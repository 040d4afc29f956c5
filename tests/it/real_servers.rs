//! The stage itself: each real part starts, answers, and is gone afterwards.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crate::harness::cluster::Cluster;
use crate::harness::process::Process;
use crate::harness::prometheus::{Prometheus, promtool};
use crate::harness::resp::{Connection, Value};
use crate::harness::server::{Account, Server, ServerPlan};
use crate::harness::tls::Authority;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn each_engine_is_the_version_it_is_called() {
    check_version(Server::redis(), "redis_version", "7.0.").await;
    check_version(Server::redis6(), "redis_version", "6.2.").await;
    check_version(Server::valkey8(), "valkey_version", "8.0.").await;
    check_version(Server::valkey9(), "valkey_version", "9.1.").await;
}

async fn check_version(plan: ServerPlan, field: &str, begins: &str) {
    let server = plan.start().await;
    let version = &server.info("server").await[field];
    assert!(version.starts_with(begins), "{field} is {version}");
}

#[tokio::test]
async fn a_server_is_gone_with_its_value() {
    let server = Server::redis().start().await;
    let running = Path::new("/proc").join(server.pid().to_string());
    assert!(running.exists());
    drop(server);
    assert!(!running.exists());
}

/// Runs itself once more as a victim that starts a server and waits to be killed.
#[tokio::test]
async fn a_server_is_gone_when_its_test_is_killed() {
    const VICTIM: &str = "HOTSHARD_TESTS_VICTIM";
    if let Some(report) = std::env::var_os(VICTIM) {
        let server = Server::redis().start().await;
        std::fs::write(report, format!("{}.", server.pid())).expect("the report is written");
        return std::future::pending().await;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("pid");
    let mut victim = std::process::Command::new(std::env::current_exe().expect("this test has a file"))
        .args(["--exact", "real_servers::a_server_is_gone_when_its_test_is_killed"])
        .env(VICTIM, &report)
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the test starts once more");
    let started = async || match std::fs::read_to_string(&report) {
        Ok(text) => text.strip_suffix('.').map(str::to_owned).ok_or(text),
        Err(error) => Err(error.to_string()),
    };
    let pid = eventually("the victim's server is up", SOON, started).await;
    victim.kill().expect("the victim lives");
    victim.wait().expect("it was killed");
    // Whoever inherits the dead server may be slow to bury it.
    let gone = async || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) if !stat.contains(") Z ") => Err(stat),
        _ => Ok(()),
    };
    eventually("its server is gone", SOON, gone).await;
}

#[tokio::test]
async fn a_frozen_server_answers_when_thawed() {
    let mut server = Server::redis().start().await;
    let mut connection = server.connect().await;
    server.freeze();
    connection.send(&[vec!["PING"]]).await.expect("the kernel takes it");
    let waited = tokio::time::timeout(Duration::from_millis(200), connection.receive()).await;
    assert!(waited.is_err(), "a frozen server answered {waited:?}");
    server.thaw();
    assert_eq!(
        connection.receive().await.expect("it goes on"),
        Value::Simple("PONG".to_owned())
    );
    server.crash().await;
    assert!(server.connect_from(Ipv4Addr::LOCALHOST.into()).await.is_err());
}

#[tokio::test]
async fn a_password_and_acl_users_are_asked_for() {
    let server = Server::redis()
        .password("orange")
        .user("watcher", "lemon", "-@all +info +ping")
        .start()
        .await;
    assert!(server.is_primary().await);
    let watcher = Account {
        user: "watcher".to_owned(),
        password: "lemon".to_owned(),
    };
    let mut connection = server.connect_as(&watcher).await.expect("the user is known");
    assert_eq!(
        connection.call(&["PING"]).await.expect("an answer"),
        Value::Simple("PONG".to_owned())
    );
    let refused = connection.call(&["GET", "a"]).await.expect("an answer");
    assert!(
        matches!(&refused, Value::Error(message) if message.starts_with("NOPERM")),
        "{refused:?}"
    );
    let stranger = Account {
        user: "watcher".to_owned(),
        password: "wrong".to_owned(),
    };
    assert!(server.connect_as(&stranger).await.is_err());
}

#[tokio::test]
async fn monitor_shows_what_was_sent_and_from_where() {
    let server = Server::redis().start().await;
    let mut monitor = server.connect().await;
    assert_eq!(
        monitor.call(&["MONITOR"]).await.expect("an answer"),
        Value::Simple("OK".to_owned())
    );
    let mut client = server
        .connect_from(Ipv4Addr::new(127, 0, 0, 9).into())
        .await
        .expect("any loopback address");
    let answer = client.call(&["SET", "orders:1", "x"]).await.expect("an answer");
    assert_eq!(answer, Value::Simple("OK".to_owned()));
    let line = monitor.line().await.expect("a line");
    assert!(
        line.contains(" [0 127.0.0.9:") && line.ends_with(r#""SET" "orders:1" "x""#),
        "{line}"
    );
}

#[tokio::test]
async fn a_primary_with_replicas_tells_reads_from_writes() {
    let pair = Cluster::disabled(Server::redis().password("orange"), 2).await;
    let traffic = Traffic::new(1)
        .plan(Plan::new("SET", "orders:1", 300).with(&["value"]))
        .plan(Plan::new("GET", "orders:1", 200).on_replica().from("127.0.0.5"));
    let truth = traffic.run(&pair).await;
    pair.replicated().await;
    let [primary, replica] = [&pair.servers[0], &pair.servers[pair.shards().await[0].replicas[0]]];
    assert_eq!(truth.node(primary.address).commands["SET"], 300);
    assert_eq!(primary.calls().await["set"], 300);
    assert_eq!(
        truth.node(replica.address).clients[&Ipv4Addr::new(127, 0, 0, 5).into()],
        201,
        "200 reads and AUTH"
    );
    let calls = replica.calls().await;
    assert_eq!((calls["get"], calls["set"]), (200, 300));
}

#[tokio::test]
async fn a_rate_spreads_traffic_over_time() {
    let single = Cluster::disabled(Server::redis(), 0).await;
    let start = tokio::time::Instant::now();
    let truth = Traffic::new(1)
        .plan(Plan::new("INCR", "counter", 100).per_second(200.0))
        .run(&single)
        .await;
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(truth.node(single.servers[0].address).command_count(), 100);
    assert_eq!(single.servers[0].call(&["GET", "counter"]).await.text(), "100");
}

#[tokio::test]
async fn bytes_in_the_truth_are_the_servers_own() {
    let single = Cluster::disabled(Server::redis(), 0).await;
    let server = &single.servers[0];
    let mut own = server.connect().await;
    let role = exchanged(&mut own, &["ROLE"]).await;
    let info = exchanged(&mut own, &["INFO", "stats"]).await;
    let traffic = Traffic::new(3)
        .plan(Plan::new("SET", "text", 200).with(&["a value of some length"]))
        .plan(Plan::new("GET", "text", 100).from("127.0.0.8"))
        .plan(Plan::new("HGETALL", "nothing", 50));
    let truth = traffic.run(&single).await.node(server.address);
    let after = exchanged(&mut own, &["INFO", "stats"]).await;
    // Traffic asks for the ROLE once. An INFO counts its own request, but not yet its own reply.
    let count = |exchange: &Exchange, field: &str| -> u64 {
        let line = exchange
            .reply
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.expect("INFO has the field").parse().expect("a number")
    };
    let grown = |field: &str| count(&after, field) - count(&info, field);
    assert_eq!(
        grown("total_net_output_bytes"),
        info.received + role.received + truth.reply_bytes
    );
    assert_eq!(
        grown("total_net_input_bytes"),
        role.sent + truth.request_bytes + after.sent
    );
}

struct Exchange {
    reply: String,
    sent: u64,
    received: u64,
}

async fn exchanged(connection: &mut Connection, command: &[&str]) -> Exchange {
    let before = (connection.sent_bytes, connection.received_bytes);
    let reply = match connection.call(command).await.expect("an answer") {
        Value::Array(_) => String::new(),
        text => text.text(),
    };
    Exchange {
        reply,
        sent: connection.sent_bytes - before.0,
        received: connection.received_bytes - before.1,
    }
}

#[tokio::test]
async fn a_refused_command_is_an_error_in_the_truth() {
    let single = Cluster::disabled(Server::redis(), 0).await;
    let address = single.servers[0].address;
    let traffic = Traffic::new(1).plan(Plan::new("SET", "text", 1).with(&["a"]));
    let mut truth = traffic.run(&single).await;
    truth.add(Traffic::new(1).plan(Plan::new("INCR", "text", 3)).run(&single).await);
    assert_eq!((truth.node(address).errors, truth.node(address).keys["text"]), (3, 4));
}

#[tokio::test]
async fn prometheus_scrapes_and_answers() {
    let first = Prometheus::start("scrape_configs: []").await;
    // Any page of metrics will do: the first one's own.
    let second = Prometheus::scraping(first.address).await;
    let built = second
        .value("prometheus_build_info{job='hotshard'}", |value| value == 1.0)
        .await;
    assert_eq!(built, 1.0);
    let series = second.query("prometheus_build_info").await.expect("an expression");
    assert!(
        series[0].0["version"]
            .as_str()
            .is_some_and(|version| version.starts_with("2.")),
        "{series:?}"
    );
}

#[test]
fn promtool_tells_good_metrics_from_bad() {
    promtool(
        &["check", "metrics"],
        "# HELP a_total Counts.\n# TYPE a_total counter\na_total 1\n",
    )
    .expect("good metrics");
    promtool(&["check", "metrics"], "a_total{ 1\n").expect_err("not metrics");
}

#[tokio::test]
async fn a_program_that_ends_leaves_its_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut process = Process::start(
        "echo",
        Path::new("/bin/echo"),
        &["good night".to_owned()],
        folder.path(),
    );
    assert!(process.end(SOON).await.success());
    assert_eq!(process.last_words(), "echo stdout: good night\n");
    eventually("nothing", SOON, async || Ok::<(), ()>(())).await;
}

#[tokio::test]
async fn certificates_hold_for_the_loopback_address() {
    let authority = std::sync::Arc::new(Authority::new());
    let server = Server::redis().tls(&authority).start().await;
    assert_eq!(server.call(&["PING"]).await, Value::Simple("PONG".to_owned()));
}
