//! The other nodes of an observed node's shard: where their primary's stream is, and what they did while the window was open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::clock::Clock;
use super::hearing::{CLIENTS_LISTED_MAX, Hearing, Listed, Witness};
use crate::analysis::coverage::{NodeTraffic, coverage};
use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::analysis::signal::{Observation, step};
use crate::analysis::window::Coverage;
use crate::analysis::witness::Words;
use crate::metrics::snapshot::Sources;
use crate::model::{Endpoint, OwnCost, Role};
use crate::node::survey::Reach;
use crate::node::{Link, LinkError, probe};

/// A sibling that doesn't answer within this is done without; the guard waits for nobody else.
const PATIENCE: Duration = Duration::from_millis(500);

/// A primary that was silent so often running is waited for no longer than a guard's looks are apart, or the guard looks too seldom.
const SILENT_OFTEN: u32 = 2;

/// What it is waited for then.
const IMPATIENCE: Duration = Duration::from_millis(150);

/// At one look in so many it is waited for as long as anybody.
const PATIENT_AGAIN: u32 = 10;

/// Another node of the shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its role when the window was planned.
    pub role: Role,
    /// What it serves beside INFO.
    pub sources: Sources,
}

/// The node itself.
pub(super) struct Observed<'a> {
    pub(super) link: &'a Link,
    pub(super) sources: Sources,
    pub(super) clock: Clock,
}

/// All of them, as far as they can be reached.
#[derive(Debug)]
pub(super) struct Siblings {
    nodes: Vec<(Sibling, Option<Link>)>,
    /// How often running the primary hasn't told where its stream is.
    silent: AtomicU32,
    /// The observed node's counters and then everybody's, from when the window opened.
    opening: Vec<Option<Counters>>,
    hearing: Hearing,
    /// Who else reads MONITOR on the primary.
    other_monitor: Option<String>,
    /// The commands that the observed node knows.
    commands: Arc<Commands>,
}

/// A node's counters, and what we had cost it by then.
#[derive(Debug)]
struct Counters(Observation, OwnCost);

impl Siblings {
    /// Opens a connection to each.
    pub(super) async fn connect(reach: &Reach, siblings: &[Sibling]) -> Self {
        // Side by side: whoever hangs costs the round its patience once, however many do.
        let connected = siblings.iter().map(async |sibling| {
            let link = heard(&sibling.endpoint, reach.link(&sibling.endpoint)).await;
            (sibling.clone(), link)
        });
        let nodes = join_all(connected).await;
        Self {
            nodes,
            silent: AtomicU32::new(0),
            opening: Vec::new(),
            hearing: Hearing::default(),
            other_monitor: None,
            commands: Commands::builtin(),
        }
    }

    /// Where the primary's stream is; `None` if it doesn't tell.
    pub(super) async fn primary_offset(&self) -> Option<u64> {
        let (primary, link) = self.nodes.iter().find(|(node, _)| node.role == Role::Primary)?;
        let link = link.as_ref()?;
        let silent = self.silent.fetch_add(1, Ordering::Relaxed);
        let patience = match silent {
            SILENT_OFTEN.. if !silent.is_multiple_of(PATIENT_AGAIN) => IMPATIENCE,
            _ => PATIENCE,
        };
        let info = heard_within(patience, &primary.endpoint, link.info(&["replication"])).await?;
        self.silent.store(0, Ordering::Relaxed);
        Reading::parse(&info).replication.primary_offset
    }

    /// Reads everybody's counters, right before the window opens; the observed node's clients may have been listed already.
    pub(super) async fn open(&mut self, observed: Observed<'_>, commands: &Arc<Commands>, listed: Option<Listed>) {
        self.commands = Arc::clone(commands);
        self.opening = self.counters(&observed).await;
        self.hearing = Hearing::open(&self.witnesses(&observed, &self.opening), listed).await;
        self.other_monitor = self.monitor_on_primary().await;
        if let Some(address) = &self.other_monitor {
            warn!(
                node = %observed.link.endpoint(),
                "another client ({address}) reads MONITOR on this node's primary, which slows that down; end it if nobody needs it"
            );
        }
    }

    /// Looked for where listing all clients costs the primary little.
    async fn monitor_on_primary(&self) -> Option<String> {
        let place = self.nodes.iter().position(|(node, _)| node.role == Role::Primary)?;
        let (primary, link) = &self.nodes[place];
        // The observed node's counters stand before everybody's.
        let Counters(observation, _) = self.opening.get(place + 1)?.as_ref()?;
        let few = |clients: &u64| *clients <= CLIENTS_LISTED_MAX;
        observation.reading.connected_clients.filter(few)?;
        let clients = heard(&primary.endpoint, link.as_ref()?.client_list()).await?;
        let other = clients
            .into_iter()
            .find(|client| client.monitors() && !client.is_ours())?;
        Some(other.address)
    }

    /// Reads them again, and says what part of the shard's traffic the observed node's was, and what the nodes tell beside it.
    pub(super) async fn close(&self, observed: Observed<'_>) -> (Coverage, Words) {
        let closing = self.counters(&observed).await;
        let witnesses = self.witnesses(&observed, &closing);
        let words = self.hearing.close(&witnesses, &self.commands, observed.clock).await;
        let words = Words {
            other_monitor: self.other_monitor.is_some(),
            ..words
        };
        (self.coverage(&closing), words)
    }

    /// The nodes that answered, the observed one first.
    fn witnesses<'a>(&'a self, observed: &Observed<'a>, counters: &'a [Option<Counters>]) -> Vec<Option<Witness<'a>>> {
        let first = (Some(observed.link), observed.sources);
        let others = self.nodes.iter().map(|(node, link)| (link.as_ref(), node.sources));
        let witness = |((link, sources), counters): ((Option<&'a Link>, _), &'a Option<Counters>)| {
            let Counters(observation, _) = counters.as_ref()?;
            Some(Witness {
                link: link?,
                sources,
                reading: &observation.reading,
            })
        };
        std::iter::once(first)
            .chain(others)
            .zip(counters)
            .map(witness)
            .collect()
    }

    fn coverage(&self, closing: &[Option<Counters>]) -> Coverage {
        let roles = std::iter::once(None).chain(self.nodes.iter().map(|(node, _)| Some(node.role)));
        let traffic: Vec<NodeTraffic> = roles
            .zip(self.opening.iter().zip(closing))
            .map(|(role, (before, after))| traffic(role, before.as_ref(), after.as_ref()))
            .collect();
        match traffic.split_first() {
            Some((observed, others)) => coverage(observed, others),
            None => Coverage::default(),
        }
    }

    async fn counters(&self, observed: &Observed<'_>) -> Vec<Option<Counters>> {
        let others = self.nodes.iter().map(|(_, link)| link.as_ref());
        let all = std::iter::once(Some(observed.link)).chain(others);
        join_all(all.map(|link| self.read(link, observed.clock))).await
    }

    async fn read(&self, link: Option<&Link>, clock: Clock) -> Option<Counters> {
        let link = link?;
        let poll = heard(link.endpoint(), probe::poll(link)).await?;
        let observation = Observation {
            at: clock.now(),
            took: poll.took,
            role: poll.role.role(),
            reading: Reading::parse(&poll.info),
            commands: Arc::clone(&self.commands),
        };
        Some(Counters(observation, poll.own))
    }
}

/// What a node did between its two answers; one that wasn't heard has at least a role.
fn traffic(role: Option<Role>, before: Option<&Counters>, after: Option<&Counters>) -> NodeTraffic {
    let (Some(Counters(before, spent)), Some(Counters(after, own))) = (before, after) else {
        return NodeTraffic::unheard(role.unwrap_or(Role::Replica));
    };
    let deltas = step(before, after, &own.since(spent));
    NodeTraffic::of(after.role, deltas.as_ref(), &after.commands)
}

pub(super) async fn heard<Answer>(
    endpoint: &Endpoint,
    asked: impl Future<Output = Result<Answer, LinkError>>,
) -> Option<Answer> {
    heard_within(PATIENCE, endpoint, asked).await
}

async fn heard_within<Answer>(
    patience: Duration,
    endpoint: &Endpoint,
    asked: impl Future<Output = Result<Answer, LinkError>>,
) -> Option<Answer> {
    match timeout(patience, asked).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            debug!(%error, "a node of the shard does not answer the guard");
            None
        }
        Err(_elapsed) => {
            debug!(%endpoint, "a node of the shard does not answer the guard in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::model::{PerSecond, Timestamp};
    use crate::node::simulated::{Act, Place, Plot, Scenario, Stage};
    use crate::node::{Accounts, Credentials, Dialer, LinkSettings};

    #[tokio::test(start_paused = true)]
    async fn a_guard_does_not_wait_long_for_a_silent_primary_at_each_look() {
        let primary = Place { shard: 0, member: 0 };
        let hangs = Act::new(Plot::Hang(primary))
            .starting(Duration::from_secs(5))
            .until(Duration::from_secs(20));
        let scenario = Scenario::new(2).rate(PerSecond(100.0)).with(hangs);
        let stage = Stage::new(scenario, 3, Timestamp(1_795_219_200_000_000));
        let sibling = Sibling {
            endpoint: stage.endpoint(primary).expect("a place").clone(),
            role: Role::Primary,
            sources: Sources::default(),
        };
        let reach = Reach {
            dialer: Dialer::Stage(stage),
            credentials: Credentials::none(),
            accounts: Accounts::default(),
            settings: LinkSettings {
                answer_timeout: Duration::from_secs(5),
            },
            parameters: None,
        };
        let siblings = Siblings::connect(&reach, &[sibling]).await;
        assert!(siblings.primary_offset().await.is_some());

        sleep(Duration::from_secs(6)).await;
        let mut waited = Vec::new();
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(siblings.primary_offset().await, None);
            waited.push(asked.elapsed());
        }
        assert!(waited[..2].iter().all(|waited| *waited >= PATIENCE), "{waited:?}");
        let later = waited[2..].iter();
        assert!(later.clone().all(|waited| *waited < PATIENCE / 2), "{waited:?}");

        sleep(Duration::from_secs(15)).await;
        assert!(siblings.primary_offset().await.is_some(), "it is asked at each look");
    }
}
