//! Links to real servers: every way to fail has its own message with the cure.

mod encryption;
mod own_cost;
mod passwords;

use std::net::{Ipv6Addr, TcpListener};

use hotshard::model::Endpoint;
use hotshard::node::{Account, Credentials, Dialer, Link, LinkError, probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::link::{SETTINGS, endpoint, plain};
use crate::harness::port::Port;
use crate::harness::server::Server;

async fn open(dialer: &Dialer, endpoint: &Endpoint, credentials: &Credentials) -> Result<Link, LinkError> {
    Link::open(dialer, endpoint, credentials, &Account::new(), SETTINGS).await
}

/// The failure's label, and its message with `HERE` for the endpoint.
async fn check(dialer: &Dialer, endpoint: &Endpoint, credentials: &Credentials, kind: &str, message: &str) {
    let error = open(dialer, endpoint, credentials).await.expect_err("it must fail");
    let shown = error.to_string().replace(&endpoint.to_string(), "HERE");
    assert_eq!((error.kind(), shown.as_str()), (kind, message));
}

#[tokio::test]
async fn a_name_without_an_address_is_named() {
    let nowhere = Endpoint::new("no-such-host.invalid", 6379);
    let error = open(&plain(), &nowhere, &Credentials::none())
        .await
        .expect_err("it must fail");
    assert_eq!(error.kind(), "unresolved");
    let message = error.to_string();
    assert!(
        message.starts_with("cannot resolve no-such-host.invalid:6379: "),
        "{message}"
    );
    assert!(
        message.ends_with("check the name and the resolver of this host"),
        "{message}"
    );
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_refused() {
    let port = Port::lease();
    check(
        &plain(),
        &Endpoint::new("127.0.0.1", port.number()),
        &Credentials::none(),
        "refused",
        "cannot reach HERE: connection refused; check the port and that the server runs",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let server = Server::redis().start().await;
    let link = open(&plain(), &endpoint(&server), &Credentials::none())
        .await
        .expect("it answers");
    server.freeze();
    check(
        &plain(),
        &endpoint(&server),
        &Credentials::none(),
        "timed_out",
        "HERE did not answer CLIENT SETNAME within 2s; check security groups, firewalls and the server's load",
    )
    .await;
    let error = probe::poll(&link).await.expect_err("it hangs");
    assert!(error.to_string().contains("did not answer INFO within 2s"), "{error}");
    server.thaw();
}

#[tokio::test]
async fn a_server_that_dies_closes_the_link() {
    let mut server = Server::redis().start().await;
    let link = open(&plain(), &endpoint(&server), &Credentials::none())
        .await
        .expect("it answers");
    server.crash().await;
    let error = probe::poll(&link).await.expect_err("it is gone");
    assert_eq!(error.kind(), "closed", "{error}");
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = Server::redis().set("maxclients", "1").start().await;
    let _only = server.connect().await;
    check(
        &plain(),
        &endpoint(&server),
        &Credentials::none(),
        "max_clients",
        "HERE has no room for another client; raise its maxclients or find who holds the connections",
    )
    .await;
}

/// What a server might say that none here can be made to say.
async fn check_saying(words: &'static str, kind: &str, message: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a new socket");
    let here = Endpoint::new("127.0.0.1", listener.local_addr().expect("it is bound").port());
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
    let speaker = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(words.as_bytes()).await;
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
    });
    check(&plain(), &here, &Credentials::none(), kind, message).await;
    speaker.abort();
}

#[tokio::test]
async fn what_a_server_says_at_the_door_is_understood() {
    check_saying(
        "-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
        "protected_mode",
        "HERE is in protected mode and refuses other hosts; set a password or `protected-mode no` on the server",
    )
    .await;
    check_saying(
        "-LOADING Redis is loading the dataset in memory\r\n:1\r\n",
        "loading",
        "HERE is loading its data set; it will answer when that is done",
    )
    .await;
    check_saying(
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "protocol",
        "HERE does not speak the Redis protocol (an answer begins with byte 0x48); check the port",
    )
    .await;
    check_saying("*1000000000\r\n", "closed", "HERE closed the connection").await;
    check_saying("", "closed", "HERE closed the connection").await;
}

#[tokio::test]
async fn ipv6_is_spoken() {
    let server = Server::redis().set("bind", "127.0.0.1 ::1").start().await;
    let here = Endpoint::new(Ipv6Addr::LOCALHOST.to_string(), server.address.port());
    let link = open(&plain(), &here, &Credentials::none()).await.expect("it listens");
    let clients = link.client_list().await.expect("an answer");
    let ours = clients
        .iter()
        .find(|client| client.id == link.client_id())
        .expect("we are there");
    assert!(ours.address.starts_with("[::1]:"), "{}", ours.address);
    assert_eq!(ours.name, "hotshard");
}
