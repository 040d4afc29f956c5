//! The server over real sockets: what clients do that say nothing, never read, leave, or come in crowds.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::export::fabricated;
use crate::metrics::published::Published;

/// A server on a port of the system's choice, and what it takes to stop it.
async fn listening() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>, Published) {
    listening_to(connection::CONNECTIONS_MAX).await
}

/// The same for so many connections.
async fn listening_to(connections: usize) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>, Published) {
    let settings = WebSettings {
        listen_address: vec!["127.0.0.1:0".parse().expect("an address")],
        ..WebSettings::default()
    };
    let bound = bind(settings).await.expect("a free port").admitting(connections);
    let address = bound.addresses()[0];
    let published = Published::new();
    published.store(fabricated::snapshot(1, 3));
    let shutdown = CancellationToken::new();
    let (orders, _) = mpsc::channel(1);
    let served = tokio::spawn(bound.serve(published.clone(), orders, shutdown.clone()));
    (address, shutdown, served, published)
}

async fn send(address: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("someone listens");
    stream.write_all(head.as_bytes()).await.expect("someone reads");
    stream
}

#[tokio::test]
async fn a_server_answers_over_a_socket_and_ends_its_streams_on_shutdown() {
    let (address, shutdown, served, _) = listening().await;
    let mut scrape = send(
        address,
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    let mut page = String::new();
    scrape.read_to_string(&mut page).await.expect("a page");
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("hotshard_build_info"),
        "{page}"
    );

    let mut events = send(address, "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut beginning = vec![0; 4_096];
    let length = events.read(&mut beginning).await.expect("a stream");
    assert!(String::from_utf8_lossy(&beginning[..length]).contains("text/event-stream"));
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(3), events.read_to_end(&mut beginning))
        .await
        .expect("the stream ends")
        .expect("it ends in order");
    served.await.expect("the server ends");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_header_is_hung_up_on() {
    let (address, ..) = listening().await;
    let began = tokio::time::Instant::now();
    let mut slow = send(address, "GET /metrics HTTP/1.1\r\nhost: loc").await;
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer)
        .await
        .expect("the server hangs up in order");
    assert!(began.elapsed() >= Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_port_in_use_names_the_address_and_the_cure() {
    let (address, ..) = listening().await;
    let settings = WebSettings {
        listen_address: vec![address.to_string().parse().expect("an address")],
        ..WebSettings::default()
    };
    let error = bind(settings).await.expect_err("it is taken");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: it is in use; stop what listens there or set web.listen_address (--web.listen-address; port 0 lets the system choose)"
        )
    );
}

#[tokio::test]
async fn a_live_scrape_passes_promtool() {
    let (address, ..) = listening().await;
    let mut scrape = send(address, "GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
    let mut answer = String::new();
    scrape.read_to_string(&mut answer).await.expect("a page");
    let (_, page) = answer.split_once("\r\n\r\n").expect("a body");

    let mut promtool = tokio::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is missing; on Debian: apt install prometheus");
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(page.as_bytes()).await.expect("promtool reads");
    drop(input);
    let outcome = promtool.wait_with_output().await.expect("promtool ends");
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned() + &String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success() && said.is_empty(), "{said}");
}

async fn exchange(address: SocketAddr, said: &str) -> String {
    let mut stream = send(address, said).await;
    let mut answer = Vec::new();
    // A client that is cut off gets no more than what was sent before.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn old_hurried_and_odd_clients_are_answered_in_order() {
    let (address, ..) = listening().await;
    let check = async |said: &str, expected: &[&str]| {
        let answer = exchange(address, said).await;
        let statuses: Vec<&str> = answer.lines().filter(|line| line.starts_with("HTTP/1.")).collect();
        assert_eq!(statuses, expected, "{said:?}: {answer}");
    };
    check("GET /healthz HTTP/1.0\r\n\r\n", &["HTTP/1.0 200 OK"]).await;
    check("GET / HTTP/1.0\r\n\r\n", &["HTTP/1.0 403 Forbidden"]).await;
    let (next, last) = (
        "host: localhost\r\n\r\n",
        "host: localhost\r\nconnection: close\r\n\r\n",
    );
    check(
        &format!("GET /healthz HTTP/1.1\r\n{next}GET /nothing HTTP/1.1\r\n{next}GET /metrics HTTP/1.1\r\n{last}"),
        &["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"],
    )
    .await;
    check(
        "GET /metrics?collect[]=x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        &["HTTP/1.1 200 OK"],
    )
    .await;
    check("not HTTP\r\n\r\n", &["HTTP/1.1 400 Bad Request"]).await;
    let huge = "x".repeat(256 * 1024);
    check(
        &format!("GET /healthz HTTP/1.1\r\nx-huge: {huge}\r\n{last}"),
        &["HTTP/1.1 431 Request Header Fields Too Large"],
    )
    .await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once_and_counted() {
    let (address, _, _, published) = listening_to(2).await;
    let scrape = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut inside = vec![send(address, scrape).await, send(address, scrape).await];
    for stream in &mut inside {
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    let too_many = exchange(address, scrape).await;
    assert_eq!(too_many, "");
    assert_eq!(published.exports().connections_refused(), 1);
    drop(inside);
    let again = async {
        while !exchange(address, &scrape.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"))
            .await
            .contains("200 OK")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again)
        .await
        .expect("there is room again");
}

const EVENTS: &str = "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Reads until that many documents have begun.
async fn documents(stream: &mut TcpStream, wanted: usize) {
    let (mut text, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    while String::from_utf8_lossy(&text).matches("event: groups").count() < wanted {
        let length = stream.read(&mut piece).await.expect("a stream");
        assert!(length > 0, "the stream ended: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..length]);
    }
}

#[tokio::test]
async fn a_hundred_listeners_hear_every_change_and_leave_nothing_behind() {
    let (address, _, _, published) = listening().await;
    let before = published.listeners();
    let mut listeners = join_all((0..100).map(|_| send(address, EVENTS))).await;
    join_all(listeners.iter_mut().map(|stream| documents(stream, 1))).await;
    assert_eq!(published.listeners(), before + 100);
    published.store(fabricated::snapshot(2, 3));
    let heard = join_all(listeners.iter_mut().map(|stream| documents(stream, 1)));
    tokio::time::timeout(Duration::from_secs(30), heard)
        .await
        .expect("all of them hear it");
    drop(listeners);
    let left = async {
        while published.listeners() > before {
            tokio::time::sleep(Duration::from_millis(20)).await;
            published.store(fabricated::snapshot(2, 3));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), left)
        .await
        .expect("all of them are let go");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_never_reads_is_cut_off() {
    let (address, _, _, published) = listening().await;
    let before = published.listeners();
    let silent = send(address, EVENTS).await;
    let cut_off = async {
        // Until what the sockets hold is full, and then for as long as we are patient.
        loop {
            published.store(fabricated::snapshot(4, 200));
            tokio::time::sleep(Duration::from_secs(3)).await;
            if published.listeners() == before && published.exports().requests().contains_key(&("/api/v1/events", 200))
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), cut_off)
        .await
        .expect("it isn't waited for");
    drop(silent);
}
