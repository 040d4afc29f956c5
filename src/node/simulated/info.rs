//! INFO, field by field as Redis 7 writes it.

use std::fmt::Write;

use super::server::Server;
use super::shard::Shard;
use super::traffic::APPS;
use super::verb::Verb;
use crate::model::Timestamp;

/// The version that the simulated servers say they are.
pub(super) const VERSION: &str = "7.2.4";

/// A section's name, whether INFO without arguments has it, and what writes it.
type Section = (&'static str, bool, fn(&View, &mut Text));

/// Sections in the order in which the server writes them.
const SECTIONS: [Section; 11] = [
    ("server", true, server),
    ("clients", true, clients),
    ("memory", true, memory),
    ("persistence", true, persistence),
    ("stats", true, stats),
    ("replication", true, replication),
    ("cpu", true, cpu),
    ("commandstats", false, commandstats),
    ("errorstats", true, errorstats),
    ("cluster", true, cluster),
    ("keyspace", true, keyspace),
];

/// The sections that are asked for; those that don't exist are left out.
pub(super) fn text(shard: &Shard, member: usize, asked: &[String], now: Timestamp) -> String {
    let view = View {
        shard,
        server: &shard.servers[member],
        member,
        now,
    };
    let wanted = |name: &str, default: bool| match asked {
        [] => default,
        asked => asked.iter().any(|asked| match asked.as_str() {
            "everything" | "all" => true,
            "default" => default,
            asked => asked == name,
        }),
    };
    let mut text = Text(String::new());
    for (name, default, write) in SECTIONS {
        if wanted(name, default) {
            write(&view, &mut text);
        }
    }
    text.0
}

struct View<'a> {
    shard: &'a Shard,
    server: &'a Server,
    member: usize,
    now: Timestamp,
}

impl View<'_> {
    fn is_primary(&self) -> bool {
        self.member == self.shard.cast.primary
    }

    fn unread(&self) -> u64 {
        self.server.clients.values().map(|client| client.unread() as u64).sum()
    }

    fn memory(&self) -> u64 {
        1_900_000 + self.shard.keys.memory() + self.unread() + self.server.incoming_bytes
    }
}

struct Text(String);

impl Text {
    fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.line(format_args!("# {title}"));
    }

    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{name}:{value}"));
    }

    fn fields(&mut self, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            self.field(name, value);
        }
    }

    fn counts(&mut self, fields: &[(&str, u64)]) {
        for (name, value) in fields {
            self.field(name, value);
        }
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        write!(self.0, "{line}\r\n").expect("a string takes whatever is written to it");
    }
}

fn server(view: &View, text: &mut Text) {
    let uptime = view.now.since(view.server.born).as_secs();
    text.section("Server");
    text.fields(&[
        ("redis_version", VERSION),
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", "0"),
        ("redis_build_id", "ae4d7c971a948f0"),
        ("redis_mode", "cluster"),
        ("os", "Linux 6.1.0 x86_64"),
        ("arch_bits", "64"),
        ("monotonic_clock", "POSIX clock_gettime"),
        ("multiplexing_api", "epoll"),
        ("process_supervised", "no"),
        ("run_id", &view.server.run_id),
        ("tcp_port", "6379"),
    ]);
    text.counts(&[
        ("process_id", 4000 + u64::from(view.server.condition.lives)),
        ("server_time_usec", view.now.0),
        ("uptime_in_seconds", uptime),
        ("uptime_in_days", uptime / 86_400),
        ("hz", 10),
        ("configured_hz", 10),
        ("lru_clock", view.now.0 / 1_000_000 % (1 << 24)),
        ("io_threads_active", 0),
    ]);
}

fn clients(view: &View, text: &mut Text) {
    text.section("Clients");
    let master = u64::from(!view.is_primary());
    text.counts(&[
        (
            "connected_clients",
            u64::from(APPS) + view.server.clients.len() as u64 + master,
        ),
        (
            "cluster_connections",
            2 * (view.shard.scenario.shards * view.shard.servers.len() - 1) as u64,
        ),
        ("maxclients", 10_000),
        ("client_recent_max_input_buffer", 20_480),
        ("client_recent_max_output_buffer", view.unread()),
        ("blocked_clients", 0),
        ("tracking_clients", 0),
        ("clients_in_timeout_table", 0),
    ]);
}

fn memory(view: &View, text: &mut Text) {
    let used = view.memory();
    let resident = used + used / 20 + 10_000_000;
    text.section("Memory");
    text.counts(&[
        ("used_memory", used),
        ("used_memory_rss", resident),
        ("used_memory_peak", used),
        ("used_memory_dataset", view.shard.keys.memory()),
        ("total_system_memory", 8 << 30),
        ("maxmemory", view.shard.scenario.memory_max.0),
    ]);
    text.field("maxmemory_policy", "volatile-lru");
    text.field(
        "mem_fragmentation_ratio",
        format_args!("{:.2}", resident as f64 / used as f64),
    );
    text.field("mem_fragmentation_bytes", resident - used);
    text.counts(&[
        ("mem_replication_backlog", 1 << 20),
        ("mem_clients_slaves", 0),
        ("mem_clients_normal", view.unread()),
    ]);
    text.field("mem_allocator", "jemalloc-5.3.0");
}

fn persistence(_: &View, text: &mut Text) {
    text.section("Persistence");
    text.counts(&[
        ("loading", 0),
        ("async_loading", 0),
        ("rdb_bgsave_in_progress", 0),
        ("aof_enabled", 0),
    ]);
}

fn stats(view: &View, text: &mut Text) {
    let counters = &view.server.counters;
    text.section("Stats");
    text.counts(&[
        ("total_connections_received", counters.connections),
        ("total_commands_processed", counters.commands),
        ("instantaneous_ops_per_sec", view.server.operations_per_second),
        ("total_net_input_bytes", counters.net_input),
        ("total_net_output_bytes", counters.net_output),
        ("total_net_repl_input_bytes", counters.replication_input),
        ("total_net_repl_output_bytes", counters.replication_output),
        ("rejected_connections", 0),
        ("sync_full", counters.full_syncs),
        ("sync_partial_ok", 0),
        ("sync_partial_err", 0),
        ("expired_keys", counters.expired),
        ("evicted_keys", counters.evicted),
        ("evicted_clients", 0),
        ("keyspace_hits", counters.hits),
        ("keyspace_misses", counters.misses),
        ("pubsub_channels", 0),
        ("pubsub_patterns", 0),
        ("latest_fork_usec", 0),
        ("unexpected_error_replies", 0),
        ("total_error_replies", view.server.errors.values().sum()),
    ]);
}

fn replication(view: &View, text: &mut Text) {
    text.section("Replication");
    if view.is_primary() {
        primary(view, text);
    } else {
        replica(view, text);
    }
    text.field("master_failover_state", "no-failover");
    text.field("master_replid", &view.shard.layout.cluster_ids[view.shard.number][0]);
    text.field("master_replid2", "0".repeat(40));
    text.counts(&[("master_repl_offset", view.server.offset)]);
    text.field("second_repl_offset", "-1");
    text.counts(&[
        ("repl_backlog_active", 1),
        ("repl_backlog_size", 1 << 20),
        (
            "repl_backlog_first_byte_offset",
            view.server.offset.saturating_sub(1 << 20) + 1,
        ),
        ("repl_backlog_histlen", view.server.offset.min(1 << 20)),
    ]);
}

fn primary(view: &View, text: &mut Text) {
    text.field("role", "master");
    let replicas = view.shard.connected_replicas();
    text.field("connected_slaves", replicas.len());
    for (replica, number) in replicas.iter().zip(0..) {
        let endpoint = &view.shard.layout.endpoints[view.shard.number][replica.place.member];
        let (host, port, offset) = (endpoint.host(), endpoint.port(), replica.offset);
        text.line(format_args!(
            "slave{number}:ip={host},port={port},state=online,offset={offset},lag=0"
        ));
    }
}

fn replica(view: &View, text: &mut Text) {
    let primary = &view.shard.layout.endpoints[view.shard.number][view.shard.cast.primary];
    let up = !view.shard.cast.members[view.shard.cast.primary].down;
    text.field("role", "slave");
    text.field("master_host", primary.host());
    text.field("master_port", primary.port());
    text.field("master_link_status", if up { "up" } else { "down" });
    text.field("master_last_io_seconds_ago", if up { "0" } else { "-1" });
    text.counts(&[
        ("master_sync_in_progress", 0),
        (
            "slave_read_repl_offset",
            view.server.offset + view.server.incoming_bytes,
        ),
        ("slave_repl_offset", view.server.offset),
        ("slave_priority", 100),
        ("slave_read_only", 1),
        ("replica_announced", 1),
        ("connected_slaves", 0),
    ]);
}

fn cpu(view: &View, text: &mut Text) {
    let seconds = view.server.counters.cpu / 1e6;
    text.section("CPU");
    for suffix in ["", "_children", "_main_thread"] {
        let seconds = if suffix == "_children" { 0.0 } else { seconds };
        text.field(&format!("used_cpu_sys{suffix}"), format_args!("{:.6}", seconds * 0.4));
        text.field(&format!("used_cpu_user{suffix}"), format_args!("{:.6}", seconds * 0.6));
    }
}

fn commandstats(view: &View, text: &mut Text) {
    text.section("Commandstats");
    for verb in Verb::ALL {
        let stat = view.server.stats[verb.index()];
        if stat.calls + stat.rejected == 0 {
            continue;
        }
        text.line(format_args!(
            "cmdstat_{}:calls={},usec={:.0},usec_per_call={:.2},rejected_calls={},failed_calls={}",
            verb.name(),
            stat.calls,
            stat.cost,
            stat.cost / stat.calls.max(1) as f64,
            stat.rejected,
            stat.failed
        ));
    }
}

fn errorstats(view: &View, text: &mut Text) {
    text.section("Errorstats");
    for (error, count) in &view.server.errors {
        text.line(format_args!("errorstat_{error}:count={count}"));
    }
}

fn cluster(_: &View, text: &mut Text) {
    text.section("Cluster");
    text.field("cluster_enabled", 1);
}

fn keyspace(view: &View, text: &mut Text) {
    text.section("Keyspace");
    let keys = view.shard.keys.len();
    if keys == 0 {
        return;
    }
    // A replica doesn't know how long its keys will live.
    let average = if view.is_primary() { 900_000 } else { 0 };
    let expires = view.shard.keys.expiring();
    text.field("db0", format_args!("keys={keys},expires={expires},avg_ttl={average}"));
}
