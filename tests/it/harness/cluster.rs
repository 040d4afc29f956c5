//! Shards of real servers: a cluster, or one primary with its replicas.

use std::ops::RangeInclusive;
use std::process::Command;
use std::time::Duration;

use super::resp::Value;
use super::server::{Server, ServerPlan};
use super::tools::tool;
use super::wait::eventually;

const FORMING_DEADLINE: Duration = Duration::from_secs(60);
const SLOT_LAST: u16 = 16_383;
const KEYS_AT_ONCE: usize = 64;

/// Running shards.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub servers: Vec<Server>,
    cluster_mode: bool,
}

/// Who serves which slots at the moment; numbers are places in [`Cluster::servers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub slots: Vec<RangeInclusive<u16>>,
    pub primary: usize,
    pub replicas: Vec<usize>,
}

impl Shard {
    pub(crate) fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

impl Cluster {
    /// Three primaries with a replica each.
    pub(crate) async fn of(plan: ServerPlan) -> Self {
        Self::shaped(plan, 3, 1).await
    }

    /// A cluster of at least three shards, formed by redis-cli.
    pub(crate) async fn shaped(plan: ServerPlan, shards: usize, replicas: usize) -> Self {
        let cluster = Self {
            servers: start(&plan.clustered(), shards * (1 + replicas)).await,
            cluster_mode: true,
        };
        cluster.form(replicas);
        cluster.is_formed(shards, replicas).await;
        cluster
    }

    /// One shard that is a cluster, as a cache on its way between the modes is; the primary is the first server.
    pub(crate) async fn of_one_shard(plan: ServerPlan, replicas: usize) -> Self {
        let cluster = Self {
            servers: start(&plan.clustered(), 1 + replicas).await,
            cluster_mode: true,
        };
        let primary = &cluster.servers[0];
        primary
            .call(&["CLUSTER", "ADDSLOTSRANGE", "0", &SLOT_LAST.to_string()])
            .await;
        let name = primary.call(&["CLUSTER", "MYID"]).await.text();
        let (port, bus) = (primary.address.port().to_string(), primary.bus_port().to_string());
        for replica in &cluster.servers[1..] {
            replica.call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
            eventually("a replica knows its primary", FORMING_DEADLINE, async || match replica
                .try_call(&["CLUSTER", "REPLICATE", &name])
                .await
            {
                Ok(Value::Simple(_)) => Ok(()),
                other => Err(other),
            })
            .await;
        }
        cluster.is_formed(1, replicas).await;
        cluster
    }

    /// Waits until all nodes agree, and replicas have what their primaries have.
    async fn is_formed(&self, shards: usize, replicas: usize) {
        let cluster = self;
        for server in &cluster.servers {
            let agreed = async || match server.call(&["CLUSTER", "INFO"]).await.text() {
                text if text.contains("cluster_state:ok") => Ok(()),
                text => Err(text),
            };
            eventually("the cluster is formed", FORMING_DEADLINE, agreed).await;
        }
        // Right after creation a replica is still called a primary.
        let complete = async || match cluster.shards().await {
            found if found.len() == shards && found.iter().all(|shard| shard.replicas.len() == replicas) => Ok(found),
            found => Err(format!("{found:?}")),
        };
        for shard in eventually("each shard has its replicas", FORMING_DEADLINE, complete).await {
            cluster.linked(&shard).await;
        }
    }

    /// One primary with replicas, cluster mode disabled; the primary is the first server.
    pub(crate) async fn disabled(plan: ServerPlan, replicas: usize) -> Self {
        let cluster = Self {
            servers: start(&plan, 1 + replicas).await,
            cluster_mode: false,
        };
        for replica in &cluster.servers[1..] {
            replica.follow(&cluster.servers[0]).await;
        }
        let shard = cluster.only_shard().await;
        cluster.listed(&shard).await;
        cluster
    }

    /// The shards as the servers see them now, in the order of their slots.
    pub(crate) async fn shards(&self) -> Vec<Shard> {
        if !self.cluster_mode {
            return vec![self.only_shard().await];
        }
        self.read_shards(&self.witness().await)
    }

    /// CLUSTER SLOTS' answer.
    fn read_shards(&self, answer: &Value) -> Vec<Shard> {
        let mut shards: Vec<Shard> = Vec::new();
        for row in answer.items() {
            let bound = |place: usize| u16::try_from(row.items()[place].integer()).expect("a slot has 14 bits");
            let node = |node: &Value| self.place(u16::try_from(node.items()[1].integer()).expect("a port has 16 bits"));
            let (slots, primary) = (bound(0)..=bound(1), node(&row.items()[2]));
            match shards.iter_mut().find(|shard| shard.primary == primary) {
                Some(shard) => shard.slots.push(slots),
                None => {
                    let replicas = row.items()[3..].iter().map(node).collect();
                    shards.push(Shard {
                        slots: vec![slots],
                        primary,
                        replicas,
                    });
                }
            }
        }
        shards.sort_by_key(|shard| shard.slots.iter().map(|range| *range.start()).min());
        shards
    }

    /// Gives a slot that holds no key to another shard.
    pub(crate) async fn move_slot(&self, slot: u16, from: &Shard, to: &Shard) {
        let [source, target] = [&self.servers[from.primary], &self.servers[to.primary]];
        let name = async |server: &Server| server.call(&["CLUSTER", "MYID"]).await.text();
        let (giver, taker) = (name(source).await, name(target).await);
        let slot = slot.to_string();
        // The taker must have been importing: that makes its claim newer than the giver's.
        target.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &giver]).await;
        source.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &taker]).await;
        for server in [target, source] {
            server.call(&["CLUSTER", "SETSLOT", &slot, "NODE", &taker]).await;
        }
    }

    /// The shard that owns `key`, by the server's own reckoning.
    pub(crate) async fn shard_of(&self, key: &str) -> Shard {
        let slot = self.slots_of(&[key.to_owned()]).await[0];
        let owner = self.shards().await.into_iter().find(|shard| shard.owns(slot));
        owner.unwrap_or_else(|| panic!("no shard owns slot {slot}"))
    }

    /// Each key's slot, as a server computes it.
    pub(crate) async fn slots_of(&self, keys: &[String]) -> Vec<u16> {
        if !self.cluster_mode {
            return vec![0; keys.len()];
        }
        let mut connection = self.servers[0].connect().await;
        let mut slots = Vec::with_capacity(keys.len());
        for batch in keys.chunks(KEYS_AT_ONCE) {
            let commands: Vec<Vec<&str>> = batch.iter().map(|key| vec!["CLUSTER", "KEYSLOT", key]).collect();
            connection.send(&commands).await.expect("a server takes commands");
            for _ in batch {
                let slot = connection.receive().await.expect("a server answers").integer();
                slots.push(u16::try_from(slot).expect("a slot has 14 bits"));
            }
        }
        slots
    }

    /// Waits until the replicas have what their primaries have, and their primaries know it.
    pub(crate) async fn replicated(&self) {
        for shard in self.shards().await {
            self.listed(&shard).await;
            let offset =
                async |place: usize| self.servers[place].info("replication").await["master_repl_offset"].clone();
            for replica in shard.replicas {
                let caught_up = async || match (offset(shard.primary).await, offset(replica).await) {
                    (primary, replica) if primary == replica => Ok(()),
                    behind => Err(behind),
                };
                eventually("a replica has caught up", FORMING_DEADLINE, caught_up).await;
            }
        }
    }

    /// Whether its nodes answer READONLY and CLUSTER.
    pub(super) fn cluster_mode(&self) -> bool {
        self.cluster_mode
    }

    /// Moves so many slots from one server to another, both primaries.
    pub(crate) async fn reshard(&self, from: usize, to: usize, slots: u32) {
        let name = async |place: usize| self.servers[place].call(&["CLUSTER", "MYID"]).await.text();
        let (from, to) = (name(from).await, name(to).await);
        let address = self.servers[0].address.to_string();
        let mut command = self.manager("reshard");
        command
            .arg(address)
            .args(["--cluster-from", &from, "--cluster-to", &to]);
        command.args(["--cluster-slots", &slots.to_string(), "--cluster-yes"]);
        run(command, "move the slots");
        // It asks not even the nodes it moved slots between, and the next move is refused until all know of this one.
        let agreed = async || {
            let mut views = Vec::new();
            for server in &self.servers {
                views.push(self.read_shards(&server.call(&["CLUSTER", "SLOTS"]).await));
            }
            let complete =
                views[0].iter().all(|shard| !shard.replicas.is_empty()) || self.servers.len() == views[0].len();
            match views.windows(2).all(|pair| pair[0] == pair[1]) && complete {
                true => Ok(()),
                false => Err(views),
            }
        };
        eventually("all nodes know of the move", FORMING_DEADLINE, agreed).await;
    }

    fn form(&self, replicas: usize) {
        let mut command = self.manager("create");
        command.args(self.servers.iter().map(|server| server.address.to_string()));
        command.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        run(command, "form the cluster");
    }

    /// redis-cli, about to do something with the whole cluster.
    fn manager(&self, order: &str) -> Command {
        let mut command = Command::new(tool("redis-cli"));
        if let Some(authority) = self.servers[0].authority() {
            command.arg("--tls").arg("--cacert").arg(authority.ca_file());
        }
        if let Some(account) = self.servers[0].account() {
            command
                .args(["--user", &account.user, "--no-auth-warning"])
                .env("REDISCLI_AUTH", &account.password);
        }
        command.args(["--cluster", order]);
        command
    }

    /// CLUSTER SLOTS of the first server that answers: one may be down by the test's own will.
    async fn witness(&self) -> Value {
        for server in &self.servers {
            if let Ok(value @ Value::Array(_)) = server.try_call(&["CLUSTER", "SLOTS"]).await {
                return value;
            }
        }
        panic!("no server of the cluster answers")
    }

    async fn only_shard(&self) -> Shard {
        let mut shard = Shard {
            slots: vec![0..=SLOT_LAST],
            primary: 0,
            replicas: Vec::new(),
        };
        for (place, server) in self.servers.iter().enumerate() {
            if server.is_primary().await {
                shard.primary = place;
            } else {
                shard.replicas.push(place);
            }
        }
        shard
    }

    /// A primary names a replica in ROLE only once it has acknowledged its first data, later than the replica's own link is up.
    async fn listed(&self, shard: &Shard) {
        let complete = async || {
            let told = self.servers[shard.primary].call(&["ROLE"]).await;
            match told.items()[2].items().len() {
                count if count == shard.replicas.len() => Ok(()),
                count => Err(format!("{count} of {} replicas", shard.replicas.len())),
            }
        };
        eventually("a primary lists its replicas", FORMING_DEADLINE, complete).await;
    }

    async fn linked(&self, shard: &Shard) {
        for replica in &shard.replicas {
            self.servers[*replica].linked().await;
        }
    }

    fn place(&self, port: u16) -> usize {
        let place = self.servers.iter().position(|server| server.address.port() == port);
        place.unwrap_or_else(|| panic!("port {port} is none of the cluster's"))
    }
}

fn run(mut manager: Command, what: &str) {
    let output = manager.output().expect("redis-cli starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "redis-cli cannot {what}: {said}");
}

async fn start(plan: &ServerPlan, count: usize) -> Vec<Server> {
    let mut servers = Vec::with_capacity(count);
    for _ in 0..count {
        servers.push(plan.clone().start().await);
    }
    servers
}
