//! `[otlp]`: where figures are pushed. What isn't set here is taken from the `OTEL_` variables that every SDK knows.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::written;

/// The settings of OTLP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpSettings {
    /// The collector; nothing is pushed without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How it is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<OtlpProtocol>,
    /// A file with a header a line, for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// The time between two pushes.
    #[serde(
        deserialize_with = "read_span",
        serialize_with = "show_span",
        skip_serializing_if = "Option::is_none"
    )]
    pub interval: Option<Duration>,
    /// How long a push may take.
    #[serde(
        deserialize_with = "read_span",
        serialize_with = "show_span",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<Duration>,
    /// What a counter's figure is counted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporality: Option<OtlpTemporality>,
    /// How bodies are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<OtlpCompression>,
    /// The authority to trust instead of the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, where the collector demands one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How many series one metric may have.
    pub series_max: NonZeroUsize,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: None,
            headers_file: None,
            interval: None,
            timeout: None,
            temporality: None,
            compression: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            series_max: NonZeroUsize::new(10_000).expect("it isn't zero"),
        }
    }
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// Protobuf over HTTP, usually on port 4318.
    Http,
}

/// What a counter's figure is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpTemporality {
    /// From hotshard's start, as Prometheus has it.
    Cumulative,
    /// From the last push.
    Delta,
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpCompression {
    /// By gzip.
    Gzip,
    /// Not at all.
    None,
}

fn read_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    written::duration::deserialize(deserializer).map(Some)
}

fn show_span<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => written::duration::serialize(span, serializer),
        None => serializer.serialize_none(),
    }
}
