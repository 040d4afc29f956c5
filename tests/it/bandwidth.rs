//! Bytes out per pattern, on real servers: near the node's own counter before anything is rescaled, near the truth for each pattern, and
//! learned by questions that harm nobody.

use std::time::Duration;

use futures_util::future::join_all;
use hotshard::analysis::bandwidth::{Answer, Kind, OutputEstimate, Question, Range};
use hotshard::analysis::window::WindowEnd;
use hotshard::node::sizes::{SizeLimits, Sizes};
use hotshard::node::{Account, Credentials, Link};

use crate::harness::cluster::Cluster;
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::link::{SETTINGS, endpoint, plain};
use crate::harness::server::{Server, ServerPlan};
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;
use crate::harness::window::{Window, bounded, read};

const LIMITS: SizeLimits = SizeLimits {
    commands_max: 200,
    bytes_max: 1 << 20,
    touch: false,
};

fn names(pattern: &str, count: usize) -> Vec<String> {
    (1000..1000 + count)
        .map(|number| pattern.replace('#', &number.to_string()))
        .collect()
}

/// Sends commands that fill the server, and waits until all are answered.
async fn fill(server: &Server, commands: impl IntoIterator<Item = Vec<String>>) {
    let commands: Vec<Vec<String>> = commands.into_iter().collect();
    let mut connection = server.connect().await;
    for batch in commands.chunks(50) {
        let batch: Vec<Vec<&str>> = batch
            .iter()
            .map(|words| words.iter().map(String::as_str).collect())
            .collect();
        connection.send(&batch).await.expect("the server takes it");
        for _ in &batch {
            connection.receive().await.expect("the server answers");
        }
    }
}

/// So long, different for each key and element, and always the same.
fn text(key: usize, element: usize, from: usize, to: usize) -> String {
    let mixed = (key as u64 * 7919 + element as u64 * 104_729 + 13).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let length = from + mixed as usize % (to - from);
    format!("{element:06}{}", "v".repeat(length.saturating_sub(6)))
}

fn added(command: &str, key: &str, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    [command.to_owned(), key.to_owned()]
        .into_iter()
        .chain(arguments)
        .collect()
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

fn off(estimated: u64, truth: u64) -> f64 {
    (estimated as f64 / truth as f64 - 1.0).abs()
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

/// A hundred thousand members, ten megabytes.
async fn fill_leaderboard(server: &Server, key: &str) {
    let members = (0..100_000).collect::<Vec<usize>>();
    let batches = members.chunks(500).map(|chunk| {
        let pairs = chunk
            .iter()
            .flat_map(|member| [member.to_string(), format!("player:{member:0>86}")]);
        added("ZADD", key, pairs.collect::<Vec<_>>())
    });
    fill(server, batches).await;
}

#[tokio::test]
async fn questions_about_sizes_return_little_and_are_no_use_of_a_key() {
    check_harmless(Server::valkey9(), true).await;
    check_harmless(Server::valkey8(), true).await;
    // No NO-TOUCH before 7.2: only strings are asked about there, by their memory.
    check_harmless(Server::redis(), false).await;
    check_harmless(Server::redis6(), false).await;
}

async fn check_harmless(plan: ServerPlan, knows_no_touch: bool) {
    let server = plan.start().await;
    let huge = "x".repeat(10_000_000);
    fill_leaderboard(&server, "board").await;
    fill(
        &server,
        [
            added("SET", "blob", [huge.clone()]),
            added(
                "HSET",
                "hash",
                ["a".to_owned(), huge.clone(), "b".to_owned(), huge.clone()],
            ),
            added("RPUSH", "list", (0..3000).map(|element| format!("element {element}"))),
            added("RPUSH", "fat", [huge.clone(), huge.clone()]),
            added("SADD", "set", [huge]),
        ],
    )
    .await;
    let keys = ["blob", "hash", "list", "fat", "set", "board"];
    let idle = async |least: i64| {
        for key in keys {
            let idle = server.call(&["OBJECT", "IDLETIME", key]).await.integer();
            if idle < least {
                return Err(format!("{key} idle for {idle} s"));
            }
        }
        Ok(())
    };
    eventually("all keys are idle", Duration::from_secs(20), async || idle(2).await).await;
    let account = Account::new();
    let link = Link::open(&plain(), &endpoint(&server), &Credentials::none(), &account, SETTINGS)
        .await
        .expect("a link");
    let (before, output) = (
        account.total(),
        server.info("stats").await["total_net_output_bytes"].clone(),
    );
    let mut sizes = Sizes::open(&link, LIMITS).await.expect("it can be asked");
    let question = |key: &str, kind| Question {
        database: 0,
        key: key.as_bytes().into(),
        kind,
    };
    let questions = vec![
        question("blob", Kind::Length),
        question("hash", Kind::Hash),
        question("list", Kind::List(Range::ALL)),
        question("fat", Kind::List(Range::ALL)),
        question("set", Kind::Set),
        question("board", Kind::SortedSet),
        question("nothing", Kind::Hash),
    ];
    let answers = sizes.answer(questions).await.expect("it is answered");
    let too_many = (0..500).map(|number| question(&format!("missing{number}"), Kind::Length));
    let unanswered = sizes.answer(too_many.collect()).await.expect("some are answered");
    assert!(unanswered.iter().any(|(_, answer)| answer.is_none()), "the limit holds");
    idle(2)
        .await
        .unwrap_or_else(|used| panic!("a question was a use: {used}"));
    let own = account.total().since(&before);
    assert!(own.calls() <= 200 && sizes.sent() <= 200, "{own:?}");
    assert!(own.bytes_out.0 < 1 << 20, "{own:?}");
    let sent: u64 = server.info("stats").await["total_net_output_bytes"]
        .parse()
        .expect("a number");
    assert!(
        sent - output.parse::<u64>().expect("a number") < 1 << 20,
        "what was sent is what was counted"
    );
    let answer = |key: &str| {
        let found = answers.iter().find(|(question, _)| *question.key == *key.as_bytes());
        found.and_then(|(_, answer)| *answer)
    };
    match answer("blob") {
        Some(Answer::Length(length)) if knows_no_touch => assert_eq!(length, 10_000_000),
        Some(Answer::AboutLength(length)) if !knows_no_touch => assert!(off(length, 10_000_000) < 0.2, "{length}"),
        other => panic!("{other:?}"),
    }
    let elements = |key: &str| match answer(key) {
        Some(Answer::Elements(elements)) => Some((elements.count, elements.item)),
        _ => None,
    };
    if !knows_no_touch {
        assert_eq!(keys.map(elements), [None; 6]);
        return;
    }
    let (count, item) = elements("board").expect("it was asked about");
    // 93 bytes of a member, "$93", and twice the line end.
    assert_eq!((count, item.round()), (100_000, 100.0));
    let (count, item) = elements("fat").expect("it was asked about");
    assert!(count == 2 && off(item as u64, 10_000_000) < 0.35, "{item}");
    assert_eq!(elements("nothing"), Some((0, 0.0)));
    let (count, item) = elements("list").expect("it was asked about");
    assert!(count == 3000 && (15.0..19.0).contains(&item), "{item}");
}

/// Far behind a thousand small elements lies a huge one, which no question about the list as a whole can find.
#[tokio::test]
async fn an_answer_that_nobody_could_foresee_is_not_read_to_its_end() {
    let server = Server::valkey9().start().await;
    let small = "s".repeat(4000);
    fill(
        &server,
        [
            added("RPUSH", "list", (0..1000).map(|_| small.clone())),
            added("RPUSH", "list", ["x".repeat(50_000_000)]),
            added("SET", "blob", ["x".repeat(300)]),
        ],
    )
    .await;
    let account = Account::new();
    let link = Link::open(&plain(), &endpoint(&server), &Credentials::none(), &account, SETTINGS)
        .await
        .expect("a link");
    let before = account.total();
    let mut sizes = Sizes::open(&link, LIMITS).await.expect("it can be asked");
    let question = |key: &str, kind| Question {
        database: 0,
        key: key.as_bytes().into(),
        kind,
    };
    let blob = sizes
        .answer(vec![question("blob", Kind::Length)])
        .await
        .expect("a small one");
    assert!(matches!(blob[..], [(_, Some(Answer::Length(300)))]), "{blob:?}");
    let last = Range { first: -1, last: -1 };
    let list = sizes
        .answer(vec![question("list", Kind::List(last))])
        .await
        .expect("no failure");
    let [(_, Some(Answer::Elements(elements)))] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!(elements.count, 1001);
    assert!((3000.0..6000.0).contains(&elements.item), "by its memory: {elements:?}");
    let own = account.total().since(&before);
    assert!(own.bytes_out.0 <= 1 << 20, "{own:?}");
    let gone = async || match server.call(&["CLIENT", "LIST"]).await.text() {
        clients if clients.contains("name=hotshard") => Err(clients),
        _ => Ok(()),
    };
    eventually("the connection is closed", Duration::from_secs(10), gone).await;
    let sent = sizes.sent();
    let after = sizes
        .answer(vec![question("blob", Kind::Length)])
        .await
        .expect("no failure");
    assert!(matches!(after[..], [(_, None)]), "{after:?}");
    assert_eq!(sizes.sent(), sent, "nothing more is asked");
}

/// Replies of a thousand and of two hundred bytes, of which is known how many are sent; and a third pattern, as MGET has both.
#[tokio::test]
async fn metrics_of_bytes_out_are_what_was_sent() {
    let cluster = Cluster::disabled(bounded(Server::valkey9()), 0).await;
    let server = &cluster.servers[0];
    let filled = |pattern: &'static str, length: usize| {
        let keys = names(pattern, 100).into_iter();
        keys.map(move |key| added("SET", &key, ["v".repeat(length)]))
    };
    fill(server, filled("page:#", 1000).chain(filled("card:#", 200))).await;
    let configuration = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}:0001\"]\n[poll]\ninterval = \"1s\"\n\
         [monitor]\nschedule = \"every 3s\"\nwindow = \"2s\"\nnodes = \"primary\"\n\
         [guards]\nsilence_max = \"5s\"\nbehind_max = \"10s\"\ncpu_max = 10.0\npredicted_cost_max = 10.0\n",
        server.address
    );
    let daemon = Hotshard::serve(&configuration).await;
    let seconds = 60;
    let card = names("card:#", 100)[7].clone();
    let traffic = Traffic::new(9)
        .plan(Plan::spread("GET", names("page:#", 100), 600 * seconds).per_second(600.0))
        .plan(Plan::spread("GET", names("card:#", 100), 500 * seconds).per_second(500.0))
        .plan(
            Plan::spread("MGET", names("page:#", 100), 200 * seconds)
                .with(&[&card, &card])
                .per_second(200.0),
        );
    // "$1000", twice the line end, and a thousand bytes; of MGET the head's four bytes are divided, too.
    let (page, card) = (1009.0, 208.0);
    let mget = page + 2.0 * card + 4.0;
    let of_page = 600.0 * page + 200.0 * mget * page / (page + 2.0 * card);
    let of_card = 500.0 * card + 200.0 * mget * 2.0 * card / (page + 2.0 * card);
    let seen = |figures: &Figures, pattern: &str| {
        figures.find("hotshard_observed_pattern_output_bytes_total", &[("pattern", pattern)])
    };
    let observed = |figures: &Figures| figures.sum("hotshard_observed_seconds_total", &[]);
    let after = async |least: f64| {
        eventually("windows have seen enough", Duration::from_secs(50), async || {
            let figures = Figures::of(daemon.metrics().await);
            let is_enough = observed(&figures) >= least && seen(&figures, "page:{ID}").is_some();
            is_enough.then(|| figures.clone()).ok_or(figures)
        })
        .await
    };
    let look = async {
        let first = after(0.1).await;
        let second = after(observed(&first) + 5.5).await;
        (first, second)
    };
    let (first, second) = tokio::select! {
        looked = look => looked,
        _ = traffic.run(&cluster) => panic!("the traffic was over before the windows"),
    };
    let grown = |pattern: &str| {
        let [from, to] = [&first, &second].map(|figures| seen(figures, pattern).expect("a series"));
        (to - from) / (observed(&second) - observed(&first))
    };
    let near = |value: f64, truth: f64, what: &str| {
        assert!(
            (value / truth - 1.0).abs() < 0.07,
            "{what}: {value}, not {truth}: {second:?}"
        );
    };
    near(grown("page:{ID}"), of_page, "bytes of pages");
    near(grown("card:{ID}"), of_card, "bytes of cards");
    let shard = [("shard", "0001")];
    let estimated = second.value("hotshard_window_estimated_output_bytes_per_second", &shard);
    near(estimated, of_page + of_card, "all bytes");
    let error = second.value("hotshard_window_output_estimate_error_ratio", &shard);
    assert!(error.abs() < 0.05, "{error}");
    daemon.stop().await;
}

/// The sorted set of a hundred thousand members is read three times a second, everything else six hundred times.
#[tokio::test]
async fn a_sorted_set_that_is_read_whole_now_and_then_comes_out_as_fat_replies_with_its_pattern() {
    let cluster = Cluster::of(bounded(Server::valkey9())).await;
    let board = "leaderboard:2026-11-21";
    let hot = cluster.shard_of(board).await;
    fill_leaderboard(&cluster.servers[hot.primary], board).await;
    let pages = names("page:#", 300);
    let value = "x".repeat(300);
    let pages_are_written = Traffic::new(1).plan(Plan::spread("SET", pages.clone(), 3000).with(&[&value]));
    pages_are_written.run(&cluster).await;
    cluster.replicated().await;
    let configuration = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n\
         [monitor]\nschedule = \"every 6s\"\nwindow = \"2s\"\n\
         [guards]\nsilence_max = \"5s\"\nbehind_max = \"10s\"\ncpu_max = 10.0\npredicted_cost_max = 10.0\n",
        cluster.servers[0].address
    );
    let daemon = Hotshard::serve(&configuration).await;
    let seconds = 30;
    let traffic = Traffic::new(7)
        .plan(Plan::spread("GET", pages, 600 * seconds).on_replica().per_second(600.0))
        .plan(
            Plan::new("ZREVRANGE", board, 3 * seconds)
                .with(&["0", "-1"])
                .on_replica()
                .per_second(3.0),
        );
    let named = eventually(
        "the verdict names the leaderboard",
        Duration::from_secs(60),
        async || {
            let answer = daemon.get("/api/v1/groups/orders/report").await?;
            let report: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let findings = report["diagnosis"].as_array().cloned().unwrap_or_default();
            let fat = findings.into_iter().find(|finding| {
                finding["signal"] == "bytes_out"
                    && finding["cause"] == "fat_replies"
                    && finding["subject"] == "leaderboard:{DATE}"
            });
            fat.filter(|finding| finding["evidence"].to_string().contains("estimated from sampled keys"))
                .ok_or(answer.body)
        },
    );
    let (finding, _) = tokio::join!(named, traffic.run(&cluster));
    assert!(finding["share"].as_f64().is_some_and(|share| share > 0.9), "{finding}");
    let figures = Figures::of(daemon.metrics().await);
    let shard = finding["shard"].as_str().expect("a name");
    let labels = [("shard", shard), ("signal", "bytes_out"), ("cause", "fat_replies")];
    let share = figures.value("hotshard_diagnosis_share_ratio", &labels);
    // Ten megabytes three times a second, and a third of six hundred replies of three hundred bytes.
    let truth = 3.0 * 10e6 / (3.0 * 10e6 + 200.0 * 307.0);
    assert!((share - truth).abs() < 0.05, "{share}, not {truth}");
    daemon.stop().await;
}
