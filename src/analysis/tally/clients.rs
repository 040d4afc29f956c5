//! Who sent the commands: exact counts by address up to a limit.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::commands::folded;
use super::text_hash::TextHash;
use crate::analysis::line::{Front, Source};
use crate::analysis::sketch::Distinct;

#[derive(Debug)]
pub(super) struct Clients {
    /// IPv4 addresses as they were printed, fifteen bytes at most, each as one number, with their places in `short`.
    places: HashMap<u128, u32, FixedState>,
    /// Those addresses with their counts; the first is nobody's.
    short: Vec<(u128, u64)>,
    /// The place of an address by a few of its bits: most lines come from few addresses.
    recent: Box<[u32; RECENT]>,
    /// All others.
    long: HashMap<Box<[u8]>, u64, FixedState>,
    clients_max: usize,
    hash: TextHash,
    /// Lines of scripts, whose client MONITOR doesn't name.
    pub(super) lua: u64,
    /// Lines of clients past the limit.
    pub(super) other: u64,
    pub(super) distinct: Distinct,
}

const RECENT: usize = 4096;
/// The longest address of a client that is kept: a socket's path.
const ADDRESS_MAX: usize = 128;

/// Who sent a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client<'line> {
    /// An IPv4 client by its address, as it was printed.
    Short(u128),
    /// A script.
    Lua,
    /// Any other client.
    Long(&'line [u8]),
}

impl<'line> Client<'line> {
    /// From the address in a line's front.
    #[inline(always)]
    pub(super) fn short(address: u128) -> Self {
        match address {
            Front::LUA => Self::Lua,
            _ => Self::Short(address),
        }
    }

    /// From what stands between the database and `]`.
    #[inline(never)]
    pub(super) fn printed(source: &'line [u8]) -> Self {
        match Source::parse(source) {
            Source::Lua => Self::Lua,
            Source::Client(address) if address.len() < 16 && source.len() <= 22 && source[0].is_ascii_digit() => {
                let mut bytes = [0; 16];
                bytes[..address.len()].copy_from_slice(address);
                Self::Short(u128::from_le_bytes(bytes))
            }
            Source::Client(address) => Self::Long(address),
            Source::Unix(_) => Self::Long(source),
        }
    }
}

impl Clients {
    pub(super) fn new(clients_max: usize, seed: u64) -> Self {
        let state = FixedState::with_seed(seed);
        Self {
            places: HashMap::with_hasher(state.clone()),
            short: vec![(0, 0)],
            recent: Box::new([0; RECENT]),
            long: HashMap::with_hasher(state),
            clients_max,
            hash: TextHash::new(seed),
            lua: 0,
            other: 0,
            distinct: Distinct::default(),
        }
    }

    /// Sees a command.
    #[inline(always)]
    pub(super) fn count(&mut self, client: Client) {
        match client {
            Client::Short(address) => {
                let place = (folded(address) >> (64 - RECENT.ilog2())) as usize;
                let (known, count) = &mut self.short[self.recent[place] as usize];
                if *known == address {
                    *count += 1;
                } else {
                    self.count_short(address, place);
                }
            }
            Client::Lua => self.lua += 1,
            Client::Long(address) => self.count_long(address),
        }
    }

    /// Every client with its count: an address, or a socket as `unix:` and its path.
    pub(super) fn seen(&self) -> impl Iterator<Item = (String, u64)> {
        let short = self.short[1..].iter().map(|(address, count)| {
            let bytes = address.to_le_bytes();
            let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            (printed(&bytes[..length]), *count)
        });
        let long = self.long.iter().map(|(address, count)| (printed(address), *count));
        short.chain(long)
    }

    #[inline(never)]
    fn count_short(&mut self, address: u128, place: usize) {
        let known = match self.places.get(&address) {
            Some(known) => *known,
            None => {
                self.distinct.add(self.hash.of(&address.to_le_bytes()));
                if self.is_full() {
                    self.other += 1;
                    return;
                }
                let new = self.short.len() as u32;
                self.short.push((address, 0));
                self.places.insert(address, new);
                new
            }
        };
        self.short[known as usize].1 += 1;
        self.recent[place] = known;
    }

    #[inline(never)]
    fn count_long(&mut self, address: &[u8]) {
        let address = &address[..address.len().min(ADDRESS_MAX)];
        if let Some(count) = self.long.get_mut(address) {
            *count += 1;
            return;
        }
        self.distinct.add(self.hash.of(address));
        if self.is_full() {
            self.other += 1;
        } else {
            self.long.insert(address.into(), 1);
        }
    }

    fn is_full(&self) -> bool {
        self.places.len() + self.long.len() >= self.clients_max
    }
}

/// A socket's path may hold anything; what can't be shown is escaped.
fn printed(address: &[u8]) -> String {
    match std::str::from_utf8(address) {
        Ok(text) => text.to_owned(),
        Err(_) => address.escape_ascii().to_string(),
    }
}
