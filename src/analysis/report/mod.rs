//! What a round found: the shards beside each other, hottest first, and what their windows saw.
//!
//! A pure function of windows and signals. It refuses to know how it will be shown: its JSON form is the contract
//! (`docs/report.schema.json`), every other format shows the same.

mod build;
mod contents;
mod observation;

pub use crate::analysis::diagnosis::Finding as Diagnosis;
pub use build::ReportSettings;
pub use contents::{
    BytesOut, ClientShare, CommandShare, CoverageReport, HashTagShare, KeyShare, Missing, OutputShare, PatternShare,
    PerSignal, Report, ShardReport, SignalsReport, SignatureShare, SlotShare, Source, TimelinePoint, Totals,
};
pub use observation::{Observation, SignalFigures, SignalReading};

#[cfg(test)]
mod tests;
