//! What traffic was really sent: the figures that hotshard's are held against.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What each node was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub nodes: BTreeMap<SocketAddr, NodeTruth>,
}

/// What one node was sent and what it answered. The commands that open a connection (AUTH, READONLY) are in `commands`
/// and in the bytes, but belong to no key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeTruth {
    pub commands: BTreeMap<String, u64>,
    pub keys: BTreeMap<String, u64>,
    pub clients: BTreeMap<IpAddr, u64>,
    pub request_bytes: u64,
    pub reply_bytes: u64,
    pub errors: u64,
}

impl Truth {
    /// What one node was sent; nothing, if it isn't named.
    pub(crate) fn node(&self, address: SocketAddr) -> NodeTruth {
        self.nodes.get(&address).cloned().unwrap_or_default()
    }

    /// Several nodes or several runs as one.
    pub(crate) fn add(&mut self, other: Truth) {
        for (address, node) in other.nodes {
            self.nodes.entry(address).or_default().add(node);
        }
    }
}

impl NodeTruth {
    pub(crate) fn command_count(&self) -> u64 {
        self.commands.values().sum()
    }

    /// One command from a client; commands are counted in upper case.
    pub(super) fn sent(&mut self, command: &str, key: Option<&str>, client: IpAddr) {
        *self.commands.entry(command.to_ascii_uppercase()).or_default() += 1;
        *self.clients.entry(client).or_default() += 1;
        if let Some(key) = key {
            *self.keys.entry(key.to_owned()).or_default() += 1;
        }
    }

    fn add(&mut self, other: NodeTruth) {
        fn merge<Name: Ord>(into: &mut BTreeMap<Name, u64>, from: BTreeMap<Name, u64>) {
            from.into_iter()
                .for_each(|(name, count)| *into.entry(name).or_default() += count);
        }
        merge(&mut self.commands, other.commands);
        merge(&mut self.keys, other.keys);
        merge(&mut self.clients, other.clients);
        self.request_bytes += other.request_bytes;
        self.reply_bytes += other.reply_bytes;
        self.errors += other.errors;
    }
}
