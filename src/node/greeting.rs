//! How every connection begins: log in, say our name, learn our number.

use std::time::Duration;

use redis::Value;
use secrecy::ExposeSecret;

use super::account::{Account, Connected, UNNUMBERED};
use super::credentials::{self, Credentials, Login};
use super::raw::{Command, Raw, accepted};
use super::{Dialer, LinkError};
use crate::model::Endpoint;

/// The name our connections carry on the server.
pub(super) const CLIENT_NAME: &str = "hotshard";

/// A connection that is logged in.
pub(super) struct Greeted {
    pub(super) raw: Raw,
    /// The server's number for this connection (CLIENT ID), known to be ours.
    pub(super) client: Connected,
}

/// Opens a connection and logs in.
pub(super) async fn greet(
    dialer: &Dialer,
    endpoint: &Endpoint,
    credentials: &Credentials,
    account: &Account,
    answer_timeout: Duration,
) -> Result<Greeted, LinkError> {
    let logins = credentials.logins().await.map_err(|source| LinkError::Credentials {
        endpoint: endpoint.clone(),
        source,
    })?;
    let stream = dialer.dial(endpoint).await?;
    let mut raw = Raw::new(endpoint.clone(), stream, account.clone(), answer_timeout);
    match introduce(&mut raw, &logins).await {
        Ok(client_id) => Ok(Greeted {
            raw,
            client: account.connected(client_id),
        }),
        Err(LinkError::Closed(_)) => Err(dialer.explain_silence(endpoint).await),
        Err(error) => Err(error),
    }
}

async fn introduce(raw: &mut Raw, logins: &[Login]) -> Result<u64, LinkError> {
    log_in(raw, logins).await?;
    let name = Command::new("CLIENT|SETNAME").arg(CLIENT_NAME);
    let answers = raw.exchange(&[name, Command::new("CLIENT|ID")]).await?;
    let endpoint = raw.endpoint.clone();
    let mut answers = answers.into_iter();
    known(accepted(
        &endpoint,
        "CLIENT|SETNAME",
        answers.next().unwrap_or_default(),
    ))?;
    match known(accepted(&endpoint, "CLIENT|ID", answers.next().unwrap_or_default()))? {
        Some(Value::Int(id)) => Ok(id.unsigned_abs()),
        Some(_) => Err(raw.malformed("CLIENT ID is no number".into())),
        None => Ok(UNNUMBERED),
    }
}

/// Serverless caches know few of CLIENT's subcommands, and INFO needs none of them. A server that is only busy knows them.
fn known(answer: Result<Value, LinkError>) -> Result<Option<Value>, LinkError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(LinkError::Rejected { message, .. }) if message.starts_with("ERR ") => Ok(None),
        Err(error) => Err(error),
    }
}

async fn log_in(raw: &mut Raw, logins: &[Login]) -> Result<(), LinkError> {
    for login in logins {
        match raw.ask(authentication(login)).await {
            Ok(_) => return Ok(()),
            Err(LinkError::Rejected { message, .. }) if needs_none(&message) => {
                tracing::debug!(endpoint = %raw.endpoint, "the server has no password; ours was not needed");
                return Ok(());
            }
            Err(LinkError::Rejected { message, .. }) if is_wrong(&message) => {}
            Err(error) => return Err(error),
        }
    }
    if logins.is_empty() {
        return Ok(());
    }
    Err(LinkError::WrongPassword {
        endpoint: raw.endpoint.clone(),
        origins: credentials::origins(logins),
    })
}

/// AUTH with this login.
pub(super) fn authentication(login: &Login) -> Command {
    let mut command = Command::new("AUTH");
    if let Some(username) = &login.username {
        command = command.arg(&**username);
    }
    command.arg(login.password.expose_secret())
}

/// The default user has no password: Redis 6 and later, then earlier ones.
fn needs_none(message: &str) -> bool {
    message.contains("without any password configured") || message.contains("no password is set")
}

/// Redis 6 and later, then earlier ones.
pub(super) fn is_wrong(message: &str) -> bool {
    message.starts_with("WRONGPASS") || message.contains("invalid password")
}
