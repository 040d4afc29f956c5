//! One node, polled: a lasting connection that is asked when told to, and opened again when it broke.
//!
//! Two looks are never closer than half the interval: over a few milliseconds a rate is chance.
//!
//! What the node serves beside INFO is found out once for each server process, before the first INFO: an error the question may
//! cause then stands in the counters already.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::metrics::ledger::{Event, PollAnswer};
use crate::metrics::snapshot::Sources;
use crate::model::{Endpoint, GroupKey, NodeId, OwnCost, RunId, ShardId, Timestamp};
use crate::node::survey::Reach;
use crate::node::{CommandTables, Link, LinkError, probe, sources};

use super::clock::Clock;
use super::settings::PollSettings;

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
    /// Whether it is a serverless cache's, which has no MONITOR.
    pub serverless: bool,
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

/// Asks one node how it is.
#[derive(Debug)]
pub struct Poller {
    watched: Watched,
    /// As they are now: a reload may change them.
    settings: watch::Receiver<PollSettings>,
    link: Option<Link>,
    own: OwnCost,
    clock: Clock,
    tables: CommandTables,
    /// The server process that was last asked what it serves and knows, and what that is.
    served: Option<Served>,
    slots_asked: Option<Instant>,
    /// When it answered last.
    answered: Option<Instant>,
    failing: Option<&'static str>,
}

/// What came of one look, with the moment and how long it took.
struct Look {
    outcome: Result<Box<PollAnswer>, PollError>,
    at: Timestamp,
    took: Duration,
}

/// What a server process serves and knows.
#[derive(Debug)]
struct Served {
    process: Option<RunId>,
    sources: Sources,
    /// `None` while another asks a server of its kind.
    commands: Option<Arc<Commands>>,
}

impl Poller {
    /// A poller that hasn't connected yet.
    pub fn new(watched: Watched, settings: watch::Receiver<PollSettings>, clock: Clock, tables: CommandTables) -> Self {
        // What others asked of the node until now is nothing that happened since.
        let own = watched.reach.accounts.of(&watched.endpoint).total();
        Self {
            watched,
            settings,
            link: None,
            own,
            clock,
            tables,
            served: None,
            slots_asked: None,
            answered: None,
            failing: None,
        }
    }

    /// Polls each time `due` says so, until `due` is closed.
    pub async fn run(mut self, mut due: mpsc::Receiver<()>, events: mpsc::Sender<Event>) {
        while due.recv().await.is_some() {
            self.rest().await;
            let Look { outcome, at, took } = self.look().await;
            if outcome.is_ok() {
                self.answered = Some(Instant::now());
            }
            let event = Event::Polled {
                group: self.watched.group.clone(),
                node: self.watched.node.clone(),
                at,
                took,
                outcome: self.judge(outcome),
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Leaves time for something to happen since the last answer: one that came late, or just before everybody's turn, would begin an
    /// interval of which nothing can be told.
    async fn rest(&self) {
        let pause = self.settings.borrow().interval / 2;
        if let Some(answered) = self.answered {
            sleep_until(answered + pause).await;
        }
    }

    /// Asks the node.
    async fn look(&mut self) -> Look {
        let connecting = Instant::now();
        // Connecting has time-outs of its own. Waiting for a turn, when hundreds of nodes are new, isn't the node's fault.
        let link = match self.connect().await {
            Ok(link) => link,
            Err(error) => return self.over(Err(error.into()), connecting),
        };
        let begun = Instant::now();
        let patience = self.settings.borrow().timeout;
        let asked = timeout(patience, self.ask(&link)).await;
        let late = || PollError::Late(self.watched.endpoint.clone(), patience);
        let mut look = self.over(asked.unwrap_or_else(|_elapsed| Err(late())), begun);
        if let Ok(answer) = &mut look.outcome {
            self.link = self.add_slot_stats(link, answer).await;
        }
        look
    }

    async fn connect(&mut self) -> Result<Link, LinkError> {
        match self.link.take() {
            Some(mut link) => link
                .stay_logged_in(&self.watched.reach.credentials)
                .await
                .map(|()| link),
            None => self.watched.reach.link(&self.watched.endpoint).await,
        }
    }

    fn over(&self, outcome: Result<Box<PollAnswer>, PollError>, begun: Instant) -> Look {
        Look {
            outcome,
            at: self.clock.now(),
            took: begun.elapsed(),
        }
    }

    async fn ask(&mut self, link: &Link) -> Result<Box<PollAnswer>, PollError> {
        if self.served.is_none() {
            let reading = Reading::parse(&link.info(&["server"]).await?);
            self.get_to_know(link, &reading).await?;
        }
        let poll = probe::poll(link).await?;
        let reading = Reading::parse(&poll.info);
        let (sources, commands) = self.get_to_know(link, &reading).await?;
        // Only now: of a look that came to nothing the ledger hears nothing, so its cost belongs to the next one.
        let own = poll.own.since(&self.own);
        self.own = poll.own;
        Ok(Box::new(PollAnswer {
            reading,
            role: poll.role.role(),
            commands,
            own,
            sources: Sources {
                monitor: if self.watched.serverless {
                    Some(false)
                } else {
                    sources.monitor
                },
                ..sources
            },
            slots: None,
            slot_stats: None,
        }))
    }

    /// What the node serves and knows; asked once for each server process.
    async fn get_to_know(&mut self, link: &Link, reading: &Reading) -> Result<(Sources, Arc<Commands>), PollError> {
        let served = match self.served.take().filter(|served| served.process == reading.run_id) {
            Some(served) => served,
            None => Served {
                process: reading.run_id.clone(),
                sources: self.find_sources(link).await?,
                commands: None,
            },
        };
        let served = self.served.insert(served);
        if served.commands.is_none() {
            served.commands = self.tables.of(link, reading.engine.as_ref()).await?;
        }
        let commands = served.commands.clone().unwrap_or_else(Commands::builtin);
        Ok((served.sources, commands))
    }

    /// Finds out what the node serves, and says it.
    async fn find_sources(&self, link: &Link) -> Result<Sources, PollError> {
        let sources = sources::probe(link).await?;
        let Watched { group, shard, node, .. } = &self.watched;
        let said = |source: Option<bool>| source.map_or("unknown", |served| if served { "yes" } else { "no" });
        info!(
            %group, %shard, %node,
            monitor = said(sources.monitor),
            slot_stats = said(sources.slot_stats),
            commandlog = said(sources.commandlog),
            client_list = said(sources.client_list),
            "sources of the node"
        );
        Ok(sources)
    }

    /// Adds the sums of all slots, where the node has them and it is time to ask again. They are an extra: a node that keeps them from us
    /// has answered all the same. Gives the link back if it can be used on.
    async fn add_slot_stats(&mut self, link: Link, answer: &mut PollAnswer) -> Option<Link> {
        let (patience, pause) = {
            let settings = self.settings.borrow();
            (settings.timeout, settings.slot_stats_interval)
        };
        let rested = self.slots_asked.is_none_or(|last| last.elapsed() >= pause);
        if answer.sources.slot_stats != Some(true) || !rested {
            return Some(link);
        }
        self.slots_asked = Some(Instant::now());
        let asked = sources::slot_stats(&link, answer.reading.run_id.clone(), self.clock.now());
        let node = &self.watched.node;
        match timeout(patience, asked).await {
            Ok(Ok(stats)) => {
                answer.slot_stats = Some(Arc::new(stats));
                Some(link)
            }
            Ok(Err(error @ (LinkError::Rejected { .. } | LinkError::NoPermission { .. }))) => {
                info!(%node, "no figures of slots any more: {error}");
                answer.sources.slot_stats = Some(false);
                if let Some(served) = &mut self.served {
                    served.sources.slot_stats = Some(false);
                }
                Some(link)
            }
            Ok(Err(error)) => {
                debug!(%node, %error, "cannot ask for the slots' figures");
                None
            }
            Err(_elapsed) => {
                debug!(%node, "the slots' figures did not come in time");
                None
            }
        }
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

#[cfg(test)]
mod tests;
