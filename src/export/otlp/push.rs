//! Where, how and how often figures are pushed: the settings, and the `OTEL_` variables for what they leave open. Pure but for the
//! file of headers.

mod pairs;
mod resource;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use resource::attributes;
use variables::{collector, compression, headers, protocol, span, temporality, tls};

use super::settings::{OtlpCompression, OtlpProtocol, OtlpSettings, OtlpTemporality};
use crate::node::TlsSettings;

/// How often, where nobody says otherwise; OpenTelemetry's own default.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long a push may take, where nobody says otherwise; OpenTelemetry's own default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where metrics are taken by a collector that speaks HTTP.
const METRICS_PATH: &str = "/v1/metrics";

/// Everything that is settled about pushing.
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    pub(super) url: String,
    pub(super) protocol: OtlpProtocol,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) temporality: OtlpTemporality,
    pub(super) compression: OtlpCompression,
    pub(super) tls: TlsSettings,
    pub(super) series_max: usize,
    pub(super) attributes: BTreeMap<String, String>,
}

/// Why nothing can be pushed.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The collector's address can't be used.
    #[error("`{0}` is no address of a collector; write one such as http://127.0.0.1:4317 in otlp.endpoint")]
    Endpoint(String),
    /// A variable's value isn't understood.
    #[error("{variable} is `{value}`; write {instead}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        instead: &'static str,
    },
    /// The file of headers can't be read.
    #[error("cannot read {0} (otlp.headers_file): {1}")]
    Headers(PathBuf, std::io::Error),
    /// A line in the file of headers is none. What it holds may be secret.
    #[error("line {1} of {0} (otlp.headers_file) is no header; write `name: value`")]
    HeaderLine(PathBuf, usize),
    /// A header has a name or a value that can't be sent.
    #[error("the header `{0}` can't be sent; its name is letters, digits and dashes, and its value printable ASCII")]
    Header(String),
    /// Encryption can't be set up.
    #[error("otlp: {0}")]
    Tls(#[from] crate::node::TlsError),
    /// The exporter refuses what it was given.
    #[error("cannot set up OTLP: {0}")]
    Refused(String),
}

/// Who pushes, as far as `OTEL_RESOURCE_ATTRIBUTES` doesn't say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The host's name.
    pub host: Option<String>,
    /// The port that we listen on, which tells two of us on one host apart.
    pub port: Option<u16>,
    /// The AWS region of what is watched, where it is one alone.
    pub region: Option<String>,
}

impl Push {
    /// Whether the files it names can be used, before anything is pushed.
    pub fn verify(&self) -> Result<(), OtlpError> {
        crate::node::client_config(&self.tls)?;
        Ok(())
    }

    /// What the settings and `variables` say; `None` if nobody wants figures pushed.
    pub fn resolve(
        settings: &OtlpSettings,
        identity: &Identity,
        variables: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, OtlpError> {
        let said = |name: &str| variables(name).filter(|value| !value.trim().is_empty());
        let disabled = said("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || said("OTEL_METRICS_EXPORTER").is_some_and(|value| value == "none");
        let exact = said("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").filter(|_| settings.endpoint.is_none());
        let base = settings
            .endpoint
            .clone()
            .or_else(|| said("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let Some(endpoint) = exact.clone().or(base).filter(|_| !disabled) else {
            return Ok(None);
        };
        let uri = collector(&endpoint)?;
        let protocol = protocol(settings, &said, &uri)?;
        let url = match protocol {
            OtlpProtocol::Http if exact.is_none() && !endpoint.ends_with(METRICS_PATH) => {
                format!("{}{METRICS_PATH}", endpoint.trim_end_matches('/'))
            }
            _ => endpoint,
        };
        Ok(Some(Self {
            url,
            protocol,
            headers: headers(settings, &said)?,
            interval: span(settings.interval, &said, &["OTEL_METRIC_EXPORT_INTERVAL"], INTERVAL)?,
            timeout: span(
                settings.timeout,
                &said,
                &[
                    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                    "OTEL_EXPORTER_OTLP_TIMEOUT",
                    "OTEL_METRIC_EXPORT_TIMEOUT",
                ],
                TIMEOUT,
            )?,
            temporality: temporality(settings, &said)?,
            compression: compression(settings, &said)?,
            tls: tls(settings, &said),
            series_max: settings.series_max.get(),
            attributes: attributes(identity, &said),
        }))
    }
}
