//! The path of nearly every line: a client or a script calls a command that is known, most often one whose only key is its first argument.
//!
//! What such a line counts, [`Tally::understand_front`] would count just so; here it takes no more than looking up who and what it is, the
//! keys' hashes, and their announcement. Tests hold the two to each other.

use super::Tally;
use super::clients::Client;
use super::commands::Everyday;
use super::waiting::What;
use crate::analysis::keyspec::CommandId;
use crate::analysis::line::{Front, SIGHT, closing_quote};
use crate::analysis::window::Rejection;

impl Tally {
    /// One whole line, without its line end.
    #[inline(always)]
    pub(super) fn understand(&mut self, buffer: &[u8], start: usize, end: usize) -> Result<(), Rejection> {
        let line: Option<&[u8; SIGHT]> = buffer.get(start..).and_then(|rest| rest.first_chunk());
        let Some(line) = line.filter(|line| self.progress.is_everyday(line)) else {
            return self.understand_any(buffer, start, end);
        };
        let Some(front) = Front::read(line, start, end) else {
            return self.understand_any(buffer, start, end);
        };
        let (command, everyday) = self.vocabulary.recall(front.printed);
        if self.is_watched(front.address) {
            return self.understand_front(buffer, &front, end);
        }
        if !everyday.takes_key_first() {
            return self.understand_others(buffer, &front, end, (command, everyday));
        }
        let begin = front.name_end() + 3;
        let closing = match front.first_end() {
            0 => closing_quote_of_long(buffer, begin, end),
            closing => closing,
        };
        if closing == 0 {
            return self.understand_front(buffer, &front, end);
        }
        self.count_everyday(buffer, &front, command);
        let shape = match everyday {
            Everyday::KeyAndShape(rule) => {
                let ends = (front.name_end(), end);
                self.signatures.shape_after_key((command, rule), buffer, closing, ends)
            }
            Everyday::Key(shape) => shape,
            Everyday::Others | Everyday::No => 0,
        };
        self.announce(buffer, begin..closing, start, What::command(command, shape));
        Ok(())
    }

    /// Any other command. Of most it is known where its keys stand, if it has any.
    #[inline(never)]
    fn understand_others(
        &mut self,
        buffer: &[u8],
        front: &Front,
        end: usize,
        (command, everyday): (CommandId, Everyday),
    ) -> Result<(), Rejection> {
        if everyday == Everyday::No {
            return self.understand_front(buffer, front, end);
        }
        let plan = self.vocabulary.plan(command);
        let keys = self.find_keys(buffer, front.name_end()..end, plan.keys, Some(command))?;
        self.count_everyday(buffer, front, command);
        self.announce_keys(buffer, front.stamp, (front.name_end(), end), (command, plan), keys);
        Ok(())
    }

    /// Who and what such a line is.
    #[inline(always)]
    fn count_everyday(&mut self, buffer: &[u8], front: &Front, command: CommandId) {
        if self.declared.any() {
            self.settle_before(buffer, front.address == Front::LUA);
        }
        self.clients.count(Client::short(front.address));
        self.vocabulary.count(command, false);
        self.progress.count_everyday();
        self.stamp = Some(front.stamp);
    }

    /// Whether lines from that address may be hotshard's own, or have come by replication.
    #[inline(always)]
    fn is_watched(&self, address: u128) -> bool {
        self.watched.contains(&address)
    }

    /// Knows the addresses of which [`Tally::is_watched`] warns.
    pub(super) fn watch(&mut self) {
        let addresses = self.upkeep.masters.iter().chain(&self.upkeep.ours);
        let short = addresses.filter_map(|address| match Client::printed(address) {
            Client::Short(address) => Some(address),
            _ => None,
        });
        self.watched = short.collect();
    }
}

/// Where an argument closes that doesn't within sight; 0 if it doesn't at all.
#[inline(never)]
fn closing_quote_of_long(buffer: &[u8], begin: usize, end: usize) -> usize {
    closing_quote(buffer, begin, end).unwrap_or_default()
}
