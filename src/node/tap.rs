//! The byte stream of MONITOR from one node, bracketed by the node's own counters.
//!
//! ROLE and INFO are asked on the same connection, so their answers stand in stream order: between the two INFO answers lies
//! exactly what the counters counted. A tap hands out bytes; it refuses to know what a line means.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::Value;
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::account::{Account, Connected};
use super::credentials::Credentials;
use super::greeting::{Greeted, greet};
use super::link;
use super::raw::{ANSWER_MAX, Command, Raw, accepted, frame};
use super::version::{self, Version};
use super::{Dialer, LinkError, Socket};
use crate::discovery::role::RoleAnswer;
use crate::model::{Bytes, Endpoint, Role};

/// The sections of INFO that bracket a window.
const BRACKET: [&str; 3] = ["stats", "commandstats", "replication"];

/// The smallest read buffer that makes sense.
const BUFFER_MIN: usize = 4096;

/// A read that brings so much was worth its wake-up, and a socket holds it.
const READ_AIM: f64 = 32768.0;

/// How a tap reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapSettings {
    /// Whether a primary may be tapped. It slows down every write, so the operator must have said so.
    pub primary_allowed: bool,
    /// How long each answer may take until the stream runs.
    pub answer_timeout: Duration,
    /// The size of the read buffer.
    pub buffer: usize,
    /// The shortest rest after a read that emptied the socket: fewer wake-ups for a stream of small writes.
    pub rest_min: Duration,
    /// The longest: what comes meanwhile waits in the socket, and where that is full, at the server.
    pub rest_max: Duration,
}

impl Default for TapSettings {
    fn default() -> Self {
        Self {
            primary_allowed: false,
            answer_timeout: Duration::from_secs(5),
            buffer: 128 * 1024,
            rest_min: Duration::from_millis(1),
            rest_max: Duration::from_millis(4),
        }
    }
}

/// Why a stream could not be opened, or broke.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The connection is at fault.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The node says it is a primary.
    #[error(
        "{0} is a primary, and MONITOR slows a primary down; set monitor.nodes = \"primary\" (--use-primary) to allow it"
    )]
    Primary(Endpoint),
    /// The server knows no MONITOR.
    #[error("{0} has no MONITOR: it is renamed, or this service does not offer it; leave the node to signals alone")]
    NoMonitor(Endpoint),
}

impl TapError {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(error) => error.kind(),
            Self::Primary(_) => "primary",
            Self::NoMonitor(_) => "no_monitor",
        }
    }
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk<'tap> {
    /// Bytes of MONITOR's output, cut anywhere.
    Lines(&'tap [u8]),
    /// The counters asked for by [`Tap::ask_counters`]; whatever follows is outside the bracket.
    Counters(String),
    /// The server ended the stream.
    Closed,
    /// [`Cut::cut`] ended it.
    Cut,
}

/// Ends a tap from elsewhere, also while its reader is busy. Clones end the same tap.
#[derive(Clone, Debug)]
pub struct Cut {
    token: CancellationToken,
    socket: Option<Socket>,
}

impl Cut {
    /// Ends the stream at once, on the server too.
    pub fn cut(&self) {
        self.token.cancel();
        if let Some(socket) = &self.socket {
            socket.shut_down();
        }
    }

    /// The stream's socket, where it has one.
    pub fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }
}

/// A running MONITOR stream. Dropping it ends the connection at once: the server frees what it held for us.
pub struct Tap {
    raw: Raw,
    cut: Cut,
    client: Connected,
    role: Role,
    version: Version,
    opening_counters: String,
    /// What we had read from the node when it counted for the opening, and for the closing.
    read_at_opening: u64,
    read_at_closing: u64,
    buffer: Box<[u8]>,
    /// What of the buffer is read, and not yet handed out.
    unread: Range<usize>,
    line_begins: bool,
    counters: Counters,
    settings: TapSettings,
    rest: Duration,
    rest_until: Option<Instant>,
    drained: bool,
}

/// Where the in-band answer to the closing INFO is.
#[derive(Debug)]
enum Counters {
    /// Not asked for: every byte is MONITOR's.
    NotAsked,
    /// Asked for. The answer begins with `$` at the beginning of a line, where MONITOR's lines have `+`.
    Awaited,
    /// Its first bytes are here.
    Arriving(Vec<u8>),
}

impl Drop for Tap {
    fn drop(&mut self) {
        // A clone of the cut may outlive the tap; the connection must not.
        self.cut.cut();
    }
}

impl Tap {
    /// Opens a connection, asks the node for its role, and starts MONITOR unless it is a primary that may not be tapped.
    pub async fn open(
        dialer: &Dialer,
        endpoint: &Endpoint,
        credentials: &Credentials,
        account: &Account,
        settings: TapSettings,
    ) -> Result<Self, TapError> {
        let Greeted { mut raw, client } =
            greet(dialer, endpoint, credentials, account, settings.answer_timeout).await?;
        let (role, version) = role_and_version(&mut raw).await?;
        permitted(endpoint, role, settings)?;
        let read_at_opening = account.total().bytes_out.0;
        let opening_counters = start(&mut raw, version).await?;
        let rest = raw.take_rest();
        let mut buffer = vec![0; settings.buffer.max(rest.len()).max(BUFFER_MIN)].into_boxed_slice();
        buffer[..rest.len()].copy_from_slice(&rest);
        let tap = Self {
            cut: Cut {
                token: CancellationToken::new(),
                socket: raw.resetting_handle(),
            },
            raw,
            client,
            role: role_of_info(&opening_counters).unwrap_or(role),
            version,
            opening_counters,
            read_at_opening,
            read_at_closing: read_at_opening,
            buffer,
            unread: 0..rest.len(),
            line_begins: true,
            counters: Counters::NotAsked,
            settings,
            rest: settings.rest_max,
            rest_until: None,
            drained: true,
        };
        // A failover may have come between ROLE and MONITOR; INFO was executed in the same breath as MONITOR.
        permitted(endpoint, tap.role, settings)?;
        Ok(tap)
    }

    /// The server's number for this connection, for whoever watches or kills it from another one.
    pub fn client_id(&self) -> u64 {
        self.client.id()
    }

    /// The node's role when the stream began.
    pub fn role(&self) -> Role {
        self.role
    }

    /// INFO (`stats`, `commandstats`, `replication`) from right before the stream began. The counters that follow hold this INFO
    /// and MONITOR itself, neither of which is in the stream.
    pub fn opening_counters(&self) -> &str {
        &self.opening_counters
    }

    /// What the node sent us, over this and all other connections, between the opening counters and the closing ones.
    pub fn own_output(&self) -> Bytes {
        Bytes(self.read_at_closing.saturating_sub(self.read_at_opening))
    }

    /// Whether the last read left nothing in the socket.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether [`Cut::cut`] has ended it.
    pub fn is_cut(&self) -> bool {
        self.cut.token.is_cancelled()
    }

    /// A handle that ends this tap from elsewhere.
    pub fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// The next bytes. Safe to be dropped while it waits: nothing is lost.
    pub async fn read(&mut self) -> Result<Chunk<'_>, TapError> {
        loop {
            if self.unread.is_empty() {
                match self.fill().await? {
                    Filled::Bytes => {}
                    Filled::Closed => return Ok(Chunk::Closed),
                    Filled::Cut => return Ok(Chunk::Cut),
                }
            }
            if let Some(lines) = self.next_lines() {
                return Ok(Chunk::Lines(&self.buffer[lines]));
            }
            if let Some(counters) = self.next_counters()? {
                return Ok(Chunk::Counters(counters));
            }
        }
    }

    /// Asks for the counters that close the bracket. They come as [`Chunk::Counters`] after the last line before them.
    pub async fn ask_counters(&mut self) -> Result<(), TapError> {
        let command = version::info(self.version, &BRACKET);
        self.counters = Counters::Awaited;
        self.raw
            .send(&[command])
            .await
            .map_err(|error| LinkError::broken(&self.raw.endpoint, error))?;
        Ok(())
    }

    /// What of the unread bytes is MONITOR's, up to an answer that was asked for.
    fn next_lines(&mut self) -> Option<Range<usize>> {
        let bytes = &self.buffer[self.unread.clone()];
        let lines = match self.counters {
            Counters::NotAsked => bytes.len(),
            Counters::Awaited if self.line_begins && bytes.first() == Some(&b'$') => 0,
            Counters::Awaited => memchr::memmem::find(bytes, b"\n$").map_or(bytes.len(), |end| end + 1),
            Counters::Arriving(_) => 0,
        };
        if lines == 0 {
            return None;
        }
        self.line_begins = bytes[lines - 1] == b'\n';
        let start = self.unread.start;
        self.unread.start += lines;
        Some(start..start + lines)
    }

    /// Collects the answer that begins with the unread bytes; `None` until it is whole.
    fn next_counters(&mut self) -> Result<Option<String>, TapError> {
        let mut answer = match std::mem::replace(&mut self.counters, Counters::NotAsked) {
            Counters::Arriving(begun) => begun,
            Counters::Awaited | Counters::NotAsked => Vec::new(),
        };
        answer.extend_from_slice(&self.buffer[self.unread.clone()]);
        let malformed = |what: &str| self.raw.malformed(what.to_owned());
        match frame(&answer).map_err(|_| malformed("INFO has no length"))? {
            Some(length) => {
                self.unread.start = self.unread.end - (answer.len() - length);
                let value =
                    redis::parse_redis_value(&answer[..length]).map_err(|error| malformed(&error.to_string()))?;
                self.raw.account.count("INFO");
                let after = (self.unread.end - self.unread.start + length) as u64;
                self.read_at_closing = self.raw.account.total().bytes_out.0.saturating_sub(after);
                link::text(&value)
                    .map(Some)
                    .ok_or_else(|| malformed("INFO is no text").into())
            }
            None if answer.len() > ANSWER_MAX => Err(malformed("INFO is too long").into()),
            None => {
                self.unread = 0..0;
                self.counters = Counters::Arriving(answer);
                Ok(None)
            }
        }
    }

    async fn fill(&mut self) -> Result<Filled, TapError> {
        let token = self.cut.token.clone();
        let rest_until = self.rest_until.take();
        let read = async {
            match rest_until {
                Some(until) => {
                    self.raw.unwatch()?;
                    sleep_until(until).await;
                }
                // A stream that never lets its reader rest must let others run all the same.
                None => consume_budget().await,
            }
            poll_fn(|cx| drain(&mut self.raw, cx, &mut self.buffer)).await
        };
        let read = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(Filled::Cut),
            read = read => read,
        };
        match read {
            Ok(0) => Ok(Filled::Closed),
            Ok(read) => {
                self.unread = 0..read;
                self.drained = read < self.buffer.len();
                if self.drained {
                    self.rest = self.rest_after(read);
                    self.rest_until = Some(Instant::now() + self.rest);
                }
                Ok(Filled::Bytes)
            }
            Err(_) if token.is_cancelled() => Ok(Filled::Cut),
            Err(error) => match LinkError::broken(&self.raw.endpoint, error) {
                LinkError::Closed(_) => Ok(Filled::Closed),
                error => Err(error.into()),
            },
        }
    }

    /// So long that the next read brings what is aimed at, if the stream flows on as it did.
    fn rest_after(&self, read: usize) -> Duration {
        let rest = self.rest.mul_f64(READ_AIM / read as f64);
        rest.clamp(self.settings.rest_min, self.settings.rest_max)
    }
}

/// How a wait for bytes ended.
enum Filled {
    Bytes,
    Closed,
    Cut,
}

/// Takes what is there; where that is nothing, waits for it.
fn drain(raw: &mut Raw, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    if let Poll::Ready(read) = take(raw, cx, buffer) {
        return Poll::Ready(read);
    }
    // After a rest nobody watches the socket.
    raw.watch()?;
    take(raw, cx, buffer)
}

/// Reads until the socket is empty or the buffer full. (One read of a TLS stream brings one record at most.)
fn take(raw: &mut Raw, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut filled = 0;
    while filled < buffer.len() {
        match raw.poll_into(cx, &mut buffer[filled..]) {
            Poll::Ready(Ok(read)) if read > 0 => filled += read,
            // What came before the end or the failure goes out first; the next read meets it again.
            _ if filled > 0 => break,
            ended_or_waiting => return ended_or_waiting,
        }
    }
    Poll::Ready(Ok(filled))
}

async fn role_and_version(raw: &mut Raw) -> Result<(Role, Version), LinkError> {
    let endpoint = raw.endpoint.clone();
    let server = Command::new("INFO").arg("server");
    let mut answers = raw.exchange(&[Command::new("ROLE"), server]).await?.into_iter();
    let role = accepted(&endpoint, "ROLE", answers.next().unwrap_or_default())?;
    let server = accepted(&endpoint, "INFO", answers.next().unwrap_or_default())?;
    let role = RoleAnswer::parse(&role).ok_or_else(|| raw.malformed("ROLE has another shape".into()))?;
    Ok((role.role(), Version::of_info(&link::text(&server).unwrap_or_default())))
}

/// Sends INFO and MONITOR together, so that the server executes nothing between them.
async fn start(raw: &mut Raw, version: Version) -> Result<String, TapError> {
    let endpoint = raw.endpoint.clone();
    let commands = [version::info(version, &BRACKET), Command::new("MONITOR")];
    let mut answers = raw.exchange(&commands).await?.into_iter();
    let counters = accepted(&endpoint, "INFO", answers.next().unwrap_or_default())?;
    match accepted(&endpoint, "MONITOR", answers.next().unwrap_or_default()) {
        Ok(Value::Okay) => {}
        Ok(_) => return Err(raw.malformed("MONITOR was not answered with OK".into()).into()),
        Err(LinkError::Rejected { message, .. }) if message.contains("unknown command") => {
            return Err(TapError::NoMonitor(endpoint));
        }
        Err(error) => return Err(error.into()),
    }
    link::text(&counters).ok_or_else(|| raw.malformed("INFO is no text".into()).into())
}

fn permitted(endpoint: &Endpoint, role: Role, settings: TapSettings) -> Result<(), TapError> {
    if role == Role::Primary && !settings.primary_allowed {
        return Err(TapError::Primary(endpoint.clone()));
    }
    Ok(())
}

fn role_of_info(counters: &str) -> Option<Role> {
    match link::field(counters, "role")? {
        "master" => Some(Role::Primary),
        "slave" => Some(Role::Replica),
        _ => None,
    }
}
