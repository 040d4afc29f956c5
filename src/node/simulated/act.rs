//! When something happens: a plot's beginning, end and return.

use std::time::Duration;

use super::cast::Cast;
use super::plot::Plot;

/// A plot and when it is played, counted from the start of the stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// What happens.
    pub plot: Plot,
    /// When it begins.
    pub from: Duration,
    /// When it is over; never, if there is none.
    pub until: Option<Duration>,
    /// After how long it begins anew.
    pub every: Option<Duration>,
}

impl Act {
    /// A plot that plays from the start and does not end.
    pub fn new(plot: Plot) -> Self {
        Self {
            plot,
            from: Duration::ZERO,
            until: None,
            every: None,
        }
    }

    /// The same, beginning later.
    #[must_use]
    pub fn starting(self, from: Duration) -> Self {
        Self { from, ..self }
    }

    /// The same, with an end.
    #[must_use]
    pub fn until(self, until: Duration) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// The same, again and again.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self {
            every: Some(every),
            ..self
        }
    }

    /// Whether it plays at a moment.
    pub fn plays(&self, moment: Duration) -> bool {
        let Some(since) = self.since_begin(moment) else {
            return false;
        };
        self.until.is_none_or(|until| since < until.saturating_sub(self.from))
    }

    /// How often it has begun by then.
    fn begun(&self, moment: Duration) -> u32 {
        match (moment.checked_sub(self.from), self.every) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(since), Some(every)) => 1 + (since.as_micros() / every.as_micros().max(1)) as u32,
        }
    }

    fn since_begin(&self, moment: Duration) -> Option<Duration> {
        let since = moment.checked_sub(self.from)?;
        let rounds = self.begun(moment) - 1;
        Some(since - self.every.unwrap_or_default() * rounds)
    }

    pub(super) fn next_edge(&self, moment: Duration) -> Option<Duration> {
        let Some(since) = self.since_begin(moment) else {
            return Some(self.from);
        };
        let begin = moment - since;
        let end = self.until.map(|until| begin + until.saturating_sub(self.from));
        let again = self.every.map(|every| begin + every);
        [end, again].into_iter().flatten().filter(|edge| *edge > moment).min()
    }

    pub(super) fn join(&self, cast: &mut Cast, index: usize, shard: usize, moment: Duration) {
        if self.plot.shard() != shard {
            return;
        }
        let (plays, begun) = (self.plays(moment), self.begun(moment));
        match self.plot {
            Plot::Failover { .. } => cast.primary += begun as usize,
            Plot::Load { factor, .. } if plays => cast.load *= factor,
            _ => {}
        }
        if let (true, Some(rate)) = (plays, self.plot.rate()) {
            cast.sources.push((index, rate));
        }
        if let Some(condition) = self.plot.member().and_then(|member| cast.members.get_mut(member)) {
            self.plot.befall(condition, plays, begun, self.until.is_some());
        }
    }
}

impl From<Plot> for Act {
    fn from(plot: Plot) -> Self {
        Self::new(plot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(act: Act, expected: &str) {
        let seconds = Duration::from_secs;
        let shown: String = (0..10)
            .map(|second| if act.plays(seconds(second)) { '#' } else { '.' })
            .collect();
        assert_eq!(shown, expected);
        // Edges are exactly where the picture changes or the act begins anew.
        let mut moment = Duration::ZERO;
        while let Some(edge) = act.next_edge(moment).filter(|edge| *edge < seconds(10)) {
            let before = edge - Duration::from_micros(1);
            assert!(act.plays(before) != act.plays(edge) || act.begun(before) != act.begun(edge));
            moment = edge;
        }
    }

    #[test]
    fn an_act_plays_from_its_beginning_to_its_end_and_again() {
        let seconds = Duration::from_secs;
        let act = Act::new(Plot::Load { shard: 0, factor: 2.0 });
        check(act.clone(), "##########");
        check(act.clone().starting(seconds(3)), "...#######");
        check(act.clone().starting(seconds(3)).until(seconds(5)), "...##.....");
        check(
            act.starting(seconds(1)).until(seconds(3)).every(seconds(4)),
            ".##..##..#",
        );
    }
}
