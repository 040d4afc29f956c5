//! What a window's reader and its guard tell each other, without either waiting for the other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::strain::Strain;
use super::watchdog::Pulse;
use crate::model::{Bytes, Timestamp};

/// What reader and guard tell each other without waiting.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    commands: AtomicU64,
    /// What the server held for us at the last look.
    buffered: AtomicU64,
    /// Where the stream's client comes from, as MONITOR prints it; known from the first look on.
    address: OnceLock<String>,
    behind_micros: AtomicU64,
    /// The same as the last look found it.
    behind_seen: AtomicU64,
    /// What the server's clock shows when ours shows zero.
    server_clock: AtomicI64,
    /// The guard's signs of life.
    pub(super) pulse: Pulse,
    /// Whether the reader keeps up.
    pub strain: Strain,
}

impl Progress {
    /// The reader took `bytes` more, has seen `commands` in all, the last of which the server stamped so; `now` is our clock.
    pub fn has_read(&self, bytes: u64, commands: u64, stamp: Option<Timestamp>, now: Timestamp) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        self.commands.store(commands, Ordering::Relaxed);
        let server_clock = self.server_clock.load(Ordering::Relaxed);
        // Before the guard's first look nobody knows what the server's clock shows.
        if let (Some(stamp), true) = (stamp, server_clock != 0) {
            let behind = now.0 as i64 + server_clock - stamp.0 as i64;
            self.behind_micros.store(behind.max(0) as u64, Ordering::Relaxed);
        }
    }

    /// Commands seen so far.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.read.load(Ordering::Relaxed))
    }

    /// What the server held for us at the guard's last look.
    pub fn buffered(&self) -> Bytes {
        Bytes(self.buffered.load(Ordering::Relaxed))
    }

    /// How far the stream was behind at the guard's last look.
    pub fn behind(&self) -> Duration {
        Duration::from_micros(self.behind_seen.load(Ordering::Relaxed))
    }

    /// Where the stream's client comes from, as MONITOR prints it, once that is known.
    pub fn address(&self) -> Option<&str> {
        self.address.get().map(String::as_str)
    }

    /// The longest time in which the guard gave no sign of life, this moment's included.
    pub fn longest_pause(&self) -> Duration {
        self.pulse.longest_pause()
    }

    /// What the guard's look found the server to hold for us.
    pub(super) fn is_held(&self, held: Bytes) {
        self.buffered.store(held.0, Ordering::Relaxed);
    }

    /// Where the stream's client comes from.
    pub(super) fn comes_from(&self, address: &str) {
        self.address.get_or_init(|| address.to_owned());
    }

    /// How far the stream's last stamp was behind, told once: a stream in which nothing comes is not behind.
    pub(super) fn take_behind(&self) -> Duration {
        let behind = self.behind_micros.swap(0, Ordering::Relaxed);
        self.behind_seen.store(behind, Ordering::Relaxed);
        Duration::from_micros(behind)
    }

    pub(super) fn set_server_clock(&self, server: Timestamp, ours: Timestamp) {
        let ahead = server.0 as i64 - ours.0 as i64;
        // Zero stands for unknown.
        self.server_clock
            .store(if ahead == 0 { 1 } else { ahead }, Ordering::Relaxed);
    }
}
