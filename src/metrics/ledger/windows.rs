//! A shard's windows: totals over all of them, and the shares of the last.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::LimitSettings;
use super::capped::{CappedTotals, OTHER};
use crate::analysis::window::{ClosedWindow, PatternCount, WindowStats};
use crate::metrics::snapshot::WindowTotals;
use crate::model::Ratio;

/// What a shard's windows add up to.
#[derive(Debug)]
pub(super) struct WindowAccount {
    limits: LimitSettings,
    totals: WindowTotals,
    commands: CappedTotals<u64>,
    patterns: CappedTotals<u64>,
    /// Estimated bytes out of those patterns.
    output: CappedTotals<u64>,
    /// Patterns with a share worth a series in the last window that saw keys.
    frequent: BTreeSet<Arc<str>>,
    /// Why the last round had no window here.
    skipped_last: Option<&'static str>,
    /// Whether a round that is over has had the last window.
    is_past: bool,
}

impl WindowAccount {
    pub(super) fn new(limits: &LimitSettings) -> Self {
        Self {
            limits: limits.clone(),
            totals: WindowTotals::default(),
            commands: CappedTotals::new(limits.commands_max),
            patterns: CappedTotals::new(limits.patterns_max),
            output: CappedTotals::new(limits.patterns_max),
            frequent: BTreeSet::new(),
            skipped_last: None,
            is_past: false,
        }
    }

    pub(super) fn configure(&mut self, limits: &LimitSettings) {
        self.limits = limits.clone();
        self.commands.cap(limits.commands_max);
        self.patterns.cap(limits.patterns_max);
        self.output.cap(limits.patterns_max);
    }

    pub(super) fn opened(&mut self) {
        self.totals.active += 1;
    }

    pub(super) fn skipped(&mut self, reason: &'static str, text: &str) {
        *self.totals.skipped.entry(reason).or_default() += 1;
        self.totals.absence = Some(text.into());
        self.skipped_last = Some(reason);
    }

    pub(super) fn skipped_last(&self) -> Option<&'static str> {
        self.skipped_last
    }

    /// The round is over that the windows so far belong to.
    pub(super) fn round_ended(&mut self) {
        self.is_past = true;
    }

    /// Whether the last window is an earlier round's.
    pub(super) fn is_past(&self) -> bool {
        self.is_past
    }

    pub(super) fn closed(&mut self, window: &Arc<ClosedWindow>) {
        self.is_past = false;
        self.skipped_last = None;
        self.totals.absence = None;
        let stats = &window.stats;
        let totals = &mut self.totals;
        totals.active = totals.active.saturating_sub(1);
        *totals.ended.entry(window.end).or_default() += 1;
        totals.observed += window.duration();
        totals.lines += stats.lines;
        totals.read_bytes += stats.bytes_read;
        for (reason, count) in &stats.rejected {
            *totals.rejected_lines.entry(*reason).or_default() += count;
        }
        totals.last = Some(Arc::clone(window));
        self.add_commands(stats);
        self.add_patterns(stats);
        self.add_output(window);
        self.take_shares(stats);
    }

    pub(super) fn snapshot(&self) -> WindowTotals {
        WindowTotals {
            observed_commands: self.commands.totals(),
            observed_pattern_commands: self.patterns.totals(),
            observed_pattern_output_bytes: self.output.totals(),
            ..self.totals.clone()
        }
    }

    /// Only what was certainly seen counts under a name; all the rest of the window is `other`, so that the sum stays exact.
    fn add_commands(&mut self, stats: &WindowStats) {
        let mut named = 0;
        for command in stats.commands_by_name.iter().filter(|command| &*command.name != OTHER) {
            let certain = command.count.saturating_sub(command.error);
            self.commands.add(&command.name, certain);
            named += certain;
        }
        add_rest(&mut self.commands, stats.commands, named);
    }

    fn add_patterns(&mut self, stats: &WindowStats) {
        if stats.key_touches == 0 {
            return;
        }
        let frequent = self.frequent_patterns(stats);
        let comes_again =
            |pattern: &&PatternCount| frequent.contains(&pattern.pattern) && self.frequent.contains(&pattern.pattern);
        let candidates: Vec<Arc<str>> = stats
            .patterns
            .iter()
            .filter(comes_again)
            .map(|p| Arc::clone(&p.pattern))
            .collect();
        let previous = std::mem::replace(&mut self.frequent, frequent);
        let mut named = 0;
        for candidate in &candidates {
            if !self.patterns.has(candidate) && self.make_room(&previous) {
                self.patterns.add(candidate, 0);
            }
        }
        for pattern in &stats.patterns {
            if self.patterns.has(&pattern.pattern) {
                self.patterns.add(&pattern.pattern, certain(pattern));
                named += certain(pattern);
            }
        }
        add_rest(&mut self.patterns, stats.key_touches, named);
    }

    /// The patterns that have a series for their commands have one for their bytes; what belongs to no such pattern is `other`.
    fn add_output(&mut self, window: &ClosedWindow) {
        let Some(output) = &window.stats.output else { return };
        // Windows that guards ended are not estimated, and their time would make the rest look less than it is.
        self.totals.observed_output += window.duration();
        let mut named = 0;
        for (pattern, bytes) in output.patterns.iter().filter(|(pattern, _)| self.patterns.has(pattern)) {
            self.output.add(pattern, bytes.0);
            named += bytes.0;
        }
        add_rest(&mut self.output, output.attributed.0, named);
    }

    fn frequent_patterns(&self, stats: &WindowStats) -> BTreeSet<Arc<str>> {
        let enough = |pattern: &&PatternCount| {
            share(certain(pattern), stats.key_touches).is_some_and(|share| share >= self.limits.pattern_share_min)
                && &*pattern.pattern != OTHER
        };
        stats
            .patterns
            .iter()
            .filter(enough)
            .map(|pattern| Arc::clone(&pattern.pattern))
            .collect()
    }

    /// Whether a place is free, if need be that of a pattern that wasn't frequent in the last two windows.
    fn make_room(&mut self, previous: &BTreeSet<Arc<str>>) -> bool {
        if !self.patterns.is_full() {
            return true;
        }
        let gone = |label: &&Arc<str>| !previous.contains(*label) && !self.frequent.contains(*label);
        let Some(label) = self.patterns.labels().find(gone).cloned() else {
            return false;
        };
        self.patterns.evict(&label);
        self.output.evict(&label);
        true
    }

    fn take_shares(&mut self, stats: &WindowStats) {
        let with_series = |pattern: &&PatternCount| self.patterns.has(&pattern.pattern);
        let of_touches = |count: u64| share(count, stats.key_touches);
        let of_commands = |count: u64| share(count, stats.commands);
        let patterns = stats.patterns.iter().filter(with_series);
        self.totals.pattern_shares = patterns
            .filter_map(|pattern| Some((Arc::clone(&pattern.pattern), of_touches(certain(pattern))?)))
            .collect();
        let slots = stats
            .slots
            .iter()
            .filter_map(|(slot, count)| Some((*slot, of_touches(*count)?)));
        let hot_slots = slots.filter(|(_, share)| *share >= self.limits.slot_share_min);
        self.totals.slot_shares = hot_slots.take(self.limits.slots_max).collect();
        let keys = stats.keys.iter().take(self.limits.keys_max);
        self.totals.key_shares = keys
            .filter_map(|key| Some((Arc::clone(&key.key), of_touches(key.count - key.error.min(key.count))?)))
            .collect();
        let clients = stats
            .clients
            .iter()
            .filter(|client| &*client.name != OTHER)
            .take(self.limits.clients_max);
        self.totals.client_shares = clients
            .filter_map(|client| Some((Arc::clone(&client.name), of_commands(client.count)?)))
            .collect();
    }
}

/// What a sketch knows for sure.
fn certain(pattern: &PatternCount) -> u64 {
    pattern.count.saturating_sub(pattern.error)
}

fn share(part: u64, whole: u64) -> Option<Ratio> {
    Ratio::of(part, whole)
}

fn add_rest(totals: &mut CappedTotals<u64>, all: u64, named: u64) {
    let rest = all.saturating_sub(named);
    if rest != 0 {
        totals.add_other(rest);
    }
}
