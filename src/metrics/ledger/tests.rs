use super::*;
use crate::analysis::info::Reading;
use crate::analysis::signal::OwnCost;
use crate::analysis::status::Status;
use crate::metrics::snapshot::Sources;
use crate::model::{Endpoint, Group, Node, Region, Role, Shard};

/// A server that counts as a real one does, and can be asked for INFO.
#[derive(Clone, Debug)]
struct Server {
    run_id: &'static str,
    role: Role,
    gets: u64,
    output: u64,
    cpu_micros: u64,
}

impl Server {
    fn new(run_id: &'static str, role: Role) -> Self {
        Self {
            run_id,
            role,
            gets: 0,
            output: 0,
            cpu_micros: 0,
        }
    }

    /// Works for a while.
    fn work(&mut self, gets: u64) {
        self.gets += gets;
        self.output += gets * 100;
        self.cpu_micros += gets * 10;
    }

    fn info(&self, at: Timestamp) -> Reading {
        let role = if self.role == Role::Primary { "master" } else { "slave" };
        Reading::parse(&format!(
            "# Server\r\nredis_version:7.0.15\r\nrun_id:{}\r\nserver_time_usec:{}\r\nuptime_in_seconds:9\r\n\
             # Stats\r\ntotal_commands_processed:{gets}\r\ntotal_net_input_bytes:{gets}\r\ntotal_net_output_bytes:{}\r\n\
             total_net_repl_output_bytes:0\r\n# Replication\r\nrole:{role}\r\n# CPU\r\n\
             used_cpu_sys_main_thread:0.000000\r\nused_cpu_user_main_thread:{:.6}\r\n\
             # Commandstats\r\ncmdstat_get:calls={gets},usec={gets},usec_per_call=1.00\r\n",
            self.run_id,
            at.0,
            self.output,
            self.cpu_micros as f64 / 1e6,
            gets = self.gets,
        ))
    }
}

fn key() -> GroupKey {
    GroupKey {
        region: Region::from(""),
        id: "orders".into(),
    }
}

/// Shards `a`, `b`, … with one primary each, named like them.
fn group(shards: &[&str]) -> Group {
    let shard = |name: &&str| Shard {
        id: ShardId::from(*name),
        nodes: vec![Node {
            id: NodeId::from(*name),
            endpoint: Endpoint::new("10.0.0.1", 6379),
            role: None,
            zone: None,
            instance_type: None,
        }],
        slots: None,
    };
    Group {
        key: key(),
        shards: shards.iter().map(shard).collect(),
    }
}

fn second(second: u64) -> Timestamp {
    Timestamp(1_000_000_000_000 + second * 1_000_000)
}

fn polled(node: &str, server: &Server, at: Timestamp) -> Event {
    let answer = PollAnswer {
        reading: server.info(at),
        role: server.role,
        own: OwnCost::default(),
        sources: Sources::default(),
        slots: None,
    };
    Event::Polled {
        group: key(),
        node: NodeId::from(node),
        at,
        took: Duration::ZERO,
        outcome: Ok(Box::new(answer)),
    }
}

#[test]
fn a_shard_with_twice_the_load_of_its_sibling_is_found() {
    let mut ledger = Ledger::new(LedgerSettings::default());
    ledger.apply(&Event::Discovered {
        group: group(&["a", "b"]),
        at: second(0),
    });
    let mut servers = [
        ("a", Server::new("1", Role::Primary)),
        ("b", Server::new("2", Role::Primary)),
    ];
    for round in 0..5 {
        for (node, server) in &mut servers {
            ledger.apply(&polled(node, server, second(round * 15)));
            server.work(if *node == "a" { 60_000 } else { 15_000 });
        }
    }
    let snapshot = ledger.snapshot(second(60));
    let shards = &snapshot.groups[0].shards;
    let shown: Vec<_> = shards
        .iter()
        .map(|shard| (shard.commands.rate.map(|rate| rate.0), shard.commands.status))
        .collect();
    assert_eq!(shown, [(Some(4_000.0), Status::VeryHot), (Some(1_000.0), Status::Cold)]);
    assert_eq!(shards[0].nodes[0].totals.commands, Some(240_000));
}
