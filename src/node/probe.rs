//! One poll of a node: INFO and ROLE in one round trip, with what hotshard itself had cost the node by then.

use std::time::Duration;

use tokio::time::Instant;

use super::LinkError;
use super::link::{self, Link};
use super::raw::Command;
use super::version;
use crate::discovery::role::RoleAnswer;
use crate::model::OwnCost;

/// The sections a poll asks for. (Named ones cost the server a third of what all of them cost.)
pub const SECTIONS: [&str; 9] = [
    "server",
    "clients",
    "memory",
    "stats",
    "replication",
    "cpu",
    "commandstats",
    "errorstats",
    "keyspace",
];

/// What one poll found.
#[derive(Clone, Debug)]
pub struct Poll {
    /// INFO as the server wrote it.
    pub info: String,
    /// ROLE, asked in the same breath.
    pub role: RoleAnswer,
    /// Everything hotshard had cost this node that stands in the counters of `info`: neither this INFO nor its answer does,
    /// but the bytes of this request do.
    pub own: OwnCost,
    /// How long the answer took.
    pub took: Duration,
}

/// Polls the node once.
pub async fn poll(link: &Link) -> Result<Poll, LinkError> {
    let begun = Instant::now();
    let before = link.account().total();
    let commands = vec![version::info(link.version(), &SECTIONS), Command::new("ROLE")];
    let mut answers = link.pipeline(commands).await?.into_iter();
    let closed = || Err(LinkError::Closed(link.endpoint().clone()));
    let info = answers.next().unwrap_or_else(closed)?;
    let info = link::text(&info).ok_or_else(|| link.unexpected("INFO", &info))?;
    let role = match answers.next().unwrap_or_else(closed) {
        Ok(role) => RoleAnswer::parse(&role).ok_or_else(|| link.unexpected("ROLE", &role))?,
        // Serverless caches answer INFO and little else.
        Err(LinkError::Rejected { .. }) => RoleAnswer::of_info(&info),
        Err(error) => return Err(error),
    };
    Ok(Poll {
        own: OwnCost {
            bytes_in: link.account().total().bytes_in,
            ..before
        },
        info,
        role,
        took: begun.elapsed(),
    })
}
