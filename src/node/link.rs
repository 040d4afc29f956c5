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
use super::credentials::{self, Credentials};
use super::greeting::{self, Greeted, greet};
use super::raw::{Command, Unanswered, accepted, spoken};
use super::{Dialer, LinkError};
use crate::discovery::answers::{self, ShardAnswer};
use crate::discovery::role::RoleAnswer;
use crate::model::{Bytes, Endpoint};

/// How patient a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// How long one answer may take.
    pub answer_timeout: Duration,
}

/// A server's version as far as it decides what may be asked. Valkey tells the Redis version it is compatible with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the first dot.
    pub major: u16,
    /// After it.
    pub minor: u16,
}

impl Version {
    /// Reads `redis_version` from INFO's section `server`; zero if it isn't there.
    pub fn of_info(info: &str) -> Self {
        let written = field(info, "redis_version").unwrap_or_default();
        let mut parts = written.split('.').map(|part| part.parse().unwrap_or(0));
        Self {
            major: parts.next().unwrap_or(0),
            minor: parts.next().unwrap_or(0),
        }
    }

    /// Whether CLIENT LIST finds a client by its number: without that nobody can see what the server holds for us.
    pub fn lists_clients_by_id(self) -> bool {
        self >= Self { major: 6, minor: 2 }
    }

    /// Whether INFO takes several sections in one call.
    pub fn takes_sections(self) -> bool {
        self >= Self { major: 7, minor: 0 }
    }
}

/// One line of CLIENT LIST, as far as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLine {
    /// The server's number for the connection.
    pub id: u64,
    /// Where it comes from, `host:port`.
    pub address: String,
    /// The name it gave itself.
    pub name: String,
    /// The server's letters for its state; `O` is MONITOR.
    pub flags: String,
    /// What the server holds in its output buffer for this client.
    pub output_memory: Bytes,
    /// What it has sent to this client (Valkey 8.0).
    pub output: Option<Bytes>,
    /// How many commands of this client it has executed (Valkey 8.0).
    pub commands: Option<u64>,
}

impl ClientLine {
    /// Whether this client reads a MONITOR stream.
    pub fn monitors(&self) -> bool {
        self.flags.contains('O')
    }

    /// Whether it is one of our own connections.
    pub fn is_ours(&self) -> bool {
        self.name == greeting::CLIENT_NAME
    }

    /// Whether it is a client proper: no replica, no primary, and not the copy of everything that MONITOR sends.
    pub fn is_client(&self) -> bool {
        !self.flags.contains(['O', 'S', 'M'])
    }
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

/// INFO as this version takes it.
pub(super) fn info(version: Version, sections: &[&str]) -> Command {
    let command = Command::new("INFO");
    match sections {
        [one] => command.arg(*one),
        several if version.takes_sections() => command.arg(several),
        _ => command.arg("all"),
    }
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

pub(super) fn client_line(line: &str) -> Option<ClientLine> {
    let mut client = ClientLine::default();
    for (name, value) in line.split(' ').filter_map(|part| part.split_once('=')) {
        match name {
            "id" => client.id = value.parse().ok()?,
            "addr" => client.address = value.to_owned(),
            "name" => client.name = value.to_owned(),
            "flags" => client.flags = value.to_owned(),
            "omem" => client.output_memory = Bytes(value.parse().ok()?),
            "tot-net-out" => client.output = value.parse().ok().map(Bytes),
            "tot-cmds" => client.commands = value.parse().ok(),
            _ => {}
        }
    }
    (client.id != 0).then_some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let shown = client_line(line).map_or("nothing".into(), |client| {
            let ClientLine {
                id,
                address,
                name,
                flags,
                output_memory,
                output,
                commands,
            } = client;
            let output = output.map(|bytes| bytes.0);
            format!("{id} {address} {name} {flags} {output_memory} {output:?} {commands:?}")
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_client_is_read_from_its_line() {
        check(
            "id=7 addr=[::1]:52304 laddr=[::1]:6379 fd=9 name=hotshard age=1 idle=0 flags=O db=0 sub=0 qbuf=0 omem=2097152 tot-mem=1 cmd=monitor user=default redir=-1 resp=2",
            "7 [::1]:52304 hotshard O 2 MiB None None",
        );
        check(
            "id=8 addr=10.0.0.1:6 name= flags=N omem=0 resp=2 lib-name= lib-ver= tot-net-in=26 tot-net-out=4096 tot-cmds=3",
            "8 10.0.0.1:6  N 0 B Some(4096) Some(3)",
        );
        check("rubbish", "nothing");
    }

    #[test]
    fn the_version_decides_how_info_is_asked() {
        let asked = |info_text: &str, sections: &[&str]| {
            let packed = info(Version::of_info(info_text), sections).packed.get_packed_command();
            String::from_utf8_lossy(&packed).replace("\r\n", " ")
        };
        assert_eq!(
            asked("redis_version:7.0.15\r\n", &["cpu", "stats"]),
            "*3 $4 INFO $3 cpu $5 stats "
        );
        assert_eq!(
            asked("redis_version:6.2.14\r\n", &["cpu", "stats"]),
            "*2 $4 INFO $3 all "
        );
        assert_eq!(asked("", &["server"]), "*2 $4 INFO $6 server ");
    }
}
