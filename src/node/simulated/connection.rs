//! One connection to a simulated server: bytes in, answers and MONITOR lines out.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::World;
use super::answers::{self, Asked};
use super::plot::Place;
use super::resp::{Reply, Request};
use super::server::{Client, End, Server};
use super::shard::Shard;
use crate::model::Timestamp;

/// How often a stream of MONITOR is looked after.
const BEAT: Duration = Duration::from_millis(10);
/// What is handed to the socket at once.
const CHUNK_MAX: usize = 256 << 10;

/// The server's end of a connection.
pub(super) struct Connection {
    world: Arc<World>,
    place: Place,
    id: u64,
    wake: Arc<Notify>,
    received: Vec<u8>,
    sending: Vec<u8>,
    sent: usize,
    /// When a stream of half lines may go on.
    resumes: Timestamp,
}

/// What the connection is to do until something happens.
struct Pulse {
    listens: bool,
    sends: bool,
    ends: bool,
    until: Option<Timestamp>,
}

impl Connection {
    /// Registers a new client with the server at `place`.
    pub(super) fn open(world: &Arc<World>, place: Place, id: u64) -> Self {
        let wake = Arc::new(Notify::new());
        world.with(place.shard, |shard, now| {
            let server = &mut shard.servers[place.member];
            server.counters.connections += 1;
            server.clients.insert(
                id,
                Client {
                    id,
                    address: format!("10.0.9.9:{}", 20_000 + id % 40_000),
                    name: String::new(),
                    since: now,
                    last: now,
                    last_command: "NULL",
                    monitors: false,
                    authenticated: shard.scenario.password.is_none(),
                    follows: false,
                    out: Vec::new(),
                    in_flight: 0,
                    end: None,
                    wake: Arc::clone(&wake),
                },
            );
        });
        Self {
            world: Arc::clone(world),
            place,
            id,
            wake,
            received: Vec::new(),
            sending: Vec::new(),
            sent: 0,
            resumes: Timestamp(0),
        }
    }

    /// Serves the client until either side hangs up.
    pub(super) async fn serve(mut self, stream: DuplexStream) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        loop {
            let pulse = self.pulse();
            if pulse.ends {
                // What the socket takes at once is still sent, as a kernel would.
                tokio::select! {
                    biased;
                    _ = writer.write_all(&self.sending[self.sent..]) => {}
                    () = std::future::ready(()) => {}
                }
                return;
            }
            let until = pulse.until.map(|until| self.world.instant(until));
            tokio::select! {
                biased;
                written = writer.write(&self.sending[self.sent..]), if pulse.sends => match written {
                    Ok(count) => self.note_written(count),
                    Err(_) => return,
                },
                read = reader.read_buf(&mut self.received), if pulse.listens => match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => self.answer(count),
                },
                () = sleep_until(until), if until.is_some() => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Moves the shard to now and takes what is to be sent.
    fn pulse(&mut self) -> Pulse {
        let Self {
            world,
            place,
            id,
            sending,
            sent,
            resumes,
            ..
        } = self;
        world.with(place.shard, |shard, now| {
            let change = shard.next_change(now);
            let server = &mut shard.servers[place.member];
            let condition = server.condition;
            let Some(client) = server.clients.get_mut(id) else {
                return Pulse::over();
            };
            if condition.hangs {
                return Pulse {
                    listens: false,
                    sends: false,
                    ends: client.end == Some(End::Abruptly),
                    until: change,
                };
            }
            if client.end == Some(End::Abruptly) {
                if *sent == sending.len() {
                    std::mem::swap(sending, &mut client.out);
                    *sent = 0;
                }
                tear(sending, *sent);
                return Pulse::over();
            }
            let halves = condition.half_lines && client.monitors;
            if *sent == sending.len() && (!halves || *resumes <= now) {
                take_output(client, sending, halves);
                *sent = 0;
                *resumes = now + BEAT;
            }
            client.in_flight = sending.len() - *sent;
            let done = client.in_flight == 0;
            let beat = client.monitors.then(|| now + BEAT);
            Pulse {
                listens: client.end.is_none(),
                sends: !done,
                ends: client.end.is_some() && done,
                until: [change, beat].into_iter().flatten().min(),
            }
        })
    }

    fn note_written(&mut self, count: usize) {
        self.sent += count;
        self.world.with(self.place.shard, |shard, _| {
            shard.servers[self.place.member].counters.net_output += count as u64;
        });
    }

    fn answer(&mut self, count: usize) {
        let Self {
            world,
            place,
            id,
            received,
            ..
        } = self;
        world.with(place.shard, |shard, now| {
            shard.servers[place.member].counters.net_input += count as u64;
            while !received.is_empty() && answer_one(shard, *place, *id, now, received) {}
        });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let id = self.id;
        self.world
            .with(self.place.shard, |shard, _| shard.servers[self.place.member].leave(id));
    }
}

impl Pulse {
    fn over() -> Self {
        Self {
            listens: false,
            sends: false,
            ends: true,
            until: None,
        }
    }
}

/// Answers the first request received; `false` when there is no whole one.
fn answer_one(shard: &mut Shard, place: Place, id: u64, now: Timestamp, received: &mut Vec<u8>) -> bool {
    let drops = shard.servers[place.member].condition.drops;
    let Some(client) = open_client(&mut shard.servers[place.member], id) else {
        return false;
    };
    match Request::read(received) {
        Request::Partial => false,
        Request::Broken(error) => {
            Reply::error(format!("ERR {error}")).write(&mut client.out);
            client.end = Some(End::Politely);
            false
        }
        Request::Whole(..) if drops => {
            client.cut();
            false
        }
        Request::Whole(arguments, used) => {
            received.drain(..used);
            if !arguments.is_empty() {
                answers::answer(Asked {
                    shard,
                    member: place.member,
                    client: id,
                    now,
                    arguments: &arguments,
                });
            }
            true
        }
    }
}

fn open_client(server: &mut Server, id: u64) -> Option<&mut Client> {
    server.clients.get_mut(&id).filter(|client| client.end.is_none())
}

/// Moves output to the socket's side, as it comes or so that it ends within a line.
fn take_output(client: &mut Client, sending: &mut Vec<u8>, half_lines: bool) {
    sending.clear();
    let whole = client.out.len().min(CHUNK_MAX);
    let length = if half_lines { whole.div_ceil(2) } else { whole };
    if length == client.out.len() {
        std::mem::swap(sending, &mut client.out);
    } else {
        sending.extend(client.out.drain(..length));
    }
}

/// Shortens what is left so that it ends within its last line.
fn tear(sending: &mut Vec<u8>, sent: usize) {
    let left = &sending[sent..];
    let lines = left.strip_suffix(b"\n").unwrap_or(left);
    let last = lines
        .iter()
        .rev()
        .position(|byte| *byte == b'\n')
        .unwrap_or(lines.len());
    sending.truncate(sending.len() - last.div_ceil(2));
}

async fn sleep_until(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}
