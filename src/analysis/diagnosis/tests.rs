mod story;

use std::collections::BTreeMap;

use super::*;
use crate::analysis::report::{SignalFigures, SignalReading};
use crate::analysis::status::Status;
use crate::model::{Ratio, ShardId};
use story::{check, findings, told};

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
fn a_monitor_stream_that_is_too_small_to_matter_is_not_blamed() {
    check(
        "1 scan=40,leaderboard:{DATE}:all watched",
        &[
            "1 bytes_out fat_replies leaderboard:{DATE}:all (?)",
            "1 cpu fat_replies leaderboard:{DATE}:all (?)",
        ],
    );
    check("2 slow=120,KEYS watched", &["2 cpu expensive_command KEYS (no)"]);
    let evidence = findings("1 monitor", &[]).remove(0).evidence.join("\n");
    let sentence =
        "1,000 commands a second with 5.0 MB run through such a stream, which can take up to 20.1 MB a second";
    assert!(evidence.contains(sentence), "{evidence}");
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
fn a_handful_of_commands_names_no_cause() {
    let of_commands = |story: &str| findings(story, &[]).remove(0);
    // 60 of 90 commands are one key's, and 67 of 100.
    let few = of_commands("2 key=20000,product:7:stock brief=333");
    assert_eq!(
        (few.cause, few.subject.as_deref()),
        (Cause::Unexplained, Some("commands"))
    );
    let evidence = few.evidence.join("\n");
    let sentence = "the window saw 90 commands in 0.03 seconds, and parts of fewer than 100 are chance";
    assert!(evidence.contains(sentence), "{evidence}");
    assert_eq!(
        of_commands("2 key=20000,product:7:stock brief=290").cause,
        Cause::SingleKey
    );
    for story in ["client=20000,10.0.66.6", "pattern=20000,export:", "tag=20000,{827310}"] {
        assert_eq!(
            of_commands(&format!("2 {story} brief=333")).cause,
            Cause::Unexplained,
            "{story}"
        );
        assert_ne!(
            of_commands(&format!("2 {story} brief=200")).cause,
            Cause::Unexplained,
            "{story}"
        );
    }
    // What the counters tell needs no number of commands seen.
    assert_eq!(of_commands("2 connections=900 brief=333").cause, Cause::ConnectionChurn);
}

#[test]
fn a_few_touches_of_keys_among_many_commands_name_no_key() {
    let keys = |touches: u64| {
        let story = format!("2 client=20000,10.0.66.6 touches={touches},product:7:stock");
        findings(&story, &[]).remove(0).cause
    };
    assert_eq!([99, 100].map(keys), [Cause::Client, Cause::SingleKey]);
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
        streamed: None,
        absence: None,
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
fn the_manual_has_the_thresholds_that_hold() {
    let manual = include_str!("../../../docs/diagnosis.md");
    let rows = [
        ("explained, at least", format!("{EXPLAINED_MIN}")),
        ("share of the shard's load, at least", format!("{SHARE_MIN}")),
        (
            "the narrower cause is named from",
            format!("{} of what the broadest explains", concentration::NARROWER_MIN),
        ),
        (
            "visible part of what makes the shard hot, at least",
            format!("{VISIBLE_MIN}"),
        ),
        (
            "commands, or touches of keys, that a cause is told from",
            format!("{SEEN_MIN}"),
        ),
        (
            "replies are larger",
            format!("{} × the bytes a command of the other shards", replies::LARGER),
        ),
        (
            "replies of a pattern are fat",
            format!("{} × the bytes a command of the other shards", estimated::FATTER),
        ),
        (
            "an estimate of bytes tells something",
            format!("at most {} off the node's own counter", estimated::ERROR_MAX),
        ),
        (
            "a read is peculiar to the shard",
            format!("{} × its rate elsewhere", replies::PECULIAR),
        ),
        (
            "a command is expensive",
            format!(
                "{} ms a call, or {} × the mean of the other shards' commands",
                cost::LONG * 1000.0,
                cost::TIMES_USUAL
            ),
        ),
        (
            "slots are uneven",
            format!(
                "{} × the others', each doing at most {} × what theirs do",
                surroundings::SLOTS_UNEVEN,
                surroundings::PER_SLOT_EVEN
            ),
        ),
        (
            "somebody's MONITOR can be it",
            format!(
                "at most {} bytes sent for each byte taken in and {} for each command; {:.0} ns and {:.0} µs of CPU",
                surroundings::STREAM_BYTES,
                surroundings::STREAM_LINE,
                surroundings::STREAM_COST_OF_BYTE * 1e9,
                surroundings::STREAM_COST_OF_COMMAND * 1e6
            ),
        ),
        (
            "connections churn",
            format!(
                "{} a second, {} × the others', and {} of the difference",
                surroundings::CONNECTIONS_MIN,
                surroundings::CONNECTIONS_PECULIAR,
                surroundings::CHURN_EXPLAINED_MIN
            ),
        ),
        (
            "more shards help",
            format!(
                "hottest at most {} × the median of the others with twice the shards",
                resharding::EVEN_ENOUGH
            ),
        ),
    ];
    for (threshold, value) in &rows {
        let row = format!("| {threshold} | {value} |");
        assert!(manual.contains(&row), "{row}");
    }
    let first = manual.find("| threshold |").expect("a table");
    let table = manual[first..].split("\n\n").next().expect("it has lines");
    assert_eq!(
        table.lines().count(),
        2 + rows.len(),
        "a threshold isn't held to the code:\n{table}"
    );
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
    let in_cpu = Finding {
        signal: Signal::Cpu,
        ..found
    };
    assert_eq!(
        in_cpu.sentence(),
        "Shard 2 is hot in CPU: the single key product:7:stock takes 67 % of its key accesses"
    );
}
