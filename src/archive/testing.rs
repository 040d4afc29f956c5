//! Windows made up for tests of the archive.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{Drawn, Kept, Reading, Record, Sampler};
use crate::analysis::keyspec::Commands;
use crate::analysis::pattern::{Normaliser, PatternSettings};
use crate::analysis::tally::{Tally, TallySettings};
use crate::analysis::veil::Veil;
use crate::analysis::window::{ClosedWindow, Coverage, WindowEnd};
use crate::model::{GroupId, GroupKey, Region, Role, Timestamp};

pub(super) fn reading() -> Reading {
    Reading {
        patterns: PatternSettings::default(),
        veil: Veil::default(),
        record: Record::Keys,
        source: "serve",
        seed: 7,
    }
}

/// A window that opened then, in which each of these clients asks for a key of this name.
pub(super) fn window(at: Timestamp, key: &str, clients: &[&str]) -> Kept {
    let line = |client: &&str| format!("{}.500000 [0 {client}:4000] \"GET\" \"{key}\"\n", at.0 / 1_000_000);
    window_of(at, &clients.iter().map(line).collect::<String>())
}

/// A window that opened then and saw these lines.
pub(super) fn window_of(at: Timestamp, lines: &str) -> Kept {
    let commands = Commands::builtin();
    let normaliser = Normaliser::new(&PatternSettings::default(), 7);
    let mut tally = Tally::new(&TallySettings::default(), Arc::clone(&commands), normaliser, 7);
    tally.feed(lines.as_bytes());
    let mut sampler = Sampler::new(NonZeroUsize::MAX, 1024, 7);
    sampler.feed(lines.as_bytes());
    let (upkeep, tallied) = (tally.upkeep().clone(), tally.close());
    let learned = Arc::new(tallied.normaliser().learned());
    let window = ClosedWindow {
        group: GroupKey {
            region: Region::new("eu-central-1"),
            id: GroupId::new("orders"),
        },
        shard: "0001".into(),
        node: "orders-0001-002".into(),
        role: Role::Replica,
        opened: at,
        closed: Timestamp(at.0 + 10_000_000),
        end: WindowEnd::Duration,
        stats: tallied.stats(TallySettings::default().top),
        completeness: None,
        coverage: Coverage::default(),
        server_buffer_peak: None,
    };
    Kept {
        window: Arc::new(window),
        drawn: Drawn {
            sample: sampler.finish(),
            commands,
            upkeep,
            learned,
        },
    }
}
