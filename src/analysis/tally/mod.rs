//! One window's stream, counted: commands, keys, patterns, slots, hash tags, signatures and clients, in memory that doesn't grow.
//!
//! Takes bytes in pieces of any size. It refuses to know where they come from and when the window ends.
//!
//! ```
//! use hotshard::analysis::keyspec::Commands;
//! use hotshard::analysis::pattern::{Normaliser, PatternSettings};
//! use hotshard::analysis::tally::{Tally, TallySettings};
//!
//! let normaliser = Normaliser::new(&PatternSettings::default(), 7);
//! let mut tally = Tally::new(&TallySettings::default(), Commands::builtin(), normaliser, 7);
//! tally.feed(b"OK\n1795202082.056681 [0 10.0.0.9:35656] \"get\" \"user:1234");
//! tally.feed(b"56:profile\"\n");
//! let stats = tally.finish();
//! assert_eq!((stats.commands, &*stats.keys[0].key), (1, "user:123456:profile"));
//! ```

mod calls;
mod clients;
mod commands;
mod everyday;
mod find;
mod keys;
mod long;
mod outcome;
mod sampled;
mod samples;
mod script;
mod signatures;
mod slot_touches;
mod stats;
mod text_hash;
mod understand;
mod upkeep;
mod waiting;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::keyspec::Commands;
use super::line::{LineFeeds, Second, time};
use super::pattern::Normaliser;
use super::timeline::Timeline;
use super::window::{Rejection, WindowStats};
use crate::model::{Bytes, Timestamp};
use clients::Clients;
use commands::Vocabulary;
use keys::Touched;
use long::LongLine;
pub use outcome::Tallied;
use script::Declared;
use signatures::Signatures;
pub use upkeep::Upkeep;
use waiting::Waiting;

/// How much a tally may remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TallySettings {
    /// How many command names are counted that no table knows; the rest is `other`.
    pub commands_max: usize,
    /// How many clients are counted; the rest is `other`.
    pub clients_max: usize,
    /// How many keys are followed at a time; what a key's count may be wrong by is at most twice the touches over this.
    pub keys_max: usize,
    /// How many signatures are followed at a time.
    pub signatures_max: usize,
    /// How many of each list are reported; keys above a thousandth of all touches are reported beyond it.
    pub top: usize,
    /// Whether lines are kept from which it can be worked out what commands were answered with.
    pub keeps_lines: bool,
}

impl Default for TallySettings {
    fn default() -> Self {
        Self {
            commands_max: 256,
            clients_max: 10_000,
            keys_max: 8192,
            signatures_max: 2048,
            top: 100,
            keeps_lines: false,
        }
    }
}

/// The counts of one stream while it is read.
#[derive(Debug)]
pub struct Tally {
    vocabulary: Vocabulary,
    touched: Touched,
    signatures: Signatures,
    clients: Clients,
    waiting: Waiting,
    line_feeds: LineFeeds,
    /// How many bytes of the wire's form the last line began with: its plus sign.
    sign: usize,
    declared: Declared,
    upkeep: Upkeep,
    /// The addresses of upkeep without their ports, as they are compared on the way of everyday lines.
    watched: Vec<u128>,
    progress: Progress,
    /// The beginning of a line whose end hasn't come.
    partial: Vec<u8>,
    long: Option<LongLine>,
    /// The keys of the line at hand, as places in the buffer.
    found: Vec<Range<usize>>,
    /// The time stamp of the last understood line, as a place in the buffer at hand.
    stamp: Option<usize>,
    top: usize,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    bytes: u64,
    lines: u64,
    commands: u64,
    replicated: u64,
    /// Commands past the limit of names.
    other: commands::Count,
    rejected: [u64; Rejection::ALL.len()],
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    timeline: Timeline,
    /// The second of nearly all lines at hand, and its commands, which the time line doesn't have yet.
    second: Second,
    in_second: u64,
    /// Everyday lines, each with a command in that second, which no other counter has yet.
    everyday: u64,
}

/// A line longer than this is read piece by piece, wherever its pieces end.
const LINE_MAX: usize = 64 * 1024;

impl Tally {
    /// Nothing counted yet. Tallies that are to be merged need the same seed; what others may choose keys for needs a secret one.
    pub fn new(settings: &TallySettings, commands: Arc<Commands>, normaliser: Normaliser, seed: u64) -> Self {
        let mut signatures = Signatures::new(settings.signatures_max, settings.keeps_lines, seed);
        Self {
            vocabulary: Vocabulary::new(commands, settings.commands_max, seed, |shape| signatures.place(shape)),
            touched: Touched::new(settings.keys_max, normaliser, seed),
            signatures,
            clients: Clients::new(settings.clients_max, seed),
            waiting: Waiting::new(),
            line_feeds: LineFeeds::new(),
            sign: 0,
            declared: Declared::default(),
            upkeep: Upkeep::default(),
            watched: Vec::new(),
            progress: Progress::default(),
            partial: Vec::new(),
            long: None,
            found: Vec::new(),
            stamp: None,
            top: settings.top,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.progress.bytes += bytes.len() as u64;
        let after_partial = self.finish_partial(bytes);
        let mut start = after_partial;
        let mut looked_through = after_partial;
        while looked_through < bytes.len() {
            for number in 0..self.line_feeds.find(&bytes[looked_through..]) {
                let end = looked_through + self.line_feeds.place(number);
                self.line(bytes, start, end);
                start = end + 1;
            }
            looked_through += LineFeeds::STRETCH;
        }
        self.count_waiting(bytes);
        self.note_time(bytes);
        self.progress.settle_everyday();
        self.extend_partial(&bytes[start..]);
    }

    /// Commands seen so far.
    pub fn commands(&self) -> u64 {
        self.progress.commands
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.progress.bytes)
    }

    /// The server's time stamp on the last line so far.
    pub fn last_time(&self) -> Option<Timestamp> {
        self.progress.last
    }

    /// Lines from these addresses, `ip:port` as the server prints its replication source, came by replication.
    pub fn set_masters<Address: AsRef<str>>(&mut self, addresses: impl IntoIterator<Item = Address>) {
        self.upkeep.masters = addresses
            .into_iter()
            .map(|address| address.as_ref().as_bytes().into())
            .collect();
        self.watch();
    }

    /// Lines from these addresses are hotshard's own: they are lines of the stream, and no load of anybody's.
    pub fn add_ours<Address: AsRef<str>>(&mut self, addresses: impl IntoIterator<Item = Address>) {
        let addresses = addresses.into_iter();
        self.upkeep
            .ours
            .extend(addresses.map(|address| Box::from(address.as_ref().as_bytes())));
        self.watch();
    }

    /// Which lines are counted as lines alone.
    pub fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// The stream has ended.
    pub fn finish(self) -> WindowStats {
        let top = self.top;
        self.close().stats(top)
    }

    /// The stream has ended: its counts in a form that can be merged with others'.
    pub fn close(mut self) -> Tallied {
        if !self.partial.is_empty() || self.long.is_some() {
            self.reject(Rejection::CutOff);
        }
        self.settle_declared();
        self.progress.settle_second();
        Tallied::new(self)
    }

    /// Ends the line whose beginning is held, if there is one, and tells where the next begins.
    fn finish_partial(&mut self, bytes: &[u8]) -> usize {
        if self.partial.is_empty() && self.long.is_none() {
            return 0;
        }
        let Some(end) = memchr(b'\n', bytes) else {
            self.extend_partial(bytes);
            return bytes.len();
        };
        self.extend_partial(&bytes[..end]);
        match self.long.take() {
            Some(long) => self.end_long_line(long),
            None => {
                let mut partial = std::mem::take(&mut self.partial);
                self.line(&partial, 0, partial.len());
                self.count_waiting(&partial);
                self.note_time(&partial);
                partial.clear();
                self.partial = partial;
            }
        }
        end + 1
    }

    fn extend_partial(&mut self, piece: &[u8]) {
        if let Some(long) = self.long.take() {
            return self.long = Some(self.extend_long_line(long, piece));
        }
        let room = LINE_MAX - self.partial.len();
        if piece.len() <= room {
            return self.partial.extend_from_slice(piece);
        }
        self.partial.extend_from_slice(&piece[..room]);
        let mut partial = std::mem::take(&mut self.partial);
        let long = self.begin_long_line(&partial);
        partial.clear();
        self.partial = partial;
        self.long = Some(self.extend_long_line(long, &piece[room..]));
    }

    /// Reads the time of the last understood line, which is somewhere in `buffer`.
    fn note_time(&mut self, buffer: &[u8]) {
        if let Some(stamp) = self.stamp.take() {
            self.progress.last = Some(time(&buffer[stamp..]));
        }
    }

    /// The keys that the last line declared, if it was a script that ran no command of its own.
    fn settle_declared(&mut self) {
        let touched = &mut self.touched;
        self.declared.take(|key, stamp| {
            touched.touch(key, stamp);
        });
    }

    fn reject(&mut self, rejection: Rejection) {
        self.progress.rejected[rejection as usize] += 1;
    }
}
