//! Why a shard had no window, in a sentence with a cure.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use crate::analysis::report::Missing;
use crate::engine::live::{LiveWindow, Stage};
use crate::metrics::snapshot::{GroupSnapshot, ShardSnapshot};
use crate::model::{GroupKey, ShardId};
use crate::node::survey::Reach;

/// What is known of windows that weren't.
pub(super) struct Absence {
    pub(super) windows: BTreeMap<(GroupKey, ShardId), LiveWindow>,
    pub(super) reaches: BTreeMap<GroupKey, Reach>,
}

impl Absence {
    /// Says of each missing shard why it is.
    pub(super) async fn explain(&self, group: &GroupSnapshot, missing: &mut [Missing]) {
        let mut asked = JoinSet::new();
        for (place, missing) in missing.iter_mut().enumerate() {
            let Some(shard) = group.shards.iter().find(|shard| shard.id == missing.shard) else {
                continue;
            };
            let window = self.windows.get(&(group.key.clone(), shard.id.clone()));
            match window.map(|window| &window.stage) {
                Some(Stage::Refused(reason)) => missing.reason.clone_from(reason),
                _ => {
                    if let Some((reach, node)) = self.reaches.get(&group.key).zip(silent(shard)) {
                        let reach = reach.clone();
                        asked.spawn(async move { (place, reach.link(&node).await.err()) });
                    }
                }
            }
        }
        // A node that answers nothing is asked once more: what it says now is the reason.
        for (place, error) in asked.join_all().await {
            if let Some(error) = error {
                missing[place].reason = error.to_string();
            }
        }
    }
}

/// Where a node of the shard should be, if none of them answers.
fn silent(shard: &ShardSnapshot) -> Option<crate::model::Endpoint> {
    let none_is_up = shard.nodes.iter().all(|node| !node.up);
    shard
        .nodes
        .first()
        .filter(|_| none_is_up)
        .map(|node| node.endpoint.clone())
}
