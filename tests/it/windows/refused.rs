//! Servers that get no window, or a shorter one.

use std::time::Duration;

use hotshard::analysis::window::WindowEnd;
use hotshard::node::{Account, Credentials, Tap, TapSettings};

use super::LONG;
use crate::harness::link::{endpoint, plain};
use crate::harness::server::Server;
use crate::harness::window::{Window, check_gone, read};

#[tokio::test]
async fn a_node_that_can_not_bear_a_window_gets_none() {
    let server = Server::redis().start().await;
    let short = Duration::from_secs(1);
    let (kind, message) = Window::on(&server, short)
        .guarded(|guards| guards.require_server_limit = true)
        .refused()
        .await;
    assert_eq!(kind, "no_server_limit");
    assert!(message.contains("client-output-buffer-limit"), "{message}");
    let tap = TapSettings {
        primary_allowed: true,
        ..TapSettings::default()
    };
    let other = Tap::open(&plain(), &endpoint(&server), &Credentials::none(), &Account::new(), tap).await;
    let other = other.expect("a stream");
    assert_eq!(Window::on(&server, short).refused().await.0, "other_monitor");
    drop(other);
    check_gone(&server).await;
    let closed = read(
        Window::on(&server, Duration::from_secs(60))
            .guarded(|guards| {
                guards.window_max_without_server_limit = short;
            })
            .opened()
            .await,
    )
    .await;
    assert_eq!(
        closed.end,
        WindowEnd::Duration,
        "it is shortened where the server has no limit"
    );
}

#[tokio::test]
async fn a_server_without_room_for_two_of_ours_gets_no_window() {
    // One for somebody, one for the guard, none for the stream.
    let server = Server::redis().set("maxclients", "2").start().await;
    let _somebody = server.connect().await;
    let (kind, message) = Window::on(&server, LONG).refused().await;
    assert_eq!(kind, "max_clients");
    assert!(message.contains("raise its maxclients"), "{message}");
}
