//! What hotshard's own connections cost a node, so that signals can leave it out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Bytes;

/// Commands and bytes that hotshard itself caused on one node, as that node's counters hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnCost {
    /// Commands by name in upper case (`INFO`, `CLIENT|LIST`); servers before 7.0 count a container's subcommands under the
    /// part before the bar.
    pub commands: BTreeMap<&'static str, u64>,
    /// What the node refused us, by the first word of its answers (`NOPERM`).
    pub errors: BTreeMap<Arc<str>, u64>,
    /// What the node received from us.
    pub bytes_in: Bytes,
    /// What the node sent us, MONITOR's stream included.
    pub bytes_out: Bytes,
}

impl OwnCost {
    /// How many commands in all.
    pub fn calls(&self) -> u64 {
        self.commands.values().sum()
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            commands: difference(&self.commands, &earlier.commands),
            errors: difference(&self.errors, &earlier.errors),
            bytes_in: Bytes(self.bytes_in.0.saturating_sub(earlier.bytes_in.0)),
            bytes_out: Bytes(self.bytes_out.0.saturating_sub(earlier.bytes_out.0)),
        }
    }
}

fn difference<Name: Clone + Ord>(now: &BTreeMap<Name, u64>, earlier: &BTreeMap<Name, u64>) -> BTreeMap<Name, u64> {
    let since = |(name, count): (&Name, &u64)| {
        let before = earlier.get(name).copied().unwrap_or(0);
        (name.clone(), count.saturating_sub(before))
    };
    now.iter().map(since).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cost_between_two_polls_is_their_difference() {
        let cost = |infos, roles, bytes| OwnCost {
            commands: BTreeMap::from([("INFO", infos), ("ROLE", roles)]),
            errors: BTreeMap::from([("NOPERM".into(), infos)]),
            bytes_in: Bytes(bytes),
            bytes_out: Bytes(10 * bytes),
        };
        let between = cost(5, 2, 100).since(&cost(3, 2, 40));
        assert_eq!(between.commands, BTreeMap::from([("INFO", 2)]));
        assert_eq!(between.errors, BTreeMap::from([("NOPERM".into(), 2)]));
        assert_eq!(
            (between.calls(), between.bytes_in, between.bytes_out),
            (2, Bytes(60), Bytes(600))
        );
    }
}
