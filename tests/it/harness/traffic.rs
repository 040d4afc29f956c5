//! Traffic whose truth is known: which key, which command, how often, from which client, to which node.
//!
//! Every plan is bounded in count; a rate spreads it over time. Which of a plan's keys comes next is drawn from the seed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::cluster::{Cluster, Shard};
use super::resp::{Connection, Value};
use super::truth::{NodeTruth, Truth};

/// Commands written before their replies are read.
const BATCH: u64 = 64;
const TIME_MAX: Duration = Duration::from_secs(120);

/// One kind of call.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    command: String,
    keys: Vec<String>,
    arguments: Vec<String>,
    calls: u64,
    per_second: Option<f64>,
    client: IpAddr,
    on_replica: bool,
    server: Option<usize>,
    /// The server of each key, where that is known already.
    places: Option<Vec<usize>>,
}

impl Plan {
    /// Calls of one command on one key, on the primary, from 127.0.0.1, as fast as it goes.
    pub(crate) fn new(command: &str, key: &str, calls: u64) -> Self {
        Self::spread(command, vec![key.to_owned()], calls)
    }

    /// The same over many keys, each equally likely.
    pub(crate) fn spread(command: &str, keys: Vec<String>, calls: u64) -> Self {
        let client = Ipv4Addr::LOCALHOST.into();
        Self {
            command: command.to_owned(),
            keys,
            arguments: Vec::new(),
            calls,
            per_second: None,
            client,
            on_replica: false,
            server: None,
            places: None,
        }
    }

    /// What follows the key.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    pub(crate) fn per_second(mut self, rate: f64) -> Self {
        self.per_second = Some(rate);
        self
    }

    /// The client's address, any of 127.0.0.0/8.
    pub(crate) fn from(mut self, client: &str) -> Self {
        self.client = client.parse().expect("a client is an address of the loopback net");
        self
    }

    /// On the first replica of the key's shard.
    pub(crate) fn on_replica(mut self) -> Self {
        self.on_replica = true;
        self
    }

    /// On this server, whoever owns the keys: for what has none.
    pub(crate) fn on_server(mut self, place: usize) -> Self {
        self.server = Some(place);
        self
    }
}

/// Plans to be run at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    seed: u64,
    plans: Vec<Plan>,
}

impl Traffic {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            plans: Vec::new(),
        }
    }

    pub(crate) fn plan(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Learns where its keys live, so that running it asks the servers nothing but what is planned.
    pub(crate) async fn placed(mut self, cluster: &Cluster) -> Self {
        let shards = cluster.shards().await;
        for plan in &mut self.plans {
            plan.places = Some(places(plan, cluster, &shards).await);
        }
        self
    }

    /// Runs all plans to their end, and says what was sent.
    pub(crate) async fn run(&self, cluster: &Cluster) -> Truth {
        let shards = cluster.shards().await;
        let mut streams = Vec::new();
        for (number, plan) in self.plans.iter().enumerate() {
            let chance = Chance(self.seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            streams.push(send(plan, chance, cluster, &shards));
        }
        let all = timeout(TIME_MAX, futures_util::future::try_join_all(streams)).await;
        let sent = all.unwrap_or_else(|_| panic!("the traffic took more than {TIME_MAX:?}"));
        let mut truth = Truth::default();
        sent.expect("the servers take the traffic")
            .into_iter()
            .for_each(|part| truth.add(part));
        truth
    }
}

/// One plan's calls, batch by batch; each node has a connection of its own.
async fn send(plan: &Plan, mut chance: Chance, cluster: &Cluster, shards: &[Shard]) -> io::Result<Truth> {
    let places = places(plan, cluster, shards).await;
    let mut lanes: BTreeMap<usize, Lane> = BTreeMap::new();
    let start = Instant::now();
    let batch = plan
        .per_second
        .map_or(BATCH, |rate| BATCH.min((rate / 50.0).ceil() as u64));
    let mut sent = 0;
    while sent < plan.calls {
        if let Some(rate) = plan.per_second {
            sleep_until(start + Duration::from_secs_f64(sent as f64 / rate)).await;
        }
        let size = batch.min(plan.calls - sent);
        let mut keys: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for _ in 0..size {
            let drawn = chance.below(plan.keys.len());
            keys.entry(places[drawn]).or_default().push(&plan.keys[drawn]);
        }
        for (place, keys) in keys {
            let lane = match lanes.entry(place) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(place) => {
                    let lane = Lane::open(plan, cluster, *place.key()).await?;
                    place.insert(lane)
                }
            };
            lane.exchange(plan, &keys).await?;
        }
        sent += size;
    }
    Ok(Truth {
        nodes: lanes.into_values().map(Lane::close).collect(),
    })
}

/// For each key, the server its calls go to.
async fn places(plan: &Plan, cluster: &Cluster, shards: &[Shard]) -> Vec<usize> {
    if let Some(places) = &plan.places {
        return places.clone();
    }
    if let Some(place) = plan.server {
        return vec![place; plan.keys.len()];
    }
    let mut places = Vec::with_capacity(plan.keys.len());
    for slot in cluster.slots_of(&plan.keys).await {
        let owner = shards.iter().find(|shard| shard.owns(slot));
        let owner = owner.unwrap_or_else(|| panic!("no shard owns slot {slot}"));
        let place = if plan.on_replica {
            *owner.replicas.first().expect("the shard has a replica")
        } else {
            owner.primary
        };
        places.push(place);
    }
    places
}

/// A connection to one node, and what went through it.
struct Lane {
    connection: Connection,
    address: SocketAddr,
    truth: NodeTruth,
}

impl Lane {
    async fn open(plan: &Plan, cluster: &Cluster, place: usize) -> io::Result<Self> {
        let server = &cluster.servers[place];
        let mut connection = server.connect_from(plan.client).await?;
        let mut truth = NodeTruth::default();
        if server.account().is_some() {
            truth.sent("AUTH", None, plan.client);
        }
        if plan.on_replica && cluster.cluster_mode() {
            connection.call(&["READONLY"]).await?;
            truth.sent("READONLY", None, plan.client);
        }
        Ok(Self {
            connection,
            address: server.address,
            truth,
        })
    }

    async fn exchange(&mut self, plan: &Plan, keys: &[&str]) -> io::Result<()> {
        let rest = || plan.arguments.iter().map(String::as_str);
        let command = |key| {
            [plan.command.as_str(), key]
                .into_iter()
                .chain(rest())
                .collect::<Vec<&str>>()
        };
        self.connection
            .send(&keys.iter().map(|&key| command(key)).collect::<Vec<_>>())
            .await?;
        for key in keys {
            self.truth.sent(&plan.command, Some(key), plan.client);
            if let Value::Error(_) = self.connection.receive().await? {
                self.truth.errors += 1;
            }
        }
        Ok(())
    }

    fn close(mut self) -> (SocketAddr, NodeTruth) {
        self.truth.request_bytes = self.connection.sent_bytes;
        self.truth.reply_bytes = self.connection.received_bytes;
        (self.address, self.truth)
    }
}

/// The splitmix64 generator: a seed gives the same traffic on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub u64);

impl Chance {
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % count as u64).expect("a remainder is below a usize")
    }
}
