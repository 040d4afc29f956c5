//! Servers that count as real ones do, polled by a clock that only tests move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::analysis::slot_stats::{SlotCounters, SlotStats};
use crate::metrics::ledger::{Event, Ledger, LedgerSettings, PollAnswer};
use crate::metrics::snapshot::{NodeSnapshot, ShardSnapshot, Snapshot, Sources};
use crate::model::{
    Bytes, Endpoint, Group, GroupKey, Node, NodeId, OwnCost, Region, Role, RunId, Shard, ShardId, Slot, SlotSet,
    Timestamp,
};

/// The time between two polls.
pub(super) const POLL: u64 = 15;
/// What a reply weighs.
pub(super) const REPLY: u64 = 100;

/// What happens on a node each second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Reads by clients.
    pub(super) reads: u64,
    /// Writes by clients, or by replication.
    pub(super) writes: u64,
    /// CPU in thousandths of a core.
    pub(super) cpu: u64,
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) role: Role,
    pub(super) load: Load,
    pub(super) answers: bool,
    pub(super) works: bool,
    /// The history of its stream; a failover begins another.
    pub(super) history: u64,
    /// Whether it counts by slot; it has one.
    pub(super) counts_slots: bool,
    /// Whether we have asked it since it began.
    known_to_us: bool,
    process: u64,
    counters: Counters,
    cpu_millis: u64,
    offset: u64,
}

/// What CONFIG RESETSTAT sets to zero.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    gets: u64,
    sets: u64,
    infos: u64,
    output: u64,
    replication_output: u64,
    hits: u64,
}

impl Server {
    pub(super) fn new(role: Role, load: Load) -> Self {
        Self {
            role,
            load,
            answers: true,
            works: true,
            history: 1,
            counts_slots: false,
            known_to_us: false,
            process: 1,
            counters: Counters::default(),
            cpu_millis: 0,
            offset: 0,
        }
    }

    /// It stops, or goes on.
    pub(super) fn set_alive(&mut self, alive: bool) {
        (self.answers, self.works) = (alive, alive);
    }

    /// Works for a second.
    pub(super) fn work(&mut self) {
        let Load { reads, writes, cpu } = self.load;
        let to_clients = if self.role == Role::Primary {
            reads + writes
        } else {
            reads
        };
        let stream = if self.role == Role::Primary { writes * 40 } else { 0 };
        self.counters.gets += reads;
        self.counters.hits += reads;
        self.counters.sets += writes;
        self.counters.output += to_clients * REPLY + stream;
        self.counters.replication_output += stream;
        self.cpu_millis += cpu;
        self.offset += writes * 40;
    }

    /// MONITOR heats it and fills its output for a second.
    pub(super) fn monitored(&mut self) {
        self.counters.output += 50_000_000;
        self.cpu_millis += 700;
    }

    /// Our INFO is counted when it is done.
    fn asked(&mut self) {
        if self.answers {
            self.known_to_us = true;
            self.counters.infos += 1;
            self.counters.output += 5_000;
        }
    }

    pub(super) fn reset(&mut self) {
        self.counters = Counters::default();
    }

    pub(super) fn restart(&mut self) {
        self.reset();
        self.process += 1;
        self.known_to_us = false;
        self.cpu_millis = 0;
    }

    fn slot_stats(&self, at: Timestamp) -> Option<Arc<SlotStats>> {
        let counters = SlotCounters {
            cpu: Some(Duration::from_millis(self.cpu_millis)),
            output: Some(Bytes(self.counters.output)),
        };
        let stats = SlotStats {
            run_id: Some(RunId::from(self.process.to_string().as_str())),
            at,
            slots: Slot::new(7).into_iter().map(|slot| (slot, counters)).collect(),
        };
        self.counts_slots.then(|| Arc::new(stats))
    }

    fn info(&self, at: Timestamp) -> Reading {
        let Counters {
            gets,
            sets,
            infos,
            output,
            replication_output,
            hits,
        } = self.counters;
        let role = if self.role == Role::Primary { "master" } else { "slave" };
        let seconds = self.cpu_millis as f64 / 1e3;
        let offset = self.offset;
        Reading::parse(&format!(
            "# Server\r\nredis_version:7.0.15\r\nrun_id:{}\r\nserver_time_usec:{}\r\nuptime_in_seconds:9\r\n\
             # Clients\r\nconnected_clients:3\r\n\
             # Stats\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{gets}\r\ntotal_net_output_bytes:{output}\r\n\
             total_net_repl_output_bytes:{replication_output}\r\nkeyspace_hits:{hits}\r\n\
             # Replication\r\nrole:{role}\r\nmaster_replid:{}\r\nmaster_repl_offset:{offset}\r\nslave_repl_offset:{offset}\r\n\
             # CPU\r\nused_cpu_sys_main_thread:0.000000\r\nused_cpu_user_main_thread:{seconds:.6}\r\n\
             # Commandstats\r\ncmdstat_get:calls={gets},usec={gets},usec_per_call=1.00\r\n\
             cmdstat_set:calls={sets},usec={sets},usec_per_call=1.00\r\ncmdstat_info:calls={infos},usec={infos},usec_per_call=1.00\r\n",
            self.process,
            at.0,
            gets + sets + infos,
            self.history,
        ))
    }
}

/// A ledger and the servers it hears of.
#[derive(Debug)]
pub(super) struct World {
    pub(super) ledger: Ledger,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) second: u64,
    /// By shard, where there are slots.
    pub(super) slots: BTreeMap<String, SlotSet>,
}

impl World {
    /// Nodes by name; what stands before the `-` is the shard: `a-1`, `a-2`, `b-1`.
    pub(super) fn new(servers: impl IntoIterator<Item = (&'static str, Server)>) -> Self {
        let servers = servers
            .into_iter()
            .map(|(name, server)| (name.to_owned(), server))
            .collect();
        let mut world = Self {
            ledger: Ledger::new(LedgerSettings::default()),
            servers,
            second: 0,
            slots: BTreeMap::new(),
        };
        world.discover();
        world
    }

    pub(super) fn discover(&mut self) {
        let mut shards: BTreeMap<String, Vec<Node>> = BTreeMap::new();
        for name in self.servers.keys() {
            let shard = name.split('-').next().expect("split gives a first part").to_owned();
            shards.entry(shard).or_default().push(Node {
                id: NodeId::from(name.as_str()),
                endpoint: Endpoint::new("10.0.0.1", 6379),
                role: None,
                zone: None,
                instance_type: None,
            });
        }
        let shards = shards.into_iter().map(|(id, nodes)| Shard {
            slots: self.slots.get(&id).cloned(),
            id: ShardId::new(id),
            nodes,
        });
        let group = Group {
            key: key(),
            shards: shards.collect(),
        };
        self.ledger.apply(&Event::Discovered { group, at: self.now() });
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp((1_000_000 + self.second) * 1_000_000)
    }

    /// Lets so many seconds go by; each fifteenth all nodes are polled.
    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.work();
            if self.second.is_multiple_of(POLL) {
                self.poll();
            }
        }
    }

    /// A second in which nobody is polled.
    pub(super) fn work(&mut self) {
        let working = self.servers.values_mut().filter(|server| server.works);
        working.for_each(Server::work);
        self.second += 1;
    }

    /// Polls every node once.
    pub(super) fn poll(&mut self) {
        self.poll_around(|_| {});
    }

    pub(super) fn poll_node(&mut self, name: &str) {
        self.poll_late(name, Duration::from_millis(3), |_| {});
    }

    /// Polls a node that answers at once, but the answer takes so long; something happens meanwhile.
    pub(super) fn poll_late(&mut self, name: &str, took: Duration, meanwhile: impl FnOnce(&mut Self)) {
        let asked = self.now();
        let server = self.server(name);
        let outcome = if server.answers {
            Ok(Box::new(answer(server, asked)))
        } else {
            Err("timeout")
        };
        server.asked();
        meanwhile(self);
        self.ledger.apply(&Event::Polled {
            group: key(),
            node: NodeId::from(name),
            at: self.now(),
            took,
            outcome,
        });
    }

    pub(super) fn server(&mut self, name: &str) -> &mut Server {
        self.servers.get_mut(name).expect("a server of that name")
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.ledger.snapshot(self.now())
    }

    pub(super) fn shard(&self, name: &str) -> ShardSnapshot {
        let shards = self.snapshot().groups.remove(0).shards;
        shards
            .into_iter()
            .find(|shard| shard.id.as_str() == name)
            .expect("a shard of that name")
    }

    pub(super) fn node(&self, name: &str) -> NodeSnapshot {
        let shards = self.snapshot().groups.remove(0).shards;
        let mut nodes = shards.into_iter().flat_map(|shard| shard.nodes);
        nodes
            .find(|node| node.id.as_str() == name)
            .expect("a node of that name")
    }
}

pub(super) fn key() -> GroupKey {
    GroupKey {
        region: Region::from(""),
        id: "orders".into(),
    }
}

/// Our last INFO stands in the counters, this one doesn't yet.
fn answer(server: &Server, at: Timestamp) -> PollAnswer {
    let infos = u64::from(server.known_to_us);
    PollAnswer {
        reading: server.info(at),
        role: server.role,
        commands: Commands::builtin(),
        own: OwnCost {
            commands: BTreeMap::from([("INFO", infos)]),
            errors: BTreeMap::new(),
            bytes_in: Bytes(0),
            bytes_out: Bytes(5_000 * infos),
        },
        sources: Sources::default(),
        slots: None,
        slot_stats: server.slot_stats(at),
    }
}

impl World {
    /// Polls every node, and in the middle of it something happens.
    pub(super) fn poll_around(&mut self, happens: fn(&mut Self)) {
        let names: Vec<String> = self.servers.keys().cloned().collect();
        for (index, name) in names.iter().enumerate() {
            if index == 1 {
                happens(self);
            }
            self.poll_node(name);
        }
    }
}
