//! Counts of what there is too much of to count: the most frequent things with error bounds, and how many different ones there were.
//!
//! Their memory is bounded by what they are made with. They refuse to know what the things are.

mod distinct;
mod frequent;

pub use distinct::Distinct;
pub use frequent::{Counter, Frequent, Leaving, Limits, NOBODYS};
