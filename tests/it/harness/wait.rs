//! Waiting for conditions, never for time.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep};

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `attempt` again and again until it is `Ok`; past the deadline, fails with what the last attempt lacked.
pub(crate) async fn eventually<Good, Lack: Debug>(
    what: &str,
    deadline: Duration,
    mut attempt: impl AsyncFnMut() -> Result<Good, Lack>,
) -> Good {
    let end = Instant::now() + deadline;
    loop {
        match attempt().await {
            Ok(good) => return good,
            Err(lack) if Instant::now() > end => panic!("{what}: not within {deadline:?}; at last: {lack:?}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
