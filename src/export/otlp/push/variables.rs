//! What the settings leave open, as the `OTEL_` variables say it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;

use super::super::settings::{OtlpCompression, OtlpProtocol, OtlpSettings, OtlpTemporality};
use super::OtlpError;
use super::pairs::pairs;
use crate::node::TlsSettings;

/// A variable's value, if it has one.
pub(super) type Said<'a> = dyn Fn(&str) -> Option<String> + 'a;

pub(super) fn collector(endpoint: &str) -> Result<Uri, OtlpError> {
    let uri = endpoint.parse::<Uri>().ok();
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        .ok_or_else(|| OtlpError::Endpoint(endpoint.to_owned()))
}

/// The first of the variables that is set, with its name.
pub(super) fn first(said: &Said<'_>, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, said(name)?)))
}

/// What is set, else what the port means by convention.
pub(super) fn protocol(settings: &OtlpSettings, said: &Said<'_>, uri: &Uri) -> Result<OtlpProtocol, OtlpError> {
    if let Some(protocol) = settings.protocol {
        return Ok(protocol);
    }
    let names = ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    match first(said, &names) {
        Some((_, value)) if value == "grpc" => Ok(OtlpProtocol::Grpc),
        Some((_, value)) if value == "http/protobuf" => Ok(OtlpProtocol::Http),
        Some((variable, value)) => Err(OtlpError::Variable {
            variable,
            value,
            instead: "grpc or http/protobuf",
        }),
        None if uri.port_u16() == Some(4317) => Ok(OtlpProtocol::Grpc),
        None => Ok(OtlpProtocol::Http),
    }
}

pub(super) fn span(
    set: Option<Duration>,
    said: &Said<'_>,
    names: &[&'static str],
    otherwise: Duration,
) -> Result<Duration, OtlpError> {
    if let Some(span) = set {
        return Ok(span);
    }
    let Some((variable, value)) = first(said, names) else {
        return Ok(otherwise);
    };
    match value.trim().parse() {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(OtlpError::Variable {
            variable,
            value,
            instead: "milliseconds",
        }),
    }
}

pub(super) fn temporality(settings: &OtlpSettings, said: &Said<'_>) -> Result<OtlpTemporality, OtlpError> {
    let names = ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"];
    match (settings.temporality, first(said, &names)) {
        (Some(temporality), _) => Ok(temporality),
        (None, None) => Ok(OtlpTemporality::Cumulative),
        (None, Some((variable, value))) => match value.to_ascii_lowercase().as_str() {
            // What saves memory for counters that are added to is cumulative for those that are read, as all of ours are.
            "cumulative" | "lowmemory" => Ok(OtlpTemporality::Cumulative),
            "delta" => Ok(OtlpTemporality::Delta),
            _ => Err(OtlpError::Variable {
                variable,
                value,
                instead: "cumulative, delta or lowmemory",
            }),
        },
    }
}

pub(super) fn compression(settings: &OtlpSettings, said: &Said<'_>) -> Result<OtlpCompression, OtlpError> {
    let names = [
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
    ];
    match (settings.compression, first(said, &names)) {
        (Some(compression), _) => Ok(compression),
        (None, None) => Ok(OtlpCompression::None),
        (None, Some((_, value))) if value == "gzip" => Ok(OtlpCompression::Gzip),
        (None, Some((_, value))) if value == "none" => Ok(OtlpCompression::None),
        (None, Some((variable, value))) => Err(OtlpError::Variable {
            variable,
            value,
            instead: "gzip or none",
        }),
    }
}

pub(super) fn tls(settings: &OtlpSettings, said: &Said<'_>) -> TlsSettings {
    let path = |set: &Option<PathBuf>, names: &[&'static str]| {
        set.clone()
            .or_else(|| first(said, names).map(|(_, value)| PathBuf::from(value)))
    };
    TlsSettings {
        ca_file: path(
            &settings.ca_file,
            &[
                "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
            ],
        ),
        cert_file: path(
            &settings.cert_file,
            &[
                "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            ],
        ),
        key_file: path(
            &settings.key_file,
            &["OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
        ),
        ..TlsSettings::default()
    }
}

/// The variables' headers and, above them, the file's.
pub(super) fn headers(settings: &OtlpSettings, said: &Said<'_>) -> Result<BTreeMap<String, String>, OtlpError> {
    let names = ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let mut headers: BTreeMap<String, String> = first(said, &names)
        .map(|(_, value)| pairs(&value))
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let Some(path) = &settings.headers_file else {
        return Ok(headers);
    };
    let text = std::fs::read_to_string(path).map_err(|error| OtlpError::Headers(path.clone(), error))?;
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| OtlpError::HeaderLine(path.clone(), number + 1))?;
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(headers)
}
