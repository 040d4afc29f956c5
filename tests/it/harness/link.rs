//! hotshard's own links to the servers of a test: in plain text or over TLS, and as whom.

use std::time::Duration;

use hotshard::model::Endpoint;
use hotshard::node::{Credentials, Dialer, LinkSettings, Network, Pace, TlsSettings};
use secrecy::SecretString;

use crate::harness::server::Server;
use crate::harness::tls::Authority;

/// Short, so that a silent server doesn't hold up the tests; what answers here answers in a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn plain() -> Dialer {
    Dialer::Network(Network::plain(PATIENCE, Pace::new()))
}

pub(crate) fn encrypted(settings: &TlsSettings) -> Dialer {
    Dialer::Network(Network::encrypted(settings, PATIENCE, Pace::new()).expect("usable TLS settings"))
}

pub(crate) fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings {
        ca_file: Some(authority.ca_file()),
        ..TlsSettings::default()
    }
}

pub(crate) fn login(user: Option<&str>, password: &str) -> Credentials {
    Credentials::given(user, SecretString::from(password))
}

pub(crate) fn endpoint(server: &Server) -> Endpoint {
    Endpoint::new(server.address.ip().to_string(), server.address.port())
}

pub(crate) const SETTINGS: LinkSettings = LinkSettings {
    answer_timeout: PATIENCE,
};
