//! Whether a node gets a window: a guard asks it twice, half a second apart, before the stream is opened.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::clock::Clock;
use super::eye::Eye;
use super::guard::History;
use super::hearing::{CLIENTS_LISTED_MAX, Listed};
use super::poller::Watched;
use super::precheck::{Candidate, Granted, Refusal, Shortened, admit};
use super::progress::Progress;
use super::round::WindowPlan;
use super::settings::GuardSettings;
use super::siblings::{Observed, Siblings};
use super::warden::Warden;
use crate::analysis::info::Reading;
use crate::analysis::keyspec::Commands;
use crate::node::{CommandTables, Link, LinkError, ServerLimit};

/// Between the two looks before a window: long enough for rates, short enough for a round.
const FIRST_SPAN: Duration = Duration::from_millis(500);

/// Why a node gets no window.
#[derive(Debug, thiserror::Error)]
pub enum Unguarded {
    /// The guard can't reach the node.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The node isn't fit for a window.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Unguarded {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(error) => error.kind(),
            Self::Refused(refusal) => refusal.kind(),
        }
    }
}

/// What a guard lets pass.
#[derive(Debug)]
pub struct Admission {
    /// The guard itself.
    pub warden: Warden,
    /// How long the window may last.
    pub granted: Granted,
    /// Where replication comes from, as MONITOR will show it.
    pub masters: Vec<String>,
    /// The commands that the node knows.
    pub commands: Arc<Commands>,
    /// Where our own other connections come from, as MONITOR will show them.
    pub ours: Vec<String>,
    /// For the reader.
    pub progress: Arc<Progress>,
}

/// Asks the node whether a window may be opened.
pub async fn ask(
    plan: WindowPlan,
    watched: Watched,
    settings: GuardSettings,
    (clock, tables): (Clock, CommandTables),
) -> Result<Admission, Unguarded> {
    let link = watched.reach.link(&watched.endpoint).await?;
    let mut siblings = Siblings::connect(&watched.reach, &plan.siblings).await;
    let progress = Arc::new(Progress::default());
    let began = Instant::now();
    let eye = Eye {
        link: &link,
        began,
        clock,
        progress: &progress,
    };
    let before = eye.look(None, &siblings).await?;
    let rest = sleep(FIRST_SPAN);
    let limit = watched.reach.server_limit(&link).await?.limit;
    let masters = link.client_list_masters().await?;
    let can_be_watched = link.version().lists_clients_by_id();
    let ours = match can_be_watched {
        true => link.own_addresses().await?,
        false => Vec::new(),
    };
    let clients = list_clients(&link, &before.reading).await?;
    let other_monitor = clients.as_ref().and_then(Listed::monitor).map(str::to_owned);
    let commands = tables.of(&link, before.reading.engine.as_ref()).await?;
    let commands = commands.unwrap_or_else(Commands::builtin);
    rest.await;
    let after = eye.look(None, &siblings).await?;
    let history = History::new(after.clone());
    let candidate = Candidate {
        can_be_watched,
        before,
        after,
        other_monitor,
        limit,
    };
    let granted = admit(&candidate, plan.duration, &settings)?;
    tell_limit(&plan, limit, granted);
    let observed = Observed {
        link: &link,
        sources: plan.sources,
        clock,
    };
    siblings.open(observed, &commands, clients).await;
    let masters = masters.into_iter().map(|client| client.address).collect();
    let warden = Warden {
        plan,
        watched,
        settings,
        clock,
        link,
        siblings,
        began,
        history,
        progress: Arc::clone(&progress),
    };
    Ok(Admission {
        warden,
        granted,
        masters,
        commands,
        ours,
        progress,
    })
}

/// All clients, if there are few.
async fn list_clients(link: &Link, reading: &Reading) -> Result<Option<Listed>, LinkError> {
    if reading.connected_clients.is_none_or(|count| count > CLIENTS_LISTED_MAX) {
        return Ok(None);
    }
    let lines = link.client_list().await?;
    Ok(Some(Listed::now(lines)))
}

fn tell_limit(plan: &WindowPlan, limit: ServerLimit, granted: Granted) {
    let WindowPlan { group, shard, node, .. } = plan;
    let Granted { duration, shortened } = granted;
    match (limit.is_bounded(), shortened) {
        (true, _) => debug!(%group, %shard, %node, "{limit}"),
        (false, Some(Shortened::Unbounded)) => {
            info!(%group, %shard, %node, ?duration, wanted = ?plan.duration, "{limit}; until then windows are short");
        }
        (false, _) => info!(%group, %shard, %node, "{limit}"),
    }
}
