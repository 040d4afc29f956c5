//! Being scraped as Prometheus exporters are: over TLS, with a password, at several addresses.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::harness::hotshard::Hotshard;
use crate::harness::http;
use crate::harness::prometheus::Prometheus;
use crate::harness::tls::Authority;

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
