//! The web configuration file, from the file to a scrape through TLS.

use std::path::Path;
use std::process::Command;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::super::{WebConfigSettings, WebSettings, bind};
use super::*;
use crate::metrics::published::Published;

/// A folder with a certificate for localhost and its key.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    renew(folder.path());
    folder
}

fn renew(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-days",
            "2",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl is missing; on Debian: apt install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

const ENCRYPTED: &str = "tls_server_config: { cert_file: cert.pem, key_file: key.pem }\n";

fn check(yaml: &str, expected: &str) {
    let folder = folder();
    let path = folder.path().join("web.yml");
    std::fs::write(&path, yaml).expect("a file");
    let outcome = match Security::read(Some(&path)) {
        Ok(security) => {
            let rules = security.rules();
            format!(
                "encrypted {}, authenticates {}",
                rules.encryption.is_some(),
                rules.authenticates()
            )
        }
        Err(error) => error.to_string().replace(&folder.path().display().to_string(), "…"),
    };
    assert_eq!(outcome, expected);
}

#[test]
fn a_file_in_the_form_of_exporters_is_understood() {
    check("", "encrypted false, authenticates false");
    check("# nothing yet\n", "encrypted false, authenticates false");
    check(ENCRYPTED, "encrypted true, authenticates false");
    check(
        "basic_auth_users:\n  ali: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n",
        "encrypted false, authenticates true",
    );
    check(
        "tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: cert.pem
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  curve_preferences: [X25519, CurveP256]
http_server_config:
  http2: false
  headers: { Strict-Transport-Security: max-age=3600 }
",
        "encrypted true, authenticates true",
    );
}

#[test]
fn a_mistake_is_named_with_its_cure_and_without_the_secret() {
    check(
        "basic_auth_users: { ali: sesame }",
        "web.config.file: the password of ali in basic_auth_users is no bcrypt hash; make one with `htpasswd -nBC 10 ali`",
    );
    check(
        "tls_server_config: { cert_file: none.pem, key_file: key.pem }",
        "cannot read …/none.pem (cert_file): No such file or directory (os error 2)",
    );
    check(
        "tls_server_config: { cert_file: cert.pem, key_file: key.pem, min_version: TLS10 }",
        "web.config.file: TLS version TLS10 isn't offered; write TLS12 or TLS13",
    );
    check(
        "tls_server_config: { cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAnyClientCert }",
        "web.config.file: a certificate that isn't verified proves nothing; set client_auth_type: RequireAndVerifyClientCert",
    );
    check(
        "tls_config: {}",
        concat!(
            "…/web.yml (web.config.file) is no web configuration file: unknown field `tls_config`, expected one of ",
            "`tls_server_config`, `http_server_config`, `basic_auth_users`"
        ),
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_comes_into_force_and_a_bad_one_changes_nothing() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    std::fs::write(&path, ENCRYPTED).expect("a file");
    let security = Security::read(Some(&path)).expect("it is a good file");
    let shutdown = CancellationToken::new();
    let watching = tokio::spawn(security.clone().watch(shutdown.clone()));
    let changes = async |before: Arc<Rules>, times: u32| {
        tokio::time::timeout(LOOK_EVERY * times, async {
            while Arc::ptr_eq(&before, &security.rules()) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
        .await
        .is_ok()
    };

    let first = security.rules();
    assert!(!changes(first.clone(), 5).await, "nothing has changed");
    std::fs::write(&path, "tls_server_config: 7").expect("a file");
    assert!(!changes(first.clone(), 5).await, "a bad file changes nothing");
    std::fs::write(&path, ENCRYPTED).expect("a file");
    renew(folder.path());
    assert!(changes(first, 1_000).await, "a renewed certificate is taken");
    shutdown.cancel();
    watching.await.expect("it ends");
}

#[tokio::test]
async fn a_scrape_through_tls_with_a_password() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    let hash = bcrypt::hash("sesame", 4).expect("a hash");
    std::fs::write(&path, format!("{ENCRYPTED}basic_auth_users: {{ ali: \"{hash}\" }}\n")).expect("a file");
    let bound = bind(WebSettings {
        listen_address: vec!["127.0.0.1:0".parse().expect("an address")],
        config: WebConfigSettings { file: Some(path) },
        ..WebSettings::default()
    })
    .await
    .expect("a free port");
    let address = bound.addresses()[0];
    let shutdown = CancellationToken::new();
    let (orders, _) = mpsc::channel(1);
    let served = tokio::spawn(bound.serve(Published::new(), orders, shutdown.clone()));

    let certificate = std::fs::read(folder.path().join("cert.pem")).expect("a certificate");
    let connector = connector(&certificate);
    let get = async |path: &str, authorization: &str| {
        let stream = TcpStream::connect(address).await.expect("someone listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = connector.connect(name, stream).await.expect("a handshake");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await.expect("someone reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer in order");
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let right = "authorization: Basic YWxpOnNlc2FtZQ==\r\n";
    let wrong = "authorization: Basic YWxpOnNlc2FtMQ==\r\n";
    assert_eq!(get("/metrics", right).await, "HTTP/1.1 200 OK");
    assert_eq!(get("/metrics", wrong).await, "HTTP/1.1 401 Unauthorized");
    assert_eq!(get("/", "").await, "HTTP/1.1 401 Unauthorized");
    assert_eq!(get("/", right).await, "HTTP/1.1 200 OK");
    assert_eq!(get("/healthz", "").await, "HTTP/1.1 200 OK");

    let mut plain = TcpStream::connect(address).await.expect("someone listens");
    plain
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("someone reads");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"),
        "plain HTTP gets nothing"
    );
    shutdown.cancel();
    served.await.expect("it ends");
}

fn connector(certificate: &[u8]) -> TlsConnector {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    roots.add(certificate).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
