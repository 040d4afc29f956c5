//! Pushes to a recorder that takes them apart.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, NumberDataPoint, number_data_point};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::naming::{self, Translator};
use super::{Identity, OtlpSettings, Push, Pusher};
use crate::export::fabricated;
use crate::export::prometheus::{Format, Pages};
use crate::metrics::catalog::{self, Kind};
use crate::metrics::published::Published;

type Pushed = (HeaderMap, ExportMetricsServiceRequest);

/// A collector over HTTP; what it is pushed comes out of the channel.
async fn recorder() -> (String, mpsc::UnboundedReceiver<Pushed>) {
    let (told, pushed) = mpsc::unbounded_channel();
    let record = move |headers: HeaderMap, body: Bytes| async move {
        let request = ExportMetricsServiceRequest::decode(body).expect("it is what OTLP says");
        let _ = told.send((headers, request));
        ExportMetricsServiceResponse::default().encode_to_vec()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has one"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/metrics", post(record))).await });
    (url, pushed)
}

async fn start(toml: &str, published: &Published) -> Pusher {
    let settings: OtlpSettings = toml::from_str(toml).expect("the settings can be read");
    let identity = Identity {
        host: Some("box".to_owned()),
        port: Some(9468),
        region: Some("eu-central-1".to_owned()),
    };
    let push = Push::resolve(&settings, &identity, |_| None)
        .expect("it is sound")
        .expect("it is on");
    let published = published.clone();
    let started = tokio::task::spawn_blocking(move || Pusher::start(&push, &published));
    started.await.expect("no panic").expect("it starts")
}

async fn stop(pusher: Pusher) {
    tokio::task::spawn_blocking(move || pusher.stop())
        .await
        .expect("no panic");
}

/// Series by name and labels, as one text each.
type Series = BTreeMap<String, f64>;

fn series(name: &str, labels: &BTreeMap<String, String>) -> String {
    format!("{name}{labels:?}")
}

fn text(pair: &KeyValue) -> (String, String) {
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => (pair.key.clone(), text.clone()),
        other => panic!("{}: {other:?}", pair.key),
    }
}

fn points(data: &Data) -> (&[NumberDataPoint], Option<i32>) {
    match data {
        Data::Gauge(gauge) => (&gauge.data_points, None),
        Data::Sum(sum) => {
            assert!(sum.is_monotonic);
            (&sum.data_points, Some(sum.aggregation_temporality))
        }
        other => panic!("{other:?}"),
    }
}

/// What was pushed, under the names that Prometheus's translation gives it.
fn pushed_series(request: &ExportMetricsServiceRequest) -> Series {
    let metrics = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    let mut all = Series::new();
    for metric in metrics {
        let (points, temporality) = points(metric.data.as_ref().expect("it has data"));
        let kind = if temporality.is_some() {
            Kind::Counter
        } else {
            Kind::Gauge
        };
        let name = naming::translated(&metric.name, &metric.unit, kind, Translator::Present);
        for point in points {
            let labels = point.attributes.iter().map(text).collect();
            let Some(number_data_point::Value::AsDouble(value)) = point.value else {
                panic!("{point:?}")
            };
            assert!(all.insert(series(&name, &labels), value).is_none(), "{name}");
        }
    }
    all
}

/// What Prometheus reads on the page, figures of the process left out.
fn scraped_series(published: &Published) -> Series {
    let page = String::from_utf8(Pages::new(published.clone()).page(Format::Text)).expect("a page is UTF-8");
    let samples = page.lines().filter(|line| line.starts_with(catalog::PREFIX));
    samples.map(sample).collect()
}

/// A line of the text format: `name{label="value"} number`.
fn sample(line: &str) -> (String, f64) {
    let (named, value) = line.rsplit_once(' ').expect("a sample has a value");
    let (name, mut rest) = named.split_once('{').unwrap_or((named, "}"));
    let mut labels = BTreeMap::new();
    while let Some((label, quoted)) = rest.split_once("=\"") {
        let (mut text, mut letters) = (String::new(), quoted.char_indices());
        let end = loop {
            match letters.next().expect("a quote ends") {
                (place, '"') => break place,
                (_, '\\') => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, letter)) => text.push(letter),
                    None => panic!("{line}"),
                },
                (_, letter) => text.push(letter),
            }
        };
        labels.insert(label.trim_start_matches(',').to_owned(), text);
        rest = &quoted[end + 1..];
    }
    (series(name, &labels), value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_holds_the_whole_catalogue_with_the_numbers_that_prometheus_reads() {
    let (url, mut pushed) = recorder().await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let headers = folder.path().join("headers");
    std::fs::write(&headers, "Authorization: Bearer planted\n").expect("it can be written");
    let published = Published::new();
    published.store(fabricated::whole());
    published.exports().answered("/metrics", 200);
    published.exports().pushed("failed");
    let scraped = scraped_series(&published);
    for metric in catalog::all() {
        let name = format!("{}{{", metric.full_name());
        assert!(
            scraped.keys().any(|series| series.starts_with(&name)),
            "{name} has no sample"
        );
    }
    let toml = format!("endpoint = '{url}'\nheaders_file = '{}'", headers.display());
    // The interval is a minute: what arrives is the flush at the end.
    stop(start(&toml, &published).await).await;
    let (headers, request) = pushed.recv().await.expect("it was pushed");
    assert_eq!(headers["authorization"], "Bearer planted");
    assert_eq!(pushed_series(&request), scraped);
    let resource = request.resource_metrics[0]
        .resource
        .as_ref()
        .expect("it says who it is");
    let attributes: BTreeMap<String, String> = resource.attributes.iter().map(text).collect();
    for (name, expected) in [
        ("service.name", "hotshard"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("cloud.region", "eu-central-1"),
        ("service.instance.id", "box:9468"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(attributes[name], expected, "{name}");
    }
    assert_eq!(published.exports().pushes(), [("failed", 1), ("ok", 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn series_beyond_the_limit_are_one_that_says_so() {
    let (url, mut pushed) = recorder().await;
    let published = Published::new();
    published.store(fabricated::snapshot(1, 60));
    stop(start(&format!("endpoint = '{url}'\nseries_max = 20"), &published).await).await;
    let (_, request) = pushed.recv().await.expect("it was pushed");
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let nodes = metrics.iter().find(|metric| metric.name == "hotshard.node.up");
    let (points, _) = points(nodes.expect("it is there").data.as_ref().expect("it has data"));
    let overflown = |point: &&NumberDataPoint| point.attributes.iter().any(|pair| pair.key == "otel.metric.overflow");
    assert_eq!(points.iter().filter(overflown).count(), 1);
    assert!(points.len() <= 41, "{}", points.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_count_from_the_last_push() {
    let (url, mut pushed) = recorder().await;
    let published = Published::new();
    published.store(fabricated::snapshot(1, 2));
    let pusher = start(
        &format!("endpoint = '{url}'\ntemporality = 'delta'\ninterval = 1"),
        &published,
    )
    .await;
    let (_, first) = pushed.recv().await.expect("it was pushed");
    let (_, second) = pushed.recv().await.expect("it was pushed again");
    stop(pusher).await;
    let counters = |request: &ExportMetricsServiceRequest| {
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let commands = metrics.iter().find(|metric| metric.name == "hotshard.node.commands");
        let (points, temporality) = points(commands.expect("it is there").data.as_ref().expect("it has data"));
        assert_eq!(temporality, Some(AggregationTemporality::Delta as i32));
        points
            .iter()
            .map(|point| format!("{:?}", point.value))
            .collect::<Vec<_>>()
    };
    assert!(counters(&first).iter().all(|value| !value.contains("AsDouble(0.0)")));
    assert!(counters(&second).iter().all(|value| value.contains("AsDouble(0.0)")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_a_count_and_nothing_else() {
    for protocol in ["grpc", "http"] {
        // It was free a moment ago, and nobody listens there.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        drop(listener);
        let published = Published::new();
        let toml = format!("endpoint = 'http://{address}'\nprotocol = '{protocol}'\ntimeout = 1");
        let stopped = tokio::time::timeout(Duration::from_secs(20), async {
            stop(start(&toml, &published).await).await;
        });
        stopped.await.expect("it ends");
        let pushes = published.exports().pushes();
        assert!(
            pushes.keys().all(|outcome| *outcome != "ok") && pushes.len() == 1,
            "{pushes:?}"
        );
    }
}
