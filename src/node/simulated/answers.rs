//! What a simulated server answers to a command that came through the door.

use super::info::{self, Entry};
use super::keyspace::{Key, Kind, slot};
use super::resp::Reply;
use super::server::End;
use super::shard::Shard;
use super::spelling::value;
use super::traffic::{APPS, Origin};
use super::verb::{self, Verb};
use crate::model::Timestamp;

/// Everything an answer depends on.
pub(super) struct Asked<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) member: usize,
    pub(super) client: u64,
    pub(super) now: Timestamp,
    /// The command and its arguments, as they came.
    pub(super) arguments: &'a [Vec<u8>],
}

/// Answers a command: the reply and then, on streams of MONITOR, its line stand in the clients' output.
pub(super) fn answer(mut asked: Asked) {
    match asked.resolve() {
        Ok(verb) => asked.carry_out(verb),
        Err((verb, error)) => asked.refuse(verb, &error),
    }
}

type Refusal = (Option<Verb>, String);

impl Asked<'_> {
    fn resolve(&mut self) -> Result<Verb, Refusal> {
        let verb = self.find().map_err(|error| (None, error))?;
        let (least, most) = arity(verb);
        if !(least..=most).contains(&self.arguments.len()) {
            return Err((Some(verb), arity_error(verb.name())));
        }
        let open = matches!(verb, Verb::Auth | Verb::Hello | Verb::Quit | Verb::Reset);
        if !open && !self.client().authenticated {
            return Err((Some(verb), "NOAUTH Authentication required.".to_owned()));
        }
        self.check_key(verb)?;
        Ok(verb)
    }

    /// The command of that name, if those who come through the door may use it.
    fn find(&self) -> Result<Verb, String> {
        const CONTAINERS: [&str; 5] = ["client", "cluster", "config", "memory", "object"];
        let named = |name: &str| Verb::ALL.iter().copied().find(|verb| verb.name() == name);
        let name = self.word(0);
        let contains = CONTAINERS.contains(&name.as_str());
        if contains && self.arguments.len() == 1 {
            return Err(arity_error(&name));
        }
        if contains || name == "command" && self.arguments.len() > 1 {
            let (subcommand, container) = (self.text(1), name.to_ascii_uppercase());
            return named(&format!("{name}|{}", self.word(1)))
                .ok_or_else(|| format!("ERR unknown subcommand '{subcommand}'. Try {container} HELP."));
        }
        named(&name).filter(|verb| is_answered(*verb)).ok_or_else(|| {
            let arguments: String = (1..self.arguments.len())
                .map(|index| format!("'{}' ", self.text(index)))
                .collect();
            format!(
                "ERR unknown command '{}', with args beginning with: {arguments}",
                self.text(0)
            )
        })
    }

    fn check_key(&mut self, verb: Verb) -> Result<(), Refusal> {
        let Some(name) = key_position(verb).and_then(|position| self.arguments.get(position)) else {
            return Ok(());
        };
        if self.client().monitors {
            return Err((Some(verb), "ERR Replica can't interact with the keyspace".to_owned()));
        }
        let owner = self.shard.layout.owner(name).unwrap_or(self.shard.number);
        let here = owner == self.shard.number && (self.is_primary() || self.client().follows);
        if here {
            return Ok(());
        }
        let moment = self.shard.moment(self.now);
        let primary = self.shard.scenario.cast(owner, moment).primary;
        let endpoint = &self.shard.layout.endpoints[owner][primary];
        Err((Some(verb), format!("MOVED {} {endpoint}", slot(name))))
    }

    fn refuse(&mut self, verb: Option<Verb>, error: &str) {
        if let Some(verb) = verb {
            self.server().stats[verb.index()].rejected += 1;
        }
        self.count_error(error);
        self.reply(&Reply::error(error));
    }

    fn carry_out(&mut self, verb: Verb) {
        let reply = self.reply_to(verb);
        self.reply(&reply);
        self.server().count(verb, verb.cost());
        self.server().counters.cpu += 5.0;
        if let Reply::Error(error) = &reply {
            self.server().stats[verb.index()].failed += 1;
            self.count_error(error);
        }
        if verb.kind() == verb::Kind::Read {
            let counters = &mut self.server().counters;
            match reply {
                Reply::Nil | Reply::Error(_) => counters.misses += 1,
                _ => counters.hits += 1,
            }
        }
        let now = self.now;
        let client = self.client();
        client.last = now;
        client.last_command = verb.name();
        if verb.kind() != verb::Kind::Admin {
            self.show(verb);
        }
    }

    fn show(&mut self, verb: Verb) {
        let (now, arguments) = (self.now, self.arguments);
        let address = self.client().address.clone();
        self.server().show(&address, now, |put| {
            let mut secrets = usize::MAX;
            for (index, argument) in arguments.iter().enumerate() {
                put(if index >= secrets { b"(redacted)" } else { argument });
                if verb == Verb::Auth || verb == Verb::Hello && argument.eq_ignore_ascii_case(b"auth") {
                    secrets = secrets.min(index + 1);
                }
            }
        });
    }

    fn reply_to(&mut self, verb: Verb) -> Reply {
        match verb {
            Verb::Ping => self
                .arguments
                .get(1)
                .map_or(Reply::Simple("PONG"), |word| Reply::Bulk(word.clone())),
            Verb::Echo => Reply::Bulk(self.arguments[1].clone()),
            Verb::Time => Reply::Array(vec![
                Reply::bulk((self.now.0 / 1_000_000).to_string()),
                Reply::bulk((self.now.0 % 1_000_000).to_string()),
            ]),
            Verb::Hello => self.hello(),
            Verb::Auth => self.auth(),
            Verb::Select => match self.text(1).as_str() {
                "0" => Reply::OK,
                _ => Reply::error("ERR SELECT is not allowed in cluster mode"),
            },
            Verb::Quit => {
                self.client().end = Some(End::Politely);
                Reply::OK
            }
            Verb::Reset => Reply::Simple("RESET"),
            Verb::ReadOnly => {
                self.client().follows = true;
                Reply::OK
            }
            Verb::Monitor => self.monitor(),
            Verb::Info => {
                let sections: Vec<String> = (1..self.arguments.len()).map(|index| self.word(index)).collect();
                Reply::bulk(info::text(self.shard, self.member, &sections, self.now))
            }
            Verb::Role => self.role(),
            Verb::Command => Reply::Array(Vec::new()),
            Verb::CommandCount => Reply::Integer(240),
            Verb::ConfigGet => self.config_get(),
            Verb::ClientSetName => {
                self.client().name = self.text(2);
                Reply::OK
            }
            Verb::ClientGetName => Reply::bulk(self.client().name.clone()),
            Verb::ClientId => Reply::Integer(self.client as i64),
            Verb::ClientNoTouch => Reply::OK,
            Verb::ClientList => self.client_list(),
            Verb::ClientKill => self.client_kill(),
            Verb::ClusterShards => self.cluster_shards(),
            Verb::ClusterSlots => self.cluster_slots(),
            Verb::ClusterMyId => Reply::bulk(self.node_id(self.shard.number, self.member)),
            Verb::ClusterMyShardId => Reply::bulk(format!("{:040x}", self.shard.number + 1)),
            Verb::ClusterInfo => Reply::bulk("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"),
            _ => self.probe(verb),
        }
    }

    fn hello(&mut self) -> Reply {
        match self.arguments.get(1).map(Vec::as_slice) {
            None | Some(b"2") => {}
            // RESP3 is not spoken here.
            Some(_) => return Reply::error("NOPROTO unsupported protocol version"),
        }
        if let (Some(_), Some(password)) = (self.arguments.get(3), self.arguments.get(4)) {
            let (user, password) = (self.text(3), String::from_utf8_lossy(password).into_owned());
            if !self.authenticate(&user, &password) {
                return wrong_password();
            }
        }
        if !self.client().authenticated {
            return Reply::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
            );
        }
        let role = if self.is_primary() { "master" } else { "replica" };
        Reply::Array(vec![
            Reply::bulk("server"),
            Reply::bulk("redis"),
            Reply::bulk("version"),
            Reply::bulk(info::VERSION),
            Reply::bulk("proto"),
            Reply::Integer(2),
            Reply::bulk("id"),
            Reply::Integer(self.client as i64),
            Reply::bulk("mode"),
            Reply::bulk("cluster"),
            Reply::bulk("role"),
            Reply::bulk(role),
            Reply::bulk("modules"),
            Reply::Array(Vec::new()),
        ])
    }

    fn auth(&mut self) -> Reply {
        if self.shard.scenario.password.is_none() && self.arguments.len() == 2 {
            return Reply::error(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            );
        }
        let last = self.arguments.len() - 1;
        let user = if last == 2 { self.text(1) } else { "default".to_owned() };
        let password = self.text(last);
        if self.authenticate(&user, &password) {
            Reply::OK
        } else {
            wrong_password()
        }
    }

    fn authenticate(&mut self, user: &str, password: &str) -> bool {
        let right = self
            .shard
            .scenario
            .password
            .as_deref()
            .is_none_or(|right| right == password);
        let known = user == "default" && right;
        self.client().authenticated |= known;
        known
    }

    fn monitor(&mut self) -> Reply {
        if self.client().monitors {
            return Reply::Silence;
        }
        let client = self.client;
        self.server().start_monitoring(client);
        Reply::OK
    }

    fn role(&mut self) -> Reply {
        let offset = self.server().offset;
        let endpoint = |member: usize| self.shard.layout.endpoints[self.shard.number][member].clone();
        if self.is_primary() {
            let replicas = self.shard.connected_replicas().into_iter().map(|replica| {
                let endpoint = endpoint(replica.place.member);
                Reply::Array(vec![
                    Reply::bulk(endpoint.host()),
                    Reply::bulk(endpoint.port().to_string()),
                    Reply::bulk(replica.offset.to_string()),
                ])
            });
            return Reply::Array(vec![
                Reply::bulk("master"),
                Reply::Integer(offset as i64),
                Reply::Array(replicas.collect()),
            ]);
        }
        let primary = endpoint(self.shard.cast.primary);
        let linked = !self.shard.cast.members[self.shard.cast.primary].down;
        Reply::Array(vec![
            Reply::bulk("slave"),
            Reply::bulk(primary.host()),
            Reply::Integer(primary.port().into()),
            Reply::bulk(if linked { "connected" } else { "connect" }),
            Reply::Integer(if linked { offset as i64 } else { -1 }),
        ])
    }

    fn config_get(&self) -> Reply {
        let memory = self.shard.scenario.memory_max.0.to_string();
        let buffer = self.shard.scenario.output_buffer_max.0;
        let limits = format!("normal {buffer} 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        let settings = [
            ("maxmemory", memory.as_str()),
            ("maxmemory-clients", "0"),
            ("maxmemory-policy", "volatile-lru"),
            ("client-output-buffer-limit", &limits),
            ("timeout", "0"),
        ];
        let asked: Vec<String> = (2..self.arguments.len()).map(|index| self.word(index)).collect();
        let matches = |name: &str| {
            asked.iter().any(|asked| match asked.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == asked,
            })
        };
        let found = settings.iter().filter(|(name, _)| matches(name));
        Reply::Array(
            found
                .flat_map(|(name, value)| [Reply::bulk(*name), Reply::bulk(*value)])
                .collect(),
        )
    }

    fn client_list(&mut self) -> Reply {
        let (kind, ids) = match (self.word(2).as_str(), self.arguments.len()) {
            (_, 2) => (None, None),
            ("type", 4) => (Some(self.word(3)), None),
            ("id", 4..) => (
                None,
                Some(
                    (3..self.arguments.len())
                        .map(|index| self.text(index))
                        .collect::<Vec<_>>(),
                ),
            ),
            _ => return Reply::error("ERR syntax error"),
        };
        let now = self.now;
        let server = &self.shard.servers[self.member];
        let wanted = |id: u64, flags: &str| {
            let class = match flags {
                "M" => "master",
                "S" => "replica",
                _ => "normal",
            };
            kind.as_deref()
                .is_none_or(|kind| kind == class || kind == "slave" && class == "replica")
                && ids.as_ref().is_none_or(|ids| ids.contains(&id.to_string()))
        };
        let strangers = self.strangers();
        let strangers =
            strangers
                .iter()
                .filter(|(id, flags, ..)| wanted(*id, flags))
                .map(|(id, flags, address, command)| {
                    let entry = Entry {
                        id: *id,
                        address,
                        name: "",
                        age: now.since(server.born).as_secs(),
                        idle: 0,
                        flags,
                        omem: 0,
                        command,
                        user: if *flags == "M" { "(superuser)" } else { "default" },
                    };
                    entry.line(&server.address)
                });
        let ours = server
            .clients
            .values()
            .filter(|client| wanted(client.id, "N"))
            .map(|client| info::client_line(client, server, now));
        Reply::bulk(strangers.chain(ours).collect::<String>())
    }

    /// The clients that the simulation holds itself: id, flags, address, last command.
    fn strangers(&self) -> Vec<(u64, &'static str, String, &'static str)> {
        let endpoints = &self.shard.layout.endpoints[self.shard.number];
        let mut strangers = Vec::new();
        if self.is_primary() {
            for replica in self.shard.connected_replicas() {
                let endpoint = &endpoints[replica.place.member];
                let address = format!("{}:{}", endpoint.host(), 50_000 + replica.place.member);
                strangers.push((3 + replica.place.member as u64, "S", address, "replconf"));
            }
        } else {
            strangers.push((3, "M", endpoints[self.shard.cast.primary].to_string(), "set"));
        }
        for number in 0..APPS {
            let address = Origin::App(number).address(self.shard.number).into_owned();
            strangers.push((20 + u64::from(number), "N", address, "get"));
        }
        strangers
    }

    fn client_kill(&mut self) -> Reply {
        if self.word(2) != "id" || self.arguments.len() != 4 {
            return Reply::error("ERR syntax error");
        }
        let Ok(id) = self.text(3).parse::<u64>() else {
            return Reply::error("ERR client-id should be greater than 0");
        };
        let own = id == self.client;
        match self.server().clients.get_mut(&id) {
            Some(client) if own => client.end = Some(End::Politely),
            Some(client) => client.cut(),
            None => return Reply::Integer(0),
        }
        Reply::Integer(1)
    }

    fn cluster_shards(&self) -> Reply {
        let moment = self.shard.moment(self.now);
        let shards = (0..self.shard.scenario.shards).map(|shard| {
            let ranges = self.shard.layout.slots[shard].ranges().iter();
            let slots =
                ranges.flat_map(|range| [range.first, range.last].map(|slot| Reply::Integer(slot.number().into())));
            let cast = self.shard.scenario.cast(shard, moment);
            let nodes = (0..cast.members.len()).map(|member| {
                let endpoint = &self.shard.layout.endpoints[shard][member];
                let own = (shard == self.shard.number).then(|| self.shard.servers[member].offset);
                Reply::Array(vec![
                    Reply::bulk("id"),
                    Reply::bulk(self.node_id(shard, member)),
                    Reply::bulk("port"),
                    Reply::Integer(endpoint.port().into()),
                    Reply::bulk("ip"),
                    Reply::bulk(endpoint.host()),
                    Reply::bulk("endpoint"),
                    Reply::bulk(endpoint.host()),
                    Reply::bulk("role"),
                    Reply::bulk(if member == cast.primary { "master" } else { "replica" }),
                    Reply::bulk("replication-offset"),
                    Reply::Integer(own.unwrap_or_default() as i64),
                    Reply::bulk("health"),
                    Reply::bulk(if cast.members[member].works() { "online" } else { "fail" }),
                ])
            });
            Reply::Array(vec![
                Reply::bulk("slots"),
                Reply::Array(slots.collect()),
                Reply::bulk("nodes"),
                Reply::Array(nodes.collect()),
            ])
        });
        Reply::Array(shards.collect())
    }

    fn cluster_slots(&self) -> Reply {
        let moment = self.shard.moment(self.now);
        let mut entries = Vec::new();
        for shard in 0..self.shard.scenario.shards {
            let primary = self.shard.scenario.cast(shard, moment).primary;
            let replicas = (0..self.shard.scenario.members()).filter(|member| *member != primary);
            let members: Vec<usize> = std::iter::once(primary).chain(replicas).collect();
            for range in self.shard.layout.slots[shard].ranges() {
                let mut entry = vec![
                    Reply::Integer(range.first.number().into()),
                    Reply::Integer(range.last.number().into()),
                ];
                entry.extend(members.iter().map(|member| {
                    let endpoint = &self.shard.layout.endpoints[shard][*member];
                    Reply::Array(vec![
                        Reply::bulk(endpoint.host()),
                        Reply::Integer(endpoint.port().into()),
                        Reply::bulk(self.node_id(shard, *member)),
                        Reply::Array(Vec::new()),
                    ])
                }));
                entries.push(Reply::Array(entry));
            }
        }
        Reply::Array(entries)
    }

    fn node_id(&self, shard: usize, member: usize) -> String {
        self.shard.layout.cluster_ids[shard][member].clone()
    }

    /// Questions about a key.
    fn probe(&self, verb: Verb) -> Reply {
        let position = key_position(verb).unwrap_or(1);
        let Some(key) = self.arguments.get(position).and_then(|name| self.shard.keys.find(name)) else {
            return absent(verb);
        };
        let count = self
            .arguments
            .get(position + 1)
            .and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
        match verb {
            Verb::MemoryUsage => Reply::Integer(key.memory() as i64),
            Verb::Type => Reply::Simple(key.type_name()),
            Verb::Exists => Reply::Integer(1),
            Verb::Ttl => Reply::Integer(if key.expires { 900 } else { -1 }),
            Verb::ObjectEncoding => Reply::bulk(key.encoding()),
            Verb::ObjectFreq => Reply::error(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ),
            _ if key_kind(verb).is_some_and(|kind| kind != key.type_name()) => {
                Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Verb::StrLen | Verb::HStrLen => Reply::Integer(key.item.into()),
            Verb::HLen | Verb::LLen | Verb::ZCard => Reply::Integer(key.count.into()),
            Verb::Get | Verb::HGet | Verb::LIndex => Reply::Bulk(value(key.kind, key.item, 0).to_vec()),
            Verb::HRandField | Verb::ZRandMember => {
                sample(key, count.unwrap_or(1), self.arguments.len() > position + 2)
            }
            _ => Reply::error(format!("ERR '{}' is not played on this stage", verb.name())),
        }
    }

    fn reply(&mut self, reply: &Reply) {
        let client = self.client();
        reply.write(&mut client.out);
        client.wake.notify_one();
    }

    fn count_error(&mut self, error: &str) {
        let name = error.split(' ').next().unwrap_or("ERR").to_owned();
        self.server().count_error(&name);
    }

    fn is_primary(&self) -> bool {
        self.member == self.shard.cast.primary
    }

    fn server(&mut self) -> &mut super::server::Server {
        &mut self.shard.servers[self.member]
    }

    fn client(&mut self) -> &mut super::server::Client {
        let client = self.client;
        self.server()
            .clients
            .get_mut(&client)
            .expect("a connection asks only while it is registered")
    }

    fn text(&self, index: usize) -> String {
        self.arguments
            .get(index)
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .unwrap_or_default()
    }

    fn word(&self, index: usize) -> String {
        self.text(index).to_ascii_lowercase()
    }
}

/// Whether those who come through the door may use it; the rest only the simulation itself sends.
fn is_answered(verb: Verb) -> bool {
    verb.kind() != verb::Kind::Write
        && !matches!(
            verb,
            Verb::HGetAll | Verb::ZRevRange | Verb::LRange | Verb::EvalSha | Verb::Keys | Verb::Replconf | Verb::Psync
        )
}

fn arity(verb: Verb) -> (usize, usize) {
    const ANY: usize = usize::MAX;
    match verb {
        Verb::Ping => (1, 2),
        Verb::Hello | Verb::Info | Verb::Command => (1, ANY),
        Verb::Auth => (2, 3),
        Verb::Select | Verb::Echo | Verb::Type | Verb::Ttl | Verb::StrLen => (2, 2),
        Verb::Get | Verb::LLen | Verb::HLen | Verb::SCard | Verb::ZCard | Verb::XLen => (2, 2),
        Verb::HGet | Verb::HStrLen | Verb::LIndex | Verb::ClientSetName | Verb::ClientNoTouch => (3, 3),
        Verb::ObjectEncoding | Verb::ObjectFreq => (3, 3),
        Verb::MemoryUsage | Verb::ConfigGet | Verb::ClientKill => (3, ANY),
        Verb::ClientList => (2, ANY),
        Verb::ClientId | Verb::ClientGetName | Verb::CommandCount => (2, 2),
        Verb::ClusterShards | Verb::ClusterSlots | Verb::ClusterMyId | Verb::ClusterMyShardId | Verb::ClusterInfo => {
            (2, 2)
        }
        Verb::Exists | Verb::HRandField | Verb::SRandMember | Verb::ZRandMember => (2, ANY),
        _ => (1, 1),
    }
}

fn arity_error(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

/// Where the key of a probe stands.
fn key_position(verb: Verb) -> Option<usize> {
    match verb {
        Verb::MemoryUsage | Verb::ObjectEncoding | Verb::ObjectFreq => Some(2),
        verb if verb.kind() == verb::Kind::Read => Some(1),
        _ => None,
    }
}

/// The type that a command insists on.
fn key_kind(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Get | Verb::StrLen => Some("string"),
        Verb::HGet | Verb::HLen | Verb::HStrLen | Verb::HRandField => Some("hash"),
        Verb::LLen | Verb::LIndex => Some("list"),
        Verb::SCard | Verb::SRandMember => Some("set"),
        Verb::ZCard | Verb::ZRandMember => Some("zset"),
        Verb::XLen => Some("stream"),
        _ => None,
    }
}

fn absent(verb: Verb) -> Reply {
    match verb {
        Verb::Type => Reply::Simple("none"),
        Verb::Ttl => Reply::Integer(-2),
        Verb::MemoryUsage | Verb::Get | Verb::HGet | Verb::LIndex | Verb::ObjectEncoding | Verb::ObjectFreq => {
            Reply::Nil
        }
        Verb::HRandField | Verb::SRandMember | Verb::ZRandMember => Reply::Array(Vec::new()),
        _ => Reply::Integer(0),
    }
}

/// Some elements of a key, with what belongs to each where that is asked for.
fn sample(key: &Key, count: u32, with_values: bool) -> Reply {
    let mut items = Vec::new();
    for index in 0..count.min(key.count) {
        let name = if key.kind == Kind::Hash {
            key.field(index)
        } else {
            Key::member(index)
        };
        items.push(Reply::bulk(name));
        match (with_values, key.kind) {
            (true, Kind::Hash) => items.push(Reply::Bulk(value(key.kind, key.item, index).to_vec())),
            (true, _) => items.push(Reply::bulk((10_000 + index % 90_000).to_string())),
            (false, _) => {}
        }
    }
    Reply::Array(items)
}

fn wrong_password() -> Reply {
    Reply::error("WRONGPASS invalid username-password pair or user is disabled.")
}
