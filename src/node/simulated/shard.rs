//! One simulated shard: its servers, moved forward in time only when somebody looks.

use std::sync::Arc;
use std::time::Duration;

use super::cast::{Cast, Condition};
use super::keyspace::Keyspace;
use super::layout::Layout;
use super::plot::Place;
use super::scenario::Scenario;
use super::server::Server;
use super::spelling::Form;
use super::traffic::{NO_KEY, Order, Origin, Traffic};
use super::verb::{Kind, Verb};
use crate::model::Timestamp;

/// How long the replication stream takes to a replica that doesn't lag.
const WIRE: Duration = Duration::from_micros(300);
/// What a primary keeps for a replica that doesn't read, before it gives it up and sends everything anew.
const REPLICA_BUFFER_MAX: u64 = 256 << 20;

/// A shard at the moment it was last moved to.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) number: usize,
    pub(super) scenario: Arc<Scenario>,
    pub(super) layout: Arc<Layout>,
    pub(super) epoch: Timestamp,
    pub(super) keys: Keyspace,
    pub(super) servers: Vec<Server>,
    pub(super) cast: Cast,
    addresses: Vec<String>,
    traffic: Traffic,
    next_turn: Timestamp,
    /// Whether the replication stream has named its database.
    selected: bool,
}

impl Shard {
    pub(super) fn new(
        number: usize,
        scenario: &Arc<Scenario>,
        layout: &Arc<Layout>,
        keys: Keyspace,
        seed: u64,
        epoch: Timestamp,
    ) -> Self {
        let slots = f64::from(layout.slots[number].len()) / 16_384.0;
        let addresses: Vec<String> = layout.endpoints[number].iter().map(ToString::to_string).collect();
        let server = |(member, address): (usize, &String)| {
            let place = Place { shard: number, member };
            Server::new(
                place,
                address.clone(),
                seed,
                epoch,
                scenario.output_buffer_max.0 as usize,
            )
        };
        Self {
            number,
            scenario: Arc::clone(scenario),
            layout: Arc::clone(layout),
            epoch,
            keys,
            servers: addresses.iter().enumerate().map(server).collect(),
            addresses,
            cast: scenario.cast(number, Duration::ZERO),
            traffic: Traffic::new(seed, number, scenario.rate.0 * slots, epoch),
            next_turn: epoch,
            selected: false,
        }
    }

    /// Lets happen what happens up to `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while self.next_turn <= now {
            self.play(Timestamp(self.next_turn.0 - 1));
            self.turn(self.next_turn);
        }
        self.play(now);
    }

    /// Since the curtain rose.
    pub(super) fn moment(&self, at: Timestamp) -> Duration {
        at.since(self.epoch)
    }

    /// The replicas that hold a connection to the primary.
    pub(super) fn connected_replicas(&self) -> Vec<&Server> {
        self.servers
            .iter()
            .filter(|server| server.place.member != self.cast.primary && !server.condition.down)
            .collect()
    }

    /// When the cast changes next, after `at`.
    pub(super) fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.scenario
            .next_change(self.number, self.moment(at))
            .map(|moment| self.epoch + moment)
    }

    fn play(&mut self, last: Timestamp) {
        while let Some(order) = self.traffic.next(&self.scenario, &self.keys, last) {
            self.execute(order);
        }
        (0..self.servers.len()).for_each(|member| self.apply(member, last));
    }

    fn execute(&mut self, order: Order) {
        if order.member != self.cast.primary {
            // What was replicated before stands before it in the replica's stream.
            self.apply(order.member, order.at);
        }
        let key = self.keys.key(order.key);
        self.servers[order.member].perform(&order, key, Form::Sent, "", order.at);
        if order.verb.kind() == Kind::Write && order.origin != Origin::Stray {
            self.replicate(order);
        }
    }

    fn replicate(&mut self, order: Order) {
        if !self.selected {
            self.selected = true;
            self.send(Order {
                verb: Verb::Select,
                key: NO_KEY,
                ..order
            });
        }
        self.send(order);
    }

    /// Puts an order on the replication stream.
    fn send(&mut self, order: Order) {
        let size = self.replicated_size(&order);
        let primary = self.cast.primary;
        self.servers[primary].offset += size;
        for member in (0..self.servers.len()).filter(|member| *member != primary) {
            if self.cast.members[member].down {
                continue;
            }
            self.servers[primary].counters.net_output += size;
            self.servers[primary].counters.replication_output += size;
            let behind = self.cast.members[member].behind;
            let replica = &mut self.servers[member];
            let queued = replica.incoming.back().map_or(order.at, |(due, _)| *due);
            replica
                .incoming
                .push_back((queued.max(order.at + WIRE + behind), order));
            replica.incoming_bytes += size;
            if replica.incoming_bytes > REPLICA_BUFFER_MAX {
                self.synchronise(member);
            }
        }
    }

    /// The replica takes everything anew and is where its primary is.
    fn synchronise(&mut self, member: usize) {
        let primary = self.cast.primary;
        self.servers[primary].counters.full_syncs += 1;
        let offset = self.servers[primary].offset;
        let replica = &mut self.servers[member];
        replica.incoming.clear();
        replica.incoming_bytes = 0;
        replica.offset = offset;
        self.selected = false;
    }

    /// Applies what has reached a replica.
    fn apply(&mut self, member: usize, last: Timestamp) {
        if !self.servers[member].condition.works() {
            return;
        }
        while let Some((due, order)) = self.servers[member].incoming.front().copied()
            && due <= last
        {
            self.apply_one(member, due, &order);
        }
    }

    fn apply_one(&mut self, member: usize, due: Timestamp, order: &Order) {
        let key = self.keys.key(order.key);
        let primary = &self.addresses[self.cast.primary];
        let replica = &mut self.servers[member];
        replica.incoming.pop_front();
        let at = due.max(replica.working_since);
        let size = replica.perform(order, key, Form::Replicated, primary, at);
        replica.incoming_bytes = replica.incoming_bytes.saturating_sub(size);
        replica.offset += size;
    }

    fn replicated_size(&self, order: &Order) -> u64 {
        let mut size = super::spelling::WireSize::default();
        let key = self.keys.key(order.key);
        super::spelling::arguments(order, key, Form::Replicated, order.at, &mut |argument| {
            size.add(argument)
        });
        size.total()
    }

    /// A second is over, or an act begins or ends.
    fn turn(&mut self, at: Timestamp) {
        let cast = self.scenario.cast(self.number, self.moment(at));
        let before = std::mem::replace(&mut self.cast, cast);
        if before.primary != self.cast.primary {
            self.pass_role_on(before.primary, at);
        }
        for member in 0..self.servers.len() {
            self.befall(member, self.cast.members[member], at);
        }
        let moment = self.moment(at);
        if moment.subsec_micros() == 0 {
            self.beat(at, moment.as_secs());
        }
        self.traffic.turn(&self.cast, self.wave(moment), at);
        let second = self.epoch + Duration::from_secs(moment.as_secs() + 1);
        self.next_turn = self.next_change(at).map_or(second, |change| change.min(second));
    }

    fn pass_role_on(&mut self, former: usize, at: Timestamp) {
        let primary = std::mem::replace(&mut self.cast.primary, former);
        while let Some((due, order)) = self.servers[primary].incoming.front().copied() {
            self.apply_one(primary, due.min(at), &order);
        }
        self.cast.primary = primary;
        let offset = self.servers[primary].offset;
        self.servers[former].offset = offset;
        self.selected = false;
    }

    fn befall(&mut self, member: usize, condition: Condition, at: Timestamp) {
        let before = std::mem::replace(&mut self.servers[member].condition, condition);
        let server = &mut self.servers[member];
        if condition.lives != before.lives {
            server.restart(at);
        } else if condition.cuts != before.cuts {
            server.cut_clients();
        }
        if condition.works() && !before.works() {
            server.working_since = at;
        }
        let back = !condition.down && (before.down || condition.lives != before.lives);
        if back {
            self.servers[member].born = at;
            if member != self.cast.primary {
                self.synchronise(member);
            }
        }
    }

    /// What happens every second: acknowledgements, the servers' own samples, and every tenth a ping to the replicas.
    fn beat(&mut self, at: Timestamp, second: u64) {
        let primary = self.cast.primary;
        self.servers.iter_mut().for_each(Server::sample);
        if !self.cast.members[primary].works() {
            return;
        }
        let replicas = (0..self.servers.len()).filter(|member| *member != primary);
        for _ in replicas.filter(|member| self.cast.members[*member].works()) {
            self.servers[primary].count(Verb::Replconf, Verb::Replconf.cost());
            self.servers[primary].counters.net_input += 37;
        }
        if second.is_multiple_of(10) && second > 0 {
            self.send(Order {
                at,
                verb: Verb::Ping,
                key: NO_KEY,
                member: primary,
                origin: Origin::App(0),
                dice: 0,
                missed: false,
                extra_cost: Duration::ZERO,
            });
        }
    }

    /// How far the shard's ordinary rate is from its mean: slow waves, each shard its own.
    fn wave(&self, moment: Duration) -> f64 {
        let period = 170.0 + 37.0 * (self.number % 7) as f64;
        let phase = moment.as_secs_f64() / period + 0.37 * self.number as f64;
        let ripple = moment.as_secs_f64() / 23.0 + 0.61 * self.number as f64;
        let turn = std::f64::consts::TAU;
        1.0 + self.scenario.noise.0 * (0.7 * (turn * phase).sin() + 0.3 * (turn * ripple).sin())
    }
}
