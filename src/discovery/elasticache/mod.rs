//! Groups from ElastiCache: who asks AWS, what it answers, and which of its caches are meant.

pub mod listing;

pub use listing::{Found, Kind, Listing};
