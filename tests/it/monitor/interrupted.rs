//! Rounds that somebody ends early, and readers who have seen enough.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Run, SOON, bounded, check_gone, ended, traffic};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;
use crate::harness::wait::eventually;

#[tokio::test]
async fn an_interrupted_round_reports_what_was_seen_and_leaves_nothing_open() {
    let cluster = Cluster::of(bounded(Server::valkey8())).await;
    let hot = "counter:global";
    let seed = cluster.servers[0].address.to_string();
    let run = Run::new();
    let child = run.start(&["-e", &seed, "-d", "60"]);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    let interrupt = async {
        let seen = async || {
            let mut monitors = 0;
            for server in &cluster.servers {
                let clients = server.call(&["CLIENT", "LIST"]).await.text();
                monitors += clients.lines().filter(|line| line.contains(" flags=O ")).count();
            }
            if monitors == 3 { Ok(()) } else { Err(monitors) }
        };
        eventually("three windows are open", SOON, seen).await;
        let sent = async || -> u64 {
            let mut sent = 0;
            for server in &cluster.servers {
                sent += server.calls().await.get("get").copied().unwrap_or(0);
            }
            sent
        };
        let before = sent().await;
        let read = async || match sent().await {
            now if now > before + 100 => Ok(()),
            now => Err(now),
        };
        eventually("traffic flows", SOON, read).await;
        kill_process(pid, Signal::INT).expect("it runs");
    };
    let traffic = traffic(hot, 12);
    let (said, (), _) = tokio::join!(ended(child), interrupt, traffic.run(&cluster));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.stderr.matches("over (interrupted)").count(), 3, "{said:?}");
    let data = run.data();
    assert!(data["totals"]["lines"].as_u64() > Some(0), "{data:#}");
    let ends: Vec<&Value> = data["shards"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|shard| &shard["window_end"])
        .collect();
    assert_eq!(ends, [&Value::from("paused"); 3]);
    check_gone(&cluster).await;
}

#[tokio::test]
async fn an_interrupt_before_anything_was_seen_says_so() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    // A node that doesn't answer keeps the round from beginning.
    pair.servers[1].freeze();
    let run = Run::new();
    let given = [0, 1].map(|place: usize| format!("{}:0001", pair.servers[place].address));
    let child = run.start(&["-e", &given[0], "-e", &given[1], "-d", "60"]);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    let asked = async || match pair.servers[0].call(&["CLIENT", "LIST"]).await.text() {
        clients if clients.contains("name=hotshard") => Ok(()),
        clients => Err(clients),
    };
    eventually("it asks the primary", SOON, asked).await;
    kill_process(pid, Signal::INT).expect("it runs");
    let said = ended(child).await;
    pair.servers[1].thaw();
    assert_eq!(said.code, Some(130), "{said:?}");
    assert!(said.stderr.contains("interrupted before anything was seen"), "{said:?}");
    check_gone(&pair).await;
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let pair = Cluster::disabled(bounded(Server::redis()), 1).await;
    let run = Run::new();
    let mut child = run.start(&["-e", &pair.servers[0].address.to_string(), "-d", "1", "-q"]);
    drop(child.stdout.take());
    let said = ended(child).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.stderr.contains("cannot write"), "{said:?}");
    run.data();
}
