//! `hotshard check --connect`: tries every node once, and tells what it is, what it serves and what it refuses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use super::super::found::{FoundGroup, find, side_by_side};
use super::without_limit;
use crate::analysis::info::{Engine, Reading};
use crate::cli::print;
use crate::config::Settings;
use crate::engine::settings::NodeChoice;
use crate::metrics::snapshot::Sources;
use crate::model::written::show_duration;
use crate::model::{Endpoint, Role};
use crate::node::rights::{Generation, Tried, try_all};
use crate::node::survey::Reach;
use crate::node::{LinkError, ServerLimit, ToldLimit, probe, sources};

/// Of a cache that has no nodes to see.
const SERVERLESS: &str = "a serverless cache: INFO is all it offers; without MONITOR there are no windows, so its load is watched and no \
                          cause is named";

/// What was met.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// The generations of all servers that answered.
    pub(super) generations: BTreeSet<Generation>,
    tried: usize,
    failed: usize,
}

/// What a node told.
struct Told {
    role: Role,
    engine: Option<Engine>,
    sources: Sources,
    /// `None` where the server has no ACL.
    rights: Option<Tried>,
    /// `None` of a serverless cache, on which no window is opened.
    limit: Option<ToldLimit>,
}

/// Tries all nodes of all groups, and prints what they tell.
pub(super) fn run(settings: &Settings) -> anyhow::Result<Met> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .context("cannot start connecting")?
        .block_on(every_group(settings))
}

impl Met {
    /// A failure if any node can't be watched as it should be.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        match self.failed {
            0 => Ok(()),
            failed => bail!(
                "of {} tried, {failed} can't be watched or not wholly; the lines above say why",
                self.tried
            ),
        }
    }
}

async fn every_group(settings: &Settings) -> anyhow::Result<Met> {
    print("\nNodes:\n")?;
    let answers = side_by_side(find(settings).await?, async |found| match found {
        Ok(found) => Ok(every_node(&found).await),
        Err(text) => Err(text),
    });
    let mut met = Met::default();
    for group in answers.await {
        let nodes = match group {
            Ok(nodes) => nodes,
            Err(text) => {
                print(format!("  {text}\n"))?;
                (met.tried, met.failed) = (met.tried + 1, met.failed + 1);
                continue;
            }
        };
        for (place, endpoint, answer) in nodes {
            met.tried += 1;
            print(match answer {
                Ok(told) => {
                    met.generations.extend(told.engine.as_ref().and_then(Generation::of));
                    met.failed += usize::from(told.lacks_rights());
                    format!("  {place}, {endpoint}: {told}", told = told.show(settings))
                }
                // The error names the node itself.
                Err(error) => {
                    met.failed += 1;
                    format!("  {place}: {error}\n")
                }
            })?;
        }
    }
    Ok(met)
}

/// What each node tells, in the order of shards and names.
async fn every_node(found: &FoundGroup) -> Vec<(String, Endpoint, Result<Told, LinkError>)> {
    let mut asked = JoinSet::new();
    for (number, (shard, node)) in found.group.nodes().enumerate() {
        let (reach, serverless) = (found.reach.clone(), found.serverless);
        let (place, endpoint) = (
            format!("{}, shard {}", found.group.key, shard.id),
            node.endpoint.clone(),
        );
        asked.spawn(async move {
            let answer = ask(&reach, &endpoint, serverless).await;
            (number, (place, endpoint, answer))
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn ask(reach: &Reach, endpoint: &Endpoint, serverless: bool) -> Result<Told, LinkError> {
    let link = reach.link(endpoint).await?;
    let poll = probe::poll(&link).await?;
    let (role, engine) = (poll.role.role(), Reading::parse(&poll.info).engine);
    let mut sources = sources::probe(&link).await?;
    let generation = engine.as_ref().and_then(Generation::of);
    let rights = match generation {
        // Of a serverless cache INFO is all there is.
        Some(generation) if !serverless => Some(try_all(reach, &link, &generation, role).await?),
        _ => None,
    };
    sources.monitor = match &rights {
        Some(rights) => rights.monitor,
        None if serverless => Some(false),
        None => sources.monitor,
    };
    Ok(Told {
        role,
        engine,
        sources,
        rights,
        limit: match serverless {
            true => None,
            false => Some(reach.server_limit(&link).await?),
        },
    })
}

impl Told {
    fn lacks_rights(&self) -> bool {
        self.rights.as_ref().is_some_and(|rights| !rights.lacking.is_empty())
    }

    /// The rest of the node's line, and what belongs to it below.
    fn show(&self, settings: &Settings) -> String {
        let mut text = self.role.to_string();
        // Writing to a String can't fail.
        if let Some(Engine { name, version }) = &self.engine {
            let name = if *name == "valkey" { "Valkey" } else { "Redis" };
            let _ = write!(text, ", {name} {version}");
        }
        let _ = writeln!(text, "\n    {}", served(self.sources));
        if let Some(rights) = &self.rights {
            let _ = writeln!(text, "    {}", show_rights(rights));
        }
        let Some(ToldLimit { limit, untold }) = &self.limit else {
            return text + "    " + SERVERLESS + "\n";
        };
        let _ = writeln!(text, "    {limit}{}", self.consequence(*limit, settings));
        if let Some(reason) = untold {
            let _ = writeln!(text, "    its parameter group could not be asked for: {reason}");
        }
        text
    }

    /// What `serve` would do about a server that doesn't bound its buffers, if it would look at it at all.
    fn consequence(&self, limit: ServerLimit, settings: &Settings) -> String {
        let is_looked_at = match settings.monitor.nodes {
            NodeChoice::Replica => self.role == Role::Replica,
            NodeChoice::Primary => self.role == Role::Primary,
            NodeChoice::ReplicaOrPrimary => true,
        };
        if limit.is_bounded() || !settings.monitor.enabled || !is_looked_at {
            return String::new();
        }
        if settings.guards.require_server_limit {
            return "; until then it gets no windows (guards.require_server_limit)".to_owned();
        }
        without_limit(settings).map_or_else(String::new, |span| {
            let (span, wanted) = (show_duration(span), show_duration(settings.monitor.window));
            format!("; until then windows on it last {span}, not {wanted}")
        })
    }
}

/// `serves MONITOR, COMMANDLOG; not SLOT-STATS; unknown: …`
fn served(sources: Sources) -> String {
    let all = [
        ("MONITOR", sources.monitor),
        ("SLOT-STATS", sources.slot_stats),
        ("COMMANDLOG", sources.commandlog),
        ("CLIENT LIST with bytes", sources.client_list),
    ];
    let named = |wanted| {
        let those = all.iter().filter(|(_, served)| *served == wanted);
        those.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    let parts = [("serves ", Some(true)), ("not ", Some(false)), ("perhaps ", None)];
    let parts = parts.map(|(word, wanted)| (word, named(wanted)));
    let told = parts.iter().filter(|(_, names)| !names.is_empty());
    told.map(|(word, names)| format!("{word}{names}"))
        .collect::<Vec<_>>()
        .join("; ")
}

fn show_rights(rights: &Tried) -> String {
    let mut text = match (rights.lacking.is_empty(), rights.monitor) {
        (true, None) => {
            "the user has every right that could be tried; MONITOR isn't run on a primary to find out (+multi +discard would tell)"
                .to_owned()
        }
        (true, _) => "the user has every right it needs".to_owned(),
        (false, _) => format!("the user lacks {}; the whole rule is below", rights.lacking.join(" ")),
    };
    if !rights.unknown.is_empty() {
        let _ = write!(text, "; the server does not know {}", rights.unknown.join(" "));
    }
    text
}
