//! The archive beside a daemon: started before it, closed after it.

use anyhow::Context;

use crate::analysis::veil::Veil;
use crate::archive::{self, Archive, ArchiveThread, Reading};
use crate::config::Settings;
use crate::engine::clock::Clock;
use crate::engine::lessons::Lessons;
use crate::metrics::snapshot::ArchiveSnapshot;

/// Starts the archive that the settings name, if they name one; `seed` is the process's own.
pub(super) fn start(
    settings: &Settings,
    source: &'static str,
    seed: u64,
    veil: Veil,
) -> anyhow::Result<(Option<Archive>, Keeping)> {
    let reading = Reading {
        patterns: settings.patterns.clone(),
        veil,
        record: settings.archive.record,
        source,
        seed,
    };
    let now = Box::new(|| Clock::System.now());
    let started = Archive::start(&settings.archive, reading, now).context("cannot start the archive's thread")?;
    let (archive, thread) = started.unzip();
    Ok((archive, Keeping(thread)))
}

/// What the archive knows of keys from earlier processes. One that can't be read tells so when it is to be written.
pub(super) fn lessons(settings: &Settings) -> Lessons {
    let kept = settings.archive.path.as_deref().map(archive::lessons);
    Lessons::new(kept.and_then(Result::ok).unwrap_or_default())
}

/// The archive's thread, if there is one.
#[must_use = "what waits to be written is lost unless the thread is waited for"]
pub(super) struct Keeping(Option<ArchiveThread>);

impl Keeping {
    /// Waits until all is written. The daemon and its engine must have ended.
    /// Tells what it counted.
    pub(super) fn finish(self) -> Option<ArchiveSnapshot> {
        self.0.map(ArchiveThread::join)
    }
}
