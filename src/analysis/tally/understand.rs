//! From a line in the buffer to the counts: who, what, which keys.

use std::ops::Range;

use super::clients::Client;
use super::commands::{KeyPlan, Plan};
use super::find::Found;
use super::keys::PatternPlace;
use super::long::LongLine;
use super::signatures::{ShapePlace, Signature};
use super::upkeep::is_upkeep;
use super::waiting::What;
use super::{LINE_MAX, Progress, Tally};
use crate::analysis::keyspec::{CommandId, Keys, Walk};
use crate::analysis::line::{Front, Head, SIGHT, Second, closing_quote, time};
use crate::analysis::window::Rejection;
use crate::model::Timestamp;

impl Tally {
    /// One whole line, without its line feed.
    #[inline(always)]
    pub(super) fn line(&mut self, buffer: &[u8], start: usize, end: usize) {
        if end - start > LINE_MAX {
            self.count_waiting(buffer);
            let long = self.begin_long_line(&buffer[start..start + LINE_MAX]);
            let long = self.extend_long_line(long, &buffer[start + LINE_MAX..end]);
            return self.end_long_line(long);
        }
        let (start, end) = self.trimmed_as_before(buffer, start, end);
        if end == start || buffer[end - 1] != b'"' {
            return self.odd_line(&buffer[start..end]);
        }
        if let Err(rejection) = self.understand(buffer, start, end) {
            self.reject(rejection);
        }
    }

    /// [`trimmed`]. All lines of a stream are in one form, so whether a line has a plus sign is known before it is looked at: what is read
    /// of the line needn't wait for that.
    #[inline(always)]
    fn trimmed_as_before(&mut self, buffer: &[u8], start: usize, end: usize) -> (usize, usize) {
        if (buffer.get(start) == Some(&b'+')) != (self.sign == 1) {
            self.sign = 1 - self.sign;
        }
        let end = if end > start && buffer[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        (start + self.sign, end)
    }

    /// A line whose front is an everyday line's.
    #[inline(never)]
    pub(super) fn understand_front(&mut self, buffer: &[u8], front: &Front, end: usize) -> Result<(), Rejection> {
        let command = self
            .vocabulary
            .identify_printed(front.printed, buffer, front.name(), end);
        let plan = command.map(|id| self.vocabulary.plan(id));
        let keys = plan.map_or(KeyPlan::None, |plan| plan.keys);
        let keys = self.find_keys(buffer, front.name_end()..end, keys, command)?;
        let client = Client::short(front.address);
        let head = front.head();
        self.count(buffer, (&head, front.name_end(), end), client, (command, plan), keys);
        Ok(())
    }

    /// [`Tally::understand`] of a line in any form.
    #[inline(never)]
    pub(super) fn understand_any(&mut self, buffer: &[u8], start: usize, end: usize) -> Result<(), Rejection> {
        let head = Head::read(buffer, start, end)?;
        let name = name(buffer, &head, end)?;
        let command = self.vocabulary.identify(buffer, name.clone(), end);
        let plan = command.map(|id| self.vocabulary.plan(id));
        let keys = plan.map_or(KeyPlan::None, |plan| plan.keys);
        let keys = self.find_keys(buffer, name.end..end, keys, command)?;
        let client = Client::printed(&buffer[head.source.clone()]);
        self.count(buffer, (&head, name.end, end), client, (command, plan), keys);
        Ok(())
    }

    /// Counts a line that was understood: its `head`, where the command's name closes and the line ends.
    #[inline(always)]
    fn count(
        &mut self,
        buffer: &[u8],
        (head, name_end, end): (&Head, usize, usize),
        client: Client,
        (command, plan): (Option<CommandId>, Option<Plan>),
        keys: Found,
    ) {
        self.settle(buffer, head);
        self.stamp = Some(head.stamp);
        if !self.accept(buffer, head, head.command..name_end, client, command) {
            return;
        }
        if let (Some(command), Some(plan)) = (command, plan) {
            self.announce_keys(buffer, head.stamp, (name_end, end), (command, plan), keys);
        }
    }

    /// Announces a command and its keys; its name closes and its line ends at `ends`.
    #[inline(always)]
    pub(super) fn announce_keys(
        &mut self,
        buffer: &[u8],
        stamp: usize,
        (name_end, end): (usize, usize),
        (command, plan): (CommandId, Plan),
        keys: Found,
    ) {
        let shape = match (plan.shape, &keys) {
            (None, _) => plan.only_shape,
            (Some(rule), Found::One(key)) if plan.takes_key_first() => {
                self.signatures
                    .shape_after_key((command, rule), buffer, key.end, (name_end, end))
            }
            (Some(rule), Found::Every { arguments }) => {
                self.signatures
                    .shape_after_all((command, rule), buffer, *arguments, (name_end, end))
            }
            (Some(rule), _) => self.signatures.shape_of(rule, buffer, (name_end, end)),
        };
        match keys {
            Found::One(key) => self.announce(buffer, key, stamp, What::command(command, shape)),
            Found::Every { .. } | Found::Several if !plan.script => {
                self.announce_found(buffer, stamp, command, shape);
            }
            Found::None | Found::Every { .. } | Found::Several => {
                if plan.script {
                    self.declare_found(buffer, stamp);
                }
                self.announce(buffer, 0..0, stamp, What::keyless(command, shape));
            }
        }
    }

    /// Counts what was announced before this point of the buffer.
    pub(super) fn count_waiting(&mut self, buffer: &[u8]) {
        self.waiting.count(buffer, &mut self.touched, &mut self.signatures);
    }

    #[inline(always)]
    pub(super) fn announce(&mut self, buffer: &[u8], key: Range<usize>, stamp: usize, what: What) {
        let tables = (&mut self.touched, &mut self.signatures);
        self.waiting.announce((buffer, key), stamp, what, tables);
    }

    /// Announces the keys of the line that were found one by one.
    fn announce_found(&mut self, buffer: &[u8], stamp: usize, command: CommandId, shape: ShapePlace) {
        let found = std::mem::take(&mut self.found);
        if found.is_empty() {
            self.announce(buffer, 0..0, stamp, What::keyless(command, shape));
        }
        let mut what = What::command(command, shape);
        for key in &found {
            self.announce(buffer, key.clone(), stamp, what);
            what = What::KEY_ALONE;
        }
        self.found = found;
    }

    /// What may stand in a stream beside commands, and what may not.
    #[cold]
    fn odd_line(&mut self, line: &[u8]) {
        if line == b"OK" {
            return;
        }
        if line.first() == Some(&b'-') {
            return self.reject(Rejection::ServerError);
        }
        let head = Head::read(line, 0, line.len());
        self.reject(head.err().unwrap_or(Rejection::Arguments));
    }

    /// A script's own commands follow it at once; if this line isn't one, the keys the script declared count as touched.
    #[inline(always)]
    fn settle(&mut self, buffer: &[u8], head: &Head) {
        if !self.declared.any() {
            return;
        }
        self.settle_before(buffer, &buffer[head.source.clone()] == b"lua");
    }

    /// [`Tally::settle`] where there are any.
    #[inline(never)]
    pub(super) fn settle_before(&mut self, buffer: &[u8], own_command: bool) {
        if own_command {
            self.declared.forget();
        } else {
            self.count_waiting(buffer);
            self.settle_declared();
        }
    }

    /// Counts the line, and the command for its client; says whether it is a command.
    fn accept(
        &mut self,
        buffer: &[u8],
        head: &Head,
        name: Range<usize>,
        client: Client,
        command: Option<CommandId>,
    ) -> bool {
        self.progress.lines += 1;
        if self.progress.first.is_none() {
            self.progress.first = Some(time(&buffer[head.stamp..]));
        }
        if self.upkeep.is_ours(&buffer[head.source.clone()]) {
            return false;
        }
        let replicated = self.upkeep.is_master(&buffer[head.source.clone()]);
        if replicated {
            if is_upkeep(&buffer[name]) {
                return false;
            }
            self.progress.replicated += 1;
        } else {
            self.clients.count(client);
        }
        self.progress.commands += 1;
        self.progress.count_second(&buffer[head.stamp..]);
        match command {
            Some(command) => self.vocabulary.count(command, replicated),
            None => self.progress.other.add(replicated),
        }
        true
    }

    #[cold]
    fn declare_found(&mut self, buffer: &[u8], stamp: usize) {
        for key in self.found.drain(..) {
            self.declared.add(&buffer[key], &buffer[stamp..]);
        }
    }

    /// The first [`LINE_MAX`] bytes of a line that is longer.
    #[cold]
    pub(super) fn begin_long_line(&mut self, buffer: &[u8]) -> LongLine {
        let (start, _) = trimmed(buffer, 0, buffer.len());
        if buffer[start] == b'-' {
            return LongLine::rejected(Rejection::ServerError);
        }
        let understood = Head::read(buffer, start, buffer.len())
            .and_then(|head| name(buffer, &head, buffer.len()).map(|name| (head, name)));
        let (head, name) = match understood {
            Ok(understood) => understood,
            Err(rejection) => return LongLine::rejected(rejection),
        };
        self.settle(buffer, &head);
        let command = self.vocabulary.identify(buffer, name.clone(), buffer.len());
        let keys = command.map_or(&Keys::None, |id| self.vocabulary.keys(id));
        let (beginning, rest) = buffer.split_at(name.end + 1);
        let shaped = command.is_some_and(|id| self.vocabulary.plan(id).shape.is_some());
        let long = LongLine::new(beginning.to_vec(), (head, command), Walk::new(keys), shaped);
        self.extend_long_line(long, rest)
    }

    pub(super) fn extend_long_line(&mut self, mut long: LongLine, piece: &[u8]) -> LongLine {
        let mut pattern = long.pattern;
        let Ok((stamp, command)) = long.stamp_and_command() else {
            return long;
        };
        let script = command.is_some_and(|id| self.vocabulary.plan(id).script);
        long.feed(piece, |key| self.take_long_lines_key(key, &stamp, script, &mut pattern));
        long.pattern = pattern;
        long
    }

    pub(super) fn end_long_line(&mut self, long: LongLine) {
        let Ok((stamp, command)) = long.stamp_and_command() else {
            return self.reject(long.understood.err().unwrap_or(Rejection::Arguments));
        };
        let script = command.is_some_and(|id| self.vocabulary.plan(id).script);
        let mut pattern = long.pattern;
        let arguments = long.arguments;
        let ended = long.end(|key| self.take_long_lines_key(key, &stamp, script, &mut pattern));
        match ended {
            Err(rejection) => self.reject(rejection),
            Ok((beginning, head)) => {
                let name = head.command..beginning.len() - 1;
                let client = Client::printed(&beginning[head.source.clone()]);
                self.accept(&beginning, &head, name, client, command);
                self.progress.last = Some(time(&stamp));
                if let Some(command) = command {
                    let Plan { only_shape, shape, .. } = self.vocabulary.plan(command);
                    let shape = shape.map_or(only_shape, |rule| self.signatures.shape_of_total(rule, arguments));
                    let pattern = pattern.map_or(0, |pattern| pattern + 1);
                    self.signatures.count_unkept(Signature::new(command, shape, pattern), 1);
                }
            }
        }
    }

    fn take_long_lines_key(&mut self, key: &[u8], stamp: &[u8], script: bool, pattern: &mut Option<PatternPlace>) {
        if script {
            return self.declared.add(key, stamp);
        }
        let touched = self.touched.touch(key, stamp);
        pattern.get_or_insert(touched);
    }
}

/// Without the carriage return and the plus sign of the wire's form.
#[inline(always)]
fn trimmed(buffer: &[u8], start: usize, end: usize) -> (usize, usize) {
    let end = if end > start && buffer[end - 1] == b'\r' {
        end - 1
    } else {
        end
    };
    let start = if start < end && buffer[start] == b'+' {
        start + 1
    } else {
        start
    };
    (start, end)
}

/// Where the command's name stands.
#[inline(always)]
fn name(buffer: &[u8], head: &Head, end: usize) -> Result<Range<usize>, Rejection> {
    match closing_quote(buffer, head.command, end) {
        Some(closing) if closing > head.command => Ok(head.command..closing),
        _ => Err(Rejection::Arguments),
    }
}

impl Progress {
    /// Whether a line begins as everyday ones of the second at hand do, which it begins if it can.
    #[inline(always)]
    pub(super) fn is_everyday(&mut self, line: &[u8; SIGHT]) -> bool {
        self.second.begins(line) || self.begins_everyday_second(line)
    }

    #[cold]
    fn begins_everyday_second(&mut self, line: &[u8; SIGHT]) -> bool {
        !self.second.is_of(line) && self.begin_second(line) && self.second.begins(line)
    }

    /// Counts an everyday line with a command in its second.
    #[inline(always)]
    pub(super) fn count_everyday(&mut self) {
        self.everyday += 1;
    }

    /// Counts a command in its second.
    fn count_second(&mut self, stamp: &[u8]) {
        if self.second.is_of(stamp) || self.begin_second(stamp) {
            self.in_second += 1;
        } else {
            self.timeline.add(time(stamp), 1);
        }
    }

    /// Begins the second of a line, unless it isn't printed as everyday or no line was understood yet.
    #[cold]
    fn begin_second(&mut self, line: &[u8]) -> bool {
        let Some(second) = Second::of(line).filter(|_| self.first.is_some()) else {
            return false;
        };
        self.settle_second();
        self.second = second;
        true
    }

    /// Enters the second at hand into the time line.
    pub(super) fn settle_second(&mut self) {
        self.settle_everyday();
        if self.in_second > 0 {
            let second = Timestamp(time(self.second.digits()).0 * 1_000_000);
            self.timeline.add(second, std::mem::take(&mut self.in_second));
        }
    }

    /// Enters what everyday lines counted into the other counters.
    pub(super) fn settle_everyday(&mut self) {
        let everyday = std::mem::take(&mut self.everyday);
        self.lines += everyday;
        self.commands += everyday;
        self.in_second += everyday;
    }
}
