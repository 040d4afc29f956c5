//! What becomes of `[otlp]` under variables.

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
    let settings: OtlpSettings = toml::from_str("endpoint = 'https://c'\ncert_file = '/ours.pem'").expect("settings");
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
