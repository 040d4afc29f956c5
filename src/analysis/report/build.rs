//! From windows and signals to a report.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};

use super::contents::{
    BytesOut, ClientShare, CommandShare, CoverageReport, HashTagShare, KeyShare, Missing, OutputShare, PatternShare,
    PerSignal, Report, ShardReport, SignalsReport, SignatureShare, SlotShare, Source, TimelinePoint, Totals,
};
use super::observation::{Observation, SignalFigures, SignalReading};
use crate::analysis::bandwidth::OutputEstimate;
use crate::analysis::diagnosis::{ShardEvidence, diagnose};
use crate::analysis::status::{Signal, Standing, Status, StatusSettings, StatusTracker, compare};
use crate::analysis::window::WindowStats;
use crate::model::{Bytes, GroupKey, PerSecond, Ratio, Timestamp};

/// The version that [`Report::version`] says.
const VERSION: u32 = 1;

/// How a report is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportSettings {
    /// The most entries a list has.
    pub entries_max: usize,
    /// From where on a shard is hot or cold.
    pub status: StatusSettings,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            entries_max: 20,
            status: StatusSettings::default(),
        }
    }
}

impl Report {
    /// The shards of one round beside each other. Without signals what the windows saw is compared.
    pub fn compare(
        group: &GroupKey,
        source: Source,
        mut observations: Vec<Observation<'_>>,
        missing: Vec<Missing>,
        settings: &ReportSettings,
    ) -> Self {
        observations.sort_by(|one, other| {
            let ((deviation, rate), (less, slower)) = (other.heat(), one.heat());
            deviation
                .total_cmp(&less)
                .then(rate.total_cmp(&slower))
                .then_with(|| one.shard.cmp(&other.shard))
        });
        let seen = compare_windows(&observations, &settings.status);
        let evidence: Vec<ShardEvidence<'_>> = observations
            .iter()
            .zip(&seen)
            .map(|(observation, seen)| observation.evidence(*seen))
            .collect();
        let started = observations
            .iter()
            .filter_map(|observation| observation.span)
            .map(|(opened, _)| opened)
            .min();
        let ended = observations
            .iter()
            .filter_map(|observation| observation.span)
            .map(|(_, closed)| closed)
            .max();
        Self {
            version: VERSION,
            group: group.id.clone(),
            region: group.region.clone(),
            started_at: started.and_then(written),
            ended_at: ended.and_then(written),
            source,
            totals: totals(&observations),
            shards: observations
                .iter()
                .zip(seen)
                .map(|(observation, seen)| shard(observation, seen, settings.entries_max))
                .collect(),
            missing,
            diagnosis: diagnose(&evidence, &[]),
        }
    }
}

fn compare_windows(observations: &[Observation<'_>], settings: &StatusSettings) -> Vec<SignalReading> {
    let rates: Vec<Option<f64>> = observations.iter().map(Observation::rate).collect();
    let reading = |(observation, standing): (&Observation<'_>, Standing)| {
        let seen = SignalReading {
            rate: observation.rate(),
            deviation: standing.deviation(),
            skew: standing.skew(),
            status: StatusTracker::default().observe(&standing, settings),
        };
        // What wasn't seen may be what makes it hot: such a window can say that a shard is, and never that it isn't.
        if observation.coverage_hint().is_some() && !seen.status.is_hot() {
            return SignalReading {
                rate: seen.rate,
                ..SignalReading::default()
            };
        }
        seen
    };
    let standings = compare(&rates, settings.floor(Signal::Commands));
    observations.iter().zip(standings).map(reading).collect()
}

fn written(moment: Timestamp) -> Option<String> {
    let moment = DateTime::from_timestamp_micros(i64::try_from(moment.0).ok()?)?;
    Some(moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn totals(observations: &[Observation<'_>]) -> Totals {
    let sum = |figure: fn(&WindowStats) -> u64| observations.iter().map(|observation| figure(observation.stats)).sum();
    let rates: Vec<f64> = observations.iter().filter_map(Observation::rate).collect();
    let longest = observations.iter().map(Observation::duration).max().unwrap_or_default();
    Totals {
        commands: sum(|stats| stats.commands),
        lines: sum(|stats| stats.lines),
        rejected_lines: sum(WindowStats::rejected_lines),
        bytes_read: sum(|stats| stats.bytes_read.0),
        duration_seconds: longest.as_secs_f64(),
        commands_per_second: (!rates.is_empty()).then(|| rounded(rates.iter().sum())),
    }
}

fn shard(observation: &Observation<'_>, seen: SignalReading, entries_max: usize) -> ShardReport {
    let commands = observation.signals.map_or(seen, |signals| signals.commands);
    let stats = observation.stats;
    let touches = stats.key_touches;
    let output = stats.output.as_ref();
    ShardReport {
        shard: observation.shard.clone(),
        node: observation.node.clone(),
        role: observation.role,
        status: PerSignal {
            commands: commands.status,
            bytes_out: observation
                .signals
                .map_or(Status::Unknown, |signals| signals.bytes_out.status),
            cpu: observation
                .signals
                .map_or(Status::Unknown, |signals| signals.cpu.status),
        },
        window_end: observation.end,
        duration_seconds: observation.duration().as_secs_f64(),
        commands: stats.commands,
        commands_per_second: observation.rate().map(rounded),
        deviation_ratio: commands.deviation.map(|ratio| rounded(ratio.0)),
        skew_ratio: commands.skew.map(|ratio| rounded(ratio.0)),
        completeness_ratio: observation.completeness.map(|ratio| rounded(ratio.0)),
        coverage: observation.coverage.map(|coverage| CoverageReport {
            reads: coverage.reads.map(|ratio| rounded(ratio.0)),
            writes: coverage.writes.map(|ratio| rounded(ratio.0)),
        }),
        coverage_hint: observation.coverage_hint(),
        signals: observation.signals.as_ref().map(signals),
        bytes_out: observation.bytes_out.clone().map(|output| cut(output, entries_max)),
        commands_by_name: first(&stats.commands_by_name, entries_max, |entry| CommandShare {
            command: entry.name.clone(),
            count: entry.count,
            share: share(entry.count, stats.commands),
        }),
        patterns: first(&stats.patterns, entries_max, |entry| PatternShare {
            pattern: entry.pattern.clone(),
            count: entry.count,
            error: entry.error,
            share: share(entry.count, touches),
            bytes_out: output.and_then(|output| Some(output.of_pattern(&entry.pattern)?.0)),
            example_key: entry.example_key.clone(),
        }),
        signatures: first(&stats.signatures, entries_max, |entry| SignatureShare {
            signature: entry.signature.clone(),
            count: entry.count,
            share: share(entry.count, stats.commands),
            full_scan: entry.full_scan,
        }),
        keys: first(&stats.keys, entries_max, |entry| KeyShare {
            key: entry.key.clone(),
            count: entry.count,
            error: entry.error,
            share: share(entry.count, touches),
            slot: entry.slot.number(),
        }),
        hash_tags: first(&stats.hash_tags, entries_max, |entry| HashTagShare {
            hash_tag: entry.name.clone(),
            count: entry.count,
            error: entry.error,
            share: share(entry.count, touches),
        }),
        slots: first(&stats.slots, entries_max, |(slot, count)| SlotShare {
            slot: slot.number(),
            count: *count,
            share: share(*count, touches),
        }),
        clients: first(&stats.clients, entries_max, |entry| ClientShare {
            client: entry.name.clone(),
            count: entry.count,
            share: share(entry.count, stats.commands),
        }),
        slot_ranges: observation.slots.as_ref().map(|slots| {
            let ranges = slots.ranges().iter();
            ranges
                .map(|range| (range.first.number(), range.last.number()))
                .collect()
        }),
        timeline: timeline(stats),
        distinct_keys: stats.distinct_keys,
        distinct_clients: stats.distinct_clients,
    }
}

fn timeline(stats: &WindowStats) -> Vec<TimelinePoint> {
    let Some((first, last)) = stats.first.zip(stats.last) else {
        return Vec::new();
    };
    let point = |(at, rate): (Timestamp, PerSecond)| {
        Some(TimelinePoint {
            at: written(at)?,
            commands_per_second: rounded(rate.0),
        })
    };
    stats
        .timeline
        .rates(first, last)
        .into_iter()
        .filter_map(point)
        .collect()
}

pub(super) fn written_output(output: &OutputEstimate, stats: &WindowStats) -> BytesOut {
    let all = output.measured.unwrap_or(output.attributed).0;
    let named = |sums: &[(Arc<str>, Bytes)]| {
        let share = |(name, bytes): &(Arc<str>, Bytes)| OutputShare {
            name: Arc::clone(name),
            bytes: bytes.0,
            // Sizes are sampled, so the largest may come out as more than all.
            share: share(bytes.0, all).min(1.0),
        };
        sums.iter().map(share).collect()
    };
    let calls = |(command, calls): &(Arc<str>, u64)| CommandShare {
        command: Arc::clone(command),
        count: *calls,
        share: share(*calls, stats.commands).min(1.0),
    };
    BytesOut {
        scale_ratio: rounded(output.scale.0),
        by_pattern: named(&output.patterns),
        by_command: named(&output.commands),
        by_signature: named(&output.signatures),
        by_key: named(&output.keys),
        not_estimable: output.not_estimable.iter().map(calls).collect(),
        estimated: output.estimated.0,
        measured: output.measured.map(|measured| measured.0),
        unattributed: output.unattributed(),
        error_ratio: output.error().map(rounded),
        sizes: output.sizes,
    }
}

fn cut(mut output: BytesOut, entries_max: usize) -> BytesOut {
    let BytesOut {
        by_pattern,
        by_command,
        by_signature,
        by_key,
        not_estimable,
        ..
    } = &mut output;
    for list in [by_pattern, by_command, by_signature, by_key] {
        list.truncate(entries_max);
    }
    not_estimable.truncate(entries_max);
    output
}

fn signals(figures: &SignalFigures) -> SignalsReport {
    let each = |figure: fn(&SignalReading) -> Option<Ratio>| {
        let of = |reading| figure(reading).map(|ratio| rounded(ratio.0));
        PerSignal {
            commands: of(&figures.commands),
            bytes_out: of(&figures.bytes_out),
            cpu: of(&figures.cpu),
        }
    };
    SignalsReport {
        commands_per_second: figures.commands.rate.map(rounded),
        bytes_out_per_second: figures.bytes_out.rate.map(rounded),
        cpu_ratio: figures.cpu.rate.map(rounded),
        deviation_ratio: each(|reading| reading.deviation),
        skew_ratio: each(|reading| reading.skew),
    }
}

fn first<Entry, Shown>(entries: &[Entry], entries_max: usize, show: impl Fn(&Entry) -> Shown) -> Vec<Shown> {
    entries.iter().take(entries_max).map(show).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    Ratio::of(part, whole).map_or(0.0, |ratio| rounded(ratio.0))
}

/// Six decimals: enough for a share of one in a million, and a number that can be read.
fn rounded(figure: f64) -> f64 {
    (figure * 1e6).round() / 1e6
}
