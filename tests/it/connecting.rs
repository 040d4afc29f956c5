//! Links to real servers: every way to fail has its own message with the cure, and our own load is known to the byte.

use std::net::{Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hotshard::model::{Endpoint, OwnCost};
use hotshard::node::{
    Account, AuthSettings, Credentials, Dialer, Link, LinkError, LinkSettings, Network, Pace, TlsSettings, probe,
};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::port::Port;
use crate::harness::server::{Server, ServerPlan};
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

async fn open(dialer: &Dialer, endpoint: &Endpoint, credentials: &Credentials) -> Result<Link, LinkError> {
    Link::open(dialer, endpoint, credentials, &Account::new(), SETTINGS).await
}

/// The failure's label, and its message with `HERE` for the endpoint.
async fn check(dialer: &Dialer, endpoint: &Endpoint, credentials: &Credentials, kind: &str, message: &str) {
    let error = open(dialer, endpoint, credentials).await.expect_err("it must fail");
    let shown = error.to_string().replace(&endpoint.to_string(), "HERE");
    assert_eq!((error.kind(), shown.as_str()), (kind, message));
}

#[tokio::test]
async fn a_name_without_an_address_is_named() {
    let nowhere = Endpoint::new("no-such-host.invalid", 6379);
    let error = open(&plain(), &nowhere, &Credentials::none())
        .await
        .expect_err("it must fail");
    assert_eq!(error.kind(), "unresolved");
    let message = error.to_string();
    assert!(
        message.starts_with("cannot resolve no-such-host.invalid:6379: "),
        "{message}"
    );
    assert!(
        message.ends_with("check the name and the resolver of this host"),
        "{message}"
    );
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_refused() {
    let port = Port::lease();
    check(
        &plain(),
        &Endpoint::new("127.0.0.1", port.number()),
        &Credentials::none(),
        "refused",
        "cannot reach HERE: connection refused; check the port and that the server runs",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let server = Server::redis().start().await;
    let link = open(&plain(), &endpoint(&server), &Credentials::none())
        .await
        .expect("it answers");
    server.freeze();
    check(
        &plain(),
        &endpoint(&server),
        &Credentials::none(),
        "timed_out",
        "HERE did not answer CLIENT SETNAME within 2s; check security groups, firewalls and the server's load",
    )
    .await;
    let error = probe::poll(&link).await.expect_err("it hangs");
    assert!(error.to_string().contains("did not answer INFO within 2s"), "{error}");
    server.thaw();
}

#[tokio::test]
async fn a_server_that_dies_closes_the_link() {
    let mut server = Server::redis().start().await;
    let link = open(&plain(), &endpoint(&server), &Credentials::none())
        .await
        .expect("it answers");
    server.crash().await;
    let error = probe::poll(&link).await.expect_err("it is gone");
    assert_eq!(error.kind(), "closed", "{error}");
}

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

#[tokio::test]
async fn passwords_are_asked_for_and_checked() {
    let server = Server::redis()
        .password("orange")
        .user("watcher", "lemon", "+@all")
        .start()
        .await;
    let here = endpoint(&server);
    check(
        &plain(),
        &here,
        &Credentials::none(),
        "auth_required",
        "HERE demands a password; set auth.password_env or auth.password_file (and auth.username for RBAC)",
    )
    .await;
    for (user, password) in [(None, "orange"), (Some("watcher"), "lemon")] {
        open(&plain(), &here, &login(user, password))
            .await
            .expect("it is right");
    }
    check(
        &plain(),
        &here,
        &login(None, "lemon"),
        "wrong_password",
        "HERE refused the password given; check it and auth.username",
    )
    .await;
    check(
        &plain(),
        &here,
        &login(Some("watcher"), "orange"),
        "wrong_password",
        "HERE refused the password given for user watcher; check it and auth.username",
    )
    .await;
}

#[tokio::test]
async fn a_password_nobody_asked_for_does_no_harm() {
    for plan in [Server::redis(), Server::redis6(), Server::valkey9()] {
        let server = plan.start().await;
        open(&plain(), &endpoint(&server), &login(None, "orange"))
            .await
            .expect("it needs none");
    }
}

#[tokio::test]
async fn a_rotated_password_file_needs_no_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("token");
    let credentials = Credentials::new(&AuthSettings {
        username: Some("watcher".into()),
        password_file: Some(path.clone()),
        ..AuthSettings::default()
    });
    let server = Server::redis().user("watcher", "first", "+@all").start().await;
    let write = |password: &str| std::fs::write(&path, password).expect("the folder is writable");
    write("first\n");
    open(&plain(), &endpoint(&server), &credentials)
        .await
        .expect("the first");
    server
        .call(&["ACL", "SETUSER", "watcher", "resetpass", ">second"])
        .await;
    let refusal = format!(
        "HERE refused the password in {} for user watcher; check it and auth.username",
        path.display()
    );
    check(&plain(), &endpoint(&server), &credentials, "wrong_password", &refusal).await;
    write("second\n");
    open(&plain(), &endpoint(&server), &credentials)
        .await
        .expect("the second");
    std::fs::remove_file(&path).expect("it was there");
    let missing = format!(
        "cannot log in to HERE: cannot read {} (auth.password_file): No such file or directory (os error 2)",
        path.display()
    );
    check(&plain(), &endpoint(&server), &credentials, "credentials", &missing).await;
}

#[tokio::test]
async fn a_missing_right_is_named_as_acl_writes_it() {
    let server = Server::redis()
        .user("nobody", "lemon", "-@all +auth")
        .user("reader", "lemon", "-@all +auth +client|setname +client|id +info")
        .start()
        .await;
    check(
        &plain(),
        &endpoint(&server),
        &login(Some("nobody"), "lemon"),
        "no_permission",
        "HERE does not permit the user `+client|setname`; grant it (`hotshard check` prints the whole ACL rule)",
    )
    .await;
    let link = open(&plain(), &endpoint(&server), &login(Some("reader"), "lemon"))
        .await
        .expect("its rights suffice");
    let error = probe::poll(&link).await.expect_err("it may not ask for the role");
    assert!(error.to_string().contains("`+role`"), "{error}");
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = Server::redis().set("maxclients", "1").start().await;
    let _only = server.connect().await;
    check(
        &plain(),
        &endpoint(&server),
        &Credentials::none(),
        "max_clients",
        "HERE has no room for another client; raise its maxclients or find who holds the connections",
    )
    .await;
}

/// What a server might say that none here can be made to say.
async fn check_saying(words: &'static str, kind: &str, message: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a new socket");
    let here = Endpoint::new("127.0.0.1", listener.local_addr().expect("it is bound").port());
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
    let speaker = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(words.as_bytes()).await;
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
    });
    check(&plain(), &here, &Credentials::none(), kind, message).await;
    speaker.abort();
}

#[tokio::test]
async fn what_a_server_says_at_the_door_is_understood() {
    check_saying(
        "-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
        "protected_mode",
        "HERE is in protected mode and refuses other hosts; set a password or `protected-mode no` on the server",
    )
    .await;
    check_saying(
        "-LOADING Redis is loading the dataset in memory\r\n:1\r\n",
        "loading",
        "HERE is loading its data set; it will answer when that is done",
    )
    .await;
    check_saying(
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "protocol",
        "HERE does not speak the Redis protocol (an answer begins with byte 0x48); check the port",
    )
    .await;
    check_saying("*1000000000\r\n", "closed", "HERE closed the connection").await;
    check_saying("", "closed", "HERE closed the connection").await;
}

#[tokio::test]
async fn ipv6_is_spoken() {
    let server = Server::redis().set("bind", "127.0.0.1 ::1").start().await;
    let here = Endpoint::new(Ipv6Addr::LOCALHOST.to_string(), server.address.port());
    let link = open(&plain(), &here, &Credentials::none()).await.expect("it listens");
    let clients = link.client_list().await.expect("an answer");
    let ours = clients
        .iter()
        .find(|client| client.id == link.client_id())
        .expect("we are there");
    assert!(ours.address.starts_with("[::1]:"), "{}", ours.address);
    assert_eq!(ours.name, "hotshard");
}

#[tokio::test]
async fn our_own_load_is_known_to_the_byte() {
    check_own_cost(Server::redis(), &plain(), &Credentials::none()).await;
    check_own_cost(Server::redis6(), &plain(), &Credentials::none()).await;
    check_own_cost(Server::valkey8(), &plain(), &Credentials::none()).await;
    check_own_cost(Server::valkey9(), &plain(), &Credentials::none()).await;
    let authority = Arc::new(Authority::new());
    let plan = Server::redis().tls(&authority).user("watcher", "lemon", "+@all");
    check_own_cost(
        plan,
        &encrypted(&trusting(&authority)),
        &login(Some("watcher"), "lemon"),
    )
    .await;
}

/// Nobody else speaks to the server between two polls, so its counters moved by what we did.
async fn check_own_cost(plan: ServerPlan, dialer: &Dialer, credentials: &Credentials) {
    let server = plan.start().await;
    let account = Account::new();
    let link = Link::open(dialer, &endpoint(&server), credentials, &account, SETTINGS)
        .await
        .expect("it answers");
    let before = probe::poll(&link).await.expect("an answer");
    let other = Link::open(dialer, &endpoint(&server), credentials, &account, SETTINGS)
        .await
        .expect("it answers");
    other.client_list_masters().await.expect("an answer");
    assert!(other.cluster().await.expect("an answer").is_none());
    assert!(other.shard_id().await.expect("an answer").is_none());
    assert!(link.client_kill_id(other.client_id()).await.expect("an answer"));
    let after = probe::poll(&link).await.expect("an answer");
    let own = after.own.since(&before.own);
    let moved = |field: &str| number(&after.info, field) - number(&before.info, field);
    let version = after
        .info
        .lines()
        .find(|line| line.contains("_version:"))
        .unwrap_or_default();
    assert_eq!(own.bytes_in.0, moved("total_net_input_bytes"), "{version}: {own:?}");
    assert_eq!(own.bytes_out.0, moved("total_net_output_bytes"), "{version}: {own:?}");
    assert_eq!(own.calls(), moved("total_commands_processed"), "{version}: {own:?}");
    assert_eq!(calls(&own), calls_counted(&before.info, &after.info), "{version}");
}

fn number(info: &str, field: &str) -> u64 {
    let value = info
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).expect("INFO has the field")
}

/// Calls by the part before the bar: that is how older servers count.
fn calls(own: &OwnCost) -> Vec<(String, u64)> {
    let named = own.commands.iter().map(|(name, calls)| ((*name).to_owned(), *calls));
    by_container(named)
}

fn calls_counted(before: &str, after: &str) -> Vec<(String, u64)> {
    let read = |info: &str| -> Vec<(String, u64)> {
        let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
        let named = lines.filter_map(|line| {
            let (name, fields) = line.split_once(":calls=")?;
            Some((name.to_uppercase(), fields.split(',').next()?.parse().ok()?))
        });
        by_container(named)
    };
    let before = read(before);
    let earlier = |name: &str| {
        before
            .iter()
            .find(|(known, _)| known == name)
            .map_or(0, |(_, calls)| *calls)
    };
    read(after)
        .into_iter()
        .map(|(name, calls)| (name.clone(), calls - earlier(&name)))
        .filter(|(_, calls)| *calls > 0)
        .collect()
}

fn by_container(named: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut sums = std::collections::BTreeMap::new();
    for (name, calls) in named {
        let container = name.split('|').next().unwrap_or_default().to_owned();
        *sums.entry(container).or_insert(0) += calls;
    }
    sums.into_iter().collect()
}

#[tokio::test]
async fn what_is_planted_as_a_secret_shows_in_no_message() {
    let server = Server::redis().password("orange").start().await;
    let credentials = login(Some("watcher"), "planted-secret");
    let error = open(&plain(), &endpoint(&server), &credentials)
        .await
        .expect_err("it is wrong");
    assert!(!format!("{error} {error:?} {credentials:?}").contains("planted-secret"));
}
