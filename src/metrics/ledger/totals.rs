//! A node's totals: our own sums of a server's counters.

use std::time::Duration;

use super::capped::CappedTotals;
use crate::analysis::info::Reading;
use crate::analysis::signal::Deltas;
use crate::metrics::snapshot::NodeTotals;
use crate::model::{Bytes, Seconds};

/// They only grow.
#[derive(Debug)]
pub(super) struct Totals {
    counters: NodeTotals,
    cpu: Option<Duration>,
    errors: CappedTotals<u64>,
}

impl Totals {
    pub(super) fn new(errors_max: usize) -> Self {
        Self {
            counters: NodeTotals::default(),
            cpu: None,
            errors: CappedTotals::new(errors_max),
        }
    }

    pub(super) fn cap_errors(&mut self, errors_max: usize) {
        self.errors.cap(errors_max);
    }

    /// What the server counts is known to be zero so far, by our count; what it doesn't count stays unknown.
    pub(super) fn introduce(&mut self, reading: &Reading) {
        fn known<Amount: Default, Any>(total: &mut Option<Amount>, counter: Option<Any>) {
            if counter.is_some() {
                total.get_or_insert_default();
            }
        }
        let totals = &mut self.counters;
        known(&mut totals.commands, reading.commands.as_ref());
        known(&mut totals.output_bytes, reading.replication_output);
        known(&mut totals.replication_output_bytes, reading.replication_output);
        known(&mut totals.input_bytes, reading.input);
        known(&mut totals.connections_received, reading.connections_received);
        known(&mut totals.connections_rejected, reading.connections_rejected);
        known(&mut totals.keyspace_hits, reading.keyspace_hits);
        known(&mut totals.keyspace_misses, reading.keyspace_misses);
        known(&mut totals.evicted_keys, reading.evicted_keys);
        known(&mut totals.expired_keys, reading.expired_keys);
        known(&mut totals.full_syncs, reading.full_syncs);
        known(&mut self.cpu, reading.cpu_main_thread);
    }

    /// Adds so much of the deltas; while a window of ours is open, no more than `output_max` went to clients. What should not happen at all
    /// is added whole: it happens when a node doesn't answer, and a part of one is none.
    pub(super) fn add(&mut self, deltas: &Deltas, credit: Credit, output_max: Option<Bytes>) {
        let output = deltas
            .output
            .map(|bytes| output_max.map_or(bytes, |max| bytes.min(max)));
        let totals = &mut self.counters;
        credit.add(&mut totals.commands, deltas.commands);
        credit.add_bytes(&mut totals.output_bytes, output);
        credit.add_bytes(&mut totals.replication_output_bytes, deltas.replication_output);
        credit.add_bytes(&mut totals.input_bytes, deltas.input);
        credit.add(&mut totals.connections_received, deltas.connections_received);
        Credit::ALL.add(&mut totals.connections_rejected, deltas.connections_rejected);
        credit.add(&mut totals.keyspace_hits, deltas.keyspace_hits);
        credit.add(&mut totals.keyspace_misses, deltas.keyspace_misses);
        Credit::ALL.add(&mut totals.evicted_keys, deltas.evicted_keys);
        credit.add(&mut totals.expired_keys, deltas.expired_keys);
        Credit::ALL.add(&mut totals.full_syncs, deltas.full_syncs);
        if let Some(time) = deltas.cpu {
            *self.cpu.get_or_insert_default() += credit.of_time(time);
        }
        for (error, count) in &deltas.errors {
            self.errors.add(error, *count);
        }
    }

    pub(super) fn snapshot(&self) -> NodeTotals {
        NodeTotals {
            cpu_seconds: self.cpu.map(|time| Seconds(time.as_secs_f64())),
            errors: self.errors.totals(),
            ..self.counters.clone()
        }
    }
}

/// The part of a delta that totals take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit(pub(super) f64);

impl Credit {
    const ALL: Self = Self(1.0);

    pub(super) fn of(self, count: u64) -> u64 {
        if self.0 >= 1.0 {
            count
        } else {
            (count as f64 * self.0) as u64
        }
    }

    pub(super) fn of_time(self, time: Duration) -> Duration {
        time.mul_f64(self.0)
    }

    fn add(self, total: &mut Option<u64>, delta: Option<u64>) {
        if let Some(delta) = delta {
            *total.get_or_insert_default() += self.of(delta);
        }
    }

    fn add_bytes(self, total: &mut Option<Bytes>, delta: Option<Bytes>) {
        if let Some(delta) = delta {
            *total.get_or_insert_default() += Bytes(self.of(delta.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_not_happen_counts_whole_though_polls_failed_meanwhile() {
        let mut totals = Totals::new(8);
        let deltas = Deltas {
            commands: Some(900),
            connections_rejected: Some(1),
            evicted_keys: Some(2),
            full_syncs: Some(1),
            errors: [("OOM".into(), 3)].into(),
            ..Deltas::default()
        };
        totals.add(&deltas, Credit(1.0 / 3.0), None);
        let snapshot = totals.snapshot();
        let NodeTotals {
            commands,
            connections_rejected,
            evicted_keys,
            full_syncs,
            ..
        } = snapshot;
        assert_eq!(
            (commands, connections_rejected, evicted_keys, full_syncs),
            (Some(300), Some(1), Some(2), Some(1))
        );
        assert_eq!(snapshot.errors["OOM"], 3);
    }
}
