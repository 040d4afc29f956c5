//! The text of INFO → a [`Reading`].
//!
//! Servers from Redis 5 to 8 and Valkey 7.2 to 9 answer differently: a field that isn't there is `None`, never zero. It refuses to
//! know what changed since the last answer; that is [`super::signal`].
//!
//! ```
//! use hotshard::analysis::info::Reading;
//!
//! let reading = Reading::parse("# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\n# Commandstats\r\n\
//!     cmdstat_config|get:calls=2,usec=70,usec_per_call=35.00,rejected_calls=0,failed_calls=0\r\n");
//! assert_eq!(reading.engine.as_ref().map(ToString::to_string).as_deref(), Some("valkey 8.0.1"));
//! assert_eq!(reading.commands.as_ref().map(|commands| commands["CONFIG|GET"].calls), Some(2));
//! assert_eq!(reading.connected_clients, None);
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Bytes, Endpoint, Ratio, Role, RunId, Seconds, Timestamp};

/// What one INFO answer said. Counters are the server's own, since its start or its last `CONFIG RESETSTAT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What kind of server.
    pub engine: Option<Engine>,
    /// The process's own name.
    pub run_id: Option<RunId>,
    /// The server's clock when it answered (6.2).
    pub server_time: Option<Timestamp>,
    /// How long the process has run, in whole seconds.
    pub uptime: Option<Duration>,

    /// Clients connected.
    pub connected_clients: Option<u64>,
    /// Clients waiting in a blocking command.
    pub blocked_clients: Option<u64>,
    /// How many may connect.
    pub clients_max: Option<u64>,

    /// Memory in use.
    pub memory_used: Option<Bytes>,
    /// The limit; `None` where there is none.
    pub memory_max: Option<Bytes>,
    /// Resident over used.
    pub memory_fragmentation: Option<Ratio>,

    /// Whether the server is still reading its data set.
    pub loading: Option<bool>,

    /// Connections accepted.
    pub connections_received: Option<u64>,
    /// Connections refused for the client limit.
    pub connections_rejected: Option<u64>,
    /// Every command executed, replicated ones and inner calls of scripts among them.
    pub commands_processed: Option<u64>,
    /// Bytes received, replication among them.
    pub input: Option<Bytes>,
    /// Bytes sent, replication among them.
    pub output: Option<Bytes>,
    /// Bytes sent to replicas (7.0).
    pub replication_output: Option<Bytes>,
    /// Reads that found their key.
    pub keyspace_hits: Option<u64>,
    /// Reads that did not.
    pub keyspace_misses: Option<u64>,
    /// Keys evicted for memory.
    pub evicted_keys: Option<u64>,
    /// Keys expired.
    pub expired_keys: Option<u64>,
    /// Full resynchronisations served.
    pub full_syncs: Option<u64>,
    /// Partial resynchronisations served.
    pub partial_syncs: Option<u64>,

    /// CPU of the main thread, user and system (6.2).
    pub cpu_main_thread: Option<Duration>,

    /// Commands by name in upper case, containers `CONFIG|GET` (7.0; before that all subcommands are `CONFIG`).
    pub commands: Option<BTreeMap<Arc<str>, CommandCount>>,
    /// Error replies by name (6.2).
    pub errors: Option<BTreeMap<Arc<str>, u64>>,
    /// Databases that hold keys.
    pub keyspace: Option<BTreeMap<u32, Keyspace>>,
    /// Replication, in both directions.
    pub replication: Replication,
}

/// A kind of server with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// `redis` or `valkey`.
    pub name: &'static str,
    /// Such as `7.0.15`.
    pub version: String,
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}

/// One command's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandCount {
    /// Executions.
    pub calls: u64,
    /// Time spent in them, that of inner calls of scripts included.
    pub time: Duration,
}

/// One database.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keyspace {
    /// Keys.
    pub keys: u64,
    /// Mean time to live; `None` where the server doesn't know (replicas, no key that expires).
    pub average_ttl: Option<Seconds>,
}

/// What a node says of replication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replication {
    /// Its role.
    pub role: Option<Role>,
    /// The history it follows or writes.
    pub history: Option<Arc<str>>,
    /// Where its own stream stands.
    pub primary_offset: Option<u64>,
    /// How far it has come in its primary's stream (replicas).
    pub replica_offset: Option<u64>,
    /// Whether its link to its primary is up (replicas).
    pub link_up: Option<bool>,
    /// Whether it is copying the whole data set at the moment (replicas).
    pub sync_in_progress: Option<bool>,
    /// How many replicas are attached.
    pub connected_replicas: Option<u64>,
    /// The attached replicas.
    pub replicas: Vec<AttachedReplica>,
}

/// A replica as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedReplica {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Whether it takes the stream (not still copying).
    pub online: bool,
    /// The last offset it acknowledged.
    pub offset: u64,
}

impl Reading {
    /// Reads the answer of INFO, whichever sections it has. What can't be understood is missing.
    pub fn parse(text: &str) -> Self {
        let mut reading = Self::default();
        let mut fields = Fields::default();
        for line in text.lines().map(str::trim_end) {
            if let Some(section) = line.strip_prefix('#') {
                reading.enter(section.trim());
            } else if let Some((name, value)) = line.split_once(':') {
                reading.entry(name, value);
                fields.add(name, value);
            }
        }
        reading.fill(&fields);
        reading
    }

    /// A section without entries is known to be empty, one that is missing is unknown.
    fn enter(&mut self, section: &str) {
        if section.eq_ignore_ascii_case("commandstats") {
            self.commands.get_or_insert_default();
        } else if section.eq_ignore_ascii_case("errorstats") {
            self.errors.get_or_insert_default();
        } else if section.eq_ignore_ascii_case("keyspace") {
            self.keyspace.get_or_insert_default();
        }
    }

    /// Takes a line of the sections that list things; any other line is none of them.
    fn entry(&mut self, name: &str, value: &str) {
        if let Some(command) = name.strip_prefix("cmdstat_") {
            if let Some(count) = CommandCount::parse(value) {
                let commands = self.commands.get_or_insert_default();
                commands.insert(command.to_ascii_uppercase().into(), count);
            }
        } else if let Some(error) = name.strip_prefix("errorstat_") {
            if let Some(count) = part(value, "count") {
                self.errors.get_or_insert_default().insert(error.into(), count);
            }
        } else if let Some(database) = name.strip_prefix("db").and_then(|number| number.parse().ok()) {
            if let Some(keyspace) = Keyspace::parse(value) {
                self.keyspace.get_or_insert_default().insert(database, keyspace);
            }
        } else if name
            .strip_prefix("slave")
            .is_some_and(|number| number.parse::<u32>().is_ok())
        {
            self.replication.replicas.extend(AttachedReplica::parse(value));
        }
    }

    fn fill(&mut self, fields: &Fields<'_>) {
        self.engine = fields.engine();
        self.run_id = fields.text("run_id").map(RunId::from);
        self.server_time = fields.number("server_time_usec").map(Timestamp);
        self.uptime = fields.number("uptime_in_seconds").map(Duration::from_secs);

        self.connected_clients = fields.number("connected_clients");
        self.blocked_clients = fields.number("blocked_clients");
        self.clients_max = fields.number("maxclients");

        self.memory_used = fields.number("used_memory").map(Bytes);
        self.memory_max = fields.number("maxmemory").filter(|max| *max != 0).map(Bytes);
        self.memory_fragmentation = fields
            .number("mem_fragmentation_ratio")
            .filter(|ratio: &f64| ratio.is_finite())
            .map(Ratio);

        self.loading = fields.loading();

        self.connections_received = fields.number("total_connections_received");
        self.connections_rejected = fields.number("rejected_connections");
        self.commands_processed = fields.number("total_commands_processed");
        self.input = fields.number("total_net_input_bytes").map(Bytes);
        self.output = fields.number("total_net_output_bytes").map(Bytes);
        self.replication_output = fields.number("total_net_repl_output_bytes").map(Bytes);
        self.keyspace_hits = fields.number("keyspace_hits");
        self.keyspace_misses = fields.number("keyspace_misses");
        self.evicted_keys = fields.number("evicted_keys");
        self.expired_keys = fields.number("expired_keys");
        self.full_syncs = fields.number("sync_full");
        self.partial_syncs = fields.number("sync_partial_ok");
        self.cpu_main_thread = fields.main_thread();

        self.replication.role = fields.role();
        self.replication.history = fields.text("master_replid").map(Arc::from);
        self.replication.primary_offset = fields.number("master_repl_offset");
        self.replication.replica_offset = fields.number("slave_repl_offset");
        self.replication.link_up = fields.text("master_link_status").map(|status| status == "up");
        self.replication.sync_in_progress = fields.text("master_sync_in_progress").map(|flag| flag == "1");
        self.replication.connected_replicas = fields.number("connected_slaves");
    }
}

impl CommandCount {
    fn parse(value: &str) -> Option<Self> {
        Some(Self {
            calls: part(value, "calls")?,
            time: Duration::from_micros(part(value, "usec")?),
        })
    }
}

impl Keyspace {
    fn parse(value: &str) -> Option<Self> {
        let milliseconds = part::<u64>(value, "avg_ttl").filter(|ttl| *ttl != 0);
        Some(Self {
            keys: part(value, "keys")?,
            average_ttl: milliseconds.map(|ttl| Seconds(ttl as f64 / 1e3)),
        })
    }
}

impl AttachedReplica {
    fn parse(value: &str) -> Option<Self> {
        Some(Self {
            endpoint: Endpoint::new(part::<String>(value, "ip")?, part(value, "port")?),
            online: part::<String>(value, "state")? == "online",
            offset: part(value, "offset")?,
        })
    }
}

/// The value of `name` in `a=1,b=2`.
fn part<Value: FromStr>(list: &str, name: &str) -> Option<Value> {
    list.split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
}

/// The plain `name:value` lines.
#[derive(Default)]
struct Fields<'text>(BTreeMap<&'text str, &'text str>);

impl<'text> Fields<'text> {
    fn add(&mut self, name: &'text str, value: &'text str) {
        self.0.insert(name, value);
    }

    fn text(&self, name: &str) -> Option<&'text str> {
        self.0.get(name).copied().filter(|value| !value.is_empty())
    }

    fn number<Number: FromStr>(&self, name: &str) -> Option<Number> {
        self.text(name)?.parse().ok()
    }

    /// Valkey still gives a `redis_version`, the one it is compatible with.
    fn engine(&self) -> Option<Engine> {
        let named = |name, field| {
            self.text(field).map(|version| Engine {
                name,
                version: version.into(),
            })
        };
        named("valkey", "valkey_version").or_else(|| named("redis", "redis_version"))
    }

    fn role(&self) -> Option<Role> {
        match self.text("role")? {
            "master" => Some(Role::Primary),
            "slave" => Some(Role::Replica),
            _ => None,
        }
    }

    fn loading(&self) -> Option<bool> {
        let flags = [self.text("loading"), self.text("async_loading")];
        flags[0].map(|_| flags.contains(&Some("1")))
    }

    fn main_thread(&self) -> Option<Duration> {
        let seconds = |name| Duration::try_from_secs_f64(self.number(name)?).ok();
        Some(seconds("used_cpu_user_main_thread")? + seconds("used_cpu_sys_main_thread")?)
    }
}

#[cfg(test)]
mod tests;
