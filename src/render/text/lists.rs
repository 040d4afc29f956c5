//! What a shard's lists hold: each entry with its name, its part, and what else there is to say. It refuses to know widths and colours.

use std::num::NonZeroUsize;

use crate::analysis::report::{OutputShare, ShardReport};
use crate::model::Bytes;
use crate::render::figure::harmless;
use crate::render::worth;

/// Entries of each list where nothing is said, and as many as are asked for.
pub(super) type Rows = (usize, Option<NonZeroUsize>);

/// One entry of a list: its name, its part, and what else there is to say.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) share: f64,
    pub(super) count: u64,
    pub(super) error: u64,
    pub(super) mark: Option<&'static str>,
    pub(super) example: Option<String>,
    /// Instead of a count.
    pub(super) amount: Option<Bytes>,
}

pub(super) fn lists(shard: &ShardReport, (rows, wanted): Rows) -> [(&'static str, Vec<Entry>); 9] {
    let entry = |name: String, share, count, error| Entry {
        name: harmless(&name),
        share,
        count,
        error,
        mark: None,
        example: None,
        amount: None,
    };
    let patterns = shard.patterns.iter().map(|part| Entry {
        example: Some(part.example_key.to_string()),
        ..entry(part.pattern.to_string(), part.share, part.count, part.error)
    });
    let keys = shard
        .keys
        .iter()
        .map(|part| entry(part.key.to_string(), part.share, part.count, part.error));
    let tags = shard
        .hash_tags
        .iter()
        .map(|part| entry(part.hash_tag.to_string(), part.share, part.count, part.error));
    let commands = shard
        .commands_by_name
        .iter()
        .map(|part| entry(part.command.to_string(), part.share, part.count, 0));
    let signatures = shard.signatures.iter().map(|part| Entry {
        mark: part.full_scan.then_some("reads all"),
        ..entry(part.signature.to_string(), part.share, part.count, 0)
    });
    let slots = shard
        .slots
        .iter()
        .map(|part| entry(format!("slot {}", part.slot), part.share, part.count, 0));
    let clients = shard
        .clients
        .iter()
        .map(|part| entry(part.client.to_string(), part.share, part.count, 0));
    let sent = |part: &OutputShare| Entry {
        amount: Some(Bytes(part.bytes)),
        ..entry(part.name.to_string(), part.share, 0, 0)
    };
    let output = || shard.bytes_out.iter();
    let by_pattern = output().flat_map(|output| &output.by_pattern).map(sent);
    let by_signature = output().flat_map(|output| &output.by_signature).map(sent);
    [
        ("Bytes out by key pattern", shown(by_pattern, rows, wanted)),
        ("Bytes out by signature", shown(by_signature, rows, wanted)),
        ("Key patterns", shown(patterns, rows, wanted)),
        ("Keys", shown(keys, rows, wanted)),
        ("Hash tags", shown(tags, rows, wanted)),
        ("Commands", shown(commands, rows, wanted)),
        ("Signatures", shown(signatures, rows, wanted)),
        ("Slots", shown(slots, rows.min(5), wanted)),
        ("Clients", shown(clients, rows, wanted)),
    ]
}

fn shown(entries: impl Iterator<Item = Entry>, usual: usize, wanted: Option<NonZeroUsize>) -> Vec<Entry> {
    worth(entries, |entry| entry.share, usual, wanted).collect()
}
