//! Bytes out per pattern, on real servers: near the node's own counter before anything is rescaled, near the truth for each pattern, and
//! learned by questions that harm nobody.

mod daemon;
mod estimates;
mod questions;

use crate::harness::server::Server;

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

fn added(command: &str, key: &str, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    [command.to_owned(), key.to_owned()]
        .into_iter()
        .chain(arguments)
        .collect()
}

fn off(estimated: u64, truth: u64) -> f64 {
    (estimated as f64 / truth as f64 - 1.0).abs()
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
