//! TLS as a client: whom we trust, who we are, and what went wrong in words.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::LinkError;
use crate::model::Endpoint;

/// `[tls]`: whether and how connections are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// On or off; unset: what AWS says, else on for ElastiCache's own names and off for others.
    pub enabled: Option<bool>,
    /// The CA to trust instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// The name the certificate must carry, where it isn't the name connected to.
    pub server_name: Option<String>,
    /// Our own certificate (with its chain), where servers demand one.
    pub cert_file: Option<PathBuf>,
    /// The key of our own certificate.
    pub key_file: Option<PathBuf>,
    /// Take any certificate. Whoever is between can then read the password.
    pub insecure: bool,
}

/// Why the TLS settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file can't be read.
    #[error("cannot read {path} ({setting}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A PEM file holds no certificate.
    #[error("{path} ({setting}) holds no certificate; it must be a PEM file")]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
    },
    /// Only one of a certificate and its key is set.
    #[error("tls.cert_file and tls.key_file belong together; set both or none")]
    HalfAPair,
    /// The TLS library refuses what it was given.
    #[error("cannot set up TLS: {0}")]
    Refused(String),
}

impl TlsSettings {
    /// Whether `endpoint` is spoken to in TLS. `announced` is what AWS says of it.
    pub fn wanted(&self, endpoint: &Endpoint, announced: Option<bool>) -> bool {
        self.enabled
            .or(announced)
            .unwrap_or_else(|| endpoint.host().to_ascii_lowercase().ends_with(".cache.amazonaws.com"))
    }
}

/// The settings, read and ready.
#[derive(Clone, Debug)]
pub(super) struct Encryption {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

impl Encryption {
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verified = builder(&provider)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(settings, &provider)?);
        let config = match own_certificate(settings)? {
            Some((chain, key)) => verified.with_client_auth_cert(chain, key).map_err(refused)?,
            None => verified.with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
            server_name: settings.server_name.clone(),
        })
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }

    /// The name the certificate must carry.
    pub(super) fn server_name(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, LinkError> {
        let name = self.server_name.as_deref().unwrap_or(endpoint.host());
        ServerName::try_from(name.to_owned()).map_err(|_| LinkError::Certificate {
            endpoint: endpoint.clone(),
            reason: format!("`{name}` cannot be the name of a server; check tls.server_name"),
        })
    }
}

/// The settings as rustls has them, for a peer that isn't one of the nodes.
pub fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TlsError> {
    let encryption = Encryption::new(settings)?;
    Ok(Arc::unwrap_or_clone(encryption.config))
}

/// What a failed handshake means.
pub(super) fn explain(endpoint: &Endpoint, error: io::Error) -> LinkError {
    let endpoint = endpoint.clone();
    match tls_cause(&error) {
        // A bad signature is that of another authority with the same name, as after its key was replaced.
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            LinkError::UnknownIssuer(endpoint)
        }
        Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            LinkError::NameMismatch {
                endpoint,
                holders: holders(presented),
            }
        }
        Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)) => LinkError::NameMismatch {
            endpoint,
            holders: String::new(),
        },
        Some(rustls::Error::InvalidCertificate(reason)) => LinkError::Certificate {
            endpoint,
            reason: in_words(reason),
        },
        Some(rustls::Error::InvalidMessage(_)) => LinkError::NotTls(endpoint),
        Some(_) if wants_client_certificate(&error) => LinkError::ClientCertificate(endpoint),
        Some(other) => LinkError::Certificate {
            endpoint,
            reason: other.to_string(),
        },
        None => LinkError::Unreachable {
            endpoint,
            source: error,
        },
    }
}

/// The commonest of the reasons that rustls has no words for: a certificate that somebody signed with its own key.
fn in_words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is an authority's own (CA:TRUE) and not a server's".to_owned()
        }
        reason => reason.to_string(),
    }
}

/// Whether the other side ended the handshake without a word of TLS.
pub(super) fn cut_short(error: &io::Error) -> bool {
    tls_cause(error).is_none()
        && matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
}

/// Whether this failure is the server's demand for our certificate. (TLS 1.3 says it after the handshake.)
pub(super) fn wants_client_certificate(error: &io::Error) -> bool {
    matches!(
        tls_cause(error),
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired))
    )
}

/// Whether TLS is spoken on `tcp`, by whomever.
pub(super) async fn handshake_with_anyone(endpoint: &Endpoint, tcp: TcpStream) -> bool {
    let settings = TlsSettings {
        insecure: true,
        ..TlsSettings::default()
    };
    let Ok(encryption) = Encryption::new(&settings) else {
        return false;
    };
    let Ok(name) = encryption.server_name(endpoint) else {
        return false;
    };
    match encryption.connector().connect(name, tcp).await {
        Ok(_stream) => true,
        Err(error) => matches!(tls_cause(&error), Some(cause) if !matches!(cause, rustls::Error::InvalidMessage(_))),
    }
}

fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn holders(presented: &[String]) -> String {
    if presented.is_empty() {
        return String::new();
    }
    // rustls shows them as `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
    let bare = presented.iter().map(|name| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"')
    });
    format!(" but for {}", bare.collect::<Vec<_>>().join(", "))
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)
}

fn verifier(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if settings.insecure {
        return Ok(Arc::new(Anyone(Arc::clone(provider))));
    }
    let Some(path) = &settings.ca_file else {
        let verifier = Verifier::new(Arc::clone(provider)).map_err(refused)?;
        return Ok(Arc::new(verifier));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "tls.ca_file")? {
        roots.add(certificate).map_err(refused)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::Refused(error.to_string()))?;
    Ok(verifier)
}

type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own_certificate(settings: &TlsSettings) -> Result<Option<OwnCertificate>, TlsError> {
    match (&settings.cert_file, &settings.key_file) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, "tls.cert_file")?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Unreadable {
                path: key.clone(),
                setting: "tls.key_file",
                source,
            })?;
            Ok(Some((chain, key)))
        }
        _ => Err(TlsError::HalfAPair),
    }
}

fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Unreadable {
            path: path.to_owned(),
            setting,
            source,
        })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
            setting,
        });
    }
    Ok(certificates)
}

fn refused(error: rustls::Error) -> TlsError {
    TlsError::Refused(error.to_string())
}

/// Takes every certificate: `tls.insecure`, and the diagnosis of a port that may speak TLS.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &TlsSettings, endpoint: &str, announced: Option<bool>, expected: bool) {
        let endpoint = endpoint.parse().expect("a test's endpoint");
        assert_eq!(
            settings.wanted(&endpoint, announced),
            expected,
            "{endpoint} {announced:?}"
        );
    }

    #[test]
    fn tls_is_on_by_setting_else_by_what_aws_says_else_by_the_name() {
        let unset = TlsSettings::default();
        check(&unset, "10.0.3.7:6379", None, false);
        check(&unset, "orders.abc.use1.cache.amazonaws.com:6379", None, true);
        check(&unset, "orders.abc.use1.cache.amazonaws.com:6379", Some(false), false);
        check(&unset, "10.0.3.7:6379", Some(true), true);
        let off = TlsSettings {
            enabled: Some(false),
            ..TlsSettings::default()
        };
        check(&off, "10.0.3.7:6379", Some(true), false);
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let half = TlsSettings {
            cert_file: Some("client.crt".into()),
            ..TlsSettings::default()
        };
        let error = Encryption::new(&half).expect_err("half a pair");
        assert_eq!(
            error.to_string(),
            "tls.cert_file and tls.key_file belong together; set both or none"
        );
    }

    #[test]
    fn a_missing_ca_file_is_named_with_its_setting() {
        let missing = TlsSettings {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..TlsSettings::default()
        };
        let error = Encryption::new(&missing).expect_err("no such file");
        assert!(
            error
                .to_string()
                .starts_with("cannot read /nonexistent/ca.pem (tls.ca_file): "),
            "{error}"
        );
    }
}
