//! A group's last windows beside its signals as a report, the verdict on top.
//!
//! A pure function of what is known. It refuses to know when a round is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::snapshot::{GroupSnapshot, ShardSnapshot, SignalSnapshot};
use crate::analysis::diagnosis::{CommandCost, Seen, ShardEvidence, Streamed, diagnose};
use crate::analysis::report::{Missing, Observation, Report, ReportSettings, SignalFigures, SignalReading, Source};
use crate::analysis::slot_stats::SlotLoad;
use crate::analysis::window::ClosedWindow;
use crate::model::ShardId;

/// What the nodes' counters tell about a shard's last minute beyond its signals.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// What each command costs.
    pub costs: BTreeMap<Arc<str>, CommandCost>,
    /// Connections accepted a second.
    pub connections_per_second: Option<f64>,
    /// What each of its slots does, where the servers count by slot.
    pub slot_loads: Arc<[SlotLoad]>,
    /// Whether somebody else reads a MONITOR stream.
    pub other_monitor: bool,
    /// What such a stream of its busiest node is made of.
    pub streamed: Option<Streamed>,
    /// Whether its last window is an earlier round's: that tells nothing of this one.
    pub window_is_past: bool,
}

/// The report of a group, compared with the one before.
pub fn report(
    group: &GroupSnapshot,
    circumstances: &BTreeMap<ShardId, Circumstances>,
    previous: Option<&Report>,
) -> Report {
    let none = Circumstances::default();
    let around = |shard: &ShardSnapshot| circumstances.get(&shard.id).unwrap_or(&none);
    let mut observations = Vec::new();
    let mut missing = Vec::new();
    for shard in &group.shards {
        match window(shard, around(shard)) {
            Some(window) => observations.push(Observation {
                slots: shard.owned.clone(),
                ..Observation::of_window(window, Some(figures(shard)))
            }),
            None => missing.push(Missing {
                shard: shard.id.clone(),
                reason: unseen(shard),
            }),
        }
    }
    let evidence: Vec<ShardEvidence<'_>> = group
        .shards
        .iter()
        .map(|shard| evidence(shard, around(shard)))
        .collect();
    let previous = previous.map_or(&[][..], |report| &report.diagnosis);
    let settings = ReportSettings::default();
    let compared = Report::compare(&group.key, Source::Serve, observations, missing, &settings);
    Report {
        // The counters of all nodes say more than the windows alone, also of shards without one.
        diagnosis: diagnose(&evidence, previous),
        ..compared
    }
}

/// The round's window on the shard.
fn window<'a>(shard: &'a ShardSnapshot, circumstances: &Circumstances) -> Option<&'a ClosedWindow> {
    shard.windows.last.as_deref().filter(|_| !circumstances.window_is_past)
}

fn evidence<'a>(shard: &'a ShardSnapshot, circumstances: &'a Circumstances) -> ShardEvidence<'a> {
    let window = window(shard, circumstances);
    ShardEvidence {
        shard: shard.id.clone(),
        slots: shard.slots,
        signals: figures(shard),
        window: window.map(|window| Seen {
            role: Some(window.role),
            duration: window.duration(),
            stats: &window.stats,
            completeness: window.completeness,
            coverage: Some(window.coverage),
        }),
        costs: circumstances.costs.clone(),
        connections_per_second: circumstances.connections_per_second,
        slot_loads: &circumstances.slot_loads,
        // Where it is the node that was to be looked at, there was no window.
        other_monitor: circumstances.other_monitor || window.is_some_and(|window| window.stats.testimony.other_monitor),
        streamed: circumstances.streamed,
        absence: window.is_none().then(|| unseen(shard)),
    }
}

fn figures(shard: &ShardSnapshot) -> SignalFigures {
    SignalFigures {
        commands: reading(&shard.commands, |rate| rate.0),
        bytes_out: reading(&shard.bytes_out, |rate| rate.0),
        cpu: reading(&shard.cpu, |cores| cores.0),
    }
}

fn reading<Unit: Copy>(signal: &SignalSnapshot<Unit>, number: fn(Unit) -> f64) -> SignalReading {
    SignalReading {
        rate: signal.rate.map(number),
        deviation: signal.deviation,
        skew: signal.skew,
        status: signal.status,
    }
}

/// Why there is no window, as far as it is known.
fn unseen(shard: &ShardSnapshot) -> String {
    match &shard.windows.absence {
        _ if shard.windows.active > 0 => "its first window is open".to_owned(),
        Some(absence) => absence.to_string(),
        None if shard.windows.last.is_some() => "this round had no window on it".to_owned(),
        None => "no window has been due yet; monitor.schedule says when one is".to_owned(),
    }
}
