//! What a simulated server answers to a command that came through the door.

use super::info;
use super::layout::slot;
use super::resp::Reply;
use super::server::{Client, End, Server};
use super::shard::Shard;
use super::verb::{Kind, Verb};
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
        let (least, most) = verb.arity();
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
        named(&name).filter(|verb| verb.is_answered()).ok_or_else(|| {
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
        let Some(name) = verb.key_position().and_then(|position| self.arguments.get(position)) else {
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
        if verb.kind() == Kind::Read {
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
        if verb.kind() != Kind::Admin {
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
            Verb::ClusterMyShardId => Reply::bulk(self.shard.layout.shard_ids[self.shard.number].clone()),
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

    fn reply(&mut self, reply: &Reply) {
        let client = self.client();
        reply.write(&mut client.out);
        client.wake.notify_one();
    }

    fn count_error(&mut self, error: &str) {
        let name = error.split(' ').next().unwrap_or("ERR").to_owned();
        self.server().count_error(&name);
    }

    pub(super) fn is_primary(&self) -> bool {
        self.member == self.shard.cast.primary
    }

    pub(super) fn server(&mut self) -> &mut Server {
        &mut self.shard.servers[self.member]
    }

    pub(super) fn client(&mut self) -> &mut Client {
        let client = self.client;
        self.server()
            .clients
            .get_mut(&client)
            .expect("a connection asks only while it is registered")
    }

    pub(super) fn text(&self, index: usize) -> String {
        self.arguments
            .get(index)
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .unwrap_or_default()
    }

    pub(super) fn word(&self, index: usize) -> String {
        self.text(index).to_ascii_lowercase()
    }
}

fn wrong_password() -> Reply {
    Reply::error("WRONGPASS invalid username-password pair or user is disabled.")
}

fn arity_error(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}
