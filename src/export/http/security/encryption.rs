//! `tls_server_config`: the names of Go's TLS library, which exporters use, in terms of ours.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::file::{Contents, TlsConfig, WebConfigError};

fn unusable(text: impl Into<String>) -> WebConfigError {
    WebConfigError::Unusable(text.into())
}

/// Whether every client proves who it is.
pub(super) fn proves_clients(tls: &TlsConfig) -> bool {
    tls.client_auth_type == "RequireAndVerifyClientCert"
}

/// How connections are encrypted.
pub(super) fn server_config(tls: &TlsConfig, contents: &Contents) -> Result<Arc<ServerConfig>, WebConfigError> {
    let provider = Arc::new(provider(tls)?);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(tls)?)
        .map_err(|error| unusable(format!("cipher_suites and TLS versions don't fit: {error}")))?;
    let builder = match client_verifier(tls, contents, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let certificates: Vec<CertificateDer<'static>> = pem(&contents.certificates, "cert_file")?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key)
        .map_err(|error| unusable(format!("key_file holds no private key in PEM: {error}")))?;
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| unusable(format!("cert_file and key_file can't be used: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    Ok(Arc::new(config))
}

fn pem(bytes: &[u8], setting: &str) -> Result<Vec<CertificateDer<'static>>, WebConfigError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(format!("{setting} is no PEM file: {error}")))?;
    if certificates.is_empty() {
        return Err(unusable(format!(
            "{setting} holds no certificate; it must be a PEM file"
        )));
    }
    Ok(certificates)
}

fn versions(tls: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, WebConfigError> {
    let number = |name: &str, unset| match name {
        "" => Ok(unset),
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        other => Err(unusable(format!(
            "TLS version {other} isn't offered; write TLS12 or TLS13"
        ))),
    };
    let (lowest, highest) = (number(&tls.min_version, 12)?, number(&tls.max_version, 13)?);
    let versions: Vec<_> = [(12, &TLS12), (13, &TLS13)]
        .into_iter()
        .filter(|(number, _)| (lowest..=highest).contains(number))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err(unusable("min_version is above max_version"));
    }
    Ok(versions)
}

fn provider(tls: &TlsConfig) -> Result<CryptoProvider, WebConfigError> {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.cipher_suites.is_empty() {
        let named = |name: &String| {
            let found = provider.cipher_suites.iter().find(|suite| {
                // Only the names of TLS 1.3 differ.
                format!("{:?}", suite.suite()).replace("TLS13_", "TLS_") == *name
            });
            found
                .copied()
                .ok_or_else(|| unusable(format!("cipher suite {name} isn't offered")))
        };
        provider.cipher_suites = tls.cipher_suites.iter().map(named).collect::<Result<_, _>>()?;
    }
    if !tls.curve_preferences.is_empty() {
        let named = |name: &String| {
            let group = match name.as_str() {
                "CurveP256" => NamedGroup::secp256r1,
                "CurveP384" => NamedGroup::secp384r1,
                "X25519" => NamedGroup::X25519,
                "X25519MLKEM768" => NamedGroup::X25519MLKEM768,
                _ => return Err(unusable(format!("curve {name} isn't offered"))),
            };
            let found = provider.kx_groups.iter().find(|offered| offered.name() == group);
            found
                .copied()
                .ok_or_else(|| unusable(format!("curve {name} isn't offered")))
        };
        provider.kx_groups = tls.curve_preferences.iter().map(named).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

fn client_verifier(
    tls: &TlsConfig,
    contents: &Contents,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, WebConfigError> {
    let optional = match (tls.client_auth_type.as_str(), &contents.client_authorities) {
        ("" | "NoClientCert", None) => return Ok(None),
        ("" | "NoClientCert", Some(_)) => {
            return Err(unusable(
                "client_ca_file is set, but client_auth_type asks for no certificate",
            ));
        }
        ("VerifyClientCertIfGiven", _) => true,
        ("RequireAndVerifyClientCert", _) => false,
        ("RequestClientCert" | "RequireAnyClientCert", _) => {
            return Err(unusable(
                "a certificate that isn't verified proves nothing; set client_auth_type: RequireAndVerifyClientCert",
            ));
        }
        (other, _) => return Err(unusable(format!("client_auth_type {other} is unknown"))),
    };
    let Some(authorities) = &contents.client_authorities else {
        return Err(unusable("client_auth_type needs client_ca_file"));
    };
    let mut roots = RootCertStore::empty();
    for certificate in pem(authorities, "client_ca_file")? {
        roots.add(certificate).map_err(|error| {
            unusable(format!(
                "client_ca_file holds a certificate that can't be used: {error}"
            ))
        })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    let verifier = builder
        .build()
        .map_err(|error| unusable(format!("client_ca_file can't be used: {error}")))?;
    Ok(Some(verifier))
}
