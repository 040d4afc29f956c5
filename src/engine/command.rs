//! What the running engine can be told to do.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::Plan;
use crate::export::http::Answer;
use crate::metrics::ledger::LedgerSettings;
use crate::model::GroupKey;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// A round of windows for one group, now.
    Round(GroupKey),
    /// Close all windows at once and open none.
    Pause,
    /// Open windows again.
    Resume,
    /// Go on by another plan; `None` where it couldn't be read, which is only noted.
    Reload(Option<Box<Change>>),
}

/// Another plan for an engine that runs.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is to hold from now on.
    pub plan: Plan,
    /// What the ledger is to go by from now on.
    pub ledger: LedgerSettings,
    /// Groups that are watched as before: their connections and their schedules go on.
    pub unchanged: BTreeSet<GroupKey>,
}

/// A command with the way back for its answer.
#[derive(Debug)]
pub struct Instruction {
    /// What is to be done.
    pub command: Command,
    /// Where the answer goes; whoever asked may have left.
    pub answer: oneshot::Sender<Answer>,
}
