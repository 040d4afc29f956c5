//! One node, polled: a lasting connection that is asked when told to, and opened again when it broke.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::analysis::info::Reading;
use crate::metrics::ledger::{Event, PollAnswer};
use crate::metrics::snapshot::Sources;
use crate::model::{Endpoint, GroupKey, NodeId, OwnCost, ShardId};
use crate::node::survey::Reach;
use crate::node::{Link, LinkError, probe};

use super::clock::Clock;

/// A node and how to speak to it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The group.
    pub group: GroupKey,
    /// The shard, for messages.
    pub shard: ShardId,
    /// The node.
    pub node: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How it is reached.
    pub reach: Reach,
}

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0} did not answer within {1:?}")]
    Late(Endpoint, Duration),
}

impl PollError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Link(error) => error.kind(),
            Self::Late(..) => "timed_out",
        }
    }
}

/// Polls `watched` each time `due` says so, until `due` is closed.
pub async fn run(
    watched: Watched,
    patience: Duration,
    clock: Clock,
    mut due: mpsc::Receiver<()>,
    events: mpsc::Sender<Event>,
) {
    let mut poller = Poller {
        watched,
        patience,
        link: None,
        own: OwnCost::default(),
        failing: None,
    };
    while due.recv().await.is_some() {
        let begun = Instant::now();
        let outcome = poller.poll().await;
        let event = Event::Polled {
            group: poller.watched.group.clone(),
            node: poller.watched.node.clone(),
            at: clock.now(),
            took: begun.elapsed(),
            outcome: poller.judge(outcome),
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

struct Poller {
    watched: Watched,
    patience: Duration,
    link: Option<Link>,
    own: OwnCost,
    failing: Option<&'static str>,
}

impl Poller {
    async fn poll(&mut self) -> Result<Box<PollAnswer>, PollError> {
        let outcome = timeout(self.patience, self.ask()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(PollError::Late(self.watched.endpoint.clone(), self.patience)));
        if outcome.is_err() {
            self.link = None;
        }
        outcome
    }

    async fn ask(&mut self) -> Result<Box<PollAnswer>, PollError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => self.watched.reach.link(&self.watched.endpoint).await?,
        };
        let poll = probe::poll(&link).await?;
        self.link = Some(link);
        let own = poll.own.since(&self.own);
        self.own = poll.own;
        Ok(Box::new(PollAnswer {
            reading: Reading::parse(&poll.info),
            role: poll.role.role(),
            own,
            sources: Sources::default(),
            slots: None,
        }))
    }

    /// A failure is said once when it begins or changes its kind, and once when it is over.
    fn judge(&mut self, outcome: Result<Box<PollAnswer>, PollError>) -> Result<Box<PollAnswer>, &'static str> {
        let Watched { group, shard, node, .. } = &self.watched;
        let before = self.failing;
        self.failing = outcome.as_ref().err().map(PollError::kind);
        match &outcome {
            Ok(_) if before.is_some() => info!(%group, %shard, %node, "node answers again"),
            Err(error) if before != self.failing => warn!(%group, %shard, %node, "{error}"),
            _ => {}
        }
        outcome.map_err(|error| error.kind())
    }
}
