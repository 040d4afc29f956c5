//! What a daemon tells of bytes out: its metrics and its verdict.

use std::time::Duration;

use super::{added, fill, fill_leaderboard, names};
use crate::harness::cluster::Cluster;
use crate::harness::figures::Figures;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;
use crate::harness::window::bounded;

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
