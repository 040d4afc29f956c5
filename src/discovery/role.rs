//! A node's own word on its role: the answer to ROLE.

use redis::Value;

use super::topology::{items, number, text};
use crate::model::{Endpoint, Role};

/// What ROLE answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleAnswer {
    /// The node takes the writes.
    Primary {
        /// How far its replication stream is.
        offset: u64,
        /// Who follows it, and how far each has confirmed.
        replicas: Vec<(Endpoint, u64)>,
    },
    /// The node follows a primary.
    Replica {
        /// Whom it follows; the host may be a name.
        primary: Endpoint,
        /// Whether the stream from the primary flows.
        linked: bool,
        /// How far it has read.
        offset: u64,
    },
}

impl RoleAnswer {
    /// Reads the answer; `None` for a sentinel's or any other shape.
    pub fn parse(answer: &Value) -> Option<Self> {
        match items(answer)? {
            [kind, offset, replicas, ..] if text(kind)? == "master" => Some(Self::Primary {
                offset: number(offset).unwrap_or(0),
                replicas: items(replicas)?.iter().map(follower).collect::<Option<_>>()?,
            }),
            [kind, host, port, state, offset, ..] if text(kind)? == "slave" => Some(Self::Replica {
                primary: Endpoint::new(text(host)?, u16::try_from(number(port)?).ok()?),
                linked: text(state)? == "connected",
                offset: number(offset).unwrap_or(0),
            }),
            _ => None,
        }
    }

    /// The role alone.
    pub fn role(&self) -> Role {
        match self {
            Self::Primary { .. } => Role::Primary,
            Self::Replica { .. } => Role::Replica,
        }
    }
}

fn follower(entry: &Value) -> Option<(Endpoint, u64)> {
    let [host, port, offset, ..] = items(entry)? else {
        return None;
    };
    let endpoint = Endpoint::new(text(host)?, u16::try_from(number(port)?).ok()?);
    Some((endpoint, number(offset).unwrap_or(0)))
}
