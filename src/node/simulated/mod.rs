//! A stage: simulated servers in memory, behind the same streams as real ones.
//!
//! A [`Stage`] plays a [`Scenario`]: a cluster with its clients' traffic and the acts that disturb it. Its servers speak RESP2
//! and answer what hotshard asks, with counters that agree to the last command and byte with what MONITOR shows.
//! Traffic is a function of the scenario and the seed alone, made only when somebody looks, in tokio's time.
//! A stage refuses to know who looks: it has an own idea of slots, quoting and INFO, so that it can test ours.

mod act;
mod answers;
mod cast;
mod chance;
mod clients;
mod cluster;
mod connection;
mod demo;
mod family;
mod info;
mod key;
mod keyspace;
mod layout;
mod plot;
mod probes;
mod resp;
mod scenario;
mod server;
mod shard;
mod spelling;
mod traffic;
mod verb;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::act::Act;
use self::connection::Connection;
use self::keyspace::Keyspace;
use self::layout::Layout;
pub use self::plot::{Place, Plot};
pub use self::scenario::Scenario;
use self::shard::Shard;
use super::BoxStream;
use crate::model::{Endpoint, Group, GroupKey, Node, NodeId, Region, Role, ShardId, Timestamp};

/// What a connection holds between the two ends, as a socket's buffers would.
const SOCKET_BUFFER: usize = 64 << 10;

/// A simulated cluster. Clones are the same stage; with the last one its connections end.
#[derive(Clone)]
pub struct Stage {
    world: Arc<World>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Stage {
    /// Raises the curtain: the cluster's clock says `epoch` now, and runs as tokio's does.
    pub fn new(scenario: Scenario, seed: u64, epoch: Timestamp) -> Self {
        Self {
            world: Arc::new(World::new(scenario, seed, epoch)),
            connections: Arc::default(),
        }
    }

    /// Connects to the server that listens at `endpoint`. Needs tokio's runtime.
    pub fn dial(&self, endpoint: &Endpoint) -> io::Result<BoxStream> {
        let place = self.world.place(endpoint)?;
        let condition = self
            .world
            .with(place.shard, |shard, _| shard.servers[place.member].condition);
        if condition.down || condition.refuses {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (theirs, ours) = tokio::io::duplex(SOCKET_BUFFER);
        let id = self.world.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Connection::open(&self.world, place, id);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
        connections.spawn(connection.serve(ours));
        Ok(Box::new(theirs))
    }

    /// The cluster as discovery would find it at this moment.
    pub fn group(&self) -> Group {
        let world = &self.world;
        let shards = (0..world.scenario.shards).map(|number| {
            let primary = world.with(number, |shard, _| shard.cast.primary);
            let nodes = world.layout.endpoints[number].iter().enumerate();
            crate::model::Shard {
                id: shard_id(number),
                slots: Some(world.layout.slots[number].clone()),
                nodes: nodes
                    .map(|(member, endpoint)| Node {
                        id: NodeId::new(format!(
                            "{}-{}-{:03}",
                            world.scenario.group,
                            shard_id(number),
                            member + 1
                        )),
                        endpoint: endpoint.clone(),
                        role: Some(if member == primary {
                            Role::Primary
                        } else {
                            Role::Replica
                        }),
                        zone: None,
                        instance_type: None,
                    })
                    .collect(),
            }
        });
        Group {
            key: GroupKey {
                region: Region::from(""),
                id: world.scenario.group.clone(),
            },
            shards: shards.collect(),
        }
    }

    /// Where the node at a place listens.
    pub fn endpoint(&self, place: Place) -> Option<&Endpoint> {
        self.world.layout.endpoints.get(place.shard)?.get(place.member)
    }

    /// What makes a shard hot at this moment, by the scenario.
    pub fn planted(&self) -> Vec<Planted> {
        let moment = self.world.now().since(self.world.epoch);
        let acts = self.world.scenario.acts.iter().enumerate();
        acts.filter(|(_, act)| act.plays(moment))
            .filter_map(|(index, act)| {
                Some(Planted {
                    shard: shard_id(act.plot.shard()),
                    cause: act.plot.cause()?,
                    subject: self.world.subject(index, &act.plot),
                })
            })
            .collect()
    }

    /// The stage's clock.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stage")
            .field("scenario", &self.world.scenario)
            .finish_non_exhaustive()
    }
}

/// The truth about a hot shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Which shard.
    pub shard: ShardId,
    /// What a verdict should call it.
    pub cause: &'static str,
    /// The key, tag, client or command behind it.
    pub subject: String,
}

fn shard_id(number: usize) -> ShardId {
    ShardId::new(format!("{:04}", number + 1))
}

/// All shards, each behind its own lock, and the clock.
pub(crate) struct World {
    scenario: Arc<Scenario>,
    layout: Arc<Layout>,
    shards: Vec<Mutex<Shard>>,
    places: HashMap<Endpoint, Place>,
    epoch: Timestamp,
    raised: Instant,
    last_connection: AtomicU64,
}

impl World {
    fn new(scenario: Scenario, seed: u64, epoch: Timestamp) -> Self {
        let scenario = Arc::new(scenario);
        let layout = Arc::new(Layout::new(&scenario, seed));
        let keyspaces = Keyspace::build(&scenario, &layout, seed, epoch).into_iter().enumerate();
        let shards = keyspaces
            .map(|(number, keys)| Mutex::new(Shard::new(number, &scenario, &layout, keys, seed, epoch)))
            .collect();
        Self {
            shards,
            places: layout.places(),
            scenario,
            layout,
            epoch,
            raised: Instant::now(),
            // The simulated applications' own connections have the numbers before.
            last_connection: AtomicU64::new(100),
        }
    }

    fn now(&self) -> Timestamp {
        self.epoch + self.raised.elapsed()
    }

    fn instant(&self, at: Timestamp) -> Instant {
        self.raised + at.since(self.epoch)
    }

    fn place(&self, endpoint: &Endpoint) -> io::Result<Place> {
        self.places.get(endpoint).copied().ok_or_else(|| {
            let message = format!("no simulated server listens at {endpoint}");
            io::Error::new(io::ErrorKind::AddrNotAvailable, message)
        })
    }

    /// Moves a shard to now and looks at it.
    fn with<Seen>(&self, shard: usize, look: impl FnOnce(&mut Shard, Timestamp) -> Seen) -> Seen {
        let now = self.now();
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        shard.advance(now);
        look(&mut shard, now)
    }

    fn subject(&self, act: usize, plot: &Plot) -> String {
        let key = self.with(plot.shard(), |shard, _| {
            let subjects = shard.keys.subjects(act);
            shard.keys.key(subjects.start as u32).map(|key| key.name.to_string())
        });
        plot.subject(key)
    }
}
