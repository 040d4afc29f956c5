//! A lasting connection for commands: what is asked of a node, and what it answers, in the server's own terms.
//!
//! The greeting is ours, so that the stream is already logged in when [`redis`] takes it over and that crate sends nothing by
//! itself; with the counting stream below it, every command and byte of ours is accounted for.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::account::{Account, Allowance, Connected, Counted};
use super::client::{ClientLine, client_line};
use super::credentials::{self, Credentials};
use super::greeting::{self, Greeted, greet};
use super::raw::{Command, Unanswered, accepted, spoken};
use super::version::{Version, info};
use super::{Dialer, LinkError};
use crate::discovery::answers::{self, ShardAnswer};
use crate::discovery::role::RoleAnswer;
use crate::model::Endpoint;

/// How patient a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// How long one answer may take.
    pub answer_timeout: Duration,
}

/// A lasting connection to one node. Dropping it closes the connection.
#[derive(Debug)]
pub struct Link {
    endpoint: Endpoint,
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    account: Account,
    allowance: Allowance,
    settings: LinkSettings,
    client: Connected,
    version: Version,
    logged_in: Instant,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    /// Opens a connection, logs in, and learns the server's version.
    pub async fn open(
        dialer: &Dialer,
        endpoint: &Endpoint,
        credentials: &Credentials,
        account: &Account,
        settings: LinkSettings,
    ) -> Result<Self, LinkError> {
        let Greeted { raw, client } = greet(dialer, endpoint, credentials, account, settings.answer_timeout).await?;
        let stream = raw.into_stream()?;
        let allowance = stream.allowance();
        let (connection, driver) = take_over(endpoint, stream, settings).await?;
        let mut link = Self {
            endpoint: endpoint.clone(),
            connection,
            driver,
            account: account.clone(),
            allowance,
            settings,
            client,
            version: Version::default(),
            logged_in: Instant::now(),
        };
        link.version = Version::of_info(&link.info(&["server"]).await?);
        Ok(link)
    }

    /// Whom this link speaks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The server's number for this connection.
    pub fn client_id(&self) -> u64 {
        self.client.id()
    }

    /// The server's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where this link's cost is entered.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// How much it may still read.
    pub(super) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Logs in again where credentials hold for a time only, as IAM's do; nothing before that time has come.
    pub async fn stay_logged_in(&mut self, credentials: &Credentials) -> Result<(), LinkError> {
        let due = credentials
            .renewed_after()
            .is_some_and(|after| self.logged_in.elapsed() >= after);
        if !due {
            return Ok(());
        }
        let logins = credentials.logins().await.map_err(|source| LinkError::Credentials {
            endpoint: self.endpoint.clone(),
            source,
        })?;
        for login in &logins {
            match self.ask(greeting::authentication(login)).await {
                Ok(_) => {
                    self.logged_in = Instant::now();
                    return Ok(());
                }
                Err(LinkError::Rejected { message, .. }) if greeting::is_wrong(&message) => {}
                Err(error) => return Err(error),
            }
        }
        Err(LinkError::WrongPassword {
            endpoint: self.endpoint.clone(),
            origins: credentials::origins(&logins),
        })
    }

    /// INFO of these sections; of all of them where the server takes one section a call and several are asked for.
    pub async fn info(&self, sections: &[&str]) -> Result<String, LinkError> {
        let answer = self.ask(info(self.version, sections)).await?;
        text(&answer).ok_or_else(|| self.unexpected("INFO", &answer))
    }

    /// The node's own word on its role.
    pub async fn role(&self) -> Result<RoleAnswer, LinkError> {
        let answer = self.ask(Command::new("ROLE")).await?;
        RoleAnswer::parse(&answer).ok_or_else(|| self.unexpected("ROLE", &answer))
    }

    /// CLUSTER SHARDS (7.0 and later), else CLUSTER SLOTS; `None` if the node is in no cluster.
    pub async fn cluster(&self) -> Result<Option<Vec<ShardAnswer>>, LinkError> {
        let sharded = self.version.takes_sections();
        let command = if sharded { "CLUSTER|SHARDS" } else { "CLUSTER|SLOTS" };
        let parse = if sharded {
            answers::parse_shards
        } else {
            answers::parse_slots
        };
        match self.ask(Command::new(command)).await {
            Ok(answer) => match parse(&answer) {
                Some(shards) => Ok(Some(shards)),
                None => Err(self.unexpected(command, &answer)),
            },
            Err(LinkError::Rejected { message, .. }) if message.contains("cluster support disabled") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The node's own name for its shard; `None` where the server has none (before 7.2) or keeps it from us.
    pub async fn shard_id(&self) -> Result<Option<String>, LinkError> {
        match self.ask(Command::new("CLUSTER|MYSHARDID")).await {
            Ok(answer) => Ok(text(&answer)),
            Err(LinkError::Rejected { .. } | LinkError::NoPermission { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The connections over which this node's primary speaks to it.
    pub async fn client_list_masters(&self) -> Result<Vec<ClientLine>, LinkError> {
        self.clients(Command::new("CLIENT|LIST").arg("TYPE").arg("master"))
            .await
    }

    /// One client; `None` if it is gone. (6.2 and later)
    pub async fn client_list_id(&self, id: u64) -> Result<Option<ClientLine>, LinkError> {
        let lines = self.clients(Command::new("CLIENT|LIST").arg("ID").arg(id)).await?;
        Ok(lines.into_iter().next())
    }

    /// Where our own connections to this node come from, as its MONITOR prints them. (6.2 and later)
    pub async fn own_addresses(&self) -> Result<Vec<String>, LinkError> {
        let ours = self.account.connections();
        let command = ours
            .into_iter()
            .fold(Command::new("CLIENT|LIST").arg("ID"), Command::arg);
        let lines = self.clients(command).await?;
        Ok(lines.into_iter().map(|client| client.address).collect())
    }

    /// Every client. Costly with many: look at `connected_clients` first.
    pub async fn client_list(&self) -> Result<Vec<ClientLine>, LinkError> {
        self.clients(Command::new("CLIENT|LIST")).await
    }

    /// Closes a client; `false` if it was gone already.
    pub async fn client_kill_id(&self, id: u64) -> Result<bool, LinkError> {
        let answer = self.ask(Command::new("CLIENT|KILL").arg("ID").arg(id)).await?;
        Ok(matches!(answer, Value::Int(killed) if killed > 0))
    }

    async fn clients(&self, command: Command) -> Result<Vec<ClientLine>, LinkError> {
        let name = command.name;
        let answer = self.ask(command).await?;
        let lines = text(&answer).ok_or_else(|| self.unexpected(name, &answer))?;
        Ok(lines.lines().filter_map(client_line).collect())
    }

    pub(super) async fn ask(&self, command: Command) -> Result<Value, LinkError> {
        let mut answers = self.pipeline(vec![command]).await?;
        answers.pop().unwrap_or(Err(LinkError::Closed(self.endpoint.clone())))
    }

    /// Sends all commands at once; each has its own answer or refusal.
    pub(super) async fn pipeline(&self, commands: Vec<Command>) -> Result<Vec<Result<Value, LinkError>>, LinkError> {
        let names: Vec<&'static str> = commands.iter().map(|command| command.name).collect();
        let mut unanswered = Unanswered::of(&self.account, names.iter().copied());
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.packed);
        }
        let answers = self
            .connection
            .clone()
            .send_packed_commands(&pipeline, 0, names.len())
            .await
            .map_err(|error| self.failed(&names, &error))?;
        let answered = names.into_iter().zip(answers).map(|(name, answer)| {
            unanswered.answered(&answer);
            accepted(&self.endpoint, name, answer)
        });
        Ok(answered.collect())
    }

    fn failed(&self, commands: &[&'static str], error: &RedisError) -> LinkError {
        let endpoint = self.endpoint.clone();
        if error.is_timeout() {
            return LinkError::TimedOut {
                endpoint,
                what: format!(
                    "answer {}",
                    commands.first().map(|name| spoken(name)).unwrap_or_default()
                ),
                after: self.settings.answer_timeout,
            };
        }
        if error.is_connection_dropped() || error.is_io_error() {
            return LinkError::Closed(endpoint);
        }
        LinkError::Protocol {
            endpoint,
            what: error.to_string(),
        }
    }

    pub(super) fn unexpected(&self, command: &'static str, answer: &Value) -> LinkError {
        let kind = match answer {
            Value::Nil => "nothing",
            Value::Int(_) => "a number",
            Value::Array(_) => "an array of another shape",
            _ => "a text of another shape",
        };
        LinkError::Protocol {
            endpoint: self.endpoint.clone(),
            what: format!("{} was answered with {kind}", spoken(command)),
        }
    }
}

/// Hands a greeted stream to the crate that speaks the protocol; RESP2, no name, no password: it has nothing to send.
async fn take_over(
    endpoint: &Endpoint,
    stream: Counted,
    settings: LinkSettings,
) -> Result<(MultiplexedConnection, JoinHandle<()>), LinkError> {
    let silent = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(settings.answer_timeout));
    let (connection, driver) = MultiplexedConnection::new_with_config(&silent, stream, config)
        .await
        .map_err(|error| LinkError::Protocol {
            endpoint: endpoint.clone(),
            what: error.to_string(),
        })?;
    Ok((connection, tokio::spawn(driver)))
}

/// An answer that is a text.
pub(super) fn text(answer: &Value) -> Option<String> {
    match answer {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// The value in an answer that is one name and its value; `None` if there is no such pair.
pub(super) fn pair(answer: &Value) -> Option<String> {
    match answer {
        Value::Array(items) => items.get(1).and_then(text),
        Value::Map(pairs) => pairs.first().and_then(|(_, value)| text(value)),
        _ => None,
    }
}

/// The value of one line `name:value`.
pub(super) fn field<'info>(info: &'info str, name: &str) -> Option<&'info str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim_end)
}
