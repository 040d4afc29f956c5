//! How many bytes which commands on which keys sent to clients: sizes of a few sampled keys, and the arithmetic of replies.
//!
//! A [`Survey`] says what to ask about which keys, takes the answers, and gives an [`OutputEstimate`], which is held against the node's
//! own counter: what it can't explain stays unattributed. Exact replies (GET, HGET, MGET) are never rescaled, uncertain ones between
//! [`SCALE_MIN`] and [`SCALE_MAX`], and commands that can't be estimated are named, not guessed. It refuses to know how a server is asked.
//!
//! ```
//! use hotshard::analysis::bandwidth::{Answer, Call, Calls, Survey};
//! use hotshard::model::Bytes;
//!
//! let call = Call { database: 0, arguments: vec![(*b"page:1").into()], total: 1, patterns: vec![] };
//! let calls = Calls {
//!     command: "GET".into(),
//!     pattern: Some("page:{ID}".into()),
//!     signature: "GET | page:{ID}".into(),
//!     full_scan: false,
//!     calls: 100.0,
//!     lines: vec![call],
//! };
//! let mut survey = Survey::new(vec![calls], 200);
//! let asked = survey.next_questions();
//! survey.take(asked.into_iter().map(|question| (question, Some(Answer::Length(1000)))));
//! // "$1000\r\n", a thousand bytes, and "\r\n": a hundred times.
//! assert_eq!(survey.finish(None).estimated, Bytes(100_900));
//! ```

mod estimate;
mod question;
mod range;
mod reply;
mod survey;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use estimate::{OutputEstimate, SCALE_MAX, SCALE_MIN};
pub use question::{Answer, Elements, Kind, Probing, Question};
pub use range::Range;
pub use survey::Survey;

/// How often clients called one command on one pattern in one shape, with some of the calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Calls {
    /// In upper case.
    pub command: Arc<str>,
    /// The pattern of its first key; `None` without one.
    pub pattern: Option<Arc<str>>,
    /// Command, pattern and shape, as reports write them.
    pub signature: Arc<str>,
    /// Whether a whole collection or the keyspace is read.
    pub full_scan: bool,
    /// How often clients called it; those that scripts and replication sent aren't among them.
    pub calls: f64,
    /// Some of the calls, each as likely as any other.
    pub lines: Vec<Call>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The database it went to.
    pub database: u32,
    /// What followed the command; not all of it where that was long.
    pub arguments: Vec<Box<[u8]>>,
    /// How many arguments followed.
    pub total: usize,
    /// The pattern of each argument, where each is a key that is answered for by itself; else empty, and all belongs to the first key's.
    pub patterns: Vec<Arc<str>>,
}

/// Whether the arithmetic gives the very bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    Exact,
    Uncertain,
}

/// Bytes of a bulk string of that length.
fn bulk(length: u64) -> u64 {
    digits(length) + length + 5
}

/// Bytes of the head of an array of so many items.
fn array(items: u64) -> u64 {
    digits(items) + 3
}

/// What stands for nothing: `$-1`.
const NIL: u64 = 5;

fn digits(number: u64) -> u64 {
    u64::from(number.checked_ilog10().unwrap_or(0)) + 1
}
