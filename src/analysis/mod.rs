//! What traffic means: from the bytes of a MONITOR stream and the text of INFO to counts, signals, status and report.
//!
//! Pure: values in, values out. It does no I/O, reads no clock, spawns nothing, and knows no exporter.

pub mod bandwidth;
pub mod command_kind;
pub mod completeness;
pub mod coverage;
pub mod diagnosis;
pub mod info;
pub mod keyspec;
pub mod lag;
pub mod line;
pub mod pattern;
pub mod rate;
pub mod report;
pub mod signal;
pub mod signature;
pub mod sketch;
pub mod slot;
pub mod slot_stats;
pub mod status;
pub mod tally;
pub mod timeline;
pub mod veil;
pub mod window;
pub mod witness;
