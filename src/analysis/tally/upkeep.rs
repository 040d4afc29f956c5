//! Which lines of a stream are no load of anybody's: what hotshard itself asks, and what replication sends for its own sake.

/// From where such lines come; empty, all lines are load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Where hotshard itself speaks from, `ip:port` as the server prints it.
    pub(super) ours: Vec<Box<[u8]>>,
    /// Where replication comes from.
    pub(super) masters: Vec<Box<[u8]>>,
}

impl Upkeep {
    /// Whether a command of that name, as it was printed, is none of a client's when it comes from that source.
    pub fn holds(&self, source: &[u8], name: &[u8]) -> bool {
        self.is_ours(source) || (is_upkeep(name) && self.is_master(source))
    }

    #[inline(always)]
    pub(super) fn is_ours(&self, source: &[u8]) -> bool {
        self.ours.iter().any(|ours| **ours == *source)
    }

    #[inline(always)]
    pub(super) fn is_master(&self, source: &[u8]) -> bool {
        self.masters.iter().any(|master| **master == *source)
    }
}

/// What replication adds; a client's own PING comes in another spelling.
#[inline(always)]
pub(super) fn is_upkeep(name: &[u8]) -> bool {
    name == b"ping" || name == b"SELECT"
}
