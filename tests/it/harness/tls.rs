//! A certificate authority of the test's own, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::tools::tool;

/// An authority, and a server certificate for `localhost` and 127.0.0.1 that it signed.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self {
            folder: TempDir::new().expect("a temporary folder"),
        };
        std::fs::write(authority.path("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            .expect("a temporary folder takes a file");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        authority.openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=tests"
        ));
        authority.openssl(&format!(
            "req {key} -keyout server.key -out server.csr -subj /CN=localhost"
        ));
        authority.openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
        );
        authority
    }

    /// What a client must trust.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.path("ca.crt")
    }

    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.path("server.crt")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.path("server.key")
    }

    /// A client's side that trusts this authority alone.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.ca_file()).expect("openssl wrote a certificate");
        roots.add(certificate).expect("our own authority is one");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions");
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new(tool("openssl"))
            .args(arguments.split(' '))
            .current_dir::<&Path>(self.folder.path())
            .output()
            .expect("openssl starts");
        assert!(
            output.status.success(),
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
