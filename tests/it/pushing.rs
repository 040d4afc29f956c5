//! Figures pushed to a real collector: over both protocols, in the clear and through TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::collector::{Collector, Series, labelled, tls_before};
use crate::harness::hotshard::Hotshard;
use crate::harness::tls::Authority;
use crate::harness::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

/// Names as they are pushed, and as Prometheus scrapes them.
const NAMES: &[(&str, &str)] = &[
    ("hotshard.node.up", "hotshard_node_up"),
    ("hotshard.node.commands", "hotshard_node_commands_total"),
    ("hotshard.node.cpu", "hotshard_node_cpu_seconds_total"),
    ("hotshard.node.memory_used", "hotshard_node_memory_used_bytes"),
    ("hotshard.shard.slots", "hotshard_shard_slots"),
    ("hotshard.discovery.nodes", "hotshard_discovery_nodes"),
];

/// A demo that polls once, so that its figures rest, and pushes them there.
async fn demo(endpoint: &str, protocol: &str, more: &[&str]) -> Hotshard {
    let arguments = [
        "demo",
        "--shards",
        "2",
        "--poll.interval",
        "1h",
        "--otlp.interval",
        "1s",
        "--otlp.endpoint",
        endpoint,
        "--otlp.protocol",
        protocol,
    ];
    let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
    Hotshard::start(&arguments).await
}

/// The same series as the collector's from a page of metrics, under the names that are pushed.
fn scraped(page: &str) -> Series {
    let mut all = Series::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
        let Some((pushed, _)) = NAMES.iter().find(|(_, scraped)| *scraped == name) else {
            continue;
        };
        let labels: BTreeMap<&str, &str> = rest
            .trim_end_matches('}')
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(label, text)| (label, text.trim_matches('"')))
            .collect();
        all.insert(labelled(pushed, &labels), value.parse().expect("a number"));
    }
    all
}

/// Waits until the collector has printed what the page shows.
async fn check_arrived(collector: &Collector, hotshard: &Hotshard) {
    let same = async || {
        let wanted = scraped(&hotshard.metrics().await);
        let mut arrived = collector.series();
        arrived.retain(|series, _| NAMES.iter().any(|(name, _)| series.starts_with(&format!("{name}{{"))));
        if arrived == wanted && wanted.len() > NAMES.len() {
            Ok(())
        } else {
            Err(format!("{arrived:#?} instead of {wanted:#?}"))
        }
    };
    eventually("the collector shows the same figures", DEADLINE, same).await;
    let printed = collector.printed();
    for attribute in ["service.name: Str(hotshard)", "telemetry.sdk.name: Str(opentelemetry)"] {
        assert!(printed.contains(attribute), "{attribute}");
    }
    counted(hotshard, "ok").await;
}

#[tokio::test]
async fn a_real_collector_is_told_what_prometheus_scrapes_over_grpc_and_over_http() {
    for (protocol, more) in [
        ("grpc", &[][..]),
        ("http", &[]),
        ("grpc", &["--otlp.compression", "gzip"]),
        ("http", &["--otlp.compression", "gzip"]),
    ] {
        let collector = Collector::start().await;
        let address = if protocol == "grpc" {
            collector.grpc
        } else {
            collector.http
        };
        let hotshard = demo(&format!("http://{address}"), protocol, more).await;
        check_arrived(&collector, &hotshard).await;
        hotshard.stop().await;
    }
}

#[tokio::test]
async fn a_collector_behind_tls_is_told_only_if_its_authority_is_trusted() {
    let authority = Authority::new();
    let ca_file = authority.ca_file().display().to_string();
    for protocol in ["grpc", "http"] {
        let collector = Collector::start().await;
        let inside = if protocol == "grpc" {
            collector.grpc
        } else {
            collector.http
        };
        let outside = tls_before(inside, &authority).await;
        check_refused(&collector, outside, protocol).await;
        let endpoint = format!("https://{outside}");
        let trusting = demo(&endpoint, protocol, &["--otlp.ca-file", &ca_file]).await;
        check_arrived(&collector, &trusting).await;
        trusting.stop().await;
    }
}

async fn check_refused(collector: &Collector, outside: SocketAddr, protocol: &str) {
    let doubting = demo(&format!("https://{outside}"), protocol, &[]).await;
    counted(&doubting, "failed").await;
    doubting.stop().await;
    assert!(collector.series().is_empty(), "{}", collector.printed());
}

/// Waits until a push with this outcome is counted: the collector has printed a push before we know that it arrived.
async fn counted(hotshard: &Hotshard, outcome: &str) {
    let series = format!("hotshard_otlp_exports_total{{outcome=\"{outcome}\"}} ");
    let seen = async || {
        let page = hotshard.metrics().await;
        if page.contains(&series) { Ok(()) } else { Err(page) }
    };
    eventually(&series, DEADLINE, seen).await;
}
