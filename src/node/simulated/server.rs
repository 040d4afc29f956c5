//! One simulated server: its counters, its clients, and the streams of those that MONITOR.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use super::cast::Condition;
use super::chance::Chance;
use super::key::Key;
use super::plot::Place;
use super::spelling::{self, Form, WireSize};
use super::traffic::{Order, Origin};
use super::verb::{Kind, Verb};
use crate::model::Timestamp;

/// What MONITOR costs the main thread, in microseconds: for each command, and for each byte of its arguments.
const MONITOR_COST: (f64, f64) = (1.5, 0.03);
/// What reading a command from a socket and answering costs beside the command itself, in microseconds.
const SOCKET_COST: f64 = 5.0;

/// Counters since the process began.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: u64,
    pub(super) commands: u64,
    pub(super) net_input: u64,
    pub(super) net_output: u64,
    pub(super) replication_input: u64,
    pub(super) replication_output: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) expired: u64,
    pub(super) evicted: u64,
    pub(super) full_syncs: u64,
    /// Microseconds of the main thread.
    pub(super) cpu: f64,
}

/// Counters of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CommandStat {
    pub(super) calls: u64,
    pub(super) cost: f64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

/// A connection that came through the stage's door, not one of the simulated applications'.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) name: String,
    pub(super) since: Timestamp,
    pub(super) last: Timestamp,
    pub(super) last_command: &'static str,
    pub(super) monitors: bool,
    pub(super) authenticated: bool,
    /// Whether it has said READONLY.
    pub(super) follows: bool,
    /// What waits to be sent.
    pub(super) out: Vec<u8>,
    /// What was taken from `out` and isn't on the wire yet.
    pub(super) in_flight: usize,
    pub(super) end: Option<End>,
    pub(super) wake: Arc<Notify>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After what waits has been sent.
    Politely,
    /// Now, in the middle of whatever is being sent.
    Abruptly,
}

impl Client {
    /// Bytes that the client hasn't read.
    pub(super) fn unread(&self) -> usize {
        self.out.len() + self.in_flight
    }

    pub(super) fn cut(&mut self) {
        self.end = Some(End::Abruptly);
        self.wake.notify_one();
    }
}

/// A server process and the place it stands at.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) place: Place,
    /// As MONITOR and CLIENT LIST write its address.
    pub(super) address: String,
    pub(super) run_id: String,
    pub(super) born: Timestamp,
    pub(super) condition: Condition,
    pub(super) counters: Counters,
    pub(super) stats: Vec<CommandStat>,
    pub(super) errors: BTreeMap<String, u64>,
    /// Bytes of the replication stream written or applied.
    pub(super) offset: u64,
    /// The replication stream on its way here.
    pub(super) incoming: VecDeque<(Timestamp, Order)>,
    pub(super) incoming_bytes: u64,
    /// From when on it has worked without a pause.
    pub(super) working_since: Timestamp,
    pub(super) clients: BTreeMap<u64, Client>,
    pub(super) operations_per_second: u64,
    operations_before: u64,
    output_buffer_max: usize,
    taps: usize,
    shown: u64,
    line: Vec<u8>,
    chance: Chance,
}

impl Server {
    pub(super) fn new(place: Place, address: String, seed: u64, born: Timestamp, output_buffer_max: usize) -> Self {
        let mut chance = Chance::for_purpose(seed, 1_000_000 + (place.shard * 100 + place.member) as u64);
        Self {
            place,
            address,
            run_id: chance.hex(40),
            born,
            condition: Condition::default(),
            counters: Counters::default(),
            stats: vec![CommandStat::default(); Verb::ALL.len()],
            errors: BTreeMap::new(),
            offset: 0,
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            working_since: born,
            clients: BTreeMap::new(),
            operations_per_second: 0,
            operations_before: 0,
            output_buffer_max,
            taps: 0,
            shown: 0,
            line: Vec::new(),
            chance,
        }
    }

    /// The process dies and another takes its place, with nothing counted yet.
    pub(super) fn restart(&mut self, at: Timestamp) {
        self.run_id = self.chance.hex(40);
        self.born = at;
        self.working_since = at;
        self.counters = Counters::default();
        self.stats.fill(CommandStat::default());
        self.errors.clear();
        self.incoming.clear();
        self.incoming_bytes = 0;
        self.operations_before = 0;
        self.cut_clients();
    }

    pub(super) fn cut_clients(&mut self) {
        self.clients.values_mut().for_each(Client::cut);
    }

    /// Carries out what a simulated client, or the primary, sent; returns its size on the wire.
    pub(super) fn perform(
        &mut self,
        order: &Order,
        key: Option<&Key>,
        form: Form,
        primary: &str,
        at: Timestamp,
    ) -> u64 {
        let mut size = WireSize::default();
        spelling::arguments(order, key, form, at, &mut |argument| size.add(argument));
        match (form, order.origin) {
            (Form::Sent, Origin::Expiry) => self.counters.expired += 1,
            (Form::Sent, Origin::Eviction) => self.counters.evicted += 1,
            (Form::Sent, Origin::Stray) => self.reject(order.verb, "MOVED", size.total(), 27),
            _ => self.execute(order, key, form, size, primary, at),
        }
        size.total()
    }

    /// Counts a command that was carried out, whoever sent it.
    pub(super) fn count(&mut self, verb: Verb, cost: f64) {
        self.counters.commands += 1;
        self.counters.cpu += cost;
        let stat = &mut self.stats[verb.index()];
        stat.calls += 1;
        stat.cost += cost;
    }

    /// Counts an error reply by its first word.
    pub(super) fn count_error(&mut self, name: &str) {
        *self.errors.entry(name.to_owned()).or_default() += 1;
    }

    /// Shows a line to all that MONITOR: `spell` is called once, if there is anyone.
    pub(super) fn show(&mut self, source: &str, at: Timestamp, spell: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        if self.taps == 0 {
            return;
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        self.shown += 1;
        if self.condition.rubbish && self.shown.is_multiple_of(40) {
            line.extend_from_slice(self.rubbish());
        }
        spelling::open_line(&mut line, at, source);
        let mut content = 0;
        spell(&mut |argument| {
            content += argument.len();
            spelling::quote(&mut line, argument);
        });
        line.extend_from_slice(b"\r\n");
        self.counters.cpu += MONITOR_COST.0 + MONITOR_COST.1 * content as f64;
        self.feed_taps(&line);
        self.line = line;
    }

    pub(super) fn start_monitoring(&mut self, client: u64) {
        if let Some(client) = self.clients.get_mut(&client).filter(|client| !client.monitors) {
            client.monitors = true;
            self.taps += 1;
        }
    }

    pub(super) fn leave(&mut self, client: u64) {
        if self.clients.remove(&client).is_some_and(|client| client.monitors) {
            self.taps -= 1;
        }
    }

    /// A second has passed.
    pub(super) fn sample(&mut self) {
        self.operations_per_second = self.counters.commands.saturating_sub(self.operations_before);
        self.operations_before = self.counters.commands;
    }

    fn execute(&mut self, order: &Order, key: Option<&Key>, form: Form, size: WireSize, primary: &str, at: Timestamp) {
        let reply = spelling::reply_size(order, key);
        let elements = key.filter(|key| key.whole).map_or(0, |key| key.count);
        let cost = order.verb.cost()
            + order.extra_cost.as_secs_f64() * 1e6
            + reply as f64 * 0.001
            + f64::from(elements) * 0.05
            + size.content as f64 * 0.001;
        match form {
            Form::Sent => self.count(order.verb, cost),
            Form::Replicated => self.count(order.verb.replicated(), cost),
        }
        match (form, order.origin) {
            (Form::Replicated, _) => {
                self.counters.net_input += size.total();
                self.counters.replication_input += size.total();
            }
            (Form::Sent, Origin::Lua) => {}
            (Form::Sent, origin) => {
                self.counters.connections += u64::from(matches!(origin, Origin::Passing(_)));
                self.counters.cpu += SOCKET_COST;
                self.counters.net_input += size.total();
                self.counters.net_output += reply;
                self.look_up(order);
            }
        }
        if self.taps > 0 {
            let source = match form {
                Form::Replicated => Cow::Borrowed(primary),
                Form::Sent => order.origin.address(self.place.shard),
            };
            self.show(&source, at, |mut put| {
                spelling::arguments(order, key, form, at, &mut put)
            });
        }
    }

    fn look_up(&mut self, order: &Order) {
        if order.verb.kind() != Kind::Read || order.verb == Verb::Keys {
            return;
        }
        if order.missed {
            self.counters.misses += 1;
        } else {
            self.counters.hits += 1;
        }
    }

    fn reject(&mut self, verb: Verb, error: &str, input: u64, output: u64) {
        self.stats[verb.index()].rejected += 1;
        self.counters.net_input += input;
        self.counters.net_output += output;
        self.count_error(error);
    }

    fn feed_taps(&mut self, line: &[u8]) {
        for client in self.clients.values_mut().filter(|client| client.monitors) {
            if client.end.is_some() {
                continue;
            }
            if client.unread() + line.len() > self.output_buffer_max {
                client.out = Vec::new();
                client.cut();
                continue;
            }
            client.out.extend_from_slice(line);
        }
    }

    fn rubbish(&mut self) -> &'static [u8] {
        const RUBBISH: [&[u8]; 5] = [
            b"\x00\xff\xfe rubbish \x80\r\n",
            b"+not.a_time [0 10.0.0.1:1] \"GET\" \"a\"\r\n",
            b"+1795202082.056081 [0 10.0.0.1:1 \"GET\" \"a\"\r\n",
            b"+1795202082.056081 [0 10.0.0.1:1] \"GET\" \"never closed\r\n",
            b"\r\n",
        ];
        RUBBISH[self.chance.below(RUBBISH.len())]
    }
}

impl Origin {
    /// As MONITOR writes it.
    pub(super) fn address(self, shard: usize) -> Cow<'static, str> {
        let subnet = 100 + shard % 100;
        match self {
            Self::App(number) => Cow::Owned(format!("10.0.{subnet}.{}:{}", 11 + number % 16, 40_000 + number * 37)),
            Self::Wild => Cow::Borrowed("10.0.66.6:51966"),
            Self::Passing(port) => Cow::Owned(format!("10.0.{subnet}.{}:{}", 11 + port % 16, 30_000 + port)),
            Self::Lua | Self::Expiry | Self::Eviction | Self::Stray => Cow::Borrowed("lua"),
        }
    }
}
