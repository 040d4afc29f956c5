//! Where the keys of a line stand, by the plan of its command.

use std::ops::Range;

use super::Tally;
use super::commands::KeyPlan;
use crate::analysis::keyspec::{CommandId, Keys, Walk, number};
use crate::analysis::line::{Following, closing_quote, following};
use crate::analysis::window::Rejection;

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

impl Tally {
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
