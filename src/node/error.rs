//! Why a server can't be spoken to, each with its cure.

use std::io;
use std::time::Duration;

use redis::ServerError;

use super::credentials::CredentialsError;
use crate::model::Endpoint;

/// Why a connection could not be opened, or a command not be answered.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The name leads to no address.
    #[error("cannot resolve {endpoint}: {source}; check the name and the resolver of this host")]
    Unresolved {
        /// What was asked for.
        endpoint: Endpoint,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing listens there.
    #[error("cannot reach {0}: connection refused; check the port and that the server runs")]
    Refused(Endpoint),
    /// The network says no.
    #[error("cannot reach {endpoint}: {source}")]
    Unreachable {
        /// What was asked for.
        endpoint: Endpoint,
        /// What the network said.
        source: io::Error,
    },
    /// No answer within the time allowed.
    #[error("{endpoint} did not {what} within {after:?}; check security groups, firewalls and the server's load")]
    TimedOut {
        /// Who was silent.
        endpoint: Endpoint,
        /// What was waited for: `connect`, `complete the TLS handshake`, `answer INFO`.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The port speaks TLS, and we didn't.
    #[error("{0} speaks TLS only; set tls.enabled = true (--tls)")]
    TlsNeeded(Endpoint),
    /// The port doesn't speak TLS, and we did.
    #[error("{0} does not speak TLS; set tls.enabled = false (--no-tls)")]
    NotTls(Endpoint),
    /// The certificate comes from nobody we trust.
    #[error(
        "cannot trust {0}: TLS handshake failed: unknown issuer; set tls.ca_file to the CA that signed its certificate"
    )]
    UnknownIssuer(Endpoint),
    /// The certificate is somebody else's.
    #[error(
        "cannot trust {endpoint}: its certificate is not for this name{holders}; connect by one of its names or set tls.server_name"
    )]
    NameMismatch {
        /// Who was asked.
        endpoint: Endpoint,
        /// ` but for …`, or nothing.
        holders: String,
    },
    /// The certificate is not acceptable for another reason.
    #[error(
        "cannot trust {endpoint}: TLS handshake failed: {reason}; mend the server's certificate or the clock of this host"
    )]
    Certificate {
        /// Who was asked.
        endpoint: Endpoint,
        /// Such as `certificate expired`.
        reason: String,
    },
    /// The server wants a certificate of ours.
    #[error("{0} demands a client certificate; set tls.cert_file and tls.key_file")]
    ClientCertificate(Endpoint),
    /// The credentials can't be read.
    #[error("cannot log in to {endpoint}: {source}")]
    Credentials {
        /// Where they were needed.
        endpoint: Endpoint,
        /// What is wrong with them.
        source: CredentialsError,
    },
    /// The server knows no such user with such a password.
    #[error("{endpoint} refused the password {origins}; check it and auth.username")]
    WrongPassword {
        /// Who refused.
        endpoint: Endpoint,
        /// Where the passwords came from: `in $REDIS_PASSWORD for user monitor`.
        origins: String,
    },
    /// The server demands a password, and there is none.
    #[error("{0} demands a password; set auth.password_env or auth.password_file (and auth.username for RBAC)")]
    AuthRequired(Endpoint),
    /// The user may not do this.
    #[error("{endpoint} does not permit the user `{right}`; grant it (`hotshard check` prints the whole ACL rule)")]
    NoPermission {
        /// Who refused.
        endpoint: Endpoint,
        /// The right that is missing, as ACL writes it: `+monitor`.
        right: String,
    },
    /// The server is still reading its data.
    #[error("{0} is loading its data set; it will answer when that is done")]
    Loading(Endpoint),
    /// The server takes only local clients.
    #[error("{0} is in protected mode and refuses other hosts; set a password or `protected-mode no` on the server")]
    ProtectedMode(Endpoint),
    /// The server is full.
    #[error("{0} has no room for another client; raise its maxclients or find who holds the connections")]
    MaxClients(Endpoint),
    /// The server ended the connection.
    #[error("{0} closed the connection")]
    Closed(Endpoint),
    /// The server refused a command for a reason of its own.
    #[error("{endpoint} refused {command}: {message}")]
    Rejected {
        /// Who refused.
        endpoint: Endpoint,
        /// Which command.
        command: String,
        /// The server's words.
        message: String,
    },
    /// What came is no answer of Redis.
    #[error("{endpoint} does not speak the Redis protocol ({what}); check the port")]
    Protocol {
        /// Who was asked.
        endpoint: Endpoint,
        /// What was wrong.
        what: String,
    },
}

impl LinkError {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } => "unresolved",
            Self::Refused(_) => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::TlsNeeded(_) => "tls_needed",
            Self::NotTls(_) => "not_tls",
            Self::UnknownIssuer(_) => "unknown_issuer",
            Self::NameMismatch { .. } => "name_mismatch",
            Self::Certificate { .. } => "certificate",
            Self::ClientCertificate(_) => "client_certificate",
            Self::Credentials { .. } => "credentials",
            Self::WrongPassword { .. } => "wrong_password",
            Self::AuthRequired(_) => "auth_required",
            Self::NoPermission { .. } => "no_permission",
            Self::Loading(_) => "loading",
            Self::ProtectedMode(_) => "protected_mode",
            Self::MaxClients(_) => "max_clients",
            Self::Closed(_) => "closed",
            Self::Rejected { .. } => "rejected",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// What a server's error answer to `command` means.
    pub(super) fn refusal(endpoint: &Endpoint, command: &'static str, error: &ServerError) -> Self {
        let endpoint = endpoint.clone();
        let details = error.details().unwrap_or_default();
        match error.code() {
            "NOAUTH" => Self::AuthRequired(endpoint),
            "NOPERM" => Self::NoPermission {
                endpoint,
                right: missing_right(command, details),
            },
            "LOADING" => Self::Loading(endpoint),
            "DENIED" => Self::ProtectedMode(endpoint),
            _ if details.starts_with("max number of clients") => Self::MaxClients(endpoint),
            code => Self::Rejected {
                endpoint,
                command: command.replace('|', " "),
                message: format!("{code} {details}").trim_end().to_owned(),
            },
        }
    }

    /// What a failure of the stream means once the connection stood.
    pub(super) fn broken(endpoint: &Endpoint, error: io::Error) -> Self {
        if super::tls::wants_client_certificate(&error) {
            return Self::ClientCertificate(endpoint.clone());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed(endpoint.clone()),
            _ => Self::Unreachable {
                endpoint: endpoint.clone(),
                source: error,
            },
        }
    }
}

/// The command itself, or its keys; servers before 7.0 don't tell reading keys from writing them.
fn missing_right(command: &str, details: &str) -> String {
    let is_about_keys = details.contains("access") && details.contains("key");
    match (is_about_keys, details.starts_with("this user")) {
        (false, _) => format!("+{}", command.to_ascii_lowercase()),
        (true, true) => "~*".to_owned(),
        (true, false) => "%R~*".to_owned(),
    }
}
