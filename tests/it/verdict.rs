//! The verdict: over the whole engine the planted shard, cause and subject are named, and nothing where nothing is planted.

use std::time::Duration;

use hotshard::analysis::diagnosis::Finding;
use hotshard::analysis::keyspec::Commands;
use hotshard::analysis::pattern::{Normaliser, PatternSettings};
use hotshard::analysis::status::Signal;
use hotshard::analysis::tally::{Tally, TallySettings};
use hotshard::analysis::veil::Veil;
use hotshard::config::Settings;
use hotshard::engine::clock::Clock;
use hotshard::engine::discover::{Source, Watch};
use hotshard::engine::lessons::Lessons;
use hotshard::engine::live::Live;
use hotshard::engine::watchdog::Watchdog;
use hotshard::engine::{self, Plan, window};
use hotshard::metrics::catalog;
use hotshard::metrics::exports::ExportTotals;
use hotshard::metrics::ledger::Ledger;
use hotshard::metrics::published::Published;
use hotshard::metrics::snapshot::Snapshot;
use hotshard::model::{PerSecond, Ratio, Timestamp};
use hotshard::node::simulated::{Act, Planted, Scenario, Stage};
use hotshard::node::survey::Reach;
use hotshard::node::{Accounts, CommandTables, Credentials, Dialer, LinkSettings};
use hotshard::schedule::Schedule;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const EPOCH: Timestamp = Timestamp(1_795_219_200_000_000);
const RATE: PerSecond = PerSecond(6000.0);

/// What is known after two rounds of watching, and what was planted.
async fn watched(scenario: Scenario, seed: u64) -> (Snapshot, Vec<Planted>) {
    let stage = Stage::new(scenario, seed, EPOCH);
    let (published, shutdown) = (Published::new(), CancellationToken::new());
    let (_orders, ordered) = mpsc::channel(1);
    let settings = Settings::defaults();
    let ledger = Ledger::new(settings.ledger());
    let running = tokio::spawn(engine::run(
        plan(&stage, &settings, seed),
        ledger,
        published.clone(),
        ordered,
        shutdown.clone(),
    ));
    sleep(Duration::from_secs(100)).await;
    let planted = stage.planted();
    let seen = Snapshot::clone(&published.load());
    shutdown.cancel();
    running.await.expect("the engine ends by itself");
    (seen, planted)
}

fn plan(stage: &Stage, settings: &Settings, seed: u64) -> Plan {
    let group = stage.group();
    let nodes = group
        .nodes()
        .map(|(shard, node)| (node.endpoint.clone(), shard.id.clone()));
    let mut monitor = settings.monitor.clone();
    monitor.schedule = Schedule::Every(Duration::from_secs(40));
    let mut poll = settings.poll.clone();
    poll.interval = Duration::from_secs(4);
    Plan {
        groups: vec![Watch {
            key: group.key.clone(),
            source: Source::Given(nodes.collect()),
            reach: Reach {
                dialer: Dialer::Stage(stage.clone()),
                credentials: Credentials::none(),
                accounts: Accounts::default(),
                settings: LinkSettings {
                    answer_timeout: settings.poll.timeout,
                },
                parameters: None,
            },
        }],
        poll,
        monitor,
        guards: settings.guards.clone(),
        searches: Vec::new(),
        discovery_interval: settings.discovery.interval,
        log_dropped: Default::default(),
        reading: window::Reading {
            commands: CommandTables::default(),
            patterns: PatternSettings::default(),
            lessons: Lessons::default(),
            veil: Veil::default(),
            tally: TallySettings::default(),
            bandwidth: Settings::defaults().bandwidth,
            seed,
            clock: Clock::starting_at(EPOCH),
            archive: None,
            raw_logs: None,
            live: Live::default(),
            watchdog: Watchdog::none(),
        },
    }
}

fn findings(snapshot: &Snapshot) -> &[Finding] {
    let report = snapshot.groups[0].report.as_ref().expect("a round is over");
    &report.diagnosis
}

/// The pattern of a key, as a window names it.
fn pattern_of(key: &str) -> String {
    let normaliser = Normaliser::new(&PatternSettings::default(), 7);
    let mut tally = Tally::new(&TallySettings::default(), Commands::builtin(), normaliser, 7);
    tally.feed(format!("+1795219200.000000 [0 10.0.0.1:5000] \"GET\" \"{key}\"\r\n").as_bytes());
    tally.finish().patterns[0].pattern.to_string()
}

/// In the demo's scene of that number the verdict is the truth, in the signal in which the plot shows first.
async fn check_scene(scene: usize, signal: Signal) {
    let demo = Scenario::demo(6, RATE);
    let scenario = Scenario {
        acts: vec![Act::new(demo.acts[scene].plot)],
        ..demo
    };
    let (snapshot, planted) = watched(scenario, 40 + scene as u64).await;
    let truth = &planted[0];
    let found = findings(&snapshot);
    let first = found.iter().find(|finding| finding.signal == signal);
    let Some(first) = first else {
        panic!("{truth:?} isn't seen in {signal:?}: {found:#?}")
    };
    let subject = match truth.cause {
        "fat_replies" => pattern_of(&truth.subject),
        _ => truth.subject.clone(),
    };
    assert_eq!(
        (first.shard.as_str(), first.cause.kind(), first.subject.as_deref()),
        (truth.shard.as_str(), truth.cause, Some(subject.as_str())),
        "{found:#?}"
    );
    assert!(
        found.iter().all(|finding| finding.shard == truth.shard),
        "other shards are blamed: {found:#?}"
    );
    assert!(
        first.confidence.is_some_and(|confidence| confidence > 0.5),
        "{first:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_is_named_end_to_end() {
    check_scene(0, Signal::Commands).await;
}

#[tokio::test(start_paused = true)]
async fn fat_replies_are_named_end_to_end() {
    check_scene(1, Signal::BytesOut).await;
}

#[tokio::test(start_paused = true)]
async fn a_wild_client_is_named_end_to_end() {
    check_scene(2, Signal::Commands).await;
}

#[tokio::test(start_paused = true)]
async fn a_hot_tag_is_named_end_to_end() {
    check_scene(3, Signal::Commands).await;
}

#[tokio::test(start_paused = true)]
async fn an_expensive_command_is_named_end_to_end() {
    check_scene(4, Signal::Cpu).await;
}

#[tokio::test(start_paused = true)]
async fn an_even_cluster_has_no_verdict() {
    let scenario = Scenario {
        noise: Ratio(0.12),
        ..Scenario::new(6)
    };
    let (snapshot, _) = watched(scenario, 7).await;
    assert_eq!(findings(&snapshot), []);
}

#[tokio::test(start_paused = true)]
async fn reads_on_the_primary_are_not_blamed_on_what_the_replica_shows() {
    let demo = Scenario::demo(6, RATE);
    let scenario = Scenario {
        acts: vec![Act::new(demo.acts[0].plot)],
        reads_from_replicas: Ratio(0.05),
        ..demo
    };
    let (snapshot, planted) = watched(scenario, 11).await;
    let commands = findings(&snapshot)
        .iter()
        .find(|finding| finding.signal == Signal::Commands)
        .expect("the shard is hot");
    assert_eq!(commands.shard, planted[0].shard);
    assert_eq!(
        (commands.cause.kind(), commands.subject.as_deref()),
        ("unexplained", Some("coverage")),
        "{commands:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_verdict_is_a_metric() {
    let demo = Scenario::demo(6, RATE);
    let scenario = Scenario {
        acts: vec![Act::new(demo.acts[0].plot)],
        ..demo
    };
    let (snapshot, planted) = watched(scenario, 12).await;
    let metric = catalog::all()
        .find(|metric| metric.name == "diagnosis_share_ratio")
        .expect("it is in the catalogue");
    let mut shares = Vec::new();
    metric.samples(&snapshot, &ExportTotals::default(), &mut |labels, value| {
        let label = |name: &str| {
            labels
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("", |(_, value)| value)
        };
        if label("signal") == "commands" {
            shares.push((label("shard").to_owned(), label("cause").to_owned(), value));
        }
    });
    let [(shard, cause, share)] = &shares[..] else {
        panic!("{shares:?}")
    };
    assert_eq!(
        (shard.as_str(), cause.as_str()),
        (planted[0].shard.as_str(), "single_key")
    );
    // 1.6 of 2.6 parts of the traffic.
    assert!((0.5..0.7).contains(share), "{share}");
}
