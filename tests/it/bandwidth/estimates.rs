//! What a window estimates, held to the node's counter and to the truth of each pattern.

use std::time::Duration;

use futures_util::future::join_all;
use hotshard::analysis::bandwidth::OutputEstimate;
use hotshard::analysis::window::WindowEnd;

use super::{added, fill, fill_leaderboard, names, off};
use crate::harness::cluster::Cluster;
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::window::{Window, bounded, read};

/// So long, different for each key and element, and always the same.
fn text(key: usize, element: usize, from: usize, to: usize) -> String {
    let mixed = (key as u64 * 7919 + element as u64 * 104_729 + 13).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let length = from + mixed as usize % (to - from);
    format!("{element:06}{}", "v".repeat(length.saturating_sub(6)))
}

async fn fill_with_everything(server: &Server) {
    let numbered = |pattern: &str, count| names(pattern, count).into_iter().enumerate();
    let strings = numbered("page:#", 300).map(|(n, key)| added("SET", &key, [text(n, 0, 100, 3000)]));
    let hashes = numbered("user:#:profile", 200).map(|(n, key)| {
        let fields = (0..12).flat_map(|field| [format!("field{field}"), text(n, field, 8, 80)]);
        added("HSET", &key, fields.collect::<Vec<_>>())
    });
    let lists = numbered("feed:#", 100)
        .map(|(n, key)| added("RPUSH", &key, (0..150).map(|e| text(n, e, 20, 60)).collect::<Vec<_>>()));
    let sets = numbered("tags:#", 100).map(|(n, key)| {
        added(
            "SADD",
            &key,
            (0..60 + n % 40).map(|e| text(n, e, 10, 40)).collect::<Vec<_>>(),
        )
    });
    let sorted = numbered("board:#", 50).map(|(n, key)| {
        let members = (0..200).flat_map(|e| [(e * 37 % 9999).to_string(), text(n, e, 12, 24)]);
        added("ZADD", &key, members.collect::<Vec<_>>())
    });
    let cards = numbered("card:#", 200).map(|(n, key)| added("SET", &key, [text(n, 0, 40, 400)]));
    fill(
        server,
        strings
            .chain(hashes)
            .chain(lists)
            .chain(sets)
            .chain(sorted)
            .chain(cards),
    )
    .await;
}

/// For each pattern its traffic: reads of every kind, ranges, misses, writes.
fn mixed() -> Vec<(&'static str, Traffic)> {
    let of = |pattern: &'static str, plans: Vec<Plan>| {
        let traffic = plans.into_iter().fold(Traffic::new(11), Traffic::plan);
        (pattern, traffic)
    };
    let rate = |plan: Plan, per_second: f64| plan.per_second(per_second);
    let cards = names("card:#", 200);
    let more: Vec<&str> = cards[..5].iter().map(String::as_str).collect();
    vec![
        of(
            "page:{ID}",
            vec![
                // A tenth of the keys isn't there.
                rate(Plan::spread("GET", names("page:#", 330), 3000), 1500.0),
                rate(
                    Plan::spread("SET", names("page:#", 20), 200).with(&[&"w".repeat(1500)]),
                    100.0,
                ),
            ],
        ),
        of(
            "user:{ID}:profile",
            vec![
                rate(Plan::spread("HGETALL", names("user:#:profile", 200), 1000), 500.0),
                rate(
                    Plan::spread("HGET", names("user:#:profile", 200), 1000).with(&["field3"]),
                    500.0,
                ),
                rate(
                    Plan::spread("HMGET", names("user:#:profile", 200), 400).with(&["field1", "field2", "none"]),
                    200.0,
                ),
            ],
        ),
        of(
            "feed:{ID}",
            vec![rate(
                Plan::spread("LRANGE", names("feed:#", 100), 600).with(&["0", "49"]),
                300.0,
            )],
        ),
        of(
            "tags:{ID}",
            vec![rate(Plan::spread("SMEMBERS", names("tags:#", 100), 600), 300.0)],
        ),
        of(
            "board:{ID}",
            vec![
                rate(
                    Plan::spread("ZREVRANGE", names("board:#", 50), 400).with(&["0", "19", "WITHSCORES"]),
                    200.0,
                ),
                rate(
                    Plan::spread("ZRANGEBYSCORE", names("board:#", 50), 300).with(&["1000", "4000"]),
                    150.0,
                ),
                rate(
                    Plan::spread("ZSCORE", names("board:#", 50), 300).with(&["nobody"]),
                    150.0,
                ),
            ],
        ),
        of(
            "card:{ID}",
            vec![rate(Plan::spread("MGET", cards.clone(), 800).with(&more), 400.0)],
        ),
    ]
}

#[tokio::test]
async fn bytes_out_are_estimated_near_the_counter_and_near_the_truth_of_each_pattern() {
    check_mixed(Server::valkey9()).await;
    check_mixed(Server::valkey8()).await;
}

async fn check_mixed(plan: ServerPlan) {
    let cluster = Cluster::disabled(bounded(plan), 0).await;
    let server = &cluster.servers[0];
    fill_with_everything(server).await;
    let traffic = mixed();
    let guarded = Window::on(server, Duration::from_secs(4));
    let window = guarded.opened().await;
    let truths = join_all(traffic.iter().map(|(_, traffic)| traffic.run(&cluster)));
    let (window, truths) = tokio::join!(read(window), truths);
    assert_eq!(window.end, WindowEnd::Duration);
    let output = window.stats.output.expect("it is estimated");
    let truths: Vec<u64> = truths
        .iter()
        .map(|truth| truth.node(server.address).reply_bytes)
        .collect();
    let all: u64 = truths.iter().sum();
    let measured = output.measured.expect("the server counts").0;
    assert!(off(measured, all) < 0.01, "measured {measured}, sent {all}");
    let error = output.error().expect("it was measured");
    assert!(error.abs() < 0.10, "the estimate is {error:+.3} off: {output:?}");
    for ((pattern, _), truth) in traffic.iter().zip(truths) {
        let estimated = output.of_pattern(pattern).unwrap_or_default().0;
        assert!(
            off(estimated, truth) < 0.15,
            "{pattern}: {estimated} for {truth}: {output:?}"
        );
    }
    assert_eq!(output.not_estimable_share.0, 0.0, "{:?}", output.not_estimable);
}

#[tokio::test]
async fn a_few_reads_of_a_huge_collection_are_seen_among_many_small_ones() {
    for plan in [Server::valkey9(), Server::valkey8()] {
        let cluster = Cluster::disabled(bounded(plan), 0).await;
        let server = &cluster.servers[0];
        fill_leaderboard(server, "leaderboard:2026-11-21").await;
        fill(
            server,
            names("page:#", 100)
                .into_iter()
                .map(|key| added("SET", &key, ["x".repeat(300)])),
        )
        .await;
        let huge = Traffic::new(3).plan(
            Plan::new("ZREVRANGE", "leaderboard:2026-11-21", 3)
                .with(&["0", "-1"])
                .per_second(1.5),
        );
        let small = Traffic::new(5).plan(Plan::spread("GET", names("page:#", 100), 8000).per_second(4000.0));
        let guarded = Window::on(server, Duration::from_secs(4));
        let window = guarded.opened().await;
        let (window, huge, _) = tokio::join!(read(window), huge.run(&cluster), small.run(&cluster));
        assert_eq!(window.end, WindowEnd::Duration);
        let output: OutputEstimate = window.stats.output.expect("it is estimated");
        let truth = huge.node(server.address).reply_bytes;
        assert!(truth > 25_000_000, "{truth}");
        let (pattern, bytes) = output.patterns.first().expect("a pattern");
        assert_eq!(&**pattern, "leaderboard:{DATE}");
        assert!(off(bytes.0, truth) < 0.10, "{} for {truth}", bytes.0);
        assert_eq!(&*output.keys[0].0, "leaderboard:2026-11-21");
        let error = output.error().expect("it was measured");
        assert!(error.abs() < 0.10, "{error:+.3}");
    }
}
