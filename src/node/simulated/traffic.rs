//! What the clients of one shard send, one order at a time, as late as possible: nothing runs between two looks at the clock.

use std::time::Duration;

use super::cast::Cast;
use super::chance::Chance;
use super::key;
use super::keyspace::Keyspace;
use super::plot::Plot;
use super::scenario::Scenario;
use super::verb::{Kind, Verb};
use crate::model::Timestamp;

/// One command on its way to a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) at: Timestamp,
    pub(super) verb: Verb,
    /// The key's number in the shard's keyspace; [`NO_KEY`] for none.
    pub(super) key: u32,
    pub(super) member: usize,
    pub(super) origin: Origin,
    /// Whatever else varies: fields, scores, where a value is taken from.
    pub(super) dice: u32,
    /// The key isn't there.
    pub(super) missed: bool,
    /// What it costs beyond the ordinary.
    pub(super) extra_cost: Duration,
}

/// The key of an order that has none.
pub(super) const NO_KEY: u32 = u32::MAX;

/// Whose order it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An application's connection, by number.
    App(u16),
    /// The client that an act lets loose.
    Wild,
    /// A client that came only for this.
    Passing(u16),
    /// A script's inner command.
    Lua,
    /// The server itself: a key expired.
    Expiry,
    /// The server itself: a key was evicted.
    Eviction,
    /// A rejected command: it is counted, not executed.
    Stray,
}

/// Connections that the applications keep open, for each shard.
pub(super) const APPS: u16 = 48;

#[derive(Clone, Copy, Debug)]
enum Source {
    Ordinary,
    Act(usize),
}

/// The orders of one shard, in the order of their time.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    chance: Chance,
    /// Ordinary commands a second when nothing disturbs.
    base: f64,
    sources: Vec<(f64, Source)>,
    rate: f64,
    /// When the next order is due, in microseconds since the epoch of the stage.
    due: f64,
    epoch: Timestamp,
    inner: Option<Order>,
    primary: usize,
    /// Members that serve reads beside the primary.
    readers: Vec<usize>,
    primary_works: bool,
}

impl Traffic {
    pub(super) fn new(seed: u64, shard: usize, base: f64, epoch: Timestamp) -> Self {
        Self {
            chance: Chance::for_purpose(seed, 1000 + shard as u64),
            base,
            sources: Vec::new(),
            rate: 0.0,
            due: 0.0,
            epoch,
            inner: None,
            primary: 0,
            readers: Vec::new(),
            primary_works: true,
        }
    }

    /// From `at` on, this cast plays.
    pub(super) fn turn(&mut self, cast: &Cast, wave: f64, at: Timestamp) {
        self.sources.clear();
        self.sources.push((self.base * cast.load * wave, Source::Ordinary));
        self.sources
            .extend(cast.sources.iter().map(|(act, rate)| (rate.0, Source::Act(*act))));
        self.primary = cast.primary;
        self.primary_works = cast.members[cast.primary].works();
        self.readers = (0..cast.members.len())
            .filter(|member| *member != cast.primary && cast.members[*member].works())
            .collect();
        self.set_rate(self.sources.iter().map(|(rate, _)| rate).sum(), at);
    }

    /// The next order due by `last`.
    pub(super) fn next(&mut self, scenario: &Scenario, keys: &Keyspace, last: Timestamp) -> Option<Order> {
        if let Some(inner) = self.inner.take() {
            return Some(inner);
        }
        loop {
            let at = Timestamp(self.epoch.0 + self.due as u64);
            if self.rate <= 0.0 || at > last {
                return None;
            }
            self.due += self.gap();
            let order = match self.source() {
                Source::Ordinary => self.ordinary(keys, at),
                Source::Act(act) => self.of_act(act, &scenario.acts[act].plot, keys, at),
            };
            if let Some(order) = order.and_then(|order| self.addressed(order, scenario.reads_from_replicas.0)) {
                self.inner = inner_of(&order);
                return Some(order);
            }
        }
    }

    /// What is left of the gap stretches with the rate, so that a change of rate neither adds nor takes orders.
    fn set_rate(&mut self, rate: f64, at: Timestamp) {
        let now = at.since(self.epoch).as_micros() as f64;
        let left = (self.due - now).max(0.0);
        let before = std::mem::replace(&mut self.rate, rate);
        if rate > 0.0 {
            self.due = now + if before > 0.0 { left * before / rate } else { self.gap() };
        }
    }

    /// Twice the mean at most: steadier than real arrivals, and quicker to draw.
    fn gap(&mut self) -> f64 {
        2e6 / self.rate * self.chance.unit()
    }

    fn source(&mut self) -> Source {
        let mut drawn = self.chance.unit() * self.rate;
        for (rate, source) in &self.sources {
            if drawn < *rate {
                return *source;
            }
            drawn -= rate;
        }
        Source::Ordinary
    }

    fn ordinary(&mut self, keys: &Keyspace, at: Timestamp) -> Option<Order> {
        let (key, verb) = keys.draw(&mut self.chance)?;
        let dice = self.chance.bits();
        let app = Origin::App((dice >> 32) as u16 % APPS);
        let (verb, origin) = match (dice >> 48) % 2000 {
            0 => (Verb::Get, Origin::Stray),
            1..4 if keys.key(key).is_some_and(|key| key.expires) => (Verb::Del, Origin::Expiry),
            4..8 => return Some(self.order(at, Verb::Ping, NO_KEY, app)),
            _ => (verb, app),
        };
        Some(Order {
            missed: verb == Verb::Get && (dice >> 40).is_multiple_of(25),
            ..self.order(at, verb, key, origin)
        })
    }

    fn of_act(&mut self, act: usize, plot: &Plot, keys: &Keyspace, at: Timestamp) -> Option<Order> {
        let subjects = keys.subjects(act);
        let subject = (subjects.start + self.chance.below(subjects.len())) as u32;
        let app = Origin::App(self.chance.below(usize::from(APPS)) as u16);
        match plot {
            Plot::HotKey { .. } => Some(self.order(at, Verb::Get, subject, app)),
            Plot::HotTag { .. } => {
                let verb = match (subject as usize - subjects.start, self.chance.below(8)) {
                    (0, 0) => Verb::HSet,
                    (0 | 2, _) => Verb::HGetAll,
                    (4, _) => Verb::Incr,
                    _ => Verb::Get,
                };
                Some(self.order(at, verb, subject, app))
            }
            Plot::FatReplies { .. } => Some(self.order(at, Verb::ZRevRange, subject, app)),
            Plot::BigValues { .. } => Some(self.order(at, Verb::Set, subject, app)),
            Plot::WildClient { .. } => {
                let key = keys.any(&mut self.chance)?;
                let verb = match keys.key(key)?.kind {
                    key::Kind::Hash => Verb::HGetAll,
                    key::Kind::List => Verb::LRange,
                    key::Kind::SortedSet => Verb::ZRevRange,
                    _ => Verb::Get,
                };
                Some(self.order(at, verb, key, Origin::Wild))
            }
            Plot::ExpensiveCommand { cost, .. } => Some(Order {
                extra_cost: *cost,
                ..self.order(at, Verb::Keys, NO_KEY, app)
            }),
            Plot::ConnectionChurn { .. } => {
                let passing = Origin::Passing(self.chance.below(20_000) as u16);
                Some(self.order(at, Verb::Ping, NO_KEY, passing))
            }
            Plot::Evictions { .. } => {
                let key = keys.any(&mut self.chance)?;
                Some(self.order(at, Verb::Del, key, Origin::Eviction))
            }
            _ => None,
        }
    }

    fn order(&mut self, at: Timestamp, verb: Verb, key: u32, origin: Origin) -> Order {
        Order {
            at,
            verb,
            key,
            member: 0,
            origin,
            dice: self.chance.bits() as u32,
            missed: false,
            extra_cost: Duration::ZERO,
        }
    }

    /// The order with the member it goes to; none if nobody is there to take it.
    fn addressed(&mut self, order: Order, from_replicas: f64) -> Option<Order> {
        let reads = order.verb.kind() == Kind::Read && order.origin != Origin::Stray;
        let aside = reads && !self.readers.is_empty() && (self.chance.hits(from_replicas) || !self.primary_works);
        let member = if aside {
            self.readers[self.chance.below(self.readers.len())]
        } else if self.primary_works {
            self.primary
        } else {
            return None;
        };
        Some(Order { member, ..order })
    }
}

/// A script's own write follows it at once.
fn inner_of(order: &Order) -> Option<Order> {
    (order.verb == Verb::EvalSha).then_some(Order {
        verb: Verb::Incr,
        origin: Origin::Lua,
        ..*order
    })
}
