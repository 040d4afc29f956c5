//! Where, how and how often figures are pushed: the settings, and the `OTEL_` variables for what they leave open. Pure but for the
//! file of headers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;

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

type Said<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn collector(endpoint: &str) -> Result<Uri, OtlpError> {
    let uri = endpoint.parse::<Uri>().ok();
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        .ok_or_else(|| OtlpError::Endpoint(endpoint.to_owned()))
}

/// The first of the variables that is set, with its name.
fn first(said: &Said<'_>, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, said(name)?)))
}

/// What is set, else what the port means by convention.
fn protocol(settings: &OtlpSettings, said: &Said<'_>, uri: &Uri) -> Result<OtlpProtocol, OtlpError> {
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

fn span(
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

fn temporality(settings: &OtlpSettings, said: &Said<'_>) -> Result<OtlpTemporality, OtlpError> {
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

fn compression(settings: &OtlpSettings, said: &Said<'_>) -> Result<OtlpCompression, OtlpError> {
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

fn tls(settings: &OtlpSettings, said: &Said<'_>) -> TlsSettings {
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
fn headers(settings: &OtlpSettings, said: &Said<'_>) -> Result<BTreeMap<String, String>, OtlpError> {
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

/// Who we are, as far as the variables don't say it.
fn attributes(identity: &Identity, said: &Said<'_>) -> BTreeMap<String, String> {
    let host = said("HOSTNAME").or_else(|| identity.host.clone());
    // As Prometheus names an instance.
    let instance = match (&host, identity.port) {
        (Some(host), Some(port)) => Some(format!("{host}:{port}")),
        _ => host.clone(),
    };
    let region = first(said, &["AWS_REGION", "AWS_DEFAULT_REGION"]).map(|(_, region)| region);
    let region = region.or_else(|| identity.region.clone());
    let mut attributes: BTreeMap<String, String> = [
        ("service.name", Some("hotshard".to_owned())),
        ("service.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("service.instance.id", instance),
        ("host.name", host),
        ("cloud.provider", region.is_some().then(|| "aws".to_owned())),
        ("cloud.region", region),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    attributes.extend(
        said("OTEL_RESOURCE_ATTRIBUTES")
            .map(|value| pairs(&value))
            .unwrap_or_default(),
    );
    if let Some(name) = said("OTEL_SERVICE_NAME") {
        attributes.insert("service.name".to_owned(), name);
    }
    attributes
}

/// `name=value,name=value`, percent-encoded. What isn't a pair is left out, as the specification has it.
fn pairs(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), decoded(value.trim())))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                bytes.push(value);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of `[otlp]` in these variables.
    fn check(toml: &str, variables: &[(&str, &str)], expected: &str) {
        let settings: OtlpSettings = toml::from_str(toml).expect("the settings can be read");
        let outcome = Push::resolve(&settings, &Identity::default(), |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let told = match outcome {
            Ok(None) => "off".to_owned(),
            Ok(Some(push)) => format!(
                "{:?} {} every {:?} within {:?} {:?} {:?} {:?} {}",
                push.protocol,
                push.url,
                push.interval,
                push.timeout,
                push.temporality,
                push.compression,
                push.headers,
                push.attributes["service.name"],
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected, "{toml} {variables:?}");
    }

    #[test]
    fn nothing_is_pushed_unless_somebody_names_a_collector() {
        check("", &[], "off");
        check("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], "off");
        let named = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")];
        check("", &[named[0], ("OTEL_SDK_DISABLED", "true")], "off");
        check("", &[named[0], ("OTEL_METRICS_EXPORTER", "none")], "off");
    }

    #[test]
    fn the_port_says_how_and_http_gets_its_path() {
        check(
            "endpoint = 'http://c:4317'",
            &[],
            "Grpc http://c:4317 every 60s within 10s Cumulative None {} hotshard",
        );
        check(
            "endpoint = 'http://c:4318/'",
            &[],
            "Http http://c:4318/v1/metrics every 60s within 10s Cumulative None {} hotshard",
        );
        check(
            "",
            &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://c/otlp")],
            "Http https://c/otlp every 60s within 10s Cumulative None {} hotshard",
        );
    }

    #[test]
    fn settings_win_over_variables_and_those_of_metrics_over_those_of_all() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "X-Tenant=a%20b,bad"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,team=y"),
            ("OTEL_SERVICE_NAME", "z"),
        ];
        check(
            "",
            &variables,
            "Grpc http://c:1 every 5s within 3s Delta Gzip {\"x-tenant\": \"a b\"} z",
        );
        check(
            "endpoint = 'http://d:1'\nprotocol = 'http'\ninterval = '15s'\ntimeout = 1\ntemporality = 'cumulative'\ncompression = 'none'",
            &variables,
            "Http http://d:1/v1/metrics every 15s within 1s Cumulative None {\"x-tenant\": \"a b\"} z",
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_cure() {
        check(
            "endpoint = 'collector:4317'",
            &[],
            "`collector:4317` is no address of a collector; write one such as http://127.0.0.1:4317 in otlp.endpoint",
        );
        check(
            "endpoint = 'http://c'",
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            "OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`; write grpc or http/protobuf",
        );
        check(
            "endpoint = 'http://c'",
            &[("OTEL_METRIC_EXPORT_INTERVAL", "1m")],
            "OTEL_METRIC_EXPORT_INTERVAL is `1m`; write milliseconds",
        );
    }

    #[test]
    fn headers_come_from_a_file_and_never_show() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("headers");
        std::fs::write(&path, "# a comment\n\nAuthorization: Bearer a:b\n").expect("it can be written");
        let mut settings = OtlpSettings {
            endpoint: Some("http://c".into()),
            headers_file: Some(path.clone()),
            ..OtlpSettings::default()
        };
        let push = Push::resolve(&settings, &Identity::default(), |_| None)
            .expect("it is sound")
            .expect("it is on");
        assert_eq!(push.headers["authorization"], "Bearer a:b");
        std::fs::write(&path, "hunter2\n").expect("it can be written");
        settings.headers_file = Some(path);
        let error = Push::resolve(&settings, &Identity::default(), |_| None)
            .err()
            .expect("it is no header");
        assert!(error.to_string().starts_with("line 1 of ") && !error.to_string().contains("hunter2"));
    }

    #[test]
    fn who_we_are_is_said_by_variables_or_found_out() {
        let check = |identity: &Identity, variables: &[(&str, &str)], expected: &str| {
            let settings = OtlpSettings {
                endpoint: Some("http://c".into()),
                ..OtlpSettings::default()
            };
            let said = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let push = Push::resolve(&settings, identity, said).expect("it is sound");
            let mut attributes = push.expect("it is on").attributes;
            assert_eq!(
                attributes.remove("service.version").as_deref(),
                Some(env!("CARGO_PKG_VERSION"))
            );
            let shown: Vec<String> = attributes
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            assert_eq!(shown.join(" "), expected, "{variables:?}");
        };
        let found = Identity {
            host: Some("box".into()),
            port: Some(9468),
            region: Some("eu-central-1".into()),
        };
        check(
            &found,
            &[],
            "cloud.provider=aws cloud.region=eu-central-1 host.name=box service.instance.id=box:9468 service.name=hotshard",
        );
        check(
            &found,
            &[
                ("HOSTNAME", "hotshard-2"),
                ("AWS_REGION", "us-east-1"),
                ("OTEL_SERVICE_NAME", "shards"),
            ],
            "cloud.provider=aws cloud.region=us-east-1 host.name=hotshard-2 service.instance.id=hotshard-2:9468 service.name=shards",
        );
        check(
            &Identity::default(),
            &[(
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.instance.id=a%3Ab,deployment.environment.name=prod",
            )],
            "deployment.environment.name=prod service.instance.id=a:b service.name=hotshard",
        );
    }

    #[test]
    fn every_variable_about_time_and_trust_is_heard() {
        let variables = [
            ("OTEL_METRIC_EXPORT_TIMEOUT", "7000"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/metrics.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/client.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/client.key"),
        ];
        let settings: OtlpSettings =
            toml::from_str("endpoint = 'https://c'\ncert_file = '/ours.pem'").expect("settings");
        let said = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let push = Push::resolve(&settings, &Identity::default(), said)
            .expect("it is sound")
            .expect("it is on");
        let tls = [&push.tls.ca_file, &push.tls.cert_file, &push.tls.key_file]
            .map(|path| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default());
        assert_eq!(push.timeout, Duration::from_secs(7));
        assert_eq!(tls, ["/metrics.pem", "/ours.pem", "/client.key"]);
    }
}
