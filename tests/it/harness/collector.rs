//! A real collector of OpenTelemetry that prints every data point it takes, and TLS before it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::port::Port;
use super::process::Process;
use super::tls::Authority;
use super::tools::tool;
use super::wait::eventually;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A running rotel.
pub(crate) struct Collector {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    // Fields drop in order: the process before its folder and its ports.
    process: Process,
    _folder: TempDir,
    _ports: [Port; 2],
}

/// A series as one text, name first, then its labels in their order.
pub(crate) type Series = BTreeMap<String, f64>;

impl Collector {
    /// Starts it, and waits until it listens for both protocols.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let ports = [Port::lease(), Port::lease()];
        let [grpc, http] = [0, 1].map(|at: usize| SocketAddr::from(([127, 0, 0, 1], ports[at].number())));
        let arguments = format!(
            "start --otlp-grpc-endpoint {grpc} --otlp-http-endpoint {http} --exporter blackhole \
             --debug-log metrics --debug-log-verbosity detailed"
        );
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let process = Process::start("rotel", &tool("rotel"), &arguments, folder.path());
        for address in [grpc, http] {
            eventually("rotel listens", START_DEADLINE, async || {
                TcpStream::connect(address).await
            })
            .await;
        }
        Self {
            grpc,
            http,
            process,
            _folder: folder,
            _ports: ports,
        }
    }

    /// What it printed.
    pub(crate) fn printed(&self) -> String {
        self.process.stdout()
    }

    /// The last value that it printed of each series.
    pub(crate) fn series(&self) -> Series {
        series(&self.printed())
    }
}

fn series(printed: &str) -> Series {
    let (mut all, mut name, mut labels) = (Series::new(), "", None::<BTreeMap<&str, &str>>);
    for line in printed.lines() {
        if let Some(called) = line.strip_prefix("     -> Name: ") {
            (name, labels) = (called, None);
        } else if line == "Data point attributes:" {
            labels = Some(BTreeMap::new());
        } else if let Some(labels) = &mut labels
            && let Some((label, text)) = line.strip_prefix("     -> ").and_then(|pair| pair.split_once(": Str("))
        {
            labels.insert(label, text.trim_end_matches(')'));
        } else if let Some(value) = line.strip_prefix("Value: ") {
            let value = value.parse().expect("it prints numbers");
            all.insert(labelled(name, &labels.take().unwrap_or_default()), value);
        }
    }
    all
}

/// A series' name with its labels.
pub(crate) fn labelled(name: &str, labels: &BTreeMap<&str, &str>) -> String {
    format!("{name}{labels:?}")
}

/// Takes TLS with the authority's certificate and hands on what is inside, whichever protocol it is; lasts as long as the test.
pub(crate) async fn tls_before(inside: SocketAddr, authority: &Authority) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(authority.certificate_file()).expect("openssl wrote a certificate");
    let key = PrivateKeyDer::from_pem_file(authority.key_file()).expect("openssl wrote a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that doesn't trust the certificate hangs up here.
                let Ok(mut outer) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inner = TcpStream::connect(inside).await.expect("the collector listens");
                let _ = copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    address
}

#[test]
fn series_are_read_from_what_the_collector_prints() {
    let printed = "Metric #0\nDescriptor:\n     -> Name: a.b\n     -> Unit: \nNumberDataPoints #0\nData point attributes:\n     \
                   -> shard: Str(1)\n     -> node: Str(h)\nStartTimestamp: 1\nValue: 7.5\nMetric #1\n     -> Name: c\n\
                   NumberDataPoints #0\nValue: 1\n";
    let expected = [("a.b{\"node\": \"h\", \"shard\": \"1\"}", 7.5), ("c{}", 1.0)];
    assert_eq!(
        series(printed),
        expected.map(|(name, value)| (name.to_owned(), value)).into()
    );
}
