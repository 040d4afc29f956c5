//! How much memory the lines of all windows may take that wait to be written. What doesn't fit is not kept; it refuses to know what becomes of it then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for so many bytes. Clones are the same room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    taken: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// A part of the room, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    bytes: usize,
}

impl Room {
    pub(super) fn of(bytes_max: usize) -> Self {
        Self {
            taken: Arc::default(),
            bytes_max,
        }
    }

    /// A place for so many bytes, if there is one.
    pub(super) fn take(&self, bytes: usize) -> Option<Place> {
        let with_it = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it)
            .ok()?;
        Some(Place {
            room: self.clone(),
            bytes,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_makes_room_again() {
        let room = Room::of(100);
        let first = room.take(60).expect("there is room");
        assert!(room.clone().take(41).is_none());
        let rest = room.take(40);
        assert!(rest.is_some() && room.take(1).is_none());
        assert!(room.take(0).is_some());
        drop(first);
        assert!(room.take(61).is_none());
        assert!(room.take(60).is_some());
    }
}
