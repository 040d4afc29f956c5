//! The MONITOR stream of real servers: nothing missing, nothing of ours in it, and always an end.

use std::sync::Arc;
use std::time::Duration;

use hotshard::model::{Endpoint, Role};
use hotshard::node::{Account, Chunk, Credentials, Dialer, Link, Tap, TapError, TapSettings};
use tokio::time::{Instant, timeout};

use crate::harness::cluster::Cluster;
use crate::harness::link::{SETTINGS, encrypted, endpoint, login, plain, trusting};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::tls::Authority;
use crate::harness::wait::eventually;

const SOON: Duration = Duration::from_secs(10);

fn on_primary() -> TapSettings {
    TapSettings {
        primary_allowed: true,
        answer_timeout: Duration::from_secs(2),
        ..TapSettings::default()
    }
}

async fn open(
    dialer: &Dialer,
    endpoint: &Endpoint,
    credentials: &Credentials,
    settings: TapSettings,
) -> Result<Tap, TapError> {
    Tap::open(dialer, endpoint, credentials, &Account::new(), settings).await
}

/// Everything up to the closing counters, and those.
async fn drained(tap: &mut Tap) -> (Vec<u8>, String) {
    let mut lines = Vec::new();
    loop {
        match timeout(SOON, tap.read())
            .await
            .expect("the stream runs")
            .expect("the stream runs")
        {
            Chunk::Lines(bytes) => lines.extend_from_slice(bytes),
            Chunk::Counters(counters) => return (lines, counters),
            ended => panic!("{ended:?}"),
        }
    }
}

async fn check_refused(plan: ServerPlan, credentials: &Credentials, settings: TapSettings, kind: &str, message: &str) {
    let server = plan.start().await;
    let here = endpoint(&server);
    let refused = open(&plain(), &here, credentials, settings).await;
    let error = refused.err().expect("it must be refused");
    let shown = error.to_string().replace(&here.to_string(), "HERE");
    assert_eq!((error.kind(), shown.as_str()), (kind, message));
}

#[tokio::test]
async fn a_primary_is_not_tapped_unless_allowed() {
    check_refused(
        Server::redis(),
        &Credentials::none(),
        TapSettings::default(),
        "primary",
        "HERE is a primary, and MONITOR slows a primary down; set monitor.nodes = \"primary\" (--use-primary) to allow it",
    )
    .await;
    let pair = Cluster::disabled(Server::redis(), 1).await;
    let tap = open(
        &plain(),
        &endpoint(&pair.servers[1]),
        &Credentials::none(),
        TapSettings::default(),
    )
    .await;
    assert_eq!(tap.expect("a replica").role(), Role::Replica);
}

#[tokio::test]
async fn a_server_that_does_not_give_monitor_is_told_apart() {
    check_refused(
        Server::redis().user("reader", "lemon", "+@all -monitor"),
        &login(Some("reader"), "lemon"),
        on_primary(),
        "no_permission",
        "HERE does not permit the user `+monitor`; grant it (`hotshard check` prints the whole ACL rule)",
    )
    .await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let renamed = folder.path().join("renamed.conf");
    std::fs::write(&renamed, "rename-command MONITOR \"\"\n").expect("the folder is writable");
    check_refused(
        Server::redis().set("include", &renamed.display().to_string()),
        &Credentials::none(),
        on_primary(),
        "no_monitor",
        "HERE has no MONITOR: it is renamed, or this service does not offer it; leave the node to signals alone",
    )
    .await;
}

#[tokio::test]
async fn between_the_counters_lies_every_line_and_nothing_else() {
    let authority = Arc::new(Authority::new());
    check_complete(Server::redis(), &plain()).await;
    check_complete(Server::redis6(), &plain()).await;
    check_complete(Server::valkey9(), &plain()).await;
    check_complete(Server::redis().tls(&authority), &encrypted(&trusting(&authority))).await;
}

/// Pipelines of small and long commands run over both ends of the bracket.
async fn check_complete(plan: ServerPlan, dialer: &Dialer) {
    let server = plan.start().await;
    let long = "\0".repeat(100_000);
    let mut tap = open(dialer, &endpoint(&server), &Credentials::none(), on_primary())
        .await
        .expect("a stream");
    let mut client = server.connect().await;
    let batch: Vec<Vec<&str>> = (0..200)
        .map(|number| {
            if number % 50 == 0 {
                vec!["SET", "a", &long]
            } else {
                vec!["GET", "a:\r\n$5"]
            }
        })
        .collect();
    for _ in 0..5 {
        client.send(&batch).await.expect("the server takes it");
    }
    let mut lines = Vec::new();
    while lines.iter().filter(|byte| **byte == b'\n').count() < 900 {
        lines.extend_from_slice(&some_lines(&mut tap).await);
    }
    tap.ask_counters().await.expect("the server takes it");
    client.send(&batch).await.expect("the server takes it");
    let (rest, counters) = drained(&mut tap).await;
    lines.extend_from_slice(&rest);
    let total = |info: &str| number(info, "total_commands_processed:");
    // INFO and MONITOR at the opening are counted, and stand before the stream.
    let counted = total(&counters) - total(tap.opening_counters()) - 2;
    assert!(lines.ends_with(b"\r\n"), "the bracket closes between two lines");
    let seen = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let strange = seen.clone().find(|line| !line.starts_with(b"+1"));
    assert_eq!(strange.map(String::from_utf8_lossy), None, "not a line of MONITOR");
    assert_eq!(seen.count() as u64, counted);
    assert!(counted >= 900, "{counted} commands are no pipeline");
}

#[tokio::test]
async fn a_thin_stream_is_read_after_rests() {
    let server = Server::redis().start().await;
    let rest = Duration::from_millis(30);
    let settings = TapSettings {
        rest_min: rest,
        rest_max: rest,
        ..on_primary()
    };
    let mut tap = open(&plain(), &endpoint(&server), &Credentials::none(), settings)
        .await
        .expect("a stream");
    let mut client = server.connect().await;
    let begun = Instant::now();
    let asked = async {
        for _ in 0..300 {
            client.call(&["GET", "a"]).await.expect("an answer");
        }
    };
    let read = async {
        let (mut lines, mut reads) = (0, 0);
        while lines < 300 {
            lines += some_lines(&mut tap).await.iter().filter(|byte| **byte == b'\n').count();
            reads += 1;
        }
        reads
    };
    let ((), reads) = tokio::join!(asked, read);
    let rests = begun.elapsed().as_millis() / rest.as_millis();
    assert!(reads <= 2 + rests, "{reads} reads with {rests} rests");
}

async fn some_lines(tap: &mut Tap) -> Vec<u8> {
    match timeout(SOON, tap.read())
        .await
        .expect("the stream runs")
        .expect("the stream runs")
    {
        Chunk::Lines(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn number(info: &str, field: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.parse().ok()).expect("INFO has the field")
}

#[tokio::test]
async fn a_reader_that_is_interrupted_loses_nothing() {
    let server = Server::redis().start().await;
    let mut tap = open(&plain(), &endpoint(&server), &Credentials::none(), on_primary())
        .await
        .expect("a stream");
    let mut client = server.connect().await;
    let mut lines = Vec::new();
    for number in 0..50 {
        client
            .call(&["SET", "a", &number.to_string()])
            .await
            .expect("an answer");
        for _ in 0..3 {
            if let Ok(read) = timeout(Duration::ZERO, tap.read()).await {
                match read.expect("the stream runs") {
                    Chunk::Lines(bytes) => lines.extend_from_slice(bytes),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    tap.ask_counters().await.expect("the server takes it");
    lines.extend_from_slice(&drained(&mut tap).await.0);
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 50);
}

#[tokio::test]
async fn a_tap_is_cut_while_its_reader_is_busy() {
    let server = Server::redis().start().await;
    let link = Link::open(
        &plain(),
        &endpoint(&server),
        &Credentials::none(),
        &Account::new(),
        SETTINGS,
    )
    .await
    .expect("a link");
    let mut tap = open(&plain(), &endpoint(&server), &Credentials::none(), on_primary())
        .await
        .expect("a stream");
    // Nobody reads, so the server's buffer for us grows.
    let mut client = server.connect().await;
    let long = "x".repeat(1 << 20);
    for _ in 0..20 {
        client.call(&["SET", "a", &long]).await.expect("an answer");
    }
    let held = link
        .client_list_id(tap.client_id())
        .await
        .expect("an answer")
        .expect("it is there");
    assert!(held.monitors() && held.output_memory.0 > 1 << 20, "{held:?}");
    let cut = tap.cut();
    std::thread::spawn(move || cut.cut()).join().expect("it cuts");
    check_gone(&link, tap.client_id()).await;
    loop {
        match tap.read().await.expect("it was us") {
            Chunk::Lines(_) => {}
            end => break assert_eq!(end, Chunk::Cut),
        }
    }
}

#[tokio::test]
async fn a_tap_that_is_dropped_is_gone_from_the_server_at_once() {
    let server = Server::redis().start().await;
    let link = Link::open(
        &plain(),
        &endpoint(&server),
        &Credentials::none(),
        &Account::new(),
        SETTINGS,
    )
    .await
    .expect("a link");
    let tap = open(&plain(), &endpoint(&server), &Credentials::none(), on_primary())
        .await
        .expect("a stream");
    let (id, _held_by_a_guard) = (tap.client_id(), tap.cut());
    drop(tap);
    check_gone(&link, id).await;
}

async fn check_gone(link: &Link, id: u64) {
    let gone = async || match link.client_list_id(id).await.expect("an answer") {
        None => Ok(()),
        Some(client) => Err(client),
    };
    eventually("the server let go of the tap", SOON, gone).await;
}

#[tokio::test]
async fn the_servers_own_end_of_the_stream_is_seen() {
    let mut server = Server::redis().start().await;
    let mut tap = open(&plain(), &endpoint(&server), &Credentials::none(), on_primary())
        .await
        .expect("a stream");
    let id = tap.client_id().to_string();
    server.call(&["CLIENT", "KILL", "ID", &id]).await;
    check_closed(&mut tap).await;
    let mut tap = open(&plain(), &endpoint(&server), &Credentials::none(), on_primary())
        .await
        .expect("a stream");
    server.crash().await;
    check_closed(&mut tap).await;
}

async fn check_closed(tap: &mut Tap) {
    loop {
        match timeout(SOON, tap.read()).await.expect("it ends").expect("it ends well") {
            Chunk::Lines(_) => {}
            end => break assert_eq!(end, Chunk::Closed),
        }
    }
}
