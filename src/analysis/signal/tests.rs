use expect_test::{Expect, expect};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/info/", $name, ".txt"))
    };
}

/// What was recorded, as if each were fifteen seconds after the one before.
fn observation(role: Role, text: &str, at: u64) -> Observation {
    let reading = Reading::parse(text);
    let theirs = reading.server_time.map_or(at, |time| time.0);
    Observation {
        at: Timestamp(theirs),
        took: Duration::ZERO,
        role,
        reading,
        commands: Commands::builtin(),
    }
}

fn own(commands: &[(&'static str, u64)]) -> OwnCost {
    OwnCost {
        commands: commands.iter().copied().collect(),
        errors: BTreeMap::new(),
        bytes_in: Bytes(100),
        bytes_out: Bytes(1_000),
    }
}

fn check(role: Role, (before, after): (&str, &str), own: &OwnCost, expected: Expect) {
    let deltas = step(
        &observation(role, before, 0),
        &observation(role, after, 15_000_000),
        own,
    )
    .expect("the same process");
    let by_command = deltas.by_command.iter().filter(|(_, delta)| delta.executed > 0);
    let commands: Vec<String> = by_command
        .map(|(name, delta)| format!("{name} {}/{}", delta.counted, delta.executed))
        .collect();
    let number = |bytes: Option<Bytes>| bytes.map_or_else(|| "-".into(), |bytes| bytes.0.to_string());
    expected.assert_eq(&format!(
        "{}\ncommands {:?} scripts {:?} hits {:?} errors {:?}\nout {} replication {} in {} cpu {}\nreset {} role changed {}",
        commands.join(", "),
        deltas.commands,
        deltas.script_calls,
        deltas.keyspace_hits,
        deltas.errors,
        number(deltas.output),
        number(deltas.replication_output),
        number(deltas.input),
        if deltas.cpu.is_some() { "known" } else { "-" },
        deltas.reset,
        deltas.role_changed,
    ));
}

/// Thirty SETs and GETs, one GET that finds nothing, an EVAL with one inner GET, OBJECT ENCODING, CONFIG GET and a failing LPUSH.
#[test]
fn on_a_primary_all_that_clients_asked_counts() {
    let (before, after) = (fixture!("redis-7.0.15-primary"), fixture!("redis-7.0.15-primary-later"));
    check(
        Role::Primary,
        (before, after),
        &own(&[("INFO", 1)]),
        expect![[r#"
        CONFIG|GET 1/1, EVAL 1/1, GET 32/32, LPUSH 1/1, OBJECT|ENCODING 1/1, REPLCONF 0/2, SET 30/30
        commands Some(66) scripts Some(1) hits Some(32) errors {"WRONGTYPE": 1}
        out 7617 replication 4910 in 5606 cpu known
        reset false role changed false"#]],
    );
}

#[test]
fn on_a_replica_only_reads_count() {
    let (before, after) = (fixture!("redis-7.0.15-replica"), fixture!("redis-7.0.15-replica-later"));
    check(
        Role::Replica,
        (before, after),
        &own(&[("INFO", 1)]),
        expect![[r#"
        GET 30/30, SET 0/30
        commands Some(30) scripts Some(0) hits Some(30) errors {}
        out 7112 replication 0 in 5720 cpu known
        reset false role changed false"#]],
    );
}

#[test]
fn before_7_0_what_went_to_replicas_is_told_by_their_offsets() {
    let (before, after) = (fixture!("redis-6.2.14-primary"), fixture!("redis-6.2.14-primary-later"));
    check(
        Role::Primary,
        (before, after),
        &own(&[("INFO", 9)]),
        expect![[r#"
        CONFIG 1/1, EVAL 1/1, GET 32/32, LPUSH 1/1, OBJECT 1/1, REPLCONF 0/3, SET 30/30
        commands Some(66) scripts Some(1) hits Some(32) errors {"WRONGTYPE": 1}
        out 7152 replication 4610 in 5754 cpu known
        reset false role changed false"#]],
    );
}

#[test]
fn before_7_0_our_subcommands_are_taken_off_their_container() {
    let (before, after) = (fixture!("redis-6.2.14-primary"), fixture!("redis-6.2.14-primary-later"));
    let before_and_after = (
        observation(Role::Primary, before, 0),
        observation(Role::Primary, after, 0),
    );
    let own = own(&[("INFO", 9), ("CONFIG|GET", 1)]);
    let deltas = step(&before_and_after.0, &before_and_after.1, &own).expect("the same process");
    assert_eq!(deltas.by_command.get("CONFIG").map(|delta| delta.executed), None);
}

/// The counters of a primary: `calls out replication_out`.
fn counters(counters: &str, process: &str, at: u64) -> Observation {
    let [calls, out, replication] = counters.split(' ').collect::<Vec<_>>()[..] else {
        panic!("three counters")
    };
    let text = format!(
        "run_id:{process}\r\nserver_time_usec:{}\r\ntotal_commands_processed:{calls}\r\ntotal_net_output_bytes:{out}\r\n\
         total_net_repl_output_bytes:{replication}\r\n# Commandstats\r\ncmdstat_get:calls={calls},usec={calls}\r\n",
        at + 5
    );
    Observation {
        at: Timestamp(at),
        took: Duration::ZERO,
        role: Role::Primary,
        reading: Reading::parse(&text),
        commands: Commands::builtin(),
    }
}

/// `commands out reset` between two readings.
fn check_reset(before: &str, after: &str, expected: &str) {
    let deltas = step(
        &counters(before, "a", 1),
        &counters(after, "a", 15_000_001),
        &OwnCost::default(),
    )
    .expect("one process");
    let shown = format!(
        "{:?} {:?} {}",
        deltas.commands,
        deltas.output.map(|bytes| bytes.0),
        deltas.reset
    );
    assert_eq!(shown, expected);
}

#[test]
fn what_a_reset_leaves_is_counted_and_never_more() {
    check_reset("100 5000 1000", "130 6000 1400", "Some(30) Some(600) false");
    check_reset("100 5000 1000", "20 900 100", "Some(20) Some(800) true");
    // The replication's counter alone has passed its old figure since.
    check_reset("100 5000 1000", "20 1200 1100", "Some(20) Some(100) true");
    // All have: nobody can tell, and the figures are below the truth.
    check_reset("100 5000 1000", "150 6500 1100", "Some(50) Some(1400) false");
}

#[test]
fn a_reset_is_told_by_any_counter() {
    let reset = |before: &str, after: &str| {
        let at = |text: &str, at| observation(Role::Primary, &format!("run_id:a\r\n{text}"), at);
        let deltas = step(&at(before, 0), &at(after, 15_000_000), &OwnCost::default()).expect("one process");
        deltas.reset
    };
    let seldom = "total_commands_processed:100\r\n# Commandstats\r\ncmdstat_get:calls=90,usec=9\r\ncmdstat_ping:calls=10,usec=9\r\n";
    let busy = "total_commands_processed:900\r\n# Commandstats\r\ncmdstat_get:calls=900,usec=9\r\n";
    assert!(reset(seldom, busy), "a command that was called isn't listed any more");
    assert!(!reset(busy, &busy.replace("900", "1000")));
    assert!(
        !reset(seldom, "total_commands_processed:900\r\n"),
        "a section that is missing tells nothing"
    );
    for counter in [
        "total_connections_received",
        "total_net_input_bytes",
        "keyspace_hits",
        "evicted_keys",
    ] {
        let counted = |so_many| {
            format!(
                "total_commands_processed:{so_many}\r\n{counter}:{}\r\n",
                1_000 - so_many
            )
        };
        assert!(reset(&counted(100), &counted(900)), "{counter}");
    }
}

#[test]
fn a_reset_is_told_by_our_own_last_call_that_is_not_counted() {
    let reset = |infos: u64, ours: u64| {
        let text = |gets, infos| {
            format!(
                "run_id:a\r\n# Commandstats\r\ncmdstat_get:calls={gets},usec=9\r\ncmdstat_info:calls={infos},usec=9\r\n"
            )
        };
        let (before, after) = (text(50, 1), text(60, infos));
        let at = |text: &str, at| observation(Role::Primary, text, at);
        let deltas = step(&at(&before, 0), &at(&after, 15_000_000), &own(&[("INFO", ours)]));
        deltas.expect("one process").reset
    };
    assert!(reset(1, 1), "reset, and asked by somebody since");
    assert!(!reset(2, 1));
    // With several connections at work, some of ours may have been counted before the last look.
    assert!(!reset(1, 2));
}

#[test]
fn another_process_has_nothing_to_compare_with() {
    let own = OwnCost::default();
    assert_eq!(
        step(&counters("100 5000 0", "a", 1), &counters("500 9000 0", "b", 2), &own),
        None
    );
}

#[test]
fn our_own_part_never_makes_a_figure_negative() {
    let own = own(&[("GET", 500)]);
    let deltas = step(
        &counters("100 0 0", "a", 1),
        &counters("110 10 0", "a", 15_000_001),
        &own,
    )
    .expect("one process");
    assert_eq!((deltas.commands, deltas.output), (Some(0), Some(Bytes(0))));
}

#[test]
fn time_is_the_servers_unless_a_clock_was_set() {
    let span = |theirs: u64, ours: u64, took: u64| {
        let mut after = counters("1 1 1", "a", theirs);
        after.at = Timestamp(ours);
        after.took = Duration::from_micros(took);
        let deltas = step(&counters("0 0 0", "a", 0), &after, &OwnCost::default()).expect("one process");
        deltas.span.map(|span| span.as_millis())
    };
    let second = 1_000_000;
    assert_eq!(span(15 * second, 15 * second + 400_000, 0), Some(15_000));
    assert_eq!(
        span(15 * second, 19 * second, 4 * second),
        Some(15_000),
        "a late answer"
    );
    assert_eq!(span(19 * second, 15 * second, 0), None, "set forward by four seconds");
    assert_eq!(span(3_615 * second, 15 * second, 0), None);
    assert_eq!(span(0, 15 * second, 0), None);
}

#[test]
fn before_6_2_time_is_ours() {
    let text = fixture!("redis-5.0.14-primary-written");
    let at = |at| Observation {
        at: Timestamp(at),
        took: Duration::ZERO,
        role: Role::Primary,
        reading: Reading::parse(text),
        commands: Commands::builtin(),
    };
    let deltas = step(&at(1_000_000), &at(16_000_000), &OwnCost::default()).expect("one process");
    assert_eq!((deltas.span, deltas.cpu), (Some(Duration::from_secs(15)), None));
}

#[test]
fn what_a_node_refuses_us_is_no_error_of_its_clients() {
    let text =
        |refused| format!("run_id:a\r\n# Errorstats\r\nerrorstat_NOPERM:count={refused}\r\nerrorstat_ERR:count=2\r\n");
    let at = |refused, at| observation(Role::Primary, &text(refused), at);
    let own = OwnCost {
        errors: BTreeMap::from([("NOPERM".into(), 3), ("ERR".into(), 1)]),
        ..OwnCost::default()
    };
    let deltas = step(&at(1, 0), &at(8, 15_000_000), &own).expect("one process");
    let errors: Vec<(&str, u64)> = deltas.errors.iter().map(|(name, count)| (&**name, *count)).collect();
    assert_eq!(errors, [("NOPERM", 4)]);
}

#[test]
fn an_interval_with_both_roles_counts_only_reads() {
    let text = fixture!("redis-7.0.15-primary-later");
    let before = observation(Role::Replica, fixture!("redis-7.0.15-primary"), 0);
    let deltas = step(&before, &observation(Role::Primary, text, 0), &own(&[("INFO", 1)])).expect("one process");
    assert!(deltas.role_changed);
    assert_eq!(
        deltas.by_command.get("SET").map(|set| (set.counted, set.executed)),
        Some((0, 30))
    );
}

#[test]
fn a_counter_of_replication_that_stands_still_is_replaced_by_the_replicas_offsets() {
    let replication = |counted: u64, offset: u64| {
        let mut observation = counters(&format!("1 {} {counted}", 1_000 + offset), "a", offset);
        let replica = format!("connected_slaves:1\r\nslave0:ip=10.0.0.2,port=1,state=online,offset={offset},lag=0\r\n");
        observation.reading.replication = Reading::parse(&replica).replication;
        observation
    };
    let sent = |before: &Observation, after: &Observation| {
        let deltas = step(before, after, &OwnCost::default()).expect("one process");
        (deltas.replication_output, deltas.output)
    };
    let both = |one, other| (Some(Bytes(one)), Some(Bytes(other)));
    assert_eq!(sent(&replication(0, 100), &replication(0, 700)), both(600, 600));
    // A full copy has been counted before.
    assert_eq!(sent(&replication(259, 100), &replication(259, 700)), both(600, 600));
    assert_eq!(sent(&replication(259, 100), &replication(859, 700)), both(600, 0));
}
