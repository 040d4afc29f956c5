//! The end of a window: the server's closing counters, and what the guard has to tell. Why the window ended is known before, or told by the
//! guard; nothing is decided here.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use crate::analysis::bandwidth::Survey;
use crate::analysis::info;
use crate::analysis::signal::client_output;
use crate::analysis::window::{Coverage, WindowEnd};
use crate::analysis::witness::Words;
use crate::engine::settings::BandwidthSettings;
use crate::engine::warden::{LastWords, Watch};
use crate::model::Bytes;
use crate::node::{Chunk, Tap};

/// How long the closing counters may take; a window is not held open for them.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// A poll is answered with some 7 KB.
const MEASURED_MIN: Bytes = Bytes(64 * 1024);

/// The guard at work, on its own thread.
pub(super) struct Guard {
    pub(super) handle: Handle,
    pub(super) watch: JoinHandle<Watch>,
    pub(super) over: CancellationToken,
}

/// What the guard has to tell in the end.
#[derive(Default)]
pub(super) struct Guarded {
    pub(super) end: Option<WindowEnd>,
    pub(super) buffer_peak: Option<Bytes>,
    pub(super) coverage: Coverage,
    pub(super) words: Words,
    /// With its answers, if it was wanted and the window went as planned.
    pub(super) survey: Option<Survey>,
}

impl Guard {
    /// Ends it and hears it out; what part of the traffic was seen is worth a wait only after a window that went as planned.
    pub(super) async fn finish(
        self,
        as_planned: bool,
        survey: Option<Survey>,
        bandwidth: &BandwidthSettings,
    ) -> Guarded {
        self.over.cancel();
        let Ok(watch) = self.watch.await else {
            return Guarded::default();
        };
        let last = match as_planned {
            true => {
                let last = watch.warden.finish(survey, bandwidth.clone());
                self.handle.spawn(last).await.unwrap_or_default()
            }
            false => LastWords::default(),
        };
        Guarded {
            end: watch.end,
            buffer_peak: watch.buffer_peak,
            coverage: last.coverage,
            words: last.words,
            survey: last.survey,
        }
    }
}

/// The server's counters at the end of what the tally saw; `None` if they don't come in time.
pub(super) async fn closing_counters(tap: &mut Tap, intake: &mut Intake) -> Option<String> {
    let asked = async {
        tap.ask_counters().await.ok()?;
        loop {
            match tap.read().await.ok()? {
                Chunk::Lines(bytes) => intake.feed(bytes),
                Chunk::Counters(text) => return Some(text),
                Chunk::Closed | Chunk::Cut => return None,
            }
        }
    };
    timeout(CLOSING_PATIENCE, asked).await.ok().flatten()
}

/// What the node sent to clients between two texts of INFO, without what it sent us. Answers to our other connections may be under way at
/// either end; where that would be much of all, it can't be told.
pub(super) fn sent_to_clients(opening: &str, closing: &str, own: Bytes) -> Option<Bytes> {
    let sent = client_output(&info::Reading::parse(opening), &info::Reading::parse(closing))?;
    let theirs = Bytes(sent.0.saturating_sub(own.0));
    Some(theirs).filter(|theirs| *theirs >= MEASURED_MIN)
}
