//! From a line in the buffer to the counts: who, what, which keys.

use std::ops::Range;

use super::clients::Client;
use super::commands::{KeyPlan, Plan};
use super::keys::PatternPlace;
use super::long::LongLine;
use super::signatures::{ShapePlace, Signature};
use super::upkeep::is_upkeep;
use super::waiting::What;
use super::{LINE_MAX, Progress, Tally};
use crate::analysis::keyspec::{CommandId, Keys, Walk, number};
use crate::analysis::line::{Following, Front, Head, SIGHT, Second, closing_quote, following, time};
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

    /// The keys of a command whose name closes where `within` begins: the only one, or in [`Tally::found`] all.
    #[inline(always)]
    pub(super) fn find_keys(
        &mut self,
        buffer: &[u8],
        within: Range<usize>,
        keys: KeyPlan,
        command: Option<CommandId>,
    ) -> Result<Found, Rejection> {
        match keys {
            KeyPlan::None => Ok(Found::None),
            KeyPlan::One(place) => {
                let only = argument(buffer, within.start, within.end, place)?;
                Ok(only.map_or(Found::None, Found::One))
            }
            KeyPlan::Every { first, step, spared } => self.find_every(buffer, within, first, (step, spared)),
            KeyPlan::Counted { count, first, step } => self.find_counted(buffer, within, count, (first, step)),
            KeyPlan::Walk => self.find_by_walk(buffer, within, command),
        }
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

    /// Every `step`-th argument from the one at `from` on, without the last ones that are spared.
    fn find_every(
        &mut self,
        buffer: &[u8],
        within: Range<usize>,
        from: u32,
        (step, spared): (u32, u32),
    ) -> Result<Found, Rejection> {
        let (mut closing, end) = (within.start, within.end);
        let mut place = 1;
        self.found.clear();
        while let Following::Argument(begin) = found(following(buffer, closing, end))? {
            closing = closing_quote(buffer, begin, end).ok_or(Rejection::Arguments)?;
            if place >= from && (place - from).is_multiple_of(step) {
                self.found.push(begin..closing);
            }
            place += 1;
        }
        // The arguments are 1 to `place − 1`, and the keys are among those before the spared ones.
        let keys = place.saturating_sub(from).saturating_sub(spared).div_ceil(step);
        self.found.truncate(keys as usize);
        Ok(Found::Every {
            arguments: place as usize - 1,
        })
    }

    /// As many arguments as the one at `count` says, every `step`-th from the one at `first` on, which comes later.
    fn find_counted(
        &mut self,
        buffer: &[u8],
        within: Range<usize>,
        count: u32,
        (first, step): (u32, u32),
    ) -> Result<Found, Rejection> {
        let (mut closing, end) = (within.start, within.end);
        let (mut place, mut next, mut left) = (1, first, None);
        self.found.clear();
        while left != Some(0)
            && let Following::Argument(begin) = found(following(buffer, closing, end))?
        {
            closing = closing_quote(buffer, begin, end).ok_or(Rejection::Arguments)?;
            if place == count {
                left = Some(number(&buffer[begin..closing]).unwrap_or_default());
            } else if let Some(keys) = &mut left
                && place == next
            {
                self.found.push(begin..closing);
                next = next.saturating_add(step);
                *keys -= 1;
            }
            place += 1;
        }
        Ok(Found::Several)
    }

    fn find_by_walk(
        &mut self,
        buffer: &[u8],
        within: Range<usize>,
        command: Option<CommandId>,
    ) -> Result<Found, Rejection> {
        let keys = command.map_or(&Keys::None, |id| self.vocabulary.keys(id));
        let mut walk = Walk::new(keys);
        self.found.clear();
        let (mut closing, end) = (within.start, within.end);
        while let Following::Argument(begin) = found(following(buffer, closing, end))? {
            closing = closing_quote(buffer, begin, end).ok_or(Rejection::Arguments)?;
            let key = begin..closing;
            walk.argument(&buffer[key.clone()], || key.clone(), |key| self.found.push(key));
            if walk.is_over() {
                break;
            }
        }
        walk.end(|key| self.found.push(key));
        Ok(Found::Several)
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

/// The keys of a line.
pub(super) enum Found {
    None,
    /// One, and where it stands.
    One(Range<usize>),
    /// Those in [`Tally::found`], for which all arguments were looked at.
    Every {
        arguments: usize,
    },
    /// Those in [`Tally::found`].
    Several,
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

/// The argument at `place`, the command being 0 and closing at `closing`; `None` if there are fewer.
#[inline(always)]
fn argument(buffer: &[u8], mut closing: usize, end: usize, place: u32) -> Result<Option<Range<usize>>, Rejection> {
    let mut left = place;
    loop {
        let Following::Argument(begin) = found(following(buffer, closing, end))? else {
            return Ok(None);
        };
        closing = closing_quote(buffer, begin, end).ok_or(Rejection::Arguments)?;
        left -= 1;
        if left == 0 {
            return Ok(Some(begin..closing));
        }
    }
}

#[inline(always)]
fn found(following: Following) -> Result<Following, Rejection> {
    match following {
        Following::Broken => Err(Rejection::Arguments),
        other => Ok(other),
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
