//! What an operator may ask of the engine over HTTP.

use std::fmt;

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

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload => formatter.write_str("reload"),
            Self::Pause => formatter.write_str("pause"),
            Self::Resume => formatter.write_str("resume"),
            Self::Round(group) => write!(formatter, "a round of {group}"),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, Region};

    #[test]
    fn a_request_is_logged_in_words() {
        let group = GroupKey {
            region: Region::new("eu-central-1"),
            id: GroupId::new("orders"),
        };
        assert_eq!(Request::Round(group).to_string(), "a round of eu-central-1/orders");
        assert_eq!(Request::Reload.to_string(), "reload");
    }
}
