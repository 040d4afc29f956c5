//! Windows of a generated stream: rounds of three shards, each window with as many lines as the daemon keeps by default.

use std::num::NonZeroUsize;
use std::sync::Arc;

use hotshard::analysis::keyspec::Commands;
use hotshard::analysis::pattern::{Normaliser, PatternSettings};
use hotshard::analysis::tally::{Tally, TallySettings};
use hotshard::analysis::window::{ClosedWindow, Coverage, WindowEnd};
use hotshard::archive::{Drawn, Kept, Sampler};
use hotshard::model::{GroupId, GroupKey, Region, Role, Timestamp};

use crate::traffic::{Chance, mixed};

pub(crate) const SEED: u64 = 7;

/// Lines of a window, the default of `archive.rows_per_window_max`.
const LINES: u64 = 10_000;

const SHARDS: u64 = 3;

/// Between two rounds, in microseconds.
const PAUSE: u64 = 300_000_000;

/// The first round begins here.
const EPOCH: u64 = 1_795_202_082_000_000;

pub(crate) fn patterns() -> PatternSettings {
    PatternSettings::default()
}

/// So many rows, rounded up to whole windows.
pub(crate) fn of(rows: u64) -> impl Iterator<Item = Kept> {
    let (mut chance, mut lines) = (Chance::new(), String::new());
    (0..rows.div_ceil(LINES)).map(move |number| {
        let mut micros = EPOCH + number / SHARDS * PAUSE;
        lines.clear();
        for _ in 0..LINES {
            micros += 1 + chance.below(2000);
            mixed(&mut chance, micros, &mut lines);
            lines.push('\n');
        }
        window(number, lines.as_bytes())
    })
}

fn window(number: u64, lines: &[u8]) -> Kept {
    let commands = Commands::builtin();
    let normaliser = Normaliser::new(&patterns(), SEED);
    let mut tally = Tally::new(&TallySettings::default(), Arc::clone(&commands), normaliser, SEED);
    tally.feed(lines);
    let mut sampler = Sampler::new(NonZeroUsize::MAX, 1024, SEED);
    sampler.feed(lines);
    let (upkeep, tallied) = (tally.upkeep().clone(), tally.close());
    let learned = Arc::new(tallied.normaliser().learned());
    let opened = EPOCH + number / SHARDS * PAUSE;
    let window = ClosedWindow {
        group: GroupKey {
            region: Region::new("eu-central-1"),
            id: GroupId::new("orders"),
        },
        shard: format!("{:04}", number % SHARDS + 1).as_str().into(),
        node: format!("orders-{:04}-002", number % SHARDS + 1).as_str().into(),
        role: Role::Replica,
        opened: Timestamp(opened),
        closed: Timestamp(opened + 10_000_000),
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
