//! What stands in a node's last answer: figures of one moment.

use crate::analysis::info::Reading;
use crate::metrics::snapshot::{NodeGauges, Sources};
use crate::model::Timestamp;

impl Sources {
    /// What was found out now replaces what was known.
    pub(super) fn update(&mut self, now: Self) {
        self.monitor = now.monitor.or(self.monitor);
        self.slot_stats = now.slot_stats.or(self.slot_stats);
        self.commandlog = now.commandlog.or(self.commandlog);
        self.client_list = now.client_list.or(self.client_list);
    }
}

/// All but the replication lag, which one node alone can't tell.
pub(super) fn gauges(reading: &Reading, started: Option<Timestamp>) -> NodeGauges {
    let keyspace = || reading.keyspace.iter().flatten();
    NodeGauges {
        start_time: started,
        memory_used: reading.memory_used,
        memory_max: reading.memory_max,
        memory_fragmentation: reading.memory_fragmentation,
        connected_clients: reading.connected_clients,
        blocked_clients: reading.blocked_clients,
        clients_max: reading.clients_max,
        link_up: reading.replication.link_up,
        replication_lag: None,
        replication_lag_seconds: None,
        keys: keyspace()
            .map(|(database, keyspace)| (*database, keyspace.keys))
            .collect(),
        average_ttl: keyspace()
            .filter_map(|(database, keyspace)| Some((*database, keyspace.average_ttl?)))
            .collect(),
    }
}

/// When the server began.
pub(super) fn start_time(reading: &Reading) -> Option<Timestamp> {
    Some(reading.server_time? - reading.uptime?)
}
