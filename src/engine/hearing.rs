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

/// All clients of a node, as it listed them at one moment.
#[derive(Debug)]
pub(super) struct Listed {
    at: Instant,
    lines: Vec<ClientLine>,
}

/// A node's clients at one moment.
#[derive(Debug)]
struct Listing {
    at: Instant,
    clients: Vec<ClientCounters>,
}

impl Hearing {
    /// Lists each node's clients, right before the window opens; the first node's have been `listed` already, if they were.
    pub(super) async fn open(nodes: &[Option<Witness<'_>>], listed: Option<Listed>) -> Self {
        let first = nodes.first().and_then(Option::as_ref);
        let listed = listed.filter(|_| first.is_some_and(Witness::lists_clients));
        let mut opening = vec![listed.as_ref().map(Listing::of)];
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
    Some(Listing::of(&Listed::now(lines)))
}

impl Listed {
    /// What has just been answered.
    pub(super) fn now(lines: Vec<ClientLine>) -> Self {
        Self {
            at: Instant::now(),
            lines,
        }
    }

    /// Where another client reads a MONITOR stream from.
    pub(super) fn monitor(&self) -> Option<&str> {
        let monitor = self.lines.iter().find(|client| client.monitors())?;
        Some(&monitor.address)
    }
}

impl Listing {
    /// Of the clients proper: not ourselves, no replica, no primary, nobody who reads MONITOR.
    fn of(listed: &Listed) -> Self {
        let clients = listed.lines.iter().filter(|line| !line.is_ours() && line.is_client());
        Self {
            at: listed.at,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::model::{Bytes, PerSecond, Timestamp};
    use crate::node::simulated::{Place, Scenario, Stage};
    use crate::node::{Accounts, Credentials, Dialer, LinkSettings};

    async fn link() -> Link {
        let stage = Stage::new(
            Scenario::new(2).rate(PerSecond(100.0)),
            3,
            Timestamp(1_795_219_200_000_000),
        );
        let endpoint = stage.endpoint(Place { shard: 0, member: 1 }).expect("a place").clone();
        let account = Accounts::default().of(&endpoint);
        let settings = LinkSettings {
            answer_timeout: Duration::from_secs(1),
        };
        Link::open(
            &Dialer::Stage(stage),
            &endpoint,
            &Credentials::none(),
            &account,
            settings,
        )
        .await
        .expect("it answers")
    }

    #[tokio::test(start_paused = true)]
    async fn what_clients_were_sent_counts_from_the_moment_they_were_listed() {
        let link = link().await;
        let client = ClientLine {
            id: 20,
            address: "10.0.0.9:4711".into(),
            output: Some(Bytes(1_000)),
            ..ClientLine::default()
        };
        let listed = Listed::now(vec![client]);
        let began = listed.at;
        // The guard looks again before it lets the window pass.
        advance(Duration::from_millis(500)).await;
        let witness = Witness {
            link: &link,
            sources: Sources {
                client_list: Some(true),
                ..Sources::default()
            },
            reading: &Reading::parse("connected_clients:1"),
        };
        let hearing = Hearing::open(&[Some(witness)], Some(listed)).await;
        let listing = hearing.opening[0].as_ref().expect("it lists its clients");
        assert_eq!((listing.clients.len(), listing.at), (1, began));
    }
}
