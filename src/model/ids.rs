//! Identities. Each is its own type, so that a group's name can't be passed for a shard's.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! identity {
    ($(#[doc = $doc:literal] $name:ident)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it is written.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    )*};
}

identity! {
    /// An AWS region, or the empty name where there is none.
    Region
    /// A replication group: what a user calls "the cluster".
    GroupId
    /// A shard (ElastiCache: node group) within its group.
    ShardId
    /// A node within its group. It outlives failovers: never derived from the role.
    NodeId
    /// The server process's own random name (`run_id`); a new one means its counters began again.
    RunId
}

/// What tells one group from every other: the same id may exist in two regions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct GroupKey {
    /// Where the group lives; empty without AWS.
    pub region: Region,
    /// Its name there.
    pub id: GroupId,
}

impl fmt::Display for GroupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.region.as_str().is_empty() {
            return self.id.fmt(formatter);
        }
        write!(formatter, "{}/{}", self.region, self.id)
    }
}
