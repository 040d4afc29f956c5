//! What was learned of keys, over a restart.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{DEADLINE, number, open};
use crate::harness::cluster::Cluster;
use crate::harness::hotshard::Hotshard;
use crate::harness::server::Server;
use crate::harness::traffic::{Plan, Traffic};
use crate::harness::wait::eventually;

/// Names of keys of one kind, so many of them.
fn names(count: usize) -> Vec<String> {
    let letters = |number: usize| {
        let digit = |place: u32| char::from(b'a' + (number / 5_usize.pow(place) % 5) as u8);
        [digit(2), digit(1), digit(0)].iter().collect::<String>()
    };
    (0..count)
        .map(|number| format!("name:{}:profile", letters(number)))
        .collect()
}

/// A daemon that archives there looks at a cluster that is asked for so many names, until `windows` windows with them are kept.
async fn watched(cluster: &Cluster, path: &Path, count: usize, windows: i64) {
    let config = format!(
        "[[groups]]\nid = \"orders\"\nendpoints = [\"{}\"]\n[poll]\ninterval = \"1s\"\n[monitor]\nschedule = \"every 2s\"\nwindow = \"1s\"\n\
         [patterns]\nlearn_after = 8\n[archive]\npath = \"{}\"\n",
        cluster.servers[0].address,
        path.display()
    );
    let before = if path.exists() {
        number(&open(path), "SELECT max(id) FROM windows")
    } else {
        0
    };
    let hotshard = Hotshard::serve(&config).await;
    let traffic = Traffic::new(3).plan(Plan::spread("GET", names(count), 60_000).per_second(500.0).on_replica());
    let kept = async || {
        let sql = format!("SELECT count(*) FROM windows WHERE id > {before} AND commands > 100");
        match Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .and_then(|archive| archive.query_row(&sql, [], |row| row.get::<_, i64>(0)))
        {
            Ok(found) if found >= windows => Ok(()),
            other => Err(other),
        }
    };
    tokio::select! {
        () = eventually("windows are archived", DEADLINE, kept) => {}
        _ = traffic.run(cluster) => panic!("the traffic ended before"),
    }
    hotshard.stop().await;
}

#[tokio::test]
async fn what_was_learned_of_keys_outlives_the_daemon() {
    let cluster = Cluster::disabled(Server::redis().set("client-output-buffer-limit", "normal 64mb 0 0"), 1).await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("h.db");
    watched(&cluster, &path, 50, 1).await;
    let first = number(&open(&path), "SELECT max(id) FROM windows");
    // Far fewer names than it takes to learn that they vary.
    watched(&cluster, &path, 3, 1).await;
    let archive = open(&path);
    for view in ["window_patterns", "all_lines"] {
        let sql = format!(
            "SELECT group_concat(DISTINCT key_pattern) FROM {view} WHERE window_id > {first} AND key_pattern LIKE 'name:%'"
        );
        let patterns: String = archive.query_row(&sql, [], |row| row.get(0)).expect("there are some");
        assert_eq!(patterns, "name:{VAR}:profile", "{view}");
    }
    assert!(number(&archive, &format!("SELECT count(*) FROM windows WHERE id > {first}")) > 0);
}
