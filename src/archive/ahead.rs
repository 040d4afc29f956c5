//! Windows one after the other: the lines of the next are read while those of the one before are written.
//!
//! Reading takes as long as writing, so two threads take half the time. It refuses to know what is written.

use std::sync::mpsc::sync_channel;
use std::thread::{Builder, scope};

use tracing::debug;

use super::sheet::Sheet;
use super::store::{Kept, Reading};

/// Calls `write` for each window, in this thread, and adds up what it returns; stops where it fails.
pub(super) fn each<Error>(
    windows: &[Kept],
    reading: &Reading,
    mut write: impl FnMut(&Kept, &Sheet<'_>) -> Result<u64, Error>,
) -> Result<u64, Error> {
    scope(|scope| {
        // From hand to hand: no more than one window is ahead, since each may be large where values are kept.
        let (hand_over, ready) = sync_channel(0);
        if let [_, others @ ..] = windows
            && !others.is_empty()
        {
            let read = move || {
                let sheets = others.iter().map(|kept| Sheet::read(&kept.drawn, reading));
                // Nobody takes them any more once writing has failed.
                let _ = sheets.map(|sheet| hand_over.send(sheet)).try_for_each(|sent| sent);
            };
            if let Err(error) = Builder::new().name("archive-lines".into()).spawn_scoped(scope, read) {
                debug!("no second thread, so each window is read when the one before is written: {error}");
            }
        }
        let mut written = 0;
        for (place, kept) in windows.iter().enumerate() {
            let ahead = if place == 0 { None } else { ready.recv().ok() };
            let sheet = ahead.unwrap_or_else(|| Sheet::read(&kept.drawn, reading));
            written += write(kept, &sheet)?;
        }
        Ok(written)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing;
    use crate::model::Timestamp;

    const KEYS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

    fn windows() -> Vec<Kept> {
        let window = |key: &&str| testing::window(Timestamp(1_795_202_082_000_000), key, &["10.0.0.1"]);
        KEYS.iter().map(window).collect()
    }

    /// The only key of a window.
    fn key(sheet: &Sheet<'_>) -> String {
        sheet.key(&sheet.lines[0]).expect("GET has a key").to_owned()
    }

    #[test]
    fn windows_keep_their_order_and_their_lines() {
        let mut keys = Vec::new();
        let written = each(&windows(), &testing::reading(), |kept, sheet| {
            assert_eq!(kept.window.stats.keys[0].key.as_ref(), key(sheet));
            keys.push(key(sheet));
            Ok::<_, ()>(2)
        });
        assert_eq!((written, keys), (Ok(10), KEYS.map(str::to_owned).to_vec()));
        assert_eq!(each(&[], &testing::reading(), |_, _| Ok::<_, ()>(2)), Ok(0));
    }

    #[test]
    fn what_cannot_be_written_ends_the_reading_too() {
        let mut keys = Vec::new();
        let written = each(&windows(), &testing::reading(), |_, sheet| {
            keys.push(key(sheet));
            if keys.len() == 2 {
                Err("the disk is full")
            } else {
                Ok(1)
            }
        });
        assert_eq!((written, keys.len()), (Err("the disk is full"), 2));
    }
}
