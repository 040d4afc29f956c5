//! Several instances with one configuration: each group is watched by exactly one, and Prometheus joins them as the manual says.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::harness::hotshard::Hotshard;
use crate::harness::prometheus::promtool;
use crate::repository::read;

const GROUPS: usize = 12;

/// The groups that an instance watches: the last part of a pod's name says which one it is.
async fn watched_by(host: &str) -> Vec<String> {
    // Nobody answers there, which is no matter of ours.
    let group = |number| format!("[[groups]]\nid = \"g{number}\"\nendpoints = [\"127.0.0.1:1:0001\"]\n");
    let config: String = (0..GROUPS).map(group).collect();
    let hotshard = Hotshard::serve_with(&config, &[("HOSTNAME", host), ("HOTSHARD_INSTANCE_COUNT", "3")]).await;
    let page = hotshard.metrics().await;
    let names = page.lines().filter_map(|line| {
        let labels = line.strip_prefix("hotshard_discovery_nodes{")?;
        let name = labels.split_once("replication_group=\"")?.1;
        Some(name.split_once('"')?.0.to_owned())
    });
    let names = names.collect();
    hotshard.stop().await;
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_is_watched_by_exactly_one_pod_of_a_stateful_set() {
    let pods = join_all(["hotshard-0", "hotshard-1", "hotshard-2.hotshard.monitoring.svc"].map(watched_by)).await;
    let mut watched: BTreeMap<String, usize> = BTreeMap::new();
    for name in pods.iter().flatten() {
        *watched.entry(name.clone()).or_default() += 1;
    }
    assert_eq!(watched.len(), GROUPS, "{pods:?}");
    assert!(watched.values().all(|owners| *owners == 1), "{pods:?}");
    assert!(pods.iter().all(|part| !part.is_empty()), "{pods:?}");
}

/// The rules that the manual shows, as a file.
fn rules() -> String {
    let page = read("docs/exports.md");
    let blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"));
    let mut rules = blocks
        .map(|(block, _)| block)
        .filter(|block| block.contains("hotshard-instances"));
    rules.next().expect("the manual has them").to_owned()
}

/// A group moves from the first pod to the second: for a while both show it.
const MOVED: &str = r#"
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'hotshard_shard_commands_per_second{instance="a:9468",pod="hotshard-0",region="r",replication_group="moves",shard="1"}'
        values: '900 900 900 40 stale _ _ _'
      - series: 'hotshard_shard_commands_per_second{instance="b:9468",pod="hotshard-1",region="r",replication_group="moves",shard="1"}'
        values: '_ _ _ 880 900 900 900 900'
      - series: 'hotshard_shard_skew_ratio{instance="b:9468",pod="hotshard-1",region="r",replication_group="moves",shard="1",signal="cpu"}'
        values: '2x8'
      - series: 'hotshard_observed_pattern_commands_total{instance="a:9468",pod="hotshard-0",region="r",replication_group="moves",shard="1",pattern="p"}'
        values: '0+60x30 stale'
      - series: 'hotshard_observed_pattern_commands_total{instance="b:9468",pod="hotshard-1",region="r",replication_group="moves",shard="1",pattern="p"}'
        values: '_x30 0+60x30'
      - series: 'hotshard_observed_seconds_total{instance="a:9468",pod="hotshard-0",region="r",replication_group="moves",shard="1"}'
        values: '0+2x30 stale'
      - series: 'hotshard_observed_seconds_total{instance="b:9468",pod="hotshard-1",region="r",replication_group="moves",shard="1"}'
        values: '_x30 0+2x30'
      - series: 'hotshard_discovery_nodes{instance="a:9468",pod="hotshard-0",region="r",replication_group="stays"}'
        values: '6x60'
      - series: 'hotshard_discovery_nodes{instance="a:9468",pod="hotshard-0",region="r",replication_group="moves"}'
        values: '6x31 stale'
      - series: 'hotshard_discovery_nodes{instance="b:9468",pod="hotshard-1",region="r",replication_group="moves"}'
        values: '_x30 6x30'
    promql_expr_test:
      - expr: hotshard:shard_commands_per_second
        eval_time: 3m
        exp_samples: [{labels: 'hotshard:shard_commands_per_second{region="r",replication_group="moves",shard="1"}', value: 880}]
      - expr: hotshard:shard_commands_per_second
        eval_time: 4m
        exp_samples: [{labels: 'hotshard:shard_commands_per_second{region="r",replication_group="moves",shard="1"}', value: 900}]
      - expr: hotshard:shard_skew_ratio
        eval_time: 4m
        exp_samples: [{labels: 'hotshard:shard_skew_ratio{region="r",replication_group="moves",shard="1",signal="cpu"}', value: 2}]
      # What was counted before the move and after it, over the time that was observed: 30 a second, as if nothing had moved.
      - expr: round(hotshard:observed_pattern_commands:rate1h / on (region, replication_group, shard) group_left () hotshard:observed_seconds:rate1h)
        eval_time: 1h
        exp_samples: [{labels: '{region="r",replication_group="moves",shard="1",pattern="p"}', value: 30}]
      - expr: hotshard:groups
        eval_time: 31m
        exp_samples: [{labels: 'hotshard:groups', value: 2}]
"#;

#[test]
fn the_manuals_rules_join_instances_also_while_a_group_moves() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (rules_file, tests_file) = (folder.path().join("rules.yml"), folder.path().join("tests.yml"));
    std::fs::write(&rules_file, rules()).expect("it takes a file");
    std::fs::write(&tests_file, MOVED).expect("it takes a file");
    let path = |path: &std::path::Path| path.display().to_string();
    promtool(&["check", "rules", "--lint-fatal", &path(&rules_file)], "").unwrap_or_else(|said| panic!("{said}"));
    promtool(&["test", "rules", &path(&tests_file)], "").unwrap_or_else(|said| panic!("{said}"));
}
