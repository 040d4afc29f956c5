//! The archive: what happened, kept in one SQLite file, and asked.
//!
//! Windows come in with their counts and an even sample of their lines; one thread writes them. It refuses to know how windows come
//! about, and never makes whoever hands them in wait.

mod ahead;
mod confined;
mod disk;
mod elision;
mod filter;
mod lessons;
mod line;
mod names;
mod numbers;
mod past;
mod query;
mod raw_log;
mod retention;
mod room;
mod rounds;
mod sample;
mod schema;
mod settings;
mod sheet;
mod store;
#[cfg(test)]
mod testing;
mod trial;
mod trouble;
mod writer;
mod writing;

pub use confined::{SQL_TIME_MAX, SqlError};
pub use filter::Filter;
pub use lessons::lessons;
pub use past::{KeptRound, PastRound};
pub use query::{Answer, Questions};
pub use raw_log::{RawLog, RawLogs, RawSettings, RawSummary, RawThread, file_stem};
pub use sample::{Sample, Sampler};
pub use settings::{ArchiveSettings, Record};
pub use store::{Drawn, Kept, Reading, Store};
pub use trial::{can_be_made, try_out};
pub use trouble::{ArchiveError, Fault};
pub use writer::{Archive, ArchiveThread, Now};
