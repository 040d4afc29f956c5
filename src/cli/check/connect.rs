//! `hotshard check --connect`: tries every node once, and tells one line about each.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use super::super::found::find;
use crate::cli::print;
use crate::config::Settings;
use crate::model::{Endpoint, Group};
use crate::node::survey::Reach;
use crate::node::{LinkError, watch};

/// Tries all nodes of all groups; a failure if any can't be watched.
pub(super) fn run(settings: &Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .context("cannot start connecting")?
        .block_on(every_group(settings))
}

async fn every_group(settings: &Settings) -> anyhow::Result<()> {
    print("\nNodes:\n")?;
    let (mut tried, mut failed) = (0, 0);
    for found in find(settings).await? {
        let nodes = match found {
            Ok(found) => every_node(&found.reach, &found.group).await,
            Err(text) => vec![Err(format!("  {text}\n"))],
        };
        tried += nodes.len();
        failed += nodes.iter().filter(|node| node.is_err()).count();
        for node in nodes {
            print(node.unwrap_or_else(|failure| failure))?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("of {tried} tried, {failed} can't be watched; the lines above say why"),
    }
}

/// A line for each node, in the order of shards and names.
async fn every_node(reach: &Reach, group: &Group) -> Vec<Result<String, String>> {
    let mut asked = JoinSet::new();
    for (place, (shard, node)) in group.nodes().enumerate() {
        let (reach, key, shard, endpoint) = (
            reach.clone(),
            group.key.clone(),
            shard.id.clone(),
            node.endpoint.clone(),
        );
        asked.spawn(async move {
            let answer = ask(&reach, &endpoint).await;
            (place, line(&format!("{key}, shard {shard}"), &endpoint, answer))
        });
    }
    let mut lines = asked.join_all().await;
    lines.sort_by_key(|(place, _)| *place);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Role and version by the node's own word.
async fn ask(reach: &Reach, endpoint: &Endpoint) -> Result<String, LinkError> {
    let link = reach.link(endpoint).await?;
    let role = link.role().await?.role();
    let info = link.info(&["server"]).await?;
    let field = |name: &str| {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
            .next()
    };
    let mut told = role.to_string();
    let version = field("valkey_version").map(|version| ("Valkey", version));
    if let Some((engine, version)) = version.or_else(|| field("redis_version").map(|version| ("Redis", version))) {
        // Writing to a String can't fail.
        let _ = write!(told, ", {engine} {version}");
    }
    // Of a server without a limit nothing but its memory's end stops a buffer whose reader has vanished.
    let _ = write!(told, "; {}", watch::server_limit(&link).await?);
    Ok(told)
}

fn line(place: &str, endpoint: &Endpoint, answer: Result<String, LinkError>) -> Result<String, String> {
    match answer {
        Ok(told) => Ok(format!("  {place}, {endpoint}: {told}\n")),
        // The error names the node itself.
        Err(error) => Err(format!("  {place}: {error}\n")),
    }
}
