//! How far a replica is behind, held against the truth: its stream is cut off, and goes on, while it answers all the time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::cluster::Cluster;
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(30);
/// A poll every second, and time to show what it brought.
const SLACK: f64 = 2.0;

/// A stretch of wire between a replica and its primary that can be held.
struct Wire {
    address: SocketAddr,
    held: watch::Sender<bool>,
    _pumps: JoinSet<()>,
}

impl Wire {
    async fn to(primary: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (held, hold) = watch::channel(false);
        let mut pumps = JoinSet::new();
        pumps.spawn(async move {
            let mut both = JoinSet::new();
            while let Ok((replica, _)) = listener.accept().await {
                let primary = TcpStream::connect(primary).await.expect("the primary listens");
                let (from_replica, to_replica) = replica.into_split();
                let (from_primary, to_primary) = primary.into_split();
                both.spawn(pump(from_replica, to_primary, hold.clone()));
                both.spawn(pump(from_primary, to_replica, hold.clone()));
            }
        });
        Self {
            address,
            held,
            _pumps: pumps,
        }
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin + Send + 'static,
    mut to: impl AsyncWriteExt + Unpin + Send + 'static,
    mut hold: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if hold.wait_for(|held| !held).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

fn configuration(primary: &Server, replica: &Server) -> String {
    let [primary, replica] = [primary.address, replica.address];
    format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{primary}:only\", \"{replica}:only\"]\n\
         [poll]\ninterval = \"1s\"\ntimeout = \"1s\"\n[monitor]\nenabled = false\n"
    )
}

fn lag(figures: &Figures, replica: &Server) -> Option<f64> {
    let node = replica.address.to_string();
    figures.find("hotshard_node_replication_lag_seconds", &[("node", &node)])
}

/// Waits until the lag is as expected.
async fn lagging(daemon: &Hotshard, replica: &Server, expected: impl Fn(Option<f64>) -> bool) -> Option<f64> {
    eventually("the lag shows", DEADLINE, async || {
        let lag = lag(&Figures::of(daemon.metrics().await), replica);
        if expected(lag) { Ok(lag) } else { Err(lag) }
    })
    .await
}

fn writes(seconds: u64) -> Traffic {
    Traffic::new(5).plan(
        Plan::new("SET", "orders:1", 200 * seconds)
            .with(&["a value"])
            .per_second(200.0),
    )
}

#[tokio::test]
async fn a_replica_is_as_late_as_its_stream_was_held() {
    let primary = Cluster::disabled(Server::redis(), 0).await;
    let replica = Server::redis().start().await;
    let wire = Wire::to(primary.servers[0].address).await;
    let port = wire.address.port().to_string();
    replica.call(&["REPLICAOF", "127.0.0.1", &port]).await;
    replica.linked().await;
    let daemon = Hotshard::serve(&configuration(&primary.servers[0], &replica)).await;
    let hold = async {
        lagging(&daemon, &replica, |lag| lag.is_some_and(|lag| lag < 0.5)).await;
        wire.held.send_replace(true);
        let held = Instant::now();
        for seconds in [4.0, 8.0] {
            let lag = lagging(&daemon, &replica, |lag| lag.is_some_and(|lag| lag >= seconds)).await;
            let (lag, truth) = (lag.unwrap_or_default(), held.elapsed().as_secs_f64());
            assert!(
                lag <= 1.05 * truth && lag >= 0.95 * truth - SLACK,
                "{lag} s, but it was held for {truth} s"
            );
        }
        wire.held.send_replace(false);
        lagging(&daemon, &replica, |lag| lag.is_some_and(|lag| lag < 0.5)).await;
    };
    let traffic = writes(16);
    tokio::join!(traffic.run(&primary), hold);
    daemon.stop().await;
}

#[tokio::test]
async fn a_frozen_replica_delays_nobody_and_its_lag_is_unknown() {
    let pair = Cluster::disabled(Server::redis(), 1).await;
    let [primary, replica] = [&pair.servers[0], &pair.servers[1]];
    let daemon = Hotshard::serve(&configuration(primary, replica)).await;
    let freeze = async {
        lagging(&daemon, replica, |lag| lag.is_some()).await;
        replica.freeze();
        lagging(&daemon, replica, |lag| lag.is_none()).await;
        let writes = async || {
            let figures = Figures::of(daemon.metrics().await);
            figures.sum("hotshard_shard_commands_total", &[("command", "SET")])
        };
        let (before, begun) = (writes().await, Instant::now());
        eventually("the primary is still polled", DEADLINE, async || {
            let now = writes().await;
            if now >= before + 800.0 { Ok(()) } else { Err(now) }
        })
        .await;
        let seconds = begun.elapsed().as_secs_f64();
        assert!(
            seconds < 4.0 + 2.0 * SLACK,
            "800 writes at 200 a second were seen after {seconds} s"
        );
        let node = replica.address.to_string();
        assert_eq!(
            Figures::of(daemon.metrics().await).value("hotshard_node_up", &[("node", &node)]),
            0.0
        );
        replica.thaw();
        lagging(&daemon, replica, |lag| lag.is_some()).await;
    };
    let traffic = writes(16);
    tokio::join!(traffic.run(&pair), freeze);
    daemon.stop().await;
}
