//! What is played: the cluster, its traffic, and the acts that disturb it. Pure: a scenario and a moment give the cast.

use std::time::Duration;

use crate::model::{Bytes, GroupId, PerSecond, Ratio};

/// A cluster and what happens to it. Everything is decided here; the seed only fills in names and dice.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The group's name, from which the nodes' names are made.
    pub group: GroupId,
    /// How many shards, at least one.
    pub shards: usize,
    /// Replicas of each shard.
    pub replicas: usize,
    /// Commands of clients, the whole cluster together, without what acts add.
    pub rate: PerSecond,
    /// How many keys there are, the whole cluster together.
    pub keys: usize,
    /// What part of the reads goes to replicas, where there are any.
    pub reads_from_replicas: Ratio,
    /// How far a shard's rate strays from its mean: 0.1 is up to a tenth, both ways.
    pub noise: Ratio,
    /// How the slots are shared out, one weight for each shard; evenly where one is missing.
    pub slot_weights: Vec<f64>,
    /// The password of the default user.
    pub password: Option<String>,
    /// A client whose unread output passes this is closed.
    pub output_buffer_max: Bytes,
    /// The servers' `maxmemory`; 0 is none.
    pub memory_max: Bytes,
    /// What disturbs the cluster.
    pub acts: Vec<Act>,
}

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

/// A node: the shard's number and the node's number within it, both from 0. Member 0 is the primary at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The shard's number.
    pub shard: usize,
    /// The node's number within the shard.
    pub member: usize,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plot {
    /// So many reads of a single key.
    HotKey {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// So many commands on five keys that share a hash tag, and so a slot.
    HotTag {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// So many readings of a whole sorted set, each answered with so many bytes.
    FatReplies {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
        /// How large a reply, about.
        reply: Bytes,
    },
    /// One client that reads keys all over the shard.
    WildClient {
        /// Where.
        shard: usize,
        /// How many commands.
        rate: PerSecond,
    },
    /// A command that takes long.
    ExpensiveCommand {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
        /// How long each takes.
        cost: Duration,
    },
    /// Writes of large binary values: lines of up to four times their size.
    BigValues {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
        /// How large, up to 1 MiB.
        value: Bytes,
    },
    /// Clients that connect, say one thing, and go.
    ConnectionChurn {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// Keys evicted for memory.
    Evictions {
        /// Where.
        shard: usize,
        /// How many.
        rate: PerSecond,
    },
    /// The shard's ordinary traffic times a factor; 0 leaves it idle.
    Load {
        /// Where.
        shard: usize,
        /// Times what.
        factor: f64,
    },
    /// The next member becomes the primary, at the act's beginning.
    Failover {
        /// Where.
        shard: usize,
    },
    /// The process dies at the act's beginning and is back, with nothing counted yet, at its end (at once, if it has none).
    Restart(Place),
    /// The process stands still: connections open, nothing is answered.
    Hang(Place),
    /// Connections are refused and those that exist are cut; the server itself works on.
    Refuse(Place),
    /// Connections are cut at the act's beginning, in the middle of a line, and new ones as soon as they speak while it lasts.
    Drop(Place),
    /// MONITOR's bytes come in pieces that end within lines.
    HalfLines(Place),
    /// Every fortieth line of MONITOR is preceded by one that is none.
    Rubbish(Place),
    /// Replication reaches this node so much later.
    Lag {
        /// Which replica.
        place: Place,
        /// How much later.
        behind: Duration,
    },
}

impl Scenario {
    /// An even cluster with one replica a shard and quiet traffic of 1,000 commands a second for each shard.
    pub fn new(shards: usize) -> Self {
        let shards = shards.max(1);
        Self {
            group: GroupId::new("stage"),
            shards,
            replicas: 1,
            rate: PerSecond(1000.0 * shards as f64),
            keys: 2000 * shards,
            reads_from_replicas: Ratio(0.5),
            noise: Ratio(0.0),
            slot_weights: Vec::new(),
            password: None,
            output_buffer_max: Bytes(256 << 20),
            memory_max: Bytes(6 << 30),
            acts: Vec::new(),
        }
    }

    /// The same with so many commands a second, the whole cluster together.
    #[must_use]
    pub fn rate(self, rate: PerSecond) -> Self {
        Self { rate, ..self }
    }

    /// The same with one act more.
    #[must_use]
    pub fn with(mut self, act: impl Into<Act>) -> Self {
        self.acts.push(act.into());
        self
    }

    /// Nodes of each shard.
    pub fn members(&self) -> usize {
        self.replicas + 1
    }

    /// Who plays what in a shard at a moment.
    pub(super) fn cast(&self, shard: usize, moment: Duration) -> Cast {
        let mut cast = Cast::at_rest(self.members());
        for (act, index) in self.acts.iter().zip(0..) {
            act.join(&mut cast, index, shard, moment);
        }
        cast.primary %= self.members();
        cast
    }

    /// When the shard's cast changes next, after `moment`.
    pub(super) fn next_change(&self, shard: usize, moment: Duration) -> Option<Duration> {
        self.acts
            .iter()
            .filter(|act| act.plot.shard() == shard)
            .filter_map(|act| act.next_edge(moment))
            .min()
    }
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

    fn next_edge(&self, moment: Duration) -> Option<Duration> {
        let Some(since) = self.since_begin(moment) else {
            return Some(self.from);
        };
        let begin = moment - since;
        let end = self.until.map(|until| begin + until.saturating_sub(self.from));
        let again = self.every.map(|every| begin + every);
        [end, again].into_iter().flatten().filter(|edge| *edge > moment).min()
    }

    fn join(&self, cast: &mut Cast, index: usize, shard: usize, moment: Duration) {
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

impl Plot {
    /// The shard it plays in.
    pub fn shard(&self) -> usize {
        match *self {
            Self::HotKey { shard, .. }
            | Self::HotTag { shard, .. }
            | Self::FatReplies { shard, .. }
            | Self::WildClient { shard, .. }
            | Self::ExpensiveCommand { shard, .. }
            | Self::BigValues { shard, .. }
            | Self::ConnectionChurn { shard, .. }
            | Self::Evictions { shard, .. }
            | Self::Load { shard, .. }
            | Self::Failover { shard } => shard,
            Self::Restart(place)
            | Self::Hang(place)
            | Self::Refuse(place)
            | Self::Drop(place)
            | Self::HalfLines(place)
            | Self::Rubbish(place)
            | Self::Lag { place, .. } => place.shard,
        }
    }

    /// What the verdict should call it; `None` for what makes no shard hot.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::HotKey { .. } => Some("single_key"),
            Self::HotTag { .. } => Some("hash_tag"),
            Self::FatReplies { .. } => Some("fat_replies"),
            Self::WildClient { .. } => Some("client"),
            Self::ExpensiveCommand { .. } => Some("expensive_command"),
            Self::ConnectionChurn { .. } => Some("connection_churn"),
            _ => None,
        }
    }

    /// Who or what is behind it; `key` is the first of its keys.
    pub(super) fn subject(&self, key: Option<String>) -> String {
        match (self, key) {
            (Self::WildClient { .. }, _) => "10.0.66.6".to_owned(),
            (Self::ExpensiveCommand { .. }, _) => "KEYS".to_owned(),
            (Self::HotTag { .. }, Some(key)) => {
                let tag = key.split(['{', '}']).nth(1).unwrap_or_default();
                format!("{{{tag}}}")
            }
            (_, key) => key.unwrap_or_default(),
        }
    }

    fn rate(&self) -> Option<PerSecond> {
        match *self {
            Self::HotKey { rate, .. }
            | Self::HotTag { rate, .. }
            | Self::FatReplies { rate, .. }
            | Self::WildClient { rate, .. }
            | Self::ExpensiveCommand { rate, .. }
            | Self::BigValues { rate, .. }
            | Self::ConnectionChurn { rate, .. }
            | Self::Evictions { rate, .. } => Some(rate),
            _ => None,
        }
    }

    fn member(&self) -> Option<usize> {
        match *self {
            Self::Restart(place)
            | Self::Hang(place)
            | Self::Refuse(place)
            | Self::Drop(place)
            | Self::HalfLines(place)
            | Self::Rubbish(place)
            | Self::Lag { place, .. } => Some(place.member),
            _ => None,
        }
    }

    fn befall(&self, condition: &mut Condition, plays: bool, begun: u32, ends: bool) {
        match *self {
            Self::Restart(_) => {
                condition.lives += begun;
                condition.cuts += begun;
                condition.down |= plays && ends;
            }
            Self::Refuse(_) => {
                condition.cuts += begun;
                condition.refuses |= plays;
            }
            Self::Drop(_) => {
                condition.cuts += begun;
                condition.drops |= plays && ends;
            }
            Self::Hang(_) => condition.hangs |= plays,
            Self::HalfLines(_) => condition.half_lines |= plays,
            Self::Rubbish(_) => condition.rubbish |= plays,
            Self::Lag { behind, .. } if plays => condition.behind = condition.behind.max(behind),
            _ => {}
        }
    }
}

/// Who plays what in one shard at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cast {
    /// The member that takes the writes.
    pub(super) primary: usize,
    /// How each member fares.
    pub(super) members: Vec<Condition>,
    /// Ordinary traffic, times this.
    pub(super) load: f64,
    /// Acts that send commands: the number of the act, and how many.
    pub(super) sources: Vec<(usize, PerSecond)>,
}

/// How a node fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Condition {
    /// How often its process has died so far.
    pub(super) lives: u32,
    /// How often its connections have been cut so far.
    pub(super) cuts: u32,
    pub(super) down: bool,
    pub(super) hangs: bool,
    pub(super) refuses: bool,
    pub(super) drops: bool,
    pub(super) half_lines: bool,
    pub(super) rubbish: bool,
    /// How much later replication arrives.
    pub(super) behind: Duration,
}

impl Condition {
    /// Whether the server serves its clients.
    pub(super) fn works(&self) -> bool {
        !self.down && !self.hangs
    }
}

impl Cast {
    fn at_rest(members: usize) -> Self {
        Self {
            primary: 0,
            members: vec![Condition::default(); members],
            load: 1.0,
            sources: Vec::new(),
        }
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

    #[test]
    fn a_failover_passes_the_role_on_for_good() {
        let scenario = Scenario::new(2)
            .with(Act::new(Plot::Failover { shard: 1 }).starting(Duration::from_secs(5)))
            .with(Act::new(Plot::Failover { shard: 1 }).starting(Duration::from_secs(9)));
        let primaries = [0, 5, 9].map(|second| scenario.cast(1, Duration::from_secs(second)).primary);
        assert_eq!(primaries, [0, 1, 0]);
        assert_eq!(scenario.cast(0, Duration::from_secs(9)).primary, 0);
    }
}
