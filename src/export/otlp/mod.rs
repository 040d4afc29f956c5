//! Pushes the catalogue to an OpenTelemetry collector.
//!
//! A thread of the SDK reads the last snapshot at each interval and sends it, so a collector that is slow or gone costs the rest of
//! hotshard nothing; what became of each push is counted. It refuses to know how figures come about.

mod instruments;
mod naming;
mod push;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream, Temporality};
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use tokio::time::Instant;
use tracing::{info, warn};

pub use push::{Identity, OtlpError, Push};
pub use settings::{OtlpCompression, OtlpProtocol, OtlpSettings, OtlpTemporality};

use crate::metrics::published::Published;

/// Pushes until it is stopped.
#[derive(Debug)]
pub struct Pusher {
    provider: SdkMeterProvider,
}

impl Pusher {
    /// Begins to push what is published. Needs tokio's runtime around it, and blocks for a moment.
    pub fn start(push: &Push, published: &Published) -> Result<Self, OtlpError> {
        let exporter = Counted {
            exporter: wire::exporter(push)?,
            timeout: push.timeout,
            published: published.clone(),
            failing: Mutex::new(None),
        };
        let attributes = push
            .attributes
            .iter()
            .map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(attributes)
            .build();
        // The SDK counts the series of the last push among those of the next, and its own limit would be 2,000.
        let series_max = push.series_max.saturating_mul(2);
        let provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(PeriodicReader::builder(exporter).with_interval(push.interval).build())
            .with_view(move |_: &Instrument| Stream::builder().with_cardinality_limit(series_max).build().ok())
            .build();
        instruments::register(&provider.meter("hotshard"), published);
        info!(url = push.url, protocol = ?push.protocol, "pushing figures by OTLP");
        Ok(Self { provider })
    }

    /// Pushes a last time and ends; blocks for at most five seconds.
    pub fn stop(self) {
        if let Err(error) = self.provider.shutdown() {
            warn!("the last figures may not have reached the collector: {error}");
        }
    }
}

/// An exporter whose outcomes are counted.
#[derive(Debug)]
struct Counted {
    exporter: MetricExporter,
    timeout: Duration,
    published: Published,
    failing: Mutex<Option<&'static str>>,
}

impl Counted {
    /// A failure is said once when it begins or changes its kind, and once when it is over.
    fn judge(&self, result: &OTelSdkResult, took: Duration) {
        let outcome = match result {
            Ok(()) => "ok",
            Err(OTelSdkError::Timeout(_)) => "timed_out",
            Err(_) if took >= self.timeout => "timed_out",
            Err(_) => "failed",
        };
        self.published.exports().pushed(outcome);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *failing;
        *failing = result.as_ref().err().map(|_| outcome);
        match result {
            Ok(()) if before.is_some() => info!("the collector takes figures again"),
            Err(error) if before != Some(outcome) => warn!("cannot push figures by OTLP: {error}"),
            _ => {}
        }
    }
}

impl PushMetricExporter for Counted {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let begun = Instant::now();
        let result = self.exporter.export(metrics).await;
        self.judge(&result, begun.elapsed());
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
