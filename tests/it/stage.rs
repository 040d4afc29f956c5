//! The simulated cluster: what it says agrees with what it does, and every act leaves its trace.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hotshard::model::{Bytes, PerSecond, Ratio, Timestamp};
use hotshard::node::probe::poll;
use hotshard::node::simulated::{Act, Place, Plot, Scenario, Stage};
use hotshard::node::survey::{Reach, survey};
use hotshard::node::{Account, Accounts, Chunk, Credentials, Dialer, Link, LinkSettings, Tap, TapSettings};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

use crate::harness::resp::{Connection, Value};
use crate::harness::server::Server;

const EPOCH: Timestamp = Timestamp(1_795_219_200_000_000);
const PRIMARY: Place = Place { shard: 0, member: 0 };
const REPLICA: Place = Place { shard: 0, member: 1 };

fn stage(scenario: Scenario) -> Stage {
    Stage::new(scenario, 7, EPOCH)
}

fn dial(stage: &Stage, place: Place) -> io::Result<Connection> {
    stage
        .dial(stage.endpoint(place).expect("a place of the scenario"))
        .map(Connection::over)
}

fn connect(stage: &Stage, place: Place) -> Connection {
    dial(stage, place).expect("the server listens")
}

/// INFO's fields; of `cmdstat_…` the calls.
type Info = BTreeMap<String, f64>;

async fn info(connection: &mut Connection) -> Info {
    let reply = connection
        .call(&["INFO", "everything"])
        .await
        .expect("INFO is answered");
    fields(&reply.text())
}

fn fields(info: &str) -> Info {
    let number = |value: &str| value.trim_start_matches("calls=").split(',').next()?.parse().ok();
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, value)| Some((name.to_owned(), number(value)?)))
        .collect()
}

fn grown(before: &Info, after: &Info, field: &str) -> f64 {
    after.get(field).unwrap_or(&0.0) - before.get(field).unwrap_or(&0.0)
}

/// A MONITOR stream between two INFOs that came in it: the lines, and the counters on both sides.
async fn bracket(stage: &Stage, place: Place, span: Duration) -> (Vec<String>, Info, Info) {
    let mut tap = connect(stage, place);
    assert_eq!(
        tap.call(&["MONITOR"]).await.expect("it is allowed"),
        Value::Simple("OK".into())
    );
    let before = info(&mut tap).await;
    sleep(span).await;
    tap.send(&[vec!["INFO", "everything"]]).await.expect("it is sent");
    let mut lines = Vec::new();
    loop {
        match tap.receive().await.expect("the stream goes on") {
            Value::Simple(line) => lines.push(line),
            Value::Bulk(Some(text)) => return (lines, before, fields(&String::from_utf8_lossy(&text))),
            other => panic!("neither a line nor INFO: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_plays_the_same_bytes() {
    async fn played(seed: u64) -> (Vec<String>, Info) {
        let scenario = Scenario::demo(3, PerSecond(900.0));
        let stage = Stage::new(scenario, seed, EPOCH);
        let (lines, _, after) = bracket(&stage, REPLICA, Duration::from_secs(3)).await;
        (lines, after)
    }
    let first = played(7).await;
    assert!(first.0.len() > 500, "{} lines", first.0.len());
    assert_eq!(first, played(7).await);
    assert_ne!(first.0, played(8).await.0);
}

#[tokio::test(start_paused = true)]
async fn counters_agree_with_every_line() {
    for place in [PRIMARY, REPLICA] {
        let scenario = Scenario::new(2)
            .with(Plot::HotTag {
                shard: 0,
                rate: PerSecond(300.0),
            })
            .with(Plot::Evictions {
                shard: 0,
                rate: PerSecond(20.0),
            });
        let (lines, before, after) = bracket(&stage(scenario), place, Duration::from_secs(12)).await;
        let mut seen: BTreeMap<String, f64> = BTreeMap::new();
        for line in &lines {
            let command = line.split('"').nth(1).expect("a line has a command").to_lowercase();
            *seen.entry(format!("cmdstat_{command}")).or_default() += 1.0;
        }
        let administration = grown(&before, &after, "cmdstat_replconf");
        let processed = grown(&before, &after, "total_commands_processed") - administration;
        assert_eq!(lines.len() as f64, processed, "{place:?}");
        for (command, count) in &seen {
            assert_eq!(grown(&before, &after, command), *count, "{command} at {place:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_and_a_tap_of_ours_read_a_stage() {
    let stage = stage(Scenario::new(3));
    let group = stage.group();
    let (dialer, timeout) = (Dialer::Stage(stage.clone()), Duration::from_secs(1));
    for (shard, node) in group.nodes() {
        let settings = LinkSettings {
            answer_timeout: timeout,
        };
        let (nobody, account) = (Credentials::none(), Account::new());
        let link = Link::open(&dialer, &node.endpoint, &nobody, &account, settings)
            .await
            .expect("it listens");
        sleep(Duration::from_secs(1)).await;
        let poll = poll(&link).await.expect("it answers");
        assert_eq!(Some(poll.role.role()), node.role);
        assert!(poll.info.contains("\r\ncmdstat_get:calls="), "{}", poll.info);
        let shards = link.cluster().await.expect("it answers").expect("it is a cluster");
        assert_eq!(shards.len(), group.shards.len());

        let settings = TapSettings {
            primary_allowed: true,
            answer_timeout: timeout,
            ..TapSettings::default()
        };
        let mut tap = Tap::open(&dialer, &node.endpoint, &nobody, &account, settings)
            .await
            .expect("it is allowed");
        sleep(Duration::from_millis(500)).await;
        tap.ask_counters().await.expect("it is sent");
        let mut lines = 0;
        loop {
            match tap.read().await.expect("the stream goes on") {
                Chunk::Lines(bytes) => lines += bytes.iter().filter(|byte| **byte == b'\n').count(),
                Chunk::Counters(counters) => break assert!(counters.contains("# Commandstats")),
                Chunk::Closed | Chunk::Cut => panic!("the stream ended"),
            }
        }
        assert!(
            (100..2000).contains(&lines),
            "{lines} lines of {} in half a second",
            shard.id
        );
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_finds_the_stage_from_any_node() {
    let stage = stage(Scenario::new(3));
    let group = stage.group();
    let reach = Reach {
        dialer: Dialer::Stage(stage.clone()),
        credentials: Credentials::none(),
        accounts: Accounts::default(),
        settings: LinkSettings {
            answer_timeout: Duration::from_secs(1),
        },
        parameters: None,
    };
    for (_, seed) in group.nodes() {
        let found = survey(&reach, &group.key, std::slice::from_ref(&seed.endpoint), None).await;
        let found = found.expect("it is a cluster");
        for shard in &group.shards {
            let same = found
                .shards
                .iter()
                .find(|found| found.slots == shard.slots)
                .expect("its slots are owned");
            let endpoints = |shard: &hotshard::model::Shard| {
                let mut all: Vec<_> = shard
                    .nodes
                    .iter()
                    .map(|node| (node.endpoint.clone(), node.role))
                    .collect();
                all.sort();
                all
            };
            assert_eq!(endpoints(same), endpoints(shard));
        }
    }
}

/// What ten seconds of an act add to a counter of its shard's nodes, within a tenth.
async fn check(plot: Plot, field: &str, expected: f64) {
    async fn played(scenario: Scenario, field: &str) -> f64 {
        let stage = stage(scenario);
        sleep(Duration::from_secs(10)).await;
        let mut sum = 0.0;
        for place in [PRIMARY, REPLICA] {
            sum += info(&mut connect(&stage, place)).await.get(field).unwrap_or(&0.0);
        }
        sum
    }
    let quiet = Scenario::new(2).rate(PerSecond(100.0));
    let added = played(quiet.clone().with(plot), field).await - played(quiet, field).await;
    assert!(
        (added / expected - 1.0).abs() < 0.1,
        "{plot:?} adds {added} to {field}, not {expected}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_act_shows_in_the_counters_it_should() {
    let (shard, rate) = (0, PerSecond(500.0));
    check(Plot::HotKey { shard, rate }, "cmdstat_get", 5000.0).await;
    check(Plot::HotTag { shard, rate }, "cmdstat_hgetall", 1875.0).await;
    check(Plot::WildClient { shard, rate }, "keyspace_hits", 5000.0).await;
    check(
        Plot::ConnectionChurn { shard, rate },
        "total_connections_received",
        5000.0,
    )
    .await;
    check(Plot::Evictions { shard, rate }, "evicted_keys", 5000.0).await;
    let rate = PerSecond(2.0);
    let reply = Bytes(1_000_000);
    check(Plot::FatReplies { shard, rate, reply }, "total_net_output_bytes", 20e6).await;
    let value = Bytes(100_000);
    // Once to the primary and once to the replica.
    check(Plot::BigValues { shard, rate, value }, "total_net_input_bytes", 4e6).await;
    let cost = Duration::from_millis(100);
    check(
        Plot::ExpensiveCommand { shard, rate, cost },
        "used_cpu_user_main_thread",
        20.0 * 0.1 * 0.6,
    )
    .await;
    check(Plot::Load { shard, factor: 0.0 }, "cmdstat_get", -10.0 * 50.0 * 0.416).await;
}

#[tokio::test(start_paused = true)]
async fn slots_decide_how_the_traffic_is_shared_out() {
    let scenario = Scenario {
        slot_weights: vec![3.0, 1.0, 0.0],
        ..Scenario::new(3)
    };
    let stage = stage(scenario);
    sleep(Duration::from_secs(10)).await;
    let mut commands = Vec::new();
    for shard in 0..3 {
        let info = info(&mut connect(&stage, Place { shard, member: 0 })).await;
        commands.push(info["keyspace_hits"]);
    }
    assert!((commands[0] / commands[1] - 3.0).abs() < 0.3, "{commands:?}");
    assert_eq!(commands[2], 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_failover_swaps_the_roles_and_keeps_the_run_ids() {
    let seconds = Duration::from_secs;
    let stage = stage(Scenario::new(1).with(Act::new(Plot::Failover { shard: 0 }).starting(seconds(5))));
    let mut connections = [connect(&stage, PRIMARY), connect(&stage, REPLICA)];
    let mut seen = Vec::new();
    for _ in 0..2 {
        for connection in &mut connections {
            let role = connection.call(&["ROLE"]).await.expect("ROLE is answered");
            let server = connection
                .call(&["INFO", "server"])
                .await
                .expect("INFO is answered")
                .text();
            let run_id = server
                .lines()
                .find(|line| line.starts_with("run_id:"))
                .expect("it has one")
                .to_owned();
            seen.push((role.items()[0].text(), run_id));
        }
        sleep(seconds(6)).await;
    }
    let roles: Vec<&str> = seen.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["master", "slave", "slave", "master"]);
    assert_eq!((&seen[0].1, &seen[1].1), (&seen[2].1, &seen[3].1));
    // Replicated lines come from whoever is the primary now.
    let (lines, ..) = bracket(&stage, PRIMARY, seconds(1)).await;
    let primary = stage.endpoint(REPLICA).expect("a place").to_string();
    assert!(
        lines
            .iter()
            .any(|line| line.contains(&format!("[0 {primary}] \"SET\""))),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| !line.contains("\" \"EX\" \"")),
        "writes of clients don't come here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_every_count() {
    let seconds = Duration::from_secs;
    let act = Act::new(Plot::Restart(REPLICA))
        .starting(seconds(60))
        .until(seconds(62));
    let stage = stage(Scenario::new(1).with(act));
    let mut old = connect(&stage, REPLICA);
    sleep(seconds(59)).await;
    let before = info(&mut old).await;
    sleep(seconds(2)).await;
    assert!(old.call(&["PING"]).await.is_err(), "the process is gone");
    assert_eq!(
        dial(&stage, REPLICA).err().map(|error| error.kind()),
        Some(io::ErrorKind::ConnectionRefused)
    );
    sleep(seconds(2)).await;
    let after = info(&mut connect(&stage, REPLICA)).await;
    assert!(after["total_commands_processed"] < before["total_commands_processed"] / 10.0);
    assert_eq!(after["uptime_in_seconds"], 1.0);
    assert_eq!(info(&mut connect(&stage, PRIMARY)).await["sync_full"], 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_answers_when_it_is_over() {
    let seconds = Duration::from_secs;
    let stage = stage(Scenario::new(1).with(Act::new(Plot::Hang(REPLICA)).starting(seconds(2)).until(seconds(5))));
    let mut connection = connect(&stage, REPLICA);
    sleep(seconds(1)).await;
    let before = info(&mut connection).await;
    sleep(seconds(2)).await;
    connection
        .send(&[vec!["INFO", "everything"]])
        .await
        .expect("the socket takes it");
    assert!(timeout(seconds(1), connection.receive()).await.is_err(), "it hangs");
    let after = fields(&connection.receive().await.expect("it is over").text());
    // Three seconds of reads are missing; the writes of all four arrive at once.
    assert!((grown(&before, &after, "keyspace_hits") / before["keyspace_hits"] - 1.0).abs() < 0.2);
    assert!(grown(&before, &after, "cmdstat_set") > 2.5 * before["cmdstat_set"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusing_node_works_on_unseen() {
    let seconds = Duration::from_secs;
    let stage = stage(Scenario::new(1).with(Act::new(Plot::Refuse(REPLICA)).starting(seconds(2)).until(seconds(4))));
    let mut old = connect(&stage, REPLICA);
    sleep(seconds(3)).await;
    assert!(old.call(&["PING"]).await.is_err());
    assert!(dial(&stage, REPLICA).is_err());
    sleep(seconds(2)).await;
    let info = info(&mut connect(&stage, REPLICA)).await;
    assert!(info["total_commands_processed"] > 4.0 * 400.0);
}

/// The raw bytes of a MONITOR stream until it ends, or for `span`, read by read.
async fn raw(stage: &Stage, place: Place, span: Duration) -> Vec<Vec<u8>> {
    use tokio::io::AsyncWriteExt;
    let mut stream = stage.dial(stage.endpoint(place).expect("a place")).expect("it listens");
    stream.write_all(b"MONITOR\r\n").await.expect("it is sent");
    let mut reads = Vec::new();
    let until = tokio::time::Instant::now() + span;
    loop {
        let mut bytes = Vec::with_capacity(1 << 16);
        match tokio::time::timeout_at(until, stream.read_buf(&mut bytes)).await {
            Ok(Ok(count)) if count > 0 => reads.push(bytes),
            _ => return reads,
        }
    }
}

fn well_formed(line: &str) -> bool {
    let mut parts = line.splitn(3, ' ');
    let time = parts
        .next()
        .is_some_and(|time| time.starts_with('+') && time[1..].parse::<f64>().is_ok());
    let database = parts.next() == Some("[0");
    let rest = parts.next().unwrap_or_default();
    time && database && rest.contains("] \"") && rest.ends_with('"')
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_ends_within_a_line() {
    let seconds = Duration::from_secs;
    let act = Act::new(Plot::Drop(REPLICA)).starting(seconds(2));
    let reads = raw(&stage(Scenario::new(1).with(act)), REPLICA, seconds(10)).await;
    let all = reads.concat();
    assert!(all.len() > 10_000 && all.last() != Some(&b'\n'), "{} bytes", all.len());
}

#[tokio::test(start_paused = true)]
async fn half_lines_come_whole_in_the_end() {
    let reads = raw(
        &stage(Scenario::new(1).with(Plot::HalfLines(REPLICA))),
        REPLICA,
        Duration::from_secs(2),
    )
    .await;
    let cut = reads.iter().filter(|read| !read.ends_with(b"\n")).count();
    assert!(
        cut > reads.len() / 2,
        "{cut} of {} reads end within a line",
        reads.len()
    );
    let all = reads.concat();
    let text = String::from_utf8_lossy(&all);
    let lines: Vec<&str> = text.split("\r\n").collect();
    let whole = &lines[1..lines.len() - 1];
    assert!(whole.len() > 1000 && whole.iter().all(|line| well_formed(line)));
}

#[tokio::test(start_paused = true)]
async fn rubbish_stands_between_good_lines() {
    let reads = raw(
        &stage(Scenario::new(1).with(Plot::Rubbish(REPLICA))),
        REPLICA,
        Duration::from_secs(2),
    )
    .await;
    let all = reads.concat();
    let text = String::from_utf8_lossy(&all);
    let (good, bad): (Vec<&str>, Vec<&str>) = text.split("\r\n").skip(1).partition(|line| well_formed(line));
    let share = bad.len() as f64 / good.len() as f64;
    assert!(
        (share * 40.0 - 1.0).abs() < 0.1,
        "{} bad lines beside {}",
        bad.len(),
        good.len()
    );
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_megabyte_come_through() {
    let plot = Plot::BigValues {
        shard: 0,
        rate: PerSecond(2.0),
        value: Bytes(1 << 20),
    };
    let all = raw(&stage(Scenario::new(1).with(plot)), PRIMARY, Duration::from_secs(2))
        .await
        .concat();
    let longest = all.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(longest > Some(4 << 20), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_is_behind_by_what_was_written_since() {
    let behind = Duration::from_secs(3);
    let stage = stage(Scenario::new(1).with(Plot::Lag { place: REPLICA, behind }));
    sleep(Duration::from_secs(10)).await;
    let primary = info(&mut connect(&stage, PRIMARY)).await["master_repl_offset"];
    let replica = info(&mut connect(&stage, REPLICA)).await["slave_repl_offset"];
    assert!(
        ((primary - replica) / primary - 0.3).abs() < 0.05,
        "{replica} of {primary}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_fills_the_servers_buffer_and_is_closed() {
    let scenario = Scenario {
        output_buffer_max: Bytes(1_200_000),
        ..Scenario::new(1).rate(PerSecond(5000.0))
    };
    let stage = stage(scenario);
    let (mut tap, mut control) = (connect(&stage, REPLICA), connect(&stage, REPLICA));
    let id = tap
        .call(&["CLIENT", "ID"])
        .await
        .expect("it is answered")
        .integer()
        .to_string();
    tap.call(&["MONITOR"]).await.expect("it is answered");
    let mut unread = Vec::new();
    for _ in 0..4 {
        sleep(Duration::from_secs(1)).await;
        let line = control
            .call(&["CLIENT", "LIST", "ID", &id])
            .await
            .expect("it is answered")
            .text();
        let omem = line.split(" omem=").nth(1).and_then(|rest| rest.split(' ').next());
        unread.push(omem.map_or(0, |omem| omem.parse::<u64>().expect("a number")));
    }
    assert!(unread[0] > 100_000 && unread[1] > unread[0], "{unread:?}");
    assert_eq!(unread[3], 0, "the client is gone: {unread:?}");
    while tap.line().await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn a_password_is_asked_for_and_never_shown() {
    let scenario = Scenario {
        password: Some("orange".into()),
        reads_from_replicas: Ratio(0.0),
        ..Scenario::new(1).rate(PerSecond(0.0))
    };
    let stage = stage(scenario);
    let (mut tap, mut late) = (connect(&stage, REPLICA), connect(&stage, REPLICA));
    let refused = Value::Error("NOAUTH Authentication required.".into());
    assert_eq!(tap.call(&["MONITOR"]).await.expect("it is answered"), refused);
    let wrong = tap.call(&["AUTH", "lemon"]).await.expect("it is answered");
    assert!(matches!(wrong, Value::Error(error) if error.starts_with("WRONGPASS ")));
    for command in [&["AUTH", "orange"][..], &["MONITOR"]] {
        assert_eq!(
            tap.call(command).await.expect("it is answered"),
            Value::Simple("OK".into())
        );
    }
    late.call(&["HELLO", "2", "AUTH", "default", "orange"])
        .await
        .expect("it is answered");
    let line = tap.receive().await.expect("a line").text();
    assert!(
        line.ends_with(r#""HELLO" "2" "AUTH" "(redacted)" "(redacted)""#),
        "{line}"
    );
}

#[tokio::test]
async fn answers_are_those_of_a_real_server() {
    let server = Server::redis().start().await;
    let mut real = server.connect().await;
    let stage = stage(Scenario::new(1).rate(PerSecond(0.0)));
    let mut played = connect(&stage, PRIMARY);
    let commands = [
        "PING",
        "PING x",
        "PING x y",
        "ECHO hi",
        "SELECT 0",
        "BADCMD a b",
        "GET",
        "GET nosuch",
        "CLIENT",
        "CLIENT BLAH",
        "CLIENT SETNAME hot",
        "CLIENT SETNAME",
        "CLIENT GETNAME",
        "CLIENT LIST ID 12345",
        "CLIENT LIST TYPE master",
        "CLIENT LIST what",
        "CLIENT KILL ID 12345",
        "CLIENT KILL ID x",
        "HELLO 9",
        "AUTH x",
        "AUTH a b",
        "ROLE x",
        "INFO nosuch",
        "TYPE nosuch",
        "EXISTS nosuch",
        "TTL nosuch",
        "MEMORY USAGE nosuch",
        "STRLEN nosuch",
        "HLEN nosuch",
        "HSTRLEN nosuch f",
        "LLEN nosuch",
        "LINDEX nosuch 0",
        "SCARD nosuch",
        "ZCARD nosuch",
        "XLEN nosuch",
        "OBJECT ENCODING nosuch",
        "HRANDFIELD nosuch 3",
        "SRANDMEMBER nosuch 3",
        "ZRANDMEMBER nosuch 3",
        "CONFIG GET nosuch",
        "CONFIG GET timeout",
        "MEMORY",
        "OBJECT",
        "COMMANDLOG GET 1 slow",
        "MONITOR",
        "MONITOR nosuch",
        "QUIT",
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let expected = real.call(&words).await.expect("the server answers");
        assert_eq!(
            played.call(&words).await.expect("the stage answers"),
            expected,
            "{command}"
        );
    }
}

#[tokio::test]
async fn every_field_of_info_is_one_of_a_real_server() {
    fn names(info: &str) -> Vec<String> {
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        info.lines()
            .map(name)
            .filter(|name| !name.starts_with("cmdstat_"))
            .collect()
    }
    let (first, second) = (Server::redis().start().await, Server::redis().start().await);
    second.follow(&first).await;
    second.linked().await;
    first.call(&["SET", "a", "b"]).await;
    for (server, place) in [(&first, PRIMARY), (&second, REPLICA)] {
        let real = names(&server.call(&["INFO", "everything"]).await.text());
        let stage = stage(Scenario::new(1).rate(PerSecond(100.0)));
        let played = connect(&stage, place)
            .call(&["INFO", "everything"])
            .await
            .expect("it is answered")
            .text();
        let unknown: Vec<String> = names(&played)
            .into_iter()
            .filter(|name| !real.contains(name) && name != "db0" && !name.starts_with("errorstat_"))
            .collect();
        assert_eq!(unknown, Vec::<String>::new());
    }
}
