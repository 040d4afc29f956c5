//! Four shards of a group, told in words: what each has beyond ordinary traffic, and what is found then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::analysis::report::{SignalFigures, SignalReading};
use crate::analysis::slot;
use crate::analysis::slot_stats::SlotLoad;
use crate::analysis::status::{Standing, StatusSettings, StatusTracker, compare};
use crate::analysis::window::{Counted, Coverage, KeyCount, PatternCount, SignatureCount, WindowStats};
use crate::analysis::witness::{ClientTraffic, LargeReplies};
use crate::model::{PerSecond, Ratio, Role, ShardId, Slot};

/// Commands of ordinary traffic in each shard's window of ten seconds.
const ORDINARY: u64 = 10_000;

/// A shard, said in words: ordinary traffic, plus what each word adds.
#[derive(Default)]
struct Shard {
    stats: WindowStats,
    bytes: f64,
    cores: f64,
    slots: u32,
    connections: f64,
    monitor: bool,
    /// Bytes that a second brings in.
    input: f64,
    coverage: Option<(f64, f64)>,
    unseen: f64,
    blind: bool,
    /// The window ends after so small a part of its time.
    brief: Option<u64>,
    /// Reads a second that a slot has and no window sees.
    hidden: Option<(Slot, f64)>,
    costs: BTreeMap<Arc<str>, CommandCost>,
}

fn count(list: &mut Vec<Counted>, name: &str, count: u64) {
    match list.iter_mut().find(|entry| &*entry.name == name) {
        Some(entry) => entry.count += count,
        None => list.push(Counted {
            name: name.into(),
            count,
            error: 0,
        }),
    }
}

impl Shard {
    fn ordinary(number: usize) -> Self {
        let mut shard = Self {
            slots: 5461,
            connections: 2.0,
            input: 100_000.0,
            ..Self::default()
        };
        for key in 0..50 {
            let name = format!("session:{number}:{key}");
            shard.read(
                ORDINARY / 50,
                "GET",
                "session:{ID}",
                &name,
                ["10.0.1.1", "10.0.1.2"][key % 2],
            );
        }
        shard
    }

    fn command(&mut self, times: u64, command: &str, client: &str, bytes: f64, seconds: f64) {
        self.stats.commands += times;
        self.stats.reads += times;
        count(&mut self.stats.commands_by_name, command, times);
        count(&mut self.stats.clients, client, times);
        self.bytes += bytes * times as f64 / 10.0;
        self.cores += seconds * times as f64 / 10.0;
        let cost = self.costs.entry(command.into()).or_default();
        cost.calls += times as f64 / 10.0;
        cost.cores += seconds * times as f64 / 10.0;
    }

    fn touch(&mut self, times: u64, pattern: &str, key: &str) {
        let stats = &mut self.stats;
        let slot = slot::of_printed_key(key.as_bytes());
        stats.key_touches += times;
        stats.keys.push(KeyCount {
            key: key.into(),
            count: times,
            error: 0,
            slot,
        });
        match stats.patterns.iter_mut().find(|entry| &*entry.pattern == pattern) {
            Some(entry) => entry.count += times,
            None => stats.patterns.push(PatternCount {
                pattern: pattern.into(),
                count: times,
                error: 0,
                example_key: key.into(),
            }),
        }
        match stats.slots.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, count)) => *count += times,
            None => stats.slots.push((slot, times)),
        }
        if let Some(tag) = slot::hash_tag(key.as_bytes()) {
            count(
                &mut stats.hash_tags,
                &format!("{{{}}}", String::from_utf8_lossy(tag)),
                times,
            );
        }
    }

    fn read(&mut self, times: u64, command: &str, pattern: &str, key: &str, client: &str) {
        self.command(times, command, client, 1000.0, 0.000_2);
        self.touch(times, pattern, key);
    }

    fn scan(&mut self, times: u64, signature: &str, key: &str, bytes: f64, seconds: f64) {
        let parts: Vec<&str> = signature.split(" | ").collect();
        self.command(times, parts[0], "10.0.1.1", bytes, seconds);
        if parts[1] != "-" {
            self.touch(times, parts[1], key);
        }
        self.stats.signatures.push(SignatureCount {
            signature: signature.into(),
            count: times,
            error: 0,
            full_scan: true,
        });
    }

    /// Takes one word of a story.
    fn add(&mut self, word: &str) {
        let (what, rest) = word.split_once('=').unwrap_or((word, ""));
        let parts: Vec<&str> = rest.split(',').collect();
        let times = parts[0].parse::<u64>().unwrap_or_default();
        match what {
            "key" => self.read(times, "GET", "product:{ID}:stock", parts[1], "10.0.1.1"),
            "written" => {
                self.read(times, "INCR", "counter:{VAR}", parts[1], "10.0.1.2");
                self.stats.reads -= times;
                self.stats.writes += times;
            }
            "tag" => (0..5).for_each(|part| {
                self.read(
                    times / 5,
                    "HGETALL",
                    "cart:{{ID}}:{VAR}",
                    &format!("cart:{}:{part}", parts[1]),
                    "10.0.1.2",
                )
            }),
            "pattern" => (0..100).for_each(|key| {
                self.read(
                    times / 100,
                    "GET",
                    parts[1],
                    &format!("{}{key}", parts[1]),
                    ["10.0.1.1", "10.0.1.2"][key % 2],
                )
            }),
            "client" => (0..100).for_each(|key| {
                self.read(
                    times / 100,
                    "GET",
                    "session:{ID}",
                    &format!("session:w:{key}"),
                    parts[1],
                )
            }),
            "scan" => self.scan(
                times,
                &format!("ZREVRANGE | {} | 0 -1", parts[1]),
                &format!("{}:k", parts[1]),
                10e6,
                0.02,
            ),
            "hash" => self.scan(
                times,
                &format!("HGETALL | {}", parts[1]),
                &format!("{}:k", parts[1]),
                2e6,
                0.000_2,
            ),
            "large" => {
                self.command(times, "GET", "10.0.1.1", 1e6, 0.000_2);
                self.touch(times, parts[1], "export:7:blob");
            }
            "slow" => self.scan(times, &format!("{} | - | *", parts[1]), "", 500.0, 0.04),
            "publish" => self.command(times, "PUBLISH", "10.0.1.1", 5.0, 0.000_2),
            "factor" => {
                let extra = ORDINARY * (times - 100) / 100;
                (0..50).for_each(|key| {
                    self.read(
                        extra / 50,
                        "GET",
                        "session:{ID}",
                        &format!("session:f:{key}"),
                        ["10.0.1.1", "10.0.1.2"][key % 2],
                    )
                });
            }
            "slots" => self.slots = times as u32,
            "connections" => {
                self.connections = times as f64;
                self.command(times * 10, "PING", "10.0.1.3", 7.0, 0.000_15);
            }
            "monitor" => {
                self.monitor = true;
                self.input = 5e6;
                self.bytes *= 3.0;
                self.cores *= 3.0;
            }
            "watched" => self.monitor = true,
            "coverage" => self.coverage = Some((parts[0].parse().expect("reads"), parts[1].parse().expect("writes"))),
            "published" => {
                self.unseen = times as f64;
                self.costs.entry("PUBLISH".into()).or_default().calls += times as f64;
            }
            "unseen" => self.unseen = times as f64,
            "blind" => self.blind = true,
            "brief" => self.brief = Some(times),
            "touches" => {
                self.stats.key_touches = 0;
                (self.stats.keys, self.stats.slots) = (Vec::new(), Vec::new());
                (self.stats.hash_tags, self.stats.patterns) = (Vec::new(), Vec::new());
                self.touch(times, "product:{ID}:stock", parts[1]);
            }
            "logged" => self.stats.testimony.large_replies.push(LargeReplies {
                signature: format!("GET | {}", parts[1]).into(),
                pattern: Some(parts[1].into()),
                example_key: Some("export:7:blob".into()),
                full_scan: false,
                per_second: times as f64,
                bytes_per_second: times as f64 * 1e6,
            }),
            "told" => self.stats.testimony.clients.push(ClientTraffic {
                client: parts[1].into(),
                bytes_per_second: times as f64 * 1000.0,
                commands_per_second: Some(times as f64),
            }),
            "hidden" => {
                let slot = Slot::new(parts[1].parse().expect("a slot's number")).expect("a slot");
                self.hidden = Some((slot, times as f64));
                self.unseen = times as f64;
                self.coverage = Some((0.1, 1.0));
            }
            _ => panic!("{word} says nothing"),
        }
    }

    /// What the window has seen by its end.
    fn seen(&self) -> WindowStats {
        let mut stats = self.stats.clone();
        let part = self.brief.unwrap_or(1);
        for sum in [
            &mut stats.commands,
            &mut stats.reads,
            &mut stats.writes,
            &mut stats.key_touches,
        ] {
            *sum /= part;
        }
        stats.keys.iter_mut().for_each(|key| key.count /= part);
        stats.slots.iter_mut().for_each(|(_, count)| *count /= part);
        stats.patterns.iter_mut().for_each(|pattern| pattern.count /= part);
        stats
            .signatures
            .iter_mut()
            .for_each(|signature| signature.count /= part);
        for list in [&mut stats.commands_by_name, &mut stats.clients, &mut stats.hash_tags] {
            list.iter_mut().for_each(|entry| entry.count /= part);
        }
        stats
    }

    fn rates(&self) -> [f64; 3] {
        [
            self.stats.commands as f64 / 10.0 + self.unseen,
            self.bytes + self.unseen * 1000.0,
            self.cores + self.unseen * 0.000_2,
        ]
    }
}

/// Four shards; `"2 key=20000,product:7:stock"` gives shard 2 that much more, `; ` parts shards.
fn shards(story: &str) -> Vec<Shard> {
    let mut shards: Vec<Shard> = (0..4).map(Shard::ordinary).collect();
    for part in story.split("; ").filter(|part| !part.is_empty()) {
        let mut words = part.split(' ');
        let number: usize = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a shard's number");
        words.for_each(|word| shards[number].add(word));
    }
    for shard in &mut shards {
        shard.stats.keys.sort_by_key(|key| std::cmp::Reverse(key.count));
        shard.stats.slots.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        shard
            .stats
            .clients
            .sort_by_key(|client| std::cmp::Reverse(client.count));
    }
    shards
}

fn figures(shards: &[Shard], place: usize) -> SignalFigures {
    let settings = StatusSettings::default();
    let reading = |index: usize, signal: Signal| {
        let rates: Vec<Option<f64>> = shards.iter().map(|shard| Some(shard.rates()[index])).collect();
        let standing: Standing = compare(&rates, settings.floor(signal)).remove(place);
        SignalReading {
            rate: rates[place],
            deviation: standing.deviation(),
            skew: standing.skew(),
            status: StatusTracker::default().observe(&standing, &settings),
        }
    };
    SignalFigures {
        commands: reading(0, Signal::Commands),
        bytes_out: reading(1, Signal::BytesOut),
        cpu: reading(2, Signal::Cpu),
    }
}

/// What the servers would count for each slot.
fn slot_loads(shard: &Shard) -> Vec<SlotLoad> {
    let seen = shard
        .stats
        .slots
        .iter()
        .map(|(slot, count)| (*slot, *count as f64 / 10.0));
    let load = |(slot, reads): (Slot, f64)| SlotLoad {
        slot,
        cpu: Some(Ratio(reads * 0.000_2)),
        output: Some(PerSecond(reads * 1000.0)),
    };
    seen.chain(shard.hidden).map(load).collect()
}

pub(super) fn findings(story: &str, previous: &[Finding]) -> Vec<Finding> {
    told(story, previous, false)
}

/// The same where the servers count by slot, if they do.
pub(super) fn told(story: &str, previous: &[Finding], counted: bool) -> Vec<Finding> {
    let shards = shards(story);
    let loads: Vec<Vec<SlotLoad>> = shards
        .iter()
        .map(|shard| if counted { slot_loads(shard) } else { Vec::new() })
        .collect();
    let seen: Vec<WindowStats> = shards.iter().map(Shard::seen).collect();
    let evidence: Vec<ShardEvidence<'_>> = shards
        .iter()
        .enumerate()
        .map(|(place, shard)| ShardEvidence {
            shard: ShardId::new(place.to_string()),
            slots: Some(shard.slots),
            signals: figures(&shards, place),
            window: (!shard.blind).then_some(Seen {
                role: Some(Role::Replica),
                duration: Duration::from_secs(10) / shard.brief.unwrap_or(1) as u32,
                stats: &seen[place],
                completeness: Some(Ratio(1.0)),
                coverage: Some(shard.coverage.map_or(
                    Coverage {
                        reads: Some(Ratio(1.0)),
                        writes: Some(Ratio(1.0)),
                        primary_reads: None,
                    },
                    |(reads, writes)| Coverage {
                        reads: Some(Ratio(reads)),
                        writes: Some(Ratio(writes)),
                        primary_reads: None,
                    },
                )),
            }),
            costs: shard.costs.clone(),
            connections_per_second: Some(shard.connections),
            slot_loads: &loads[place],
            other_monitor: shard.monitor,
            absence: None,
            streamed: Some(Streamed {
                input: shard.input,
                commands: shard.rates()[0],
            }),
        })
        .collect();
    diagnose(&evidence, previous)
}

/// `shard signal cause subject (resharding)`, for each finding.
pub(super) fn check(story: &str, expected: &[&str]) {
    let shown: Vec<String> = findings(story, &[])
        .iter()
        .map(|finding| {
            let helps = match finding.resharding_helps {
                Some(true) => "yes",
                Some(false) => "no",
                None => "?",
            };
            let subject = finding.subject.as_deref().unwrap_or("-");
            format!(
                "{} {} {} {subject} ({helps})",
                finding.shard,
                finding.signal.kind(),
                finding.cause.kind()
            )
        })
        .collect();
    assert_eq!(shown, expected, "{story}: {:#?}", findings(story, &[]));
}
