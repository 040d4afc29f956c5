//! The two ways to a collector: gRPC and HTTP, both over our own TLS.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_otlp::{Compression, MetricExporter, Protocol, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::metrics::Temporality;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::push::{OtlpError, Push};
use super::settings::{OtlpCompression, OtlpProtocol, OtlpTemporality};
use crate::node::client_config;

/// The port of gRPC where the address names none.
const GRPC_PORT: u16 = 4317;

/// What sends.
pub(super) fn exporter(push: &Push) -> Result<MetricExporter, OtlpError> {
    match push.protocol {
        OtlpProtocol::Grpc => grpc(push),
        OtlpProtocol::Http => http(push),
    }
}

fn grpc(push: &Push) -> Result<MetricExporter, OtlpError> {
    let builder = MetricExporter::builder()
        .with_temporality(temporality(push))
        .with_tonic()
        .with_channel(channel(push)?)
        .with_metadata(MetadataMap::from_headers(headers(push)?))
        .with_timeout(push.timeout);
    let builder = match push.compression {
        OtlpCompression::Gzip => builder.with_compression(Compression::Gzip),
        OtlpCompression::None => builder,
    };
    builder.build().map_err(refused)
}

fn http(push: &Push) -> Result<MetricExporter, OtlpError> {
    // A redirect could carry the headers to somebody else.
    let client = reqwest::blocking::Client::builder()
        .timeout(push.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(client_config(&push.tls)?)
        .build()
        .map_err(refused)?;
    headers(push)?;
    let headers: HashMap<String, String> = push.headers.clone().into_iter().collect();
    let builder = MetricExporter::builder()
        .with_temporality(temporality(push))
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&push.url)
        .with_headers(headers)
        .with_timeout(push.timeout);
    let builder = match push.compression {
        OtlpCompression::Gzip => builder.with_compression(Compression::Gzip),
        OtlpCompression::None => builder,
    };
    builder.build().map_err(refused)
}

/// A connection that is made when it is needed, and made again when it broke.
fn channel(push: &Push) -> Result<Channel, OtlpError> {
    let endpoint = Endpoint::from_shared(push.url.clone())
        .map_err(refused)?
        .connect_timeout(push.timeout)
        .timeout(push.timeout);
    let uri = endpoint.uri().clone();
    if uri.scheme_str() != Some("https") {
        return Ok(endpoint.connect_lazy());
    }
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(GRPC_PORT);
    let name = ServerName::try_from(host.clone()).map_err(refused)?;
    let mut config = client_config(&push.tls)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let dial = tower::service_fn(move |_: Uri| {
        let (connector, name, address) = (connector.clone(), name.clone(), (host.clone(), port));
        async move {
            let tcp = TcpStream::connect(address).await?;
            Ok::<_, io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
        }
    });
    Ok(endpoint.connect_with_connector_lazy(dial))
}

fn headers(push: &Push) -> Result<HeaderMap, OtlpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &push.headers {
        let unfit = || OtlpError::Header(name.clone());
        let key = HeaderName::try_from(name).map_err(|_| unfit())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| unfit())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn temporality(push: &Push) -> Temporality {
    match push.temporality {
        OtlpTemporality::Cumulative => Temporality::Cumulative,
        OtlpTemporality::Delta => Temporality::Delta,
    }
}

fn refused(error: impl std::fmt::Display) -> OtlpError {
    OtlpError::Refused(error.to_string())
}
