//! One node, polled: a lasting connection that is asked when told to, and opened again when it broke.
//!
//! What the node serves beside INFO is found out once for each server process, before the first INFO: an error the question may
//! cause then stands in the counters already.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::analysis::slot_stats::SlotStats;
use crate::metrics::ledger::{Event, PollAnswer};
use crate::metrics::snapshot::Sources;
use crate::model::{Endpoint, GroupKey, NodeId, OwnCost, RunId, ShardId};
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
    settings: PollSettings,
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
    pub fn new(watched: Watched, settings: PollSettings, clock: Clock, tables: CommandTables) -> Self {
        Self {
            watched,
            settings,
            link: None,
            own: OwnCost::default(),
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
            let (outcome, took) = self.poll().await;
            if outcome.is_ok() {
                self.answered = Some(Instant::now());
            }
            let event = Event::Polled {
                group: self.watched.group.clone(),
                node: self.watched.node.clone(),
                at: self.clock.now(),
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
        if let Some(answered) = self.answered {
            sleep_until(answered + self.settings.interval / 2).await;
        }
    }

    /// Asks the node, and says how long that took.
    async fn poll(&mut self) -> (Result<Box<PollAnswer>, PollError>, Duration) {
        let connecting = Instant::now();
        let link = match self.link.take() {
            Some(mut link) => match link.stay_logged_in(&self.watched.reach.credentials).await {
                Ok(()) => link,
                Err(error) => return (Err(error.into()), connecting.elapsed()),
            },
            // Connecting has time-outs of its own. Waiting for a turn, when hundreds of nodes are new, isn't the node's fault.
            None => match self.watched.reach.link(&self.watched.endpoint).await {
                Ok(link) => link,
                Err(error) => return (Err(error.into()), connecting.elapsed()),
            },
        };
        let begun = Instant::now();
        let outcome = match timeout(self.settings.timeout, self.ask(&link)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(PollError::Late(self.watched.endpoint.clone(), self.settings.timeout)),
        };
        self.link = outcome.is_ok().then_some(link);
        (outcome, begun.elapsed())
    }

    async fn ask(&mut self, link: &Link) -> Result<Box<PollAnswer>, PollError> {
        if self.served.is_none() {
            let reading = Reading::parse(&link.info(&["server"]).await?);
            self.get_to_know(link, &reading).await?;
        }
        let poll = probe::poll(link).await?;
        let (reading, own) = (Reading::parse(&poll.info), poll.own.since(&self.own));
        self.own = poll.own;
        let (sources, commands) = self.get_to_know(link, &reading).await?;
        Ok(Box::new(PollAnswer {
            slot_stats: self.slot_stats(link, sources, &reading).await?,
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

    /// The sums of all slots, where the node has them and it is time to ask again.
    async fn slot_stats(
        &mut self,
        link: &Link,
        sources: Sources,
        reading: &Reading,
    ) -> Result<Option<Arc<SlotStats>>, PollError> {
        let rested = self
            .slots_asked
            .is_none_or(|last| last.elapsed() >= self.settings.slot_stats_interval);
        if sources.slot_stats != Some(true) || !rested {
            return Ok(None);
        }
        self.slots_asked = Some(Instant::now());
        let stats = sources::slot_stats(link, reading.run_id.clone(), self.clock.now()).await?;
        Ok(Some(Arc::new(stats)))
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
mod tests {
    use super::*;
    use crate::model::{PerSecond, Timestamp};
    use crate::node::simulated::{Place, Scenario, Stage};
    use crate::node::{Accounts, Credentials, Dialer, LinkSettings};

    const EPOCH: Timestamp = Timestamp(1_795_219_200_000_000);
    const INTERVAL: Duration = Duration::from_secs(10);

    /// Asks for a poll at each of these seconds, and says at which the node answered.
    async fn check(asked: &[u64], expected: &[u64]) {
        let stage = Stage::new(Scenario::demo(3, PerSecond(90.0)), 7, EPOCH);
        let endpoint = stage
            .endpoint(Place { shard: 0, member: 0 })
            .expect("there is one")
            .clone();
        let watched = Watched {
            group: stage.group().key,
            shard: "0001".into(),
            node: "node".into(),
            endpoint,
            reach: Reach {
                dialer: Dialer::Stage(stage),
                credentials: Credentials::none(),
                accounts: Accounts::default(),
                settings: LinkSettings {
                    answer_timeout: Duration::from_secs(1),
                },
            },
            serverless: false,
        };
        let settings = PollSettings {
            interval: INTERVAL,
            timeout: Duration::from_secs(1),
            slot_stats_interval: Duration::from_secs(60),
        };
        let poller = Poller::new(watched, settings, Clock::starting_at(EPOCH), CommandTables::default());
        let (events, mut told) = mpsc::channel(8);
        let (due, asking) = mpsc::channel(1);
        let begun = Instant::now();
        let asked = asked.to_vec();
        let ask = async move {
            for second in asked {
                sleep_until(begun + Duration::from_secs(second)).await;
                due.send(()).await.expect("the poller listens");
            }
        };
        let hear = async {
            let mut answered = Vec::new();
            while let Some(Event::Polled { outcome, .. }) = told.recv().await {
                assert!(outcome.is_ok(), "{outcome:?}");
                answered.push(begun.elapsed().as_secs());
            }
            answered
        };
        let ((), (), answered) = tokio::join!(ask, poller.run(asking, events), hear);
        assert_eq!(answered, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_was_asked_just_now_is_asked_again_when_there_is_something_to_tell() {
        check(&[0, 10, 20], &[0, 10, 20]).await;
        check(&[0, 0, 10, 20], &[0, 5, 10, 20]).await;
        check(&[9, 10, 20], &[9, 14, 20]).await;
    }
}
