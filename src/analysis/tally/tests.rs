//! The tally against what a slow, obvious count of the same lines gives, however the stream is cut.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::analysis::line::reference;
use crate::analysis::pattern::PatternSettings;
use crate::analysis::slot;

fn tally(settings: &TallySettings) -> Tally {
    let normaliser = Normaliser::new(&PatternSettings::default(), 3);
    Tally::new(settings, Commands::builtin(), normaliser, 3)
}

fn fed(stream: &[u8], piece: usize) -> WindowStats {
    let mut tally = tally(&TallySettings {
        top: usize::MAX,
        ..TallySettings::default()
    });
    for piece in stream.chunks(piece.max(1)) {
        tally.feed(piece);
    }
    tally.finish()
}

/// What a window saw, as text: one line for each list that isn't empty.
fn shown(stats: &WindowStats) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "lines {} commands {} replicated {}",
        stats.lines, stats.commands, stats.replicated
    );
    let _ = writeln!(
        text,
        "reads {} writes {} touches {}",
        stats.reads, stats.writes, stats.key_touches
    );
    let mut list = |name: &str, items: Vec<String>| {
        if !items.is_empty() {
            let _ = writeln!(text, "{name}: {}", items.join(", "));
        }
    };
    let counted =
        |items: &[crate::analysis::window::Counted]| items.iter().map(|c| format!("{} {}", c.name, c.count)).collect();
    list(
        "rejected",
        stats
            .rejected
            .iter()
            .map(|(reason, count)| format!("{} {count}", reason.kind()))
            .collect(),
    );
    list("commands", counted(&stats.commands_by_name));
    list("clients", counted(&stats.clients));
    list(
        "keys",
        stats.keys.iter().map(|c| format!("{} {}", c.key, c.count)).collect(),
    );
    list("tags", counted(&stats.hash_tags));
    text
}

#[track_caller]
fn check(stream: &str, expected: &str) {
    let expected: String = expected
        .trim()
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    for piece in [1, 7, usize::MAX] {
        assert_eq!(shown(&fed(stream.as_bytes(), piece)), expected, "in pieces of {piece}");
    }
}

#[test]
fn every_form_of_a_line_is_understood() {
    check(
        concat!(
            "OK\n",
            "1795202082.056681 [0 127.0.0.1:35656] \"get\" \"a\"\n",
            "+OK\r\n",
            "+1795202082.056681 [12 [2001:db8::1]:35656] \"GeT\" \"a\\\"\\\\\"\r\n",
            "1795202082.056681 [0 lua] \"SET\" \"\\xc3\\xa4 b\" \"]\"\n",
            "1795202082.056681 [0 unix:/tmp/a] \"b.sock] \"set\" \"] \" \"x\"\n",
            "1795202082.056681 [0 unix:/tmp/a] b.sock] \"PING\"\n",
            "1.056681 [0 10.0.0.1:1] \"OBJECT\" \"Encoding\" \"k\"\n",
            "-ERR unknown command\r\n",
            "1795202082.05 [0 10.0.0.1:1] \"GET\" \"k\"\n",
            "1795202082.056681 [0 10.0.0.1] \"GET\" \"k\"\n",
            "1795202082.056681 [0  lua] \"GET\" \"k\"\n",
            "1795202082.056681 [0 10.0.0.1:1] \"GET\" \"k\n",
            "1795202082.056681 [0 10.0.0.1:1] \"GET\"\"k\"\n",
            "\n",
            "1795202082.056681 [0 10.0.0.1:1] \"GET\" \"k\"",
        ),
        r#"
        lines 6 commands 6 replicated 0
        reads 3 writes 2 touches 5
        rejected: timestamp 2, source 2, arguments 2, cut_off 1, server_error 1
        commands: GET 2, SET 2, OBJECT|ENCODING 1, PING 1
        clients: 10.0.0.1 1, 127.0.0.1 1, [2001:db8::1] 1, lua 1, unix:/tmp/a] "b.sock 1, unix:/tmp/a] b.sock 1
        keys: \xc3\xa4 b 1, ]  1, a 1, a\"\\ 1, k 1
        "#,
    );
}

#[test]
fn declared_keys_of_a_script_count_only_if_its_own_commands_are_not_shown() {
    let line = |source: &str, command: &str| format!("1795202082.056681 [0 {source}] {command}\n");
    let eval = line("1.2.3.4:5", r#""EVAL" "return 1" "2" "a" "b" "not""#);
    let inner = line("lua", r#""SET" "a" "1""#);
    let ping = line("1.2.3.4:5", "\"PING\"");
    // The first time the commands are met, and from then on they are everyday ones.
    let stream = [&*eval, &inner, &inner, &eval, &ping, &eval].concat().repeat(3);
    check(
        &stream,
        r#"
        lines 18 commands 18 replicated 0
        reads 0 writes 6 touches 18
        commands: EVAL 9, SET 6, PING 3
        clients: 1.2.3.4 12, lua 6
        keys: a 12, b 6
        "#,
    );
}

#[test]
fn replicated_lines_belong_to_no_client_and_upkeep_is_no_command() {
    let mut tally = tally(&TallySettings::default());
    tally.set_masters(["127.0.0.1:17101"]);
    tally.feed(include_bytes!(
        "../../../tests/fixtures/redis7.0.15-replica-monitor.log"
    ));
    let expected = "\
        lines 17 commands 15 replicated 14\n\
        reads 1 writes 12 touches 14\n\
        commands: SET 5, INCR 2, DEL 1, EXEC 1, GET 1, MSET 1, MULTI 1, PEXPIREAT 1, SADD 1, SREM 1\n\
        clients: 127.0.0.1 1\n\
        keys: a 2, ctr 2, px 2, s 2, user:123456:profile 2, b 1, f 1, k2 1, luakey 1\n";
    assert_eq!(shown(&tally.finish()), expected);
}

#[test]
fn our_own_lines_are_lines_and_nobodys_load() {
    let mut tally = tally(&TallySettings::default());
    tally.add_ours(["10.0.0.9:5000"]);
    tally.feed(b"1.000001 [0 10.0.0.1:5000] \"GET\" \"a\"\n1.000002 [0 10.0.0.9:5000] \"INFO\" \"stats\"\n");
    tally.add_ours(["[::1]:7"]);
    tally.feed(b"1.000003 [0 [::1]:7] \"GET\" \"a\"\n1.000004 [0 10.0.0.9:5001] \"ROLE\"\n");
    let expected = "\
        lines 4 commands 2 replicated 0\n\
        reads 1 writes 0 touches 1\n\
        commands: GET 1, ROLE 1\n\
        clients: 10.0.0.1 1, 10.0.0.9 1\n\
        keys: a 1\n";
    assert_eq!(shown(&tally.finish()), expected);
}

#[test]
fn lines_of_any_length_keep_their_command_and_keys() {
    let value = "\\x00".repeat(100_000);
    let stamp = "1795202082.056681 [0 1.2.3.4:5]";
    let stream = [
        format!("{stamp} \"SET\" \"k\" \"{value}\"\n"),
        format!("+{stamp} \"MSET\" \"a\" \"{value}\" \"b\" \"{value}\" \"{{t}}c\" \"\\\"{value}\\\\\"\r\n"),
        format!("{stamp} \"EVAL\" \"{value}\" \"1\" \"e\"\n"),
        format!("{stamp} \"BLPOP\" \"{value}\" \"x\" \"0\"\n"),
        format!("{stamp} \"XREAD\" \"STREAMS\" \"s\" \"{value}\" \"0\" \"0\"\n"),
        format!("{stamp} \"SET\" \"k\" \"{value}\n"),
        format!("{stamp} \"SET\" \"k\" \"{value}\"\"x\"\n"),
        format!("{stamp} \"{value}\" \"k\"\n"),
        format!("nonsense {value}\n"),
        format!("{stamp} \"DEL\"{}\n", " \"many\"".repeat(100_000)),
        format!("{stamp} \"SET\" \"k\" \"{value}"),
    ]
    .concat();
    let whole = fed(stream.as_bytes(), usize::MAX);
    for piece in [1000, 4096, 65_536, 65_537, 100_003] {
        assert_eq!(fed(stream.as_bytes(), piece), whole, "in pieces of {piece}");
    }
    let keys: Vec<_> = whole.keys.iter().map(|key| (key.key.len().min(9), key.count)).collect();
    assert_eq!((whole.lines, whole.commands, whole.cut_keys), (7, 7, 2));
    assert_eq!(
        whole.rejected,
        [
            (Rejection::Timestamp, 1),
            (Rejection::Arguments, 2),
            (Rejection::CutOff, 1)
        ]
    );
    assert_eq!((keys[0], whole.key_touches), ((4, 100_000), 100_012));
}

#[test]
fn past_their_limits_names_and_clients_are_other() {
    let settings = TallySettings {
        commands_max: 2,
        clients_max: 2,
        ..TallySettings::default()
    };
    let mut tally = tally(&settings);
    for number in 0..200 {
        let line = format!("1795202082.056681 [0 10.0.0.{number}:1] \"new.{number}\" \"k\"\n");
        tally.feed(line.as_bytes());
    }
    let stats = tally.finish();
    assert!(stats.distinct_clients.abs_diff(200) < 10, "{}", stats.distinct_clients);
    let expected = "lines 200 commands 200 replicated 0\nreads 0 writes 0 touches 0\n\
        commands: other 198, NEW.0 1, NEW.1 1\nclients: other 198, 10.0.0.0 1, 10.0.0.1 1\n";
    assert_eq!(shown(&stats), expected);
}

#[test]
fn every_key_above_a_thousandth_is_reported_within_its_error() {
    let settings = TallySettings {
        top: 10,
        keys_max: 2048,
        ..TallySettings::default()
    };
    let mut tally = tally(&settings);
    let mut truth = BTreeMap::<String, u64>::new();
    for number in 0..60_000_u64 {
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let key = if number % 3 == 0 {
            format!("hot:{}", spread % 150)
        } else {
            format!("cold:{number}")
        };
        tally.feed(format!("1795202082.056681 [0 10.0.0.1:1] \"get\" \"{key}\"\n").as_bytes());
        *truth.entry(key).or_default() += 1;
    }
    let stats = tally.finish();
    for (key, &count) in truth.iter().filter(|(_, count)| **count >= 60) {
        let found = stats.keys.iter().find(|found| *found.key == **key).expect(key);
        assert!(
            (found.count - found.error..=found.count).contains(&count),
            "{found:?} {count}"
        );
    }
    let slots: u64 = stats.slots.iter().map(|(_, count)| count).sum();
    let patterns: u64 = stats.patterns.iter().map(|pattern| pattern.count).sum();
    assert_eq!((slots, patterns), (60_000, 60_000));
    assert!(
        (stats.distinct_keys as f64 / truth.len() as f64 - 1.0).abs() < 0.06,
        "{}",
        stats.distinct_keys
    );
}

#[test]
fn merged_tallies_count_as_one() {
    let line = |n: u32| {
        format!(
            "{}.056681 [0 10.0.{}.1:1] \"get\" \"user:{n}\"\n",
            1_795_202_082 + n,
            n % 3
        )
    };
    let stream: String = (0..70).chain(0..5000).map(line).collect();
    let (front, back) = stream.split_at(stream.len() / 2 + stream[stream.len() / 2..].find('\n').unwrap() + 1);
    let settings = TallySettings {
        top: usize::MAX,
        ..TallySettings::default()
    };
    let closed = |stream: &str| {
        let mut tally = tally(&settings);
        tally.feed(stream.as_bytes());
        tally.close()
    };
    let mut merged = closed(front);
    merged.merge(closed(back));
    let (merged, whole) = (merged.stats(usize::MAX), closed(&stream).stats(usize::MAX));
    assert_eq!(
        (&merged.patterns, &merged.signatures),
        (&whole.patterns, &whole.signatures)
    );
    assert!(merged == whole);
}

/// What the slow reading of a stream counts.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    rejected: u64,
    commands: BTreeMap<String, u64>,
    keys: BTreeMap<String, u64>,
    slots: BTreeMap<u16, u64>,
}

/// The keys come from the same table, but through its slow entrance.
fn obvious(stream: &[u8]) -> Counts {
    let mut counts = Counts::default();
    for line in stream.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").expect("whole lines");
        let Ok(line) = reference::read(line) else {
            counts.rejected += 1;
            continue;
        };
        let name = String::from_utf8_lossy(&line.arguments[0]).to_ascii_uppercase();
        *counts.commands.entry(name).or_default() += 1;
        for key in Commands::builtin().keys(&line.arguments) {
            *counts.slots.entry(slot::of_printed_key(&key).number()).or_default() += 1;
            let key = String::from_utf8_lossy(&key).into_owned();
            *counts.keys.entry(key).or_default() += 1;
        }
    }
    counts
}

fn counts(stats: &WindowStats) -> Counts {
    Counts {
        rejected: stats.rejected_lines(),
        commands: stats
            .commands_by_name
            .iter()
            .map(|c| (c.name.to_string(), c.count))
            .collect(),
        keys: stats.keys.iter().map(|c| (c.key.to_string(), c.count)).collect(),
        slots: stats
            .slots
            .iter()
            .map(|(slot, count)| (slot.number(), *count))
            .collect(),
    }
}

fn source() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u8..4, 1_u16..).prop_map(|(host, port)| format!("10.255.255.{host}:{port}")),
        1 => Just("lua".to_owned()),
        1 => (1_u16..).prop_map(|port| format!("[fe80::1%eth0]:{port}")),
        1 => "[a-z/\\] ]{0,40}".prop_map(|path| format!("unix:/{path}.sock")),
    ]
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c:{}]{0,6}".prop_map(String::into_bytes),
        1 => "[a-z0-9:]{20,80}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..50),
        1 => (0_u32..4).prop_map(|number| number.to_string().into_bytes()),
        1 => Just(b"] \"".to_vec()),
        1 => Just(b"streams".to_vec()),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "get",
        "SET",
        "mGet",
        "DEL",
        "mset",
        "blpop",
        "BITOP",
        "xread",
        "zunionstore",
        "lmpop",
        "ping",
        "sort",
        "rename",
    ];
    let arguments = proptest::collection::vec(argument(), 0..9);
    (
        0_u64..2_000_000_000_000_000,
        0_u32..20,
        source(),
        proptest::sample::select(names),
        arguments,
        any::<bool>(),
    )
        .prop_map(|(micros, database, source, name, arguments, wire)| {
            let mut line = format!(
                "{}{}.{:06} [{database} {source}] \"{name}\"",
                if wire { "+" } else { "" },
                micros / 1_000_000,
                micros % 1_000_000
            )
            .into_bytes();
            for argument in arguments {
                line.extend(b" \"");
                line.extend(reference::print(&argument));
                line.push(b'"');
            }
            line.extend(if wire { &b"\r\n"[..] } else { b"\n" });
            line
        })
}

/// A line, sometimes with its head damaged.
fn maybe_broken_line() -> impl Strategy<Value = Vec<u8>> {
    (line(), 0_usize..400, proptest::sample::select(&b"0a [].:\""[..])).prop_map(|(mut line, place, byte)| {
        let head = line.iter().position(|&byte| byte == b'[').expect("a bracket");
        if place <= head + 2 {
            line[place] = byte;
        }
        line
    })
}

#[test]
fn a_source_that_begins_with_a_blank_is_rejected_wherever_the_line_is_cut() {
    let stream = b"1000000000.000000 [1  lua] \"get\"\n";
    for piece in [1, 2, 30, usize::MAX] {
        assert_eq!(counts(&fed(stream, piece)), obvious(stream), "in pieces of {piece}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_path_counts_what_the_obvious_one_does(
        lines in proptest::collection::vec(maybe_broken_line(), 0..40),
        cuts in proptest::collection::vec(prop_oneof![4 => 1_usize..300, 1 => 300_usize..9000], 1..20),
    ) {
        let stream = lines.concat();
        let mut tally = tally(&TallySettings { top: usize::MAX, ..TallySettings::default() });
        let mut rest = &stream[..];
        for &cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            tally.feed(piece);
            rest = after;
        }
        prop_assert_eq!(counts(&tally.finish()), obvious(&stream));
    }

    #[test]
    fn everyday_lines_count_as_any_other(
        lines in proptest::collection::vec(maybe_broken_line(), 0..40),
        seconds in 1_u64..40,
        keys_max in 60_usize..300,
    ) {
        let settings = TallySettings { top: usize::MAX, keys_max, ..TallySettings::default() };
        let mut stream = Vec::new();
        for (number, line) in lines.iter().cycle().take(lines.len() * 3).enumerate() {
            let second = 1_795_202_082 + number as u64 / seconds;
            let stamp = line.iter().position(|&byte| byte == b'.').unwrap_or(0);
            stream.extend(format!("{second}").bytes());
            stream.extend(&line[stamp..]);
        }
        let (mut everyday, mut watched) = (tally(&settings), tally(&settings));
        // A port that nobody has, on every host: each of their lines is looked at twice.
        watched.set_masters((0..4).map(|host| format!("10.255.255.{host}:0")));
        everyday.feed(&stream);
        watched.feed(&stream);
        prop_assert_eq!(everyday.commands(), watched.commands());
        prop_assert_eq!(everyday.finish(), watched.finish());
    }

    #[test]
    fn no_stream_of_bytes_is_fatal_and_every_byte_is_counted(
        stream in proptest::collection::vec(proptest::sample::select(&b"1.0 []\"\\:\n\r+-agetlux"[..]), 0..400),
        piece in 1_usize..50,
    ) {
        let stats = fed(&stream, piece);
        prop_assert_eq!(&stats, &fed(&stream, usize::MAX));
        prop_assert_eq!(stats.bytes_read, Bytes(stream.len() as u64));
    }
}
