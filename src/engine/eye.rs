//! One look of a guard at a node.

use tokio::time::Instant;

use super::clock::Clock;
use super::guard::Look;
use super::progress::Progress;
use super::siblings::Siblings;
use crate::analysis::info::Reading;
use crate::node::{Link, LinkError, watch};

/// Whatever is needed for a look.
pub(super) struct Eye<'a> {
    pub(super) link: &'a Link,
    pub(super) began: Instant,
    pub(super) clock: Clock,
    pub(super) progress: &'a Progress,
}

impl Eye<'_> {
    /// Looks once, at our own client `id` too where there is one.
    pub(super) async fn look(&self, id: Option<u64>, siblings: &Siblings) -> Result<Look, LinkError> {
        let (sight, primary_offset) = tokio::join!(watch::look(self.link, id), siblings.primary_offset());
        let sight = sight?;
        let reading = Reading::parse(&sight.info);
        if let Some(server) = reading.server_time {
            self.progress.set_server_clock(server, self.clock.now());
        }
        if let Some(client) = &sight.client {
            self.progress.comes_from(&client.address);
        }
        Ok(Look {
            at: self.began.elapsed(),
            reading,
            role: sight.role.role(),
            buffer: sight.client.map(|client| client.output_memory),
            primary_offset,
            read: self.progress.bytes(),
            behind: self.progress.take_behind(),
            strained: self.progress.strain.lasted(),
        })
    }
}
