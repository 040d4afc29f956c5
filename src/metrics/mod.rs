//! From events to figures: the ledger adds events up, and what it knows at one moment is an immutable [`snapshot::Snapshot`].
//!
//! Pure. The catalogue names every metric once; exporters read it and the snapshot, and nothing else.

pub mod archived;
pub mod catalog;
pub mod exports;
pub mod ledger;
pub mod published;
pub mod round;
pub mod snapshot;
