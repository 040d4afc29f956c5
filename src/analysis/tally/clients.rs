//! Who sent the commands: exact counts by address up to a limit.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::commands::{folded, hash};
use crate::analysis::line::{Block, Source};
use crate::analysis::sketch::Distinct;

#[derive(Debug)]
pub(super) struct Clients {
    /// IPv4 addresses as they were printed, fifteen bytes at most, each as one number, with their places among the counts.
    short: HashMap<u128, u32, FixedState>,
    counts: Vec<u64>,
    /// The place of an address by a few of its bits: most lines come from few addresses.
    recent: Vec<(u128, u32)>,
    /// All others.
    long: HashMap<Box<[u8]>, u64, FixedState>,
    clients_max: usize,
    state: FixedState,
    /// Lines of scripts, whose client MONITOR doesn't name.
    pub(super) lua: u64,
    /// Lines of clients past the limit.
    pub(super) other: u64,
    pub(super) distinct: Distinct,
}

const RECENT: usize = 512;
/// The longest address of a client that is kept: a socket's path.
const ADDRESS_MAX: usize = 128;

impl Clients {
    pub(super) fn new(clients_max: usize, seed: u64) -> Self {
        let state = FixedState::with_seed(seed);
        Self {
            short: HashMap::with_hasher(state.clone()),
            counts: Vec::new(),
            recent: vec![(0, 0); RECENT],
            long: HashMap::with_hasher(state.clone()),
            clients_max,
            state,
            lua: 0,
            other: 0,
            distinct: Distinct::default(),
        }
    }

    /// Sees a command from the source that stands in `buffer[from..to]`.
    #[inline(always)]
    pub(super) fn count(&mut self, buffer: &[u8], from: usize, to: usize) {
        let block = Block::at(buffer, from);
        let before_end = ((1_u64 << (to - from).min(32)) - 1) as u32;
        let colon = 31 - (block.places_of(b':') & before_end | 1).leading_zeros();
        if to - from <= 22 && colon < 16 && buffer[from].is_ascii_digit() {
            let address = block.head(colon);
            let place = folded(address) >> (64 - RECENT.ilog2());
            let (known, count) = self.recent[place as usize];
            if known == address {
                self.counts[count as usize] += 1;
                return;
            }
            return self.count_short(address, place as usize);
        }
        self.count_long(&buffer[from..to]);
    }

    /// Every client with its count: an address, or a socket as `unix:` and its path.
    pub(super) fn seen(&self) -> impl Iterator<Item = (String, u64)> {
        let short = self.short.iter().map(|(address, count)| {
            let bytes = address.to_le_bytes();
            let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            (printed(&bytes[..length]), self.counts[*count as usize])
        });
        let long = self.long.iter().map(|(address, count)| (printed(address), *count));
        short.chain(long)
    }

    #[inline(never)]
    fn count_short(&mut self, address: u128, place: usize) {
        let count = match self.short.get(&address) {
            Some(count) => *count,
            None => {
                self.distinct.add(hash(&self.state, &address.to_le_bytes()));
                if self.is_full() {
                    self.other += 1;
                    return;
                }
                let count = self.counts.len() as u32;
                self.counts.push(0);
                self.short.insert(address, count);
                count
            }
        };
        self.counts[count as usize] += 1;
        self.recent[place] = (address, count);
    }

    #[inline(never)]
    fn count_long(&mut self, source: &[u8]) {
        let address = match Source::parse(source) {
            Source::Lua => {
                self.lua += 1;
                return;
            }
            Source::Client(address) => address,
            Source::Unix(_) => source,
        };
        let address = &address[..address.len().min(ADDRESS_MAX)];
        if let Some(count) = self.long.get_mut(address) {
            *count += 1;
            return;
        }
        self.distinct.add(hash(&self.state, address));
        if self.is_full() {
            self.other += 1;
        } else {
            self.long.insert(address.into(), 1);
        }
    }

    fn is_full(&self) -> bool {
        self.short.len() + self.long.len() >= self.clients_max
    }
}

/// A socket's path may hold anything; what can't be shown is escaped.
fn printed(address: &[u8]) -> String {
    match std::str::from_utf8(address) {
        Ok(text) => text.to_owned(),
        Err(_) => address.escape_ascii().to_string(),
    }
}
