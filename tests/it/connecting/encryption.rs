//! Over TLS or in plain text: what is told from what, and whose certificate is trusted.

use std::sync::Arc;

use hotshard::model::Endpoint;
use hotshard::node::{Credentials, TlsSettings};

use super::{check, open};
use crate::harness::link::{encrypted, endpoint, login, plain, trusting};
use crate::harness::server::Server;
use crate::harness::tls::Authority;

#[tokio::test]
async fn tls_is_told_from_plain_both_ways() {
    let authority = Arc::new(Authority::new());
    let (secret, open) = (
        Server::redis().tls(&authority).start().await,
        Server::redis().start().await,
    );
    check(
        &plain(),
        &endpoint(&secret),
        &login(None, "orange"),
        "tls_needed",
        "HERE speaks TLS only; set tls.enabled = true (--tls)",
    )
    .await;
    check(
        &encrypted(&trusting(&authority)),
        &endpoint(&open),
        &login(None, "orange"),
        "not_tls",
        "HERE does not speak TLS; set tls.enabled = false (--no-tls)",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_must_come_from_whom_we_trust_and_carry_the_name() {
    let authority = Arc::new(Authority::new());
    let server = Server::redis().tls(&authority).start().await;
    let by_address = endpoint(&server);
    let by_name = Endpoint::new("localhost", server.address.port());
    let none = Credentials::none();
    let issuer = "cannot trust HERE: TLS handshake failed: unknown issuer; \
                  set tls.ca_file to the CA that signed its certificate";
    let platform = encrypted(&TlsSettings::default());
    check(&platform, &by_address, &none, "unknown_issuer", issuer).await;
    let stranger = encrypted(&trusting(&Authority::new()));
    check(&stranger, &by_address, &none, "unknown_issuer", issuer).await;
    for name in [&by_address, &by_name] {
        open(&encrypted(&trusting(&authority)), name, &none)
            .await
            .expect("the certificate is for both");
    }
    let renamed = TlsSettings {
        server_name: Some("orders.example".into()),
        ..trusting(&authority)
    };
    check(
        &encrypted(&renamed),
        &by_address,
        &none,
        "name_mismatch",
        "cannot trust HERE: its certificate is not for this name but for localhost, 127.0.0.1; \
         connect by one of its names or set tls.server_name",
    )
    .await;
    let careless = TlsSettings {
        insecure: true,
        ..renamed
    };
    open(&encrypted(&careless), &by_address, &none)
        .await
        .expect("nothing is checked");
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_told_in_words() {
    let authority = Arc::new(Authority::new());
    let server = Server::redis().tls(&authority).start().await;
    let certificate = authority.ca_file();
    let key = certificate.with_extension("key").display().to_string();
    let certificate = certificate.display().to_string();
    let itself = ["CONFIG", "SET", "tls-cert-file", &certificate, "tls-key-file", &key];
    server.call(&itself).await;
    check(
        &encrypted(&trusting(&authority)),
        &endpoint(&server),
        &Credentials::none(),
        "certificate",
        "cannot trust HERE: TLS handshake failed: its certificate is an authority's own (CA:TRUE) and not a server's; \
         mend the server's certificate or the clock of this host",
    )
    .await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_demanded() {
    let authority = Arc::new(Authority::new());
    let server = Server::redis().tls(&authority).start().await;
    server.call(&["CONFIG", "SET", "tls-auth-clients", "yes"]).await;
    check(
        &encrypted(&trusting(&authority)),
        &endpoint(&server),
        &Credentials::none(),
        "client_certificate",
        "HERE demands a client certificate; set tls.cert_file and tls.key_file",
    )
    .await;
    let known = TlsSettings {
        cert_file: Some(authority.certificate_file()),
        key_file: Some(authority.key_file()),
        ..trusting(&authority)
    };
    open(&encrypted(&known), &endpoint(&server), &Credentials::none())
        .await
        .expect("the same authority signed it");
}
