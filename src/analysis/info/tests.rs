use expect_test::{Expect, expect};

use super::*;

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&shown(&Reading::parse(text)));
}

/// What matters, one line a subject; `-` is missing.
fn shown(reading: &Reading) -> String {
    fn text<Value: fmt::Debug>(value: &Option<Value>) -> String {
        value.as_ref().map_or_else(|| "-".into(), |value| format!("{value:?}"))
    }
    let of = |names: &[&str]| {
        let count = |name: &&str| {
            reading
                .commands
                .as_ref()
                .and_then(|commands| commands.get(*name))
                .map(|count| count.calls)
        };
        names
            .iter()
            .map(|name| format!("{name} {}", text(&count(name))))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let replication = &reading.replication;
    [
        reading.engine.as_ref().map_or_else(|| "-".into(), ToString::to_string),
        format!(
            "clock {} uptime {}",
            text(&reading.server_time.map(|_| "known")),
            text(&reading.uptime)
        ),
        format!(
            "clients {} blocked {} of {}",
            text(&reading.connected_clients),
            text(&reading.blocked_clients),
            text(&reading.clients_max)
        ),
        format!(
            "memory max {} fragmentation {}",
            text(&reading.memory_max),
            text(&reading.memory_fragmentation)
        ),
        format!(
            "processed {} in {} out {} replication out {}",
            text(&reading.commands_processed),
            text(&reading.input),
            text(&reading.output),
            text(&reading.replication_output)
        ),
        format!("main thread {}", text(&reading.cpu_main_thread)),
        of(&["GET", "CONFIG", "CONFIG|GET", "REPLCONF"]),
        format!("errors {}", text(&reading.errors)),
        format!("keyspace {}", text(&reading.keyspace)),
        format!(
            "{} offset {} replica offset {} link {} copying {} attached {}",
            text(&replication.role),
            text(&replication.primary_offset),
            text(&replication.replica_offset),
            text(&replication.link_up),
            text(&replication.sync_in_progress),
            replication.replicas.len(),
        ),
    ]
    .join("\n")
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/info/", $name, ".txt"))
    };
}

#[test]
fn redis_5_has_no_clock_no_main_thread_and_no_errors() {
    check(
        fixture!("redis-5.0.14-primary-written"),
        expect![[r#"
        redis 5.0.14
        clock - uptime 86400s
        clients 17 blocked 1 of -
        memory max - fragmentation Ratio(1.5)
        processed 120345 in Bytes(5120000) out Bytes(9216000) replication out -
        main thread -
        GET 60900, CONFIG 12, CONFIG|GET -, REPLCONF 59000
        errors -
        keyspace {0: Keyspace { keys: 1200, average_ttl: Some(Seconds(52.0)) }}
        Primary offset 4711014 replica offset - link - copying - attached 1"#]],
    );
}

#[test]
fn redis_6_2_counts_subcommands_under_their_container() {
    check(
        fixture!("redis-6.2.14-primary"),
        expect![[r#"
        redis 6.2.14
        clock "known" uptime 3s
        clients 1 blocked 0 of 10000
        memory max - fragmentation Ratio(2.36)
        processed 56 in Bytes(4126) out Bytes(7838) replication out -
        main thread 20.772ms
        GET 22, CONFIG 1, CONFIG|GET -, REPLCONF 5
        errors {"WRONGTYPE": 1}
        keyspace {0: Keyspace { keys: 20, average_ttl: Some(Seconds(598.883)) }}
        Primary offset 3093 replica offset - link - copying - attached 1"#]],
    );
    check(
        fixture!("redis-6.2.14-replica"),
        expect![[r#"
        redis 6.2.14
        clock "known" uptime 3s
        clients 2 blocked 0 of 10000
        memory max - fragmentation Ratio(2.34)
        processed 46 in Bytes(4000) out Bytes(4843) replication out -
        main thread 15.446ms
        GET 20, CONFIG -, CONFIG|GET -, REPLCONF -
        errors {}
        keyspace {0: Keyspace { keys: 20, average_ttl: None }}
        Replica offset 3093 replica offset 3093 link true copying false attached 0"#]],
    );
}

#[test]
fn redis_7_tells_replication_output_apart() {
    check(
        fixture!("redis-7.0.15-primary"),
        expect![[r#"
        redis 7.0.15
        clock "known" uptime 3s
        clients 1 blocked 0 of 10000
        memory max - fragmentation Ratio(10.96)
        processed 53 in Bytes(4162) out Bytes(6045) replication out Bytes(3552)
        main thread 27.328ms
        GET 22, CONFIG -, CONFIG|GET 1, REPLCONF 5
        errors {"WRONGTYPE": 1}
        keyspace {0: Keyspace { keys: 20, average_ttl: Some(Seconds(599.036)) }}
        Primary offset 3293 replica offset - link - copying - attached 1"#]],
    );
    check(
        fixture!("redis-7.0.15-replica"),
        expect![[r#"
        redis 7.0.15
        clock "known" uptime 3s
        clients 2 blocked 0 of 10000
        memory max - fragmentation Ratio(12.04)
        processed 43 in Bytes(4279) out Bytes(2858) replication out Bytes(0)
        main thread 24.101ms
        GET 20, CONFIG -, CONFIG|GET -, REPLCONF -
        errors {}
        keyspace {0: Keyspace { keys: 20, average_ttl: None }}
        Replica offset 3293 replica offset 3293 link true copying false attached 0"#]],
    );
    check(
        fixture!("redis-7.2.6-replica-written"),
        expect![[r#"
        redis 7.2.6
        clock "known" uptime 3600s
        clients 4 blocked 0 of 65000
        memory max Bytes(1073741824) fragmentation Ratio(1.1)
        processed 5000 in Bytes(400000) out Bytes(900000) replication out Bytes(0)
        main thread 3.75s
        GET 3030, CONFIG -, CONFIG|GET 3, REPLCONF -
        errors {"MOVED": 5}
        keyspace {0: Keyspace { keys: 10, average_ttl: None }}
        Replica offset 88014 replica offset 88014 link true copying false attached 0"#]],
    );
}

#[test]
fn redis_8_is_read() {
    check(
        fixture!("redis-8.0-primary-written"),
        expect![[r#"
        redis 8.0.0
        clock "known" uptime 3600s
        clients 4 blocked 0 of 65000
        memory max Bytes(1073741824) fragmentation Ratio(1.1)
        processed 5000 in Bytes(400000) out Bytes(900000) replication out Bytes(88000)
        main thread 3.75s
        GET 3030, CONFIG -, CONFIG|GET 3, REPLCONF -
        errors {"MOVED": 5}
        keyspace {0: Keyspace { keys: 10, average_ttl: Some(Seconds(4.0)) }}
        Primary offset 88014 replica offset - link - copying - attached 1"#]],
    );
}

#[test]
fn valkey_is_known_by_its_own_version() {
    check(
        fixture!("valkey-7.2.7-primary-written"),
        expect![[r#"
        valkey 7.2.7
        clock "known" uptime 3600s
        clients 4 blocked 0 of 65000
        memory max Bytes(1073741824) fragmentation Ratio(1.1)
        processed 5000 in Bytes(400000) out Bytes(900000) replication out Bytes(88000)
        main thread 3.75s
        GET 3030, CONFIG -, CONFIG|GET 3, REPLCONF -
        errors {"MOVED": 5}
        keyspace {0: Keyspace { keys: 10, average_ttl: Some(Seconds(4.0)) }}
        Primary offset 88014 replica offset - link - copying - attached 1"#]],
    );
    check(
        fixture!("valkey-8.0.1-primary"),
        expect![[r#"
        valkey 8.0.1
        clock "known" uptime 2s
        clients 1 blocked 0 of 10000
        memory max - fragmentation Ratio(10.89)
        processed 54 in Bytes(4204) out Bytes(2757) replication out Bytes(259)
        main thread 27.95ms
        GET 22, CONFIG -, CONFIG|GET 1, REPLCONF 6
        errors {"WRONGTYPE": 1}
        keyspace {0: Keyspace { keys: 20, average_ttl: Some(Seconds(599.737)) }}
        Primary offset 3293 replica offset - link - copying - attached 1"#]],
    );
    check(
        fixture!("valkey-8.0.1-replica"),
        expect![[r#"
        valkey 8.0.1
        clock "known" uptime 2s
        clients 2 blocked 0 of 10000
        memory max - fragmentation Ratio(12.06)
        processed 43 in Bytes(4279) out Bytes(2943) replication out Bytes(0)
        main thread 20.696ms
        GET 20, CONFIG -, CONFIG|GET -, REPLCONF -
        errors {}
        keyspace {0: Keyspace { keys: 20, average_ttl: None }}
        Replica offset 3293 replica offset 3293 link true copying false attached 0"#]],
    );
    check(
        fixture!("valkey-9.1-primary"),
        expect![[r#"
        valkey 9.1.2
        clock "known" uptime 2s
        clients 1 blocked 0 of 10000
        memory max - fragmentation Ratio(5.62)
        processed 55 in Bytes(4167) out Bytes(6067) replication out Bytes(3566)
        main thread 16.406ms
        GET 22, CONFIG -, CONFIG|GET 3, REPLCONF 5
        errors {"WRONGTYPE": 1}
        keyspace {0: Keyspace { keys: 20, average_ttl: Some(Seconds(599.795)) }}
        Primary offset 3307 replica offset - link - copying - attached 1"#]],
    );
    check(
        fixture!("valkey-9.1-replica"),
        expect![[r#"
        valkey 9.1.2
        clock "known" uptime 2s
        clients 2 blocked 0 of 10000
        memory max - fragmentation Ratio(5.85)
        processed 51 in Bytes(4421) out Bytes(6310) replication out Bytes(0)
        main thread 15.822ms
        GET 20, CONFIG -, CONFIG|GET 3, REPLCONF -
        errors {}
        keyspace {0: Keyspace { keys: 20, average_ttl: None }}
        Replica offset 3307 replica offset 3307 link true copying false attached 0"#]],
    );
}

#[test]
fn what_is_not_there_is_missing_and_what_is_empty_is_known() {
    let nothing = Reading::parse("");
    assert_eq!(nothing, Reading::default());
    let empty = Reading::parse("# Errorstats\r\n\r\n# Keyspace\r\n# Commandstats\r\n");
    assert_eq!(
        (empty.errors, empty.keyspace, empty.commands),
        (Some(BTreeMap::new()), Some(BTreeMap::new()), Some(BTreeMap::new()))
    );
}

proptest::proptest! {
    #[test]
    fn any_text_can_be_read(text in "(\\PC|[\r\n:,=#]|cmdstat_|errorstat_|slave0:|db0:|calls=|usec=){0,200}") {
        Reading::parse(&text);
    }
}
