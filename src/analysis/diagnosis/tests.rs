use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::analysis::report::{SignalFigures, SignalReading};
use crate::analysis::slot;
use crate::analysis::slot_stats::SlotLoad;
use crate::analysis::status::{Standing, Status, StatusSettings, StatusTracker, compare};
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
    coverage: Option<(f64, f64)>,
    unseen: f64,
    blind: bool,
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
                self.bytes *= 3.0;
                self.cores *= 3.0;
            }
            "coverage" => self.coverage = Some((parts[0].parse().expect("reads"), parts[1].parse().expect("writes"))),
            "published" => {
                self.unseen = times as f64;
                self.costs.entry("PUBLISH".into()).or_default().calls += times as f64;
            }
            "unseen" => self.unseen = times as f64,
            "blind" => self.blind = true,
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

fn findings(story: &str, previous: &[Finding]) -> Vec<Finding> {
    told(story, previous, false)
}

/// The same where the servers count by slot, if they do.
fn told(story: &str, previous: &[Finding], counted: bool) -> Vec<Finding> {
    let shards = shards(story);
    let loads: Vec<Vec<SlotLoad>> = shards
        .iter()
        .map(|shard| if counted { slot_loads(shard) } else { Vec::new() })
        .collect();
    let evidence: Vec<ShardEvidence<'_>> = shards
        .iter()
        .enumerate()
        .map(|(place, shard)| ShardEvidence {
            shard: ShardId::new(place.to_string()),
            slots: Some(shard.slots),
            signals: figures(&shards, place),
            window: (!shard.blind).then_some(Seen {
                role: Some(Role::Replica),
                duration: Duration::from_secs(10),
                stats: &shard.stats,
                completeness: Some(Ratio(1.0)),
                coverage: Some(shard.coverage.map_or(
                    Coverage {
                        reads: Some(Ratio(1.0)),
                        writes: Some(Ratio(1.0)),
                    },
                    |(reads, writes)| Coverage {
                        reads: Some(Ratio(reads)),
                        writes: Some(Ratio(writes)),
                    },
                )),
            }),
            costs: shard.costs.clone(),
            connections_per_second: Some(shard.connections),
            slot_loads: &loads[place],
            other_monitor: shard.monitor,
        })
        .collect();
    diagnose(&evidence, previous)
}

/// `shard signal cause subject (resharding)`, for each finding.
fn check(story: &str, expected: &[&str]) {
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

#[test]
fn nothing_is_invented_where_nothing_is_hot() {
    check("", &[]);
    check("1 factor=115", &[]);
    // Its key takes a third, but the shard does no more than the others.
    check("0 key=1000,a:1; 1 key=1000,a:2; 2 key=1200,a:3; 3 key=1000,a:4", &[]);
}

#[test]
fn a_single_key_is_named() {
    check(
        "2 key=20000,product:7:stock",
        &[
            "2 commands single_key product:7:stock (no)",
            "2 bytes_out single_key product:7:stock (no)",
            "2 cpu single_key product:7:stock (no)",
        ],
    );
    check(
        "1 written=15000,counter:visits",
        &[
            "1 commands single_key counter:visits (no)",
            "1 bytes_out single_key counter:visits (no)",
            "1 cpu single_key counter:visits (no)",
        ],
    );
}

#[test]
fn a_single_key_is_named_inside_noise() {
    // The other 70 % of the shard are what the others do, too.
    let found = findings("3 key=4300,product:9:stock", &[]);
    assert_eq!(found[0].subject.as_deref(), Some("product:9:stock"));
    assert_eq!(found[0].cause, Cause::SingleKey);
    assert!(
        found[0].share.is_some_and(|share| (0.29..0.31).contains(&share)),
        "{found:#?}"
    );
}

#[test]
fn a_tag_is_named_when_no_key_of_it_stands_out() {
    check(
        "0 tag=15000,{827310}",
        &[
            "0 commands hash_tag {827310} (no)",
            "0 bytes_out hash_tag {827310} (no)",
            "0 cpu hash_tag {827310} (no)",
        ],
    );
    let noisy = findings("1 tag=4300,{order}", &[]);
    assert_eq!(
        (noisy[0].cause, noisy[0].subject.as_deref()),
        (Cause::HashTag, Some("{order}"))
    );
    // One key of a tag that takes it all is a key.
    let key = findings("0 key=15000,cart:{827310}:items", &[]);
    assert_eq!(key[0].cause, Cause::SingleKey);
}

#[test]
fn a_pattern_is_named_when_no_client_is_behind_it() {
    check(
        "0 pattern=12000,export:",
        &[
            "0 commands pattern export: (yes)",
            "0 bytes_out pattern export: (yes)",
            "0 cpu pattern export: (yes)",
        ],
    );
    let noisy = findings("1 pattern=4300,feed:", &[]);
    assert_eq!(
        (noisy[0].cause, noisy[0].subject.as_deref()),
        (Cause::Pattern, Some("feed:"))
    );
}

#[test]
fn a_client_is_named_that_is_here_and_not_elsewhere() {
    check(
        "3 client=14000,10.0.66.6",
        &[
            "3 commands client 10.0.66.6 (yes)",
            "3 bytes_out client 10.0.66.6 (yes)",
            "3 cpu client 10.0.66.6 (yes)",
        ],
    );
    let noisy = findings("2 client=4300,10.0.77.7", &[]);
    assert_eq!(
        (noisy[0].cause, noisy[0].subject.as_deref()),
        (Cause::Client, Some("10.0.77.7"))
    );
}

#[test]
fn few_large_replies_are_named_with_their_pattern() {
    check(
        "1 scan=40,leaderboard:{DATE}:all",
        &[
            "1 bytes_out fat_replies leaderboard:{DATE}:all (?)",
            "1 cpu fat_replies leaderboard:{DATE}:all (?)",
        ],
    );
    check("0 hash=100,profile:{ID}", &["0 bytes_out fat_replies profile:{ID} (?)"]);
    check(
        "2 large=100,export:{ID}:blob",
        &["2 bytes_out fat_replies export:{ID}:blob (?)"],
    );
}

#[test]
fn replies_that_nodes_logged_as_large_are_named_though_no_window_saw_them() {
    // 3 MB a second of 4 are such replies.
    let story = "1 unseen=3000 coverage=0.1,1.0 logged=3,export:{ID}:blob";
    let found = findings(story, &[]);
    let bytes_out = found
        .iter()
        .find(|finding| finding.signal == Signal::BytesOut)
        .expect("it is hot");
    assert_eq!(
        (bytes_out.cause, bytes_out.subject.as_deref()),
        (Cause::FatReplies, Some("export:{ID}:blob"))
    );
    let evidence = bytes_out.evidence.join("\n");
    let sentence = "logged 180 large replies a minute to GET | export:{ID}:blob, 1.0 MB each: 75 % of the bytes";
    assert!(evidence.contains(sentence), "{evidence}");
    // The others send them, too.
    let everywhere = "0 logged=1,export:{ID}:blob; 2 logged=1,export:{ID}:blob; 3 logged=1,export:{ID}:blob; 1 unseen=3000 coverage=0.1,1.0 logged=4,export:{ID}:blob";
    let cause = findings(everywhere, &[])[1].cause;
    assert_eq!(cause, Cause::Unexplained);
}

#[test]
fn a_client_that_nodes_tell_of_is_named_though_no_window_saw_it() {
    check(
        "2 unseen=2000 coverage=0.33,1.0 told=2000,10.0.66.6",
        &[
            "2 commands client 10.0.66.6 (yes)",
            "2 bytes_out client 10.0.66.6 (yes)",
            "2 cpu unexplained coverage (?)",
        ],
    );
    check(
        "0 told=1000,10.0.1.1; 1 told=1000,10.0.1.1; 3 told=1000,10.0.1.1; 2 unseen=2000 coverage=0.33,1.0 told=3000,10.0.1.1",
        &[
            "2 commands unexplained coverage (?)",
            "2 bytes_out unexplained coverage (?)",
            "2 cpu unexplained coverage (?)",
        ],
    );
}

#[test]
fn an_expensive_command_is_named_by_what_it_costs() {
    check("2 slow=120,KEYS", &["2 cpu expensive_command KEYS (no)"]);
    check("0 slow=150,EVALSHA", &["0 cpu expensive_command EVALSHA (no)"]);
}

#[test]
fn an_uneven_share_of_slots_is_told_from_a_hot_key() {
    check(
        "1 slots=10922 factor=200",
        &[
            "1 commands slot_ownership 10922 slots (yes)",
            "1 bytes_out slot_ownership 10922 slots (yes)",
            "1 cpu slot_ownership 10922 slots (yes)",
        ],
    );
    let key = findings("1 slots=7000 key=20000,product:7:stock", &[]);
    assert_eq!(key[0].cause, Cause::SingleKey);
}

/// The first finding's answer to whether more shards would help, where the servers count by slot; the sentence has each of these.
fn check_outlook(story: &str, helps: Option<bool>, sentence: &[&str]) {
    let found = told(story, &[], true).remove(0);
    let evidence = found.evidence.join("\n");
    assert_eq!(found.resharding_helps, helps, "{evidence}");
    for part in sentence {
        assert!(evidence.contains(part), "{part} in\n{evidence}");
    }
}

#[test]
fn the_servers_own_counters_tell_whether_more_shards_help() {
    let story = "2 key=20000,product:7:stock";
    check_outlook(
        story,
        Some(false),
        &[
            "more shards: no, slot 14757 alone carries 33 % of the group's CPU time for commands, caused by product:7:stock,",
            "and a slot can't be split; the hottest would carry at best 1.5 × the median of the others with 4 shards, \
             2.0 × with 5, 3.4 × with 8",
        ],
    );
    check_outlook(
        "0 pattern=12000,export:",
        Some(true),
        &["more shards: yes, the hottest would carry at best 1.0 × the median of the others with 4 shards"],
    );
}

#[test]
fn slots_that_no_window_saw_are_counted_by_the_servers() {
    check_outlook(
        "2 hidden=3000,6392",
        Some(false),
        &[
            "more shards: no, slot 6392 alone carries 43 % of the group's CPU time for commands and a slot can't be split",
        ],
    );
    assert_eq!(findings("2 hidden=3000,6392", &[])[0].resharding_helps, None);
}

#[test]
fn large_replies_have_slots_where_the_servers_count_bytes() {
    check_outlook(
        "2 large=10,export:{ID}:blob hidden=20000,6392 coverage=1.0,1.0",
        Some(false),
        &["slot 6392 alone carries"],
    );
}

#[test]
fn what_is_around_the_commands_is_seen() {
    check(
        "3 connections=900",
        &["3 commands connection_churn - (no)", "3 cpu connection_churn - (no)"],
    );
    check(
        "0 publish=15000",
        &["0 commands pubsub PUBLISH (no)", "0 cpu pubsub PUBLISH (no)"],
    );
    check(
        "1 monitor",
        &["1 bytes_out other_monitor - (no)", "1 cpu other_monitor - (no)"],
    );
}

#[test]
fn what_a_replica_cannot_see_stays_unexplained() {
    // The hottest key of what was seen must not be blamed for reads on the primary.
    check(
        "2 unseen=2000 coverage=0.33,1.0",
        &[
            "2 commands unexplained coverage (?)",
            "2 bytes_out unexplained coverage (?)",
            "2 cpu unexplained coverage (?)",
        ],
    );
    check(
        "2 key=3000,product:7:stock unseen=4000 coverage=0.2,1.0",
        &[
            "2 commands unexplained coverage (?)",
            "2 bytes_out unexplained coverage (?)",
            "2 cpu unexplained coverage (?)",
        ],
    );
    check(
        "1 factor=300 blind",
        &[
            "1 commands unexplained coverage (?)",
            "1 bytes_out unexplained coverage (?)",
            "1 cpu unexplained coverage (?)",
        ],
    );
}

#[test]
fn what_all_nodes_count_needs_no_window_that_saw_it() {
    let check = |story: &str, cause: Cause| {
        let found = findings(story, &[]);
        let of_commands = found.iter().find(|finding| finding.signal == Signal::Commands);
        assert_eq!(of_commands.map(|finding| finding.cause), Some(cause), "{found:#?}");
    };
    check("2 connections=900 coverage=0.1,0.1", Cause::ConnectionChurn);
    check("2 slots=10922 factor=200 coverage=0.1,0.1", Cause::SlotOwnership);
    check("2 published=3000 coverage=0.1,0.1", Cause::Pubsub);
    check("2 published=3000 blind", Cause::Pubsub);
    check("2 published=300 unseen=3000 coverage=0.1,0.1", Cause::Unexplained);
}

#[test]
fn a_status_that_outlives_its_load_has_no_cause() {
    let shard = |name: &str, rate: f64, status: Status| ShardEvidence {
        shard: ShardId::new(name),
        slots: None,
        signals: SignalFigures {
            commands: SignalReading {
                rate: Some(rate),
                deviation: Some(Ratio(rate / 160.0 - 1.0)),
                skew: None,
                status,
            },
            ..SignalFigures::default()
        },
        window: None,
        costs: BTreeMap::new(),
        connections_per_second: None,
        slot_loads: &[],
        other_monitor: false,
    };
    let found = |rate: f64| {
        let others = ["b", "c"].map(|name| shard(name, 160.0, Status::Normal));
        let [b, c] = others;
        diagnose(&[shard("a", rate, Status::VeryHot), b, c], &[]).len()
    };
    assert_eq!([134.0, 160.0, 170.0, 200.0].map(found), [0, 0, 0, 1]);
}

#[test]
fn more_of_everything_is_unexplained() {
    check(
        "1 factor=200",
        &[
            "1 commands unexplained commands (?)",
            "1 bytes_out unexplained bytes_out (?)",
            "1 cpu unexplained cpu (?)",
        ],
    );
}

#[test]
fn what_the_last_round_said_is_not_new() {
    let story = "2 key=20000,product:7:stock";
    let before = findings(story, &[]);
    assert!(before.iter().all(|finding| finding.new_since_last_round));
    assert!(
        findings(story, &before)
            .iter()
            .all(|finding| !finding.new_since_last_round)
    );
    assert!(findings("2 key=20000,product:8:stock", &before)[0].new_since_last_round);
}

#[test]
fn a_finding_says_its_figures() {
    let found = findings("2 key=20000,product:7:stock", &[]).remove(0);
    assert_eq!(
        found.sentence(),
        "Shard 2 is hot in commands: the single key product:7:stock takes 67 % of its load"
    );
    let evidence = found.evidence.join("\n");
    for figure in [
        "3,000 commands a second here, 1,000 commands a second in the other shards",
        "67 % of the shard's key accesses, 2,000 a second seen",
        "in the other shards the hottest key takes 2.0 %",
        "alone carries 33 % of the group's commands, caused by product:7:stock",
        "100 % of its reads",
    ] {
        assert!(evidence.contains(figure), "{figure} in\n{evidence}");
    }
    assert!(found.confidence.is_some_and(|confidence| confidence > 0.9));
    assert!(!found.advice.is_empty());
}
