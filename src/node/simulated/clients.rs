//! Answers about clients: CLIENT LIST and CLIENT KILL.

use super::answers::Asked;
use super::resp::Reply;
use super::server::{Client, End, Server};
use super::traffic::{APPS, Origin};
use crate::model::Timestamp;

impl Asked<'_> {
    pub(super) fn client_list(&mut self) -> Reply {
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
            .map(|client| client_line(client, server, now));
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

    pub(super) fn client_kill(&mut self) -> Reply {
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
}

/// One line of CLIENT LIST.
fn client_line(client: &Client, server: &Server, now: Timestamp) -> String {
    let entry = Entry {
        id: client.id,
        address: &client.address,
        name: &client.name,
        age: now.since(client.since).as_secs(),
        idle: now.since(client.last).as_secs(),
        flags: if client.monitors { "O" } else { "N" },
        omem: client.unread() as u64,
        command: client.last_command,
        user: "default",
    };
    entry.line(&server.address)
}

/// A client that isn't one of ours, as CLIENT LIST shows it.
struct Entry<'a> {
    id: u64,
    address: &'a str,
    name: &'a str,
    age: u64,
    idle: u64,
    flags: &'a str,
    omem: u64,
    command: &'a str,
    user: &'a str,
}

impl Entry<'_> {
    fn line(&self, server: &str) -> String {
        let Self {
            id,
            address,
            name,
            age,
            idle,
            flags,
            omem,
            command,
            user,
        } = self;
        format!(
            "id={id} addr={address} laddr={server} fd={fd} name={name} age={age} idle={idle} flags={flags} db=0 sub=0 psub=0 \
             ssub=0 multi=-1 qbuf=0 qbuf-free=20474 argv-mem=0 multi-mem=0 rbs=16384 rbp=0 obl=0 oll={oll} omem={omem} \
             tot-mem={total} events=r cmd={command} user={user} redir=-1 resp=2\n",
            fd = 8 + id,
            oll = u64::from(*omem > 0),
            total = 22_000 + omem,
        )
    }
}
