//! A network that falls silent in the middle of a window: our side ends on time, the server's as far as its own limit.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hotshard::analysis::window::WindowEnd;
use tokio::time::Instant;

use crate::harness::network::Network;
use crate::harness::proxy::{Flow, Proxy};
use crate::harness::resp::Connection;
use crate::harness::server::Server;
use crate::harness::wait::eventually;
use crate::harness::window::{Window, read};

const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(20);
/// A second of silence and a second for the attempt to close our client over a new connection; a busy machine adds to it.
const ON_TIME: Duration = Duration::from_secs(5);

/// The server's own limit for what it holds for one client.
const LIMIT: u64 = 8 << 20;

/// On this way packets are never lost.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

async fn server() -> Server {
    Server::redis()
        .set("client-output-buffer-limit", "normal 8mb 0 0")
        .start()
        .await
}

fn window(server: &Server) -> Window<'_> {
    Window::on(server, LONG).guarded(|guards| guards.silence_max = Duration::from_secs(1))
}

async fn monitor(client: &mut Connection) -> Option<String> {
    let clients = client.call(&["CLIENT", "LIST"]).await.expect("an answer").text();
    clients
        .lines()
        .find(|line| line.contains(" flags=O "))
        .map(str::to_owned)
}

/// The window ends although nobody tells it that the network is gone.
async fn check_ends(open: hotshard::engine::window::OpenWindow) {
    let begun = Instant::now();
    let closed = read(open).await;
    assert_eq!(closed.end, WindowEnd::GuardLost);
    assert!(begun.elapsed() < ON_TIME, "{:?}", begun.elapsed());
}

/// The server, which nobody tells either, holds as much as it may and lets go.
async fn check_bounded(client: &mut Connection) {
    let value = "x".repeat(64 << 10);
    let (begun, mut held) = (Instant::now(), 0);
    while let Some(line) = monitor(client).await {
        let now: Option<u64> = line
            .split(' ')
            .find_map(|word| word.strip_prefix("omem=")?.parse().ok());
        held = held.max(now.expect("CLIENT LIST tells what is held"));
        client.call(&["SET", "a", &value]).await.expect("an answer");
        assert!(begun.elapsed() < SOON, "still there: {line}");
    }
    assert!(held > LIMIT / 2, "it was let go for another reason; it held {held}");
    assert!(held < LIMIT * 2, "it held {held}");
}

#[tokio::test]
async fn a_network_that_loses_every_packet_ends_the_window_on_our_side_and_the_servers_limit_on_the_other() {
    let network = Network::enter().await;
    let server = server().await;
    let window = window(&server);
    let open = window.opened().await;
    let mut client = server.connect_from(ELSEWHERE).await.expect("it listens");
    assert!(monitor(&mut client).await.is_some());
    network.cut_off(server.address.ip());
    check_ends(open).await;
    assert!(monitor(&mut client).await.is_some(), "nobody could tell the server");
    check_bounded(&mut client).await;
}

#[tokio::test]
async fn a_proxy_that_falls_silent_both_ways_is_no_different() {
    let server = server().await;
    let proxy = Proxy::to(server.address).await;
    let window = window(&server).by(proxy.address);
    let open = window.opened().await;
    let mut client = server.connect().await;
    proxy.let_through(Flow::Nowhere);
    check_ends(open).await;
    assert!(monitor(&mut client).await.is_some(), "nobody could tell the server");
    check_bounded(&mut client).await;
}

#[tokio::test]
async fn a_network_that_only_loses_what_the_server_says_lets_our_end_through() {
    let server = server().await;
    let proxy = Proxy::to(server.address).await;
    let window = window(&server).by(proxy.address);
    let open = window.opened().await;
    let mut client = server.connect().await;
    proxy.let_through(Flow::ToServerOnly);
    check_ends(open).await;
    eventually("the server has heard it", SOON, async || {
        match monitor(&mut client).await {
            None => Ok(()),
            Some(line) => Err(line),
        }
    })
    .await;
}

#[tokio::test]
async fn a_network_that_only_loses_what_we_say_ends_the_window_although_the_stream_goes_on() {
    let server = server().await;
    let proxy = Proxy::to(server.address).await;
    let window = window(&server).by(proxy.address);
    let open = window.opened().await;
    let mut client = server.connect().await;
    proxy.let_through(Flow::ToClientOnly);
    let load = async {
        // The stream brings lines all the time: it is the guard that hears nothing.
        let end = Instant::now() + ON_TIME;
        while Instant::now() < end {
            client.call(&["SET", "a", "1"]).await.expect("an answer");
        }
    };
    tokio::select! {
        biased;
        () = check_ends(open) => {}
        () = load => panic!("it is still open"),
    }
}

/// Not a window's end, but it takes a network of the test's own to knock at a server's door as a stranger.
#[tokio::test]
async fn a_server_in_protected_mode_gets_no_window_and_says_why() {
    let network = Network::enter().await;
    let outside = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    network.has(outside);
    let plan = Server::redis()
        .set("bind", "127.0.0.1 10.99.0.1")
        .set("protected-mode", "yes");
    let server = plan.start().await;
    let (kind, message) = window(&server)
        .by((outside, server.address.port()).into())
        .refused()
        .await;
    assert_eq!(kind, "protected_mode");
    assert!(message.contains("set a password or `protected-mode no`"), "{message}");
}
