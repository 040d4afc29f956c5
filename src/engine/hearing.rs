//! What the nodes of an observed node's shard tell around a window beside their counters: what they sent to each client while it was
//! open, and which replies they logged as large.
//!
//! Only nodes that serve it are asked, and lists of clients only where they are short: long ones cost the server milliseconds.

use tokio::time::Instant;

use super::clock::Clock;
use super::siblings::heard;
use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::analysis::witness::{ClientCounters, ClientTraffic, ReplyLog, Words, client_traffic, together};
use crate::metrics::snapshot::Sources;
use crate::node::{ClientLine, Link, sources};

/// With more clients than this, listing them all costs the server milliseconds; then nobody is looked for.
pub(super) const CLIENTS_LISTED_MAX: u64 = 2_000;

/// A node of the shard.
pub(super) struct Witness<'a> {
    pub(super) link: &'a Link,
    pub(super) sources: Sources,
    pub(super) reading: &'a Reading,
}

/// What the nodes had sent to each client when the window opened, in the order of the nodes.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    opening: Vec<Option<Listing>>,
}

/// A node's clients at one moment.
#[derive(Debug)]
struct Listing {
    at: Instant,
    clients: Vec<ClientCounters>,
}

impl Hearing {
    /// Lists each node's clients, right before the window opens; the first node's have been `listed` already, if they were.
    pub(super) async fn open(nodes: &[Option<Witness<'_>>], listed: Option<Vec<ClientLine>>) -> Self {
        let first = nodes.first().and_then(Option::as_ref);
        let listed = listed.filter(|_| first.is_some_and(Witness::lists_clients));
        let mut opening = vec![listed.map(|lines| Listing::of(&lines))];
        for node in nodes.iter().skip(1) {
            opening.push(list(node.as_ref()).await);
        }
        Self { opening }
    }

    /// Lists them again, and asks for what was logged. The first node knows these commands.
    pub(super) async fn close(&self, nodes: &[Option<Witness<'_>>], commands: &Commands, clock: Clock) -> Words {
        let mut clients: Vec<ClientTraffic> = Vec::new();
        for (node, before) in nodes.iter().zip(&self.opening) {
            let Some(before) = before else { continue };
            if let Some(after) = list(node.as_ref()).await {
                let span = after.at - before.at;
                clients.extend(client_traffic(&before.clients, &after.clients, span));
            }
        }
        let mut logs = Vec::new();
        for node in nodes
            .iter()
            .flatten()
            .filter(|node| node.sources.commandlog == Some(true))
        {
            let asked = sources::large_replies(node.link, commands);
            if let Some(replies) = heard(node.link.endpoint(), asked).await {
                let now = node.reading.server_time.unwrap_or_else(|| clock.now());
                logs.push(ReplyLog::of(replies, now, sources::LARGE_REPLIES_ASKED));
            }
        }
        Words {
            logs,
            clients: together(clients),
            other_monitor: false,
        }
    }
}

impl Witness<'_> {
    fn lists_clients(&self) -> bool {
        let few = |clients| clients <= CLIENTS_LISTED_MAX;
        self.sources.client_list == Some(true) && self.reading.connected_clients.is_some_and(few)
    }
}

async fn list(node: Option<&Witness<'_>>) -> Option<Listing> {
    let node = node.filter(|node| node.lists_clients())?;
    let lines = heard(node.link.endpoint(), node.link.client_list()).await?;
    Some(Listing::of(&lines))
}

impl Listing {
    /// Of the clients proper: not ourselves, no replica, no primary, nobody who reads MONITOR.
    fn of(lines: &[ClientLine]) -> Self {
        let clients = lines.iter().filter(|line| !line.is_ours() && line.is_client());
        Self {
            at: Instant::now(),
            clients: clients
                .filter_map(|line| {
                    Some(ClientCounters {
                        id: line.id,
                        address: line.address.clone(),
                        output: line.output?,
                        commands: line.commands,
                    })
                })
                .collect(),
        }
    }
}
