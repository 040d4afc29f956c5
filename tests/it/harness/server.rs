//! One server: which engine, how it is set, and the running thing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::port::Port;
use super::process::Process;
use super::resp::{Connection, Value};
use super::tls::Authority;
use super::tools::tool;
use super::wait::eventually;

/// It has its cluster bus where its port says.
const REDIS_6: &str = "redis-server-6.2";

const START_DEADLINE: Duration = Duration::from_secs(20);

/// Who logs in; the user `default` is the one of a password alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub user: String,
    pub password: String,
}

/// How a server is to be started.
#[derive(Debug, Clone)]
pub(crate) struct ServerPlan {
    program: &'static str,
    settings: Vec<(String, String)>,
    account: Option<Account>,
    authority: Option<Arc<Authority>>,
    cluster: bool,
}

impl ServerPlan {
    fn new(program: &'static str) -> Self {
        Self {
            program,
            settings: Vec::new(),
            account: None,
            authority: None,
            cluster: false,
        }
    }

    /// A directive of the server's own configuration.
    pub(crate) fn set(mut self, directive: &str, value: &str) -> Self {
        self.settings.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// A password for everybody, as ElastiCache's AUTH token.
    pub(crate) fn password(mut self, password: &str) -> Self {
        self.account = Some(Account {
            user: "default".to_owned(),
            password: password.to_owned(),
        });
        self.set("requirepass", password).set("masterauth", password)
    }

    /// One more user with its ACL rules, as ElastiCache's RBAC.
    pub(crate) fn user(self, name: &str, password: &str, rules: &str) -> Self {
        self.set("user", &format!("{name} on >{password} {rules}"))
    }

    /// TLS alone, with certificates of this authority.
    pub(crate) fn tls(mut self, authority: &Arc<Authority>) -> Self {
        self.authority = Some(Arc::clone(authority));
        self
    }

    /// Whether clients need a password.
    pub(crate) fn has_password(&self) -> bool {
        self.account.is_some()
    }

    /// What clients must trust, if the server speaks TLS.
    pub(crate) fn authority_file(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(|authority| authority.ca_file())
    }

    /// A member of a cluster to be formed.
    pub(super) fn clustered(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start(self) -> Server {
        let folder = TempDir::new().expect("a temporary folder");
        let sets_bus_port = self.program != REDIS_6;
        let (port, bus_port) = match (self.cluster, sets_bus_port) {
            (false, _) => (Port::lease(), None),
            (true, true) => (Port::lease(), Some(Port::lease())),
            (true, false) => (Port::lease_below_bus(), None),
        };
        let arguments = self.arguments(port.number(), bus_port.as_ref().map(Port::number));
        let name = format!("{}:{}", self.program, port.number());
        let process = Process::start(&name, &tool(self.program), &arguments, folder.path());
        let again = (self.program, arguments);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let ports = (port, bus_port);
        let mut server = Server {
            address,
            process,
            again,
            account: self.account,
            authority: self.authority,
            folder,
            ports,
        };
        server.answers().await;
        server
    }

    fn arguments(&self, port: u16, bus_port: Option<u16>) -> Vec<String> {
        let mut arguments: Vec<String> = Vec::new();
        let mut set = |directive: &str, value: &str| {
            arguments.push(format!("--{directive}"));
            // A user's rules, a class's limits and addresses are several words to the server.
            let words = if ["user", "client-output-buffer-limit", "bind"].contains(&directive) {
                value.split(' ').collect()
            } else {
                vec![value]
            };
            arguments.extend(words.into_iter().map(str::to_owned));
        };
        let port = port.to_string();
        let listening = if self.authority.is_some() {
            ["0", &port]
        } else {
            [&port, "0"]
        };
        set("port", listening[0]);
        set("bind", "127.0.0.1");
        // Other addresses of the loopback net are strangers to it; nothing outside reaches 127.0.0.1.
        set("protected-mode", "no");
        set("save", "");
        set("repl-diskless-sync", "yes");
        set("repl-diskless-sync-delay", "0");
        if let Some(authority) = &self.authority {
            set("tls-port", listening[1]);
            set("tls-cert-file", &authority.certificate_file().display().to_string());
            set("tls-key-file", &authority.key_file().display().to_string());
            set("tls-ca-cert-file", &authority.ca_file().display().to_string());
            set("tls-auth-clients", "no");
            set("tls-replication", "yes");
        }
        if let Some(bus_port) = bus_port {
            set("cluster-port", &bus_port.to_string());
        }
        if self.cluster {
            set("cluster-enabled", "yes");
            set("cluster-node-timeout", "1000");
            // CLUSTER SLOTS leaves out a replica whose offset is still 0, and the first ping moves it: by default after 10 s.
            set("repl-ping-replica-period", "1");
            if self.authority.is_some() {
                set("tls-cluster", "yes");
            }
        }
        self.settings
            .iter()
            .for_each(|(directive, value)| set(directive, value));
        arguments
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub address: SocketAddr,
    account: Option<Account>,
    authority: Option<Arc<Authority>>,
    process: Process,
    /// The program and its arguments.
    again: (&'static str, Vec<String>),
    // Dropped after the process.
    folder: TempDir,
    ports: (Port, Option<Port>),
}

impl Server {
    /// Redis 7.0, as ElastiCache offers it.
    pub(crate) fn redis() -> ServerPlan {
        ServerPlan::new("redis-server")
    }

    /// Redis 6.2: fewer INFO fields, no CLUSTER SHARDS. It cannot choose its bus port, so it is not for clusters.
    pub(crate) fn redis6() -> ServerPlan {
        ServerPlan::new(REDIS_6)
    }

    /// Valkey 8.0: SLOT-STATS, no COMMANDLOG.
    pub(crate) fn valkey8() -> ServerPlan {
        ServerPlan::new("valkey-server-8.0")
    }

    /// Valkey 9.1: SLOT-STATS and COMMANDLOG; built without TLS.
    pub(crate) fn valkey9() -> ServerPlan {
        ServerPlan::new("valkey-server-9.1")
    }

    /// A connection with all rights.
    pub(crate) async fn connect(&self) -> Connection {
        let opened = self.connect_from(Ipv4Addr::LOCALHOST.into()).await;
        opened.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", self.address))
    }

    /// The same from another address of the loopback net, which is the client's name to the server.
    pub(crate) async fn connect_from(&self, source: IpAddr) -> std::io::Result<Connection> {
        Connection::open(self.address, source, self.authority.as_deref(), self.account.as_ref()).await
    }

    /// Logs in as somebody else.
    pub(crate) async fn connect_as(&self, account: &Account) -> std::io::Result<Connection> {
        Connection::open(
            self.address,
            Ipv4Addr::LOCALHOST.into(),
            self.authority.as_deref(),
            Some(account),
        )
        .await
    }

    /// One command over a connection of its own; an error reply fails the test.
    pub(crate) async fn call(&self, command: &[&str]) -> Value {
        match self.try_call(command).await {
            Ok(Value::Error(message)) => panic!("{} answered {command:?} with {message}", self.address),
            Ok(value) => value,
            Err(error) => panic!("{} did not answer {command:?}: {error}", self.address),
        }
    }

    /// The fields of INFO's sections.
    pub(crate) async fn info(&self, section: &str) -> BTreeMap<String, String> {
        let text = self.call(&["INFO", section]).await.text();
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// What the server itself counted per command; subcommands are `config|get`.
    pub(crate) async fn calls(&self) -> BTreeMap<String, u64> {
        let calls = |fields: &str| {
            fields
                .split(',')
                .find_map(|field| field.strip_prefix("calls=")?.parse().ok())
        };
        let stats = self.info("commandstats").await;
        stats
            .iter()
            .filter_map(|(name, fields)| Some((name.strip_prefix("cmdstat_")?.to_owned(), calls(fields)?)))
            .collect()
    }

    /// Makes it a replica of `primary`, and waits until the link is up.
    pub(crate) async fn follow(&self, primary: &Server) {
        let port = primary.address.port().to_string();
        self.call(&["REPLICAOF", "127.0.0.1", &port]).await;
        self.linked().await;
    }

    /// Waits until its link to its primary is up.
    pub(crate) async fn linked(&self) {
        let link = async || match self
            .info("replication")
            .await
            .get("master_link_status")
            .map(String::as_str)
        {
            Some("up") => Ok(()),
            other => Err(format!("{}: link {other:?}", self.address)),
        };
        eventually("a replica is linked", START_DEADLINE, link).await;
    }

    /// Whether its own ROLE answer says primary.
    pub(crate) async fn is_primary(&self) -> bool {
        self.call(&["ROLE"]).await.items().first().map(Value::text).as_deref() == Some("master")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The CPU time its main thread has used, by the kernel's own account.
    pub(crate) fn main_thread_cpu(&self) -> Duration {
        let pid = self.pid();
        let path = format!("/proc/{pid}/task/{pid}/schedstat");
        let stat = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let nanoseconds = stat.split(' ').next().and_then(|number| number.parse().ok());
        Duration::from_nanos(nanoseconds.expect("schedstat begins with the time on the CPU"))
    }

    /// It hangs: connections stay open, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// It dies at once, as with its host.
    pub(crate) async fn crash(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.end(START_DEADLINE).await;
    }

    /// It dies at once, and whoever holds it may go on using it.
    pub(crate) fn kill(&self) {
        self.process.signal(Signal::KILL);
    }

    /// After its death: the same server once more, on the same port and with what its folder holds. It lives as long as what is returned.
    pub(crate) async fn run_again(&self) -> Process {
        let (program, arguments) = &self.again;
        let name = format!("{program}:{}-again", self.address.port());
        let process = Process::start(&name, &tool(program), arguments, self.folder.path());
        eventually("a server answers again", START_DEADLINE, async || {
            self.try_call(&["PING"]).await
        })
        .await;
        process
    }

    pub(super) async fn try_call(&self, command: &[&str]) -> std::io::Result<Value> {
        self.connect_from(Ipv4Addr::LOCALHOST.into()).await?.call(command).await
    }

    /// Where the other members of its cluster reach it.
    pub(super) fn bus_port(&self) -> u16 {
        let (_, bus) = &self.ports;
        bus.as_ref().map_or(self.address.port() + 10_000, Port::number)
    }

    pub(super) fn authority(&self) -> Option<&Arc<Authority>> {
        self.authority.as_ref()
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    async fn answers(&mut self) {
        let attempt = async || match self.try_call(&["PING"]).await {
            _ if self.process.ended().is_some() => Ok(Err(self.process.last_words())),
            Ok(Value::Simple(pong)) if pong == "PONG" => Ok(Ok(())),
            other => Err(format!("{other:?}")),
        };
        let up = eventually("a server answers", START_DEADLINE, attempt).await;
        up.unwrap_or_else(|words| panic!("{} ended at once:\n{words}", self.address));
    }
}
