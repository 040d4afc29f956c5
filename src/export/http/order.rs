//! What an operator may ask of the engine over HTTP.

use tokio::sync::oneshot;

use crate::model::GroupKey;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the configuration again.
    Reload,
    /// Close all windows at once and open none.
    Pause,
    /// Open windows again.
    Resume,
    /// A round of windows for one group, now.
    Round(GroupKey),
}

/// A request with the way back for its answer.
#[derive(Debug)]
pub struct Order {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes; whoever asked may have left.
    pub answer: oneshot::Sender<Answer>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, or has begun.
    Done,
    /// It can't be done, and why, for a person.
    Refused(String),
}
