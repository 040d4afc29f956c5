//! Being scraped as Prometheus exporters are: over TLS, with a password, at several addresses.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::hotshard::Hotshard;
use crate::harness::http;
use crate::harness::prometheus::Prometheus;
use crate::harness::tls::Authority;
use crate::harness::tools::tool;

#[tokio::test]
async fn a_real_prometheus_scrapes_through_tls_and_basic_auth() {
    let (authority, folder) = (Authority::new(), TempDir::new().expect("a temporary folder"));
    let path = folder.path().join("web.yml");
    // The cheapest hash there is: nothing here is worth guessing.
    let hash = bcrypt::hash("orange", 4).expect("a short password can be hashed");
    let web = format!(
        "tls_server_config:\n  cert_file: {}\n  key_file: {}\nbasic_auth_users:\n  prometheus: {hash}\n",
        authority.certificate_file().display(),
        authority.key_file().display(),
    );
    std::fs::write(&path, web).expect("a temporary folder takes a file");
    let hotshard = Hotshard::listening(&[
        "demo",
        "--shards",
        "2",
        "--web.config.file",
        &path.display().to_string(),
    ])
    .await;
    let job = |name: &str, password: &str| {
        format!(
            "  - job_name: {name}\n    scheme: https\n    tls_config: {{ca_file: {}}}\n    \
             basic_auth: {{username: prometheus, password: {password}}}\n    static_configs: [{{targets: ['{}']}}]\n",
            authority.ca_file().display(),
            hotshard.address,
        )
    };
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}{}",
        job("right", "orange"),
        job("wrong", "apple"),
    );
    let prometheus = Prometheus::start(&config).await;
    prometheus.value("up{job='right'}", |up| up == 1.0).await;
    prometheus
        .value("sum(hotshard_node_up{job='right'})", |nodes| nodes == 4.0)
        .await;
    prometheus.value("up{job='wrong'}", |up| up == 0.0).await;
    assert_eq!(prometheus.query("hotshard_node_up{job='wrong'}").await, Ok(Vec::new()));
    hotshard.stop().await;
}

#[tokio::test]
async fn several_addresses_are_listened_on_and_ipv6_is_one_of_them() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.toml");
    // Nobody answers there, which is no matter of ours.
    std::fs::write(&path, "[[groups]]\nid = \"a\"\nendpoints = [\"127.0.0.1:1:0001\"]\n").expect("it takes a file");
    let hotshard = Hotshard::start(&[
        "serve",
        "--config",
        &path.display().to_string(),
        "--web.listen-address",
        "[::1]:0",
    ])
    .await;
    let log = hotshard.log();
    let start = log
        .find("[::1]:")
        .unwrap_or_else(|| panic!("it says where it listens: {log}"));
    let end = start + log[start..].find('"').expect("the log is JSON");
    let other: SocketAddr = log[start..end].parse().expect("it is an address");
    for address in [hotshard.address, other] {
        let answer = http::get(address, "/healthz").await.expect("it answers");
        assert_eq!(answer.status, 200, "{address}");
    }
    hotshard.stop().await;
}

/// A scrape every 15 s for a day.
const SCRAPES_OF_A_DAY: usize = 5_760;

/// A demo whose figures rest, so that scrapes alone use memory.
async fn resting() -> Hotshard {
    let arguments = "demo --shards 2 --poll.interval 1h --monitor.schedule every|1h --monitor.on-hot false";
    let arguments: Vec<String> = arguments.split(' ').map(|word| word.replace('|', " ")).collect();
    Hotshard::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn a_days_scrapes_leave_memory_as_it_was() {
    let hotshard = resting().await;
    let scrape = async |count: usize| {
        for _ in 0..count / 8 {
            for page in join_all((0..8).map(|_| hotshard.metrics())).await {
                assert!(page.contains("hotshard_node_up{"), "{page}");
            }
        }
    };
    // What is allocated once is there after the first hundreds.
    scrape(800).await;
    let before = hotshard.resident_kib();
    scrape(SCRAPES_OF_A_DAY).await;
    let after = hotshard.resident_kib();
    assert!(after < before + 4_096, "from {before} KiB to {after} KiB");
    hotshard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_are_served_and_slow_ones_cut_off() {
    let hotshard = resting().await;
    let slow = async || {
        let mut stream = TcpStream::connect(hotshard.address).await.expect("it listens");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: loc")
            .await
            .expect("it reads");
        stream
    };
    let slow = join_all((0..20).map(|_| slow())).await;
    let url = format!("http://{}/metrics", hotshard.address);
    let wrk = Command::new(tool("wrk"))
        .args(["-t1", "-c1000", "-d5s", "--timeout", "30s", &url])
        .output()
        .expect("wrk starts");
    let said = String::from_utf8_lossy(&wrk.stdout).into_owned();
    assert!(wrk.status.success() && said.contains("requests in"), "{said}");
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    assert_eq!(hotshard.get("/healthz").await.expect("it answers").status, 200);
    for mut stream in slow {
        let mut rest = Vec::new();
        // How it hangs up doesn't matter, but it does.
        let ended = timeout(Duration::from_secs(40), stream.read_to_end(&mut rest)).await;
        assert!(
            ended.is_ok(),
            "a client that never ends its header holds its connection"
        );
    }
    hotshard.stop().await;
}
