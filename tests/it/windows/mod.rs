//! Windows on real servers do no harm, and each ends as it should.

mod refused;
mod seen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshard::analysis::keyspec::Commands;
use hotshard::analysis::pattern::PatternSettings;
use hotshard::analysis::veil::Veil;
use hotshard::analysis::window::WindowEnd;
use hotshard::archive::{RawLogs, RawSettings};
use hotshard::config::Settings;
use hotshard::engine::settings::GuardSettings;
use hotshard::model::{Bytes, Role, Timestamp};
use hotshard::node::{Account, Credentials, Tap, TapSettings};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::link::{endpoint, plain};
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::window::{Window, bounded, check_gone, monitors, read};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_reader_that_stands_still_is_cut_before_the_server_holds_much() {
    let server = bounded(Server::redis()).start().await;
    let window = Window::on(&server, LONG).guarded(|guards| guards.server_buffer_max = Bytes(4 << 20));
    // Nobody reads it.
    let open = window.opened().await;
    let value = "x".repeat(64 << 10);
    let mut client = server.connect().await;
    let (mut written, mut held) = (0, 0);
    while written < 1000 && (held == 0 || largest_output(&server).await > 0) {
        client.call(&["SET", "a", &value]).await.expect("an answer");
        written += 1;
        held = held.max(largest_output(&server).await);
    }
    assert!(held > 4 << 20, "it held {held} after {written} writes");
    assert!(held < 64 << 20, "it held {held}");
    check_gone(&server).await;
    let closed = read(open).await;
    assert_eq!(closed.end, WindowEnd::ServerBuffer);
    assert!(
        closed.server_buffer_peak > Some(Bytes(4 << 20)),
        "{:?}",
        closed.server_buffer_peak
    );
}

async fn largest_output(server: &Server) -> u64 {
    let clients = server.call(&["CLIENT", "LIST"]).await.text();
    let held = clients.split([' ', '\n']).filter_map(|word| word.strip_prefix("omem="));
    held.filter_map(|held| held.parse().ok()).max().unwrap_or(0)
}

#[tokio::test]
async fn a_log_that_does_not_keep_up_makes_nobody_wait_and_ends_the_window() {
    let server = bounded(Server::redis()).start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (logs, _thread) = RawLogs::start(RawSettings {
        folder: folder.path().to_owned(),
        with_values: false,
        free_space_min: Bytes(0),
        commands: Commands::builtin(),
        patterns: PatternSettings::default(),
        veil: Veil::default(),
        seed: 7,
    })
    .expect("a thread");
    let mut window = Window::on(&server, LONG).guarded(|guards| guards.behind_max = Duration::from_secs(1));
    window.raw_logs = Some(logs.clone());
    let open = window.opened().await;
    let (mut client, over) = (server.connect().await, Arc::new(AtomicBool::new(false)));
    // Another window's lines, far more than can be written: the queue that all share is always full.
    let mut other = logs.begin(&"0002".into(), Timestamp(1));
    let (lines, done) = (
        b"+1795202082.056681 [0 10.0.0.9:35656] \"GET\" \"a\"\r\n".repeat(5_000),
        Arc::clone(&over),
    );
    let flood = tokio::task::spawn_blocking(move || {
        while !done.load(Ordering::Relaxed) {
            other.feed(&lines);
        }
    });
    let load = async {
        loop {
            client.call(&["SET", "a", "1"]).await.expect("an answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let closed = tokio::select! {
        closed = read(open) => closed,
        () = load => unreachable!("it has no end"),
    };
    over.store(true, Ordering::Relaxed);
    flood.await.expect("it ends");
    assert_eq!(closed.end, WindowEnd::Overloaded);
    check_gone(&server).await;
}

#[tokio::test]
async fn a_flood_of_long_writes_does_not_leave_the_replica_behind() {
    // What is written between two looks comes on top.
    let bound = 2 * Settings::defaults().guards.replication_lag_max.0;
    let mut least = u64::MAX;
    // The flood takes all that the machine has, so that now and then the replica is slow by itself. Without guards it is behind each time.
    for _ in 0..6 {
        let (end, lag) = flood(|_| {}).await;
        assert_ne!(end, WindowEnd::Duration, "a guard ends it");
        least = least.min(lag);
        if least < bound {
            return;
        }
    }
    // On a busy machine looks are far apart, too. Then it must at least be far better than without guards.
    let (_, unguarded) = flood(|guards| {
        guards.replication_lag_max = Bytes(u64::MAX);
        guards.read_rate_max = Bytes(u64::MAX);
        guards.server_buffer_max = Bytes(1 << 40);
        guards.behind_max = LONG;
    })
    .await;
    assert!(
        least < unguarded / 2,
        "the replica was {least} bytes behind, without guards {unguarded}"
    );
}

/// Writes 4 KB values as fast as the primary takes them, with a window on its replica: why that ended, and how far replication was
/// behind at most.
async fn flood(change: impl FnOnce(&mut GuardSettings)) -> (WindowEnd, u64) {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    let [primary, replica] = &pair.servers[..] else {
        panic!("two servers")
    };
    let window = Window::on(replica, Duration::from_secs(15)).beside(primary, Role::Primary);
    let window = window.guarded(change);
    let open = window.opened().await;
    let flood = Traffic::new(7).plan(Plan::new("SET", "a", 40_000).with(&[&"x".repeat(4096)]));
    let (over, mut is_over) = watch::channel(false);
    let lag = async {
        let mut largest = 0;
        while !*is_over.borrow_and_update() {
            let ahead = offset(primary, "master_repl_offset").await;
            largest = largest.max(ahead.saturating_sub(offset(replica, "slave_repl_offset").await));
        }
        largest
    };
    let load = async {
        flood.run(&pair).await;
        over.send_replace(true);
    };
    let (closed, (), lag) = tokio::join!(read(open), load, lag);
    check_gone(replica).await;
    (closed.end, lag)
}

async fn offset(server: &Server, name: &str) -> u64 {
    let info = server.info("replication").await;
    let offset = info.get(name).and_then(|value| value.trim().parse().ok());
    offset.unwrap_or_else(|| panic!("{} tells no {name}: {info:?}", server.address))
}

#[tokio::test]
async fn no_key_is_evicted_on_account_of_a_window() {
    let plan = bounded(Server::redis())
        .set("maxmemory", "500mb")
        .set("maxmemory-policy", "allkeys-lru")
        .set("enable-debug-command", "yes");
    let server = plan.start().await;
    server.call(&["DEBUG", "POPULATE", "60000", "key", "4096"]).await;
    let window =
        Window::on(&server, Duration::from_secs(5)).guarded(|guards| guards.server_buffer_max = Bytes(32 << 20));
    let open = window.opened().await;
    let mut client = server.connect().await;
    let batch: Vec<Vec<&str>> = (0..500).map(|_| vec!["GET", "key:7"]).collect();
    let load = async {
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            client.send(&batch).await.expect("the server takes it");
            for _ in &batch {
                client.receive().await.expect("an answer");
            }
        }
    };
    let (closed, ()) = tokio::join!(read(open), load);
    let evicted = &server.info("stats").await["evicted_keys"];
    assert_eq!(evicted.trim(), "0", "{:?}", closed.end);
    // With less room than four buffers it isn't even opened.
    server.call(&["CONFIG", "SET", "maxmemory", "400mb"]).await;
    assert_eq!(window.refused().await.0, "memory");
    check_gone(&server).await;
}

#[tokio::test]
async fn a_failover_ends_the_window_at_once() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    let window = Window::on(&pair.servers[1], LONG).beside(&pair.servers[0], Role::Primary);
    let open = window.opened().await;
    let failover = async {
        pair.servers[1].call(&["REPLICAOF", "NO", "ONE"]).await;
        Instant::now()
    };
    let (closed, changed) = tokio::join!(read(open), failover);
    assert_eq!(closed.end, WindowEnd::RoleChanged);
    // The guard looks five times a second.
    let after = changed.elapsed();
    assert!(after < Duration::from_secs(1), "{after:?}");
    check_gone(&pair.servers[1]).await;
}

#[tokio::test]
async fn what_the_guard_ended_is_not_put_down_to_the_clock_by_a_reader_that_comes_late() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    let lasting = Duration::from_secs(4);
    let window = Window::on(&pair.servers[1], lasting).beside(&pair.servers[0], Role::Primary);
    let open = window.opened().await;
    let over = Instant::now() + lasting;
    pair.servers[1].call(&["REPLICAOF", "NO", "ONE"]).await;
    check_gone(&pair.servers[1]).await;
    tokio::time::sleep_until(over).await;
    assert_eq!(read(open).await.end, WindowEnd::RoleChanged);
}

#[tokio::test]
async fn a_server_that_falls_silent_ends_the_window_on_our_side_and_keeps_nothing() {
    let server = bounded(Server::redis()).start().await;
    let window = Window::on(&server, LONG).guarded(|guards| guards.silence_max = Duration::from_secs(1));
    let open = window.opened().await;
    server.freeze();
    let begun = Instant::now();
    let closed = read(open).await;
    server.thaw();
    assert_eq!(closed.end, WindowEnd::GuardLost);
    // A second of silence, and one for the attempt to close our client over a new connection.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    check_gone(&server).await;
}

#[tokio::test]
async fn a_paused_window_is_closed_without_waiting_for_anything() {
    let server = bounded(Server::redis()).start().await;
    let open = Window::on(&server, LONG);
    let open = open.opened().await;
    let (pause, stop) = watch::channel(None);
    pause.send_replace(Some(WindowEnd::Paused));
    // What an operator who pauses is promised.
    let closing = timeout(Duration::from_millis(100), open.read_to_end(stop));
    let (closed, _) = closing.await.expect("it closes at once");
    assert_eq!(closed.end, WindowEnd::Paused);
    check_gone(&server).await;
}

#[tokio::test]
async fn a_server_with_a_limit_of_its_own_lets_go_of_a_reader_nobody_watches() {
    let server = Server::redis()
        .set("client-output-buffer-limit", "normal 8mb 0 0")
        .start()
        .await;
    let tap = TapSettings {
        primary_allowed: true,
        ..TapSettings::default()
    };
    // As if our host had vanished: it doesn't read, and no guard looks.
    let vanished = Tap::open(&plain(), &endpoint(&server), &Credentials::none(), &Account::new(), tap).await;
    let _vanished = vanished.expect("a stream");
    let value = "x".repeat(64 << 10);
    let mut client = server.connect().await;
    let mut held = 0;
    for _ in 0..600 {
        client.call(&["SET", "a", &value]).await.expect("an answer");
        held = held.max(largest_output(&server).await);
    }
    assert!(held < 16 << 20, "it held {held}");
    check_gone(&server).await;
}

#[tokio::test]
async fn a_crash_loop_of_hotshard_opens_no_window_and_few_connections() {
    let server = Server::redis().start().await;
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[monitor]\nnodes = \"primary\"\nschedule = \"* * * * *\"\n",
        server.address
    );
    const STARTS: u64 = 3;
    let connections = async || {
        server.info("stats").await["total_connections_received"]
            .trim()
            .parse::<u64>()
    };
    let before = connections().await.expect("a number");
    for _ in 0..STARTS {
        // Dropping it kills it.
        drop(Hotshard::serve(&config).await);
    }
    let opened = connections().await.expect("a number") - before;
    assert!(opened <= STARTS * 6, "{opened} connections in {STARTS} starts");
    assert!(!server.calls().await.contains_key("monitor"), "no window was opened");
}

#[tokio::test]
async fn a_server_that_bounds_all_clients_together_closes_the_largest_which_is_ours() {
    let server = Server::redis().set("maxmemory-clients", "8mb").start().await;
    let window = Window::on(&server, LONG).guarded(|guards| guards.server_buffer_max = Bytes(1 << 30));
    let open = window.opened().await;
    // Nobody reads it.
    let (mut client, value) = (server.connect().await, "x".repeat(64 << 10));
    let mut written = 0;
    while monitors(&server).await {
        client.call(&["SET", "a", &value]).await.expect("an answer");
        written += 1;
        assert!(written < 5_000, "it is still there");
    }
    assert_eq!(read(open).await.end, WindowEnd::ServerClosed);
    let evicted = server.info("stats").await["evicted_clients"].trim().to_owned();
    assert_eq!(evicted, "1", "by its limit, and nobody else's");
}
