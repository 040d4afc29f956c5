//! A large group at start: hundreds of nodes behind real sockets, some of which take connections and never say a word.

use std::time::Duration;

use hotshard::model::{PerSecond, Timestamp};
use hotshard::node::simulated::{Place, Scenario, Stage};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::wait::eventually;

const SHARDS: usize = 250;
const MEMBERS: usize = 2;
/// Of the first shards' primaries.
const SILENT: usize = 20;
/// New connections a second, by contract.
const PACE: f64 = 20.0;
/// At that pace it takes 25 s until each node has had its turn; asking the silent ones one after the other would take 100 s more.
const DEADLINE: Duration = Duration::from_secs(60);
/// In a debug build.
const MEMORY_MAX: u64 = 128 << 20;

/// Nodes in this process, each behind a port of its own.
struct Fleet {
    /// As they are written down.
    endpoints: Vec<String>,
    /// When each connection came.
    accepted: mpsc::UnboundedReceiver<Instant>,
    _serving: JoinSet<()>,
}

impl Fleet {
    async fn start() -> Self {
        let scenario = Scenario {
            keys: SHARDS,
            ..Scenario::new(SHARDS).rate(PerSecond(SHARDS as f64))
        };
        let stage = Stage::new(scenario, 11, Timestamp(1_795_219_200_000_000));
        let (tell, accepted) = mpsc::unbounded_channel();
        let (mut endpoints, mut serving) = (Vec::new(), JoinSet::new());
        for shard in 0..SHARDS {
            for member in 0..MEMBERS {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                endpoints.push(format!("\"{address}:{shard:04}\""));
                let silent = member == 0 && shard < SILENT;
                let node = (!silent).then(|| (stage.clone(), Place { shard, member }));
                serving.spawn(serve(listener, node, tell.clone()));
            }
        }
        Self {
            endpoints,
            accepted,
            _serving: serving,
        }
    }
}

/// Hands each connection to the simulated node, or keeps it and says nothing.
async fn serve(listener: TcpListener, node: Option<(Stage, Place)>, tell: mpsc::UnboundedSender<Instant>) {
    let (mut speaking, mut kept) = (JoinSet::new(), Vec::new());
    while let Ok((mut socket, _)) = listener.accept().await {
        let _ = tell.send(Instant::now());
        let Some((stage, place)) = &node else {
            kept.push(socket);
            continue;
        };
        let mut answers = stage
            .dial(stage.endpoint(*place).expect("a place of the scenario"))
            .expect("the node listens");
        speaking.spawn(async move {
            let _ = copy_bidirectional(&mut socket, &mut answers).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_nodes_are_reached_at_the_agreed_pace_and_those_that_hang_delay_nobody() {
    let mut fleet = Fleet::start().await;
    let begun = Instant::now();
    let daemon = Hotshard::serve(&format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [{}]\n[poll]\ninterval = \"15s\"\ntimeout = \"5s\"\n[monitor]\nenabled = false\n",
        fleet.endpoints.join(", ")
    ))
    .await;
    let speaking = (SHARDS * MEMBERS - SILENT) as f64;
    eventually(
        "every node that speaks is up",
        DEADLINE.saturating_sub(begun.elapsed()),
        async || {
            let up = Figures::of(daemon.metrics().await).sum("hotshard_node_up", &[]);
            if up == speaking { Ok(()) } else { Err(up) }
        },
    )
    .await;
    let failures = "a node that hangs has failed, and no other";
    eventually(failures, DEADLINE, async || {
        let figures = Figures::of(daemon.metrics().await);
        let failed = figures.count("hotshard_node_poll_failures_total", &[]);
        if failed == SILENT { Ok(()) } else { Err(failed) }
    })
    .await;
    let memory = daemon.resident_memory();
    assert!(memory < MEMORY_MAX, "{memory} bytes are resident");
    daemon.stop().await;
    let mut came = Vec::new();
    while let Ok(at) = fleet.accepted.try_recv() {
        came.push(at);
    }
    assert!(came.len() >= SHARDS * MEMBERS, "{} connections", came.len());
    for (number, at) in came.iter().enumerate() {
        // A connection may be taken late, but never before it was allowed.
        let earliest = (number as f64 / PACE).floor();
        let after = at.duration_since(begun).as_secs_f64();
        assert!(after >= earliest - 0.05, "connection {number} came after {after} s");
    }
}
