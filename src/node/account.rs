//! Keeps what our own connections cost a node: one account per node, shared by all connections to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::BoxStream;
use crate::model::{Bytes, Endpoint, OwnCost};

/// The number of a connection to a server that doesn't tell any.
pub(super) const UNNUMBERED: u64 = 0;

/// The running sum of a node's [`OwnCost`]. Clones are the same account.
#[derive(Clone, Debug, Default)]
pub struct Account(Arc<Entries>);

#[derive(Debug, Default)]
struct Entries {
    commands: Mutex<BTreeMap<&'static str, u64>>,
    errors: Mutex<BTreeMap<Arc<str>, u64>>,
    connections: Mutex<BTreeSet<u64>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Account {
    /// An empty account, for a node not spoken to before.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything so far.
    pub fn total(&self) -> OwnCost {
        OwnCost {
            commands: self.0.commands.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            errors: self.0.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            bytes_in: Bytes(self.0.sent.load(Ordering::Relaxed)),
            bytes_out: Bytes(self.0.received.load(Ordering::Relaxed)),
        }
    }

    /// The server's numbers for the connections that are open now.
    pub fn connections(&self) -> Vec<u64> {
        let connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().copied().collect()
    }

    /// Enters an open connection, until what is returned is dropped.
    pub(super) fn connected(&self, id: u64) -> Connected {
        if id != UNNUMBERED {
            let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.insert(id);
        }
        Connected {
            account: self.clone(),
            id,
        }
    }

    /// Enters one error that the server answered, by its first word.
    pub(super) fn count_error(&self, error: &str) {
        let mut errors = self.0.errors.lock().unwrap_or_else(PoisonError::into_inner);
        match errors.get_mut(error) {
            Some(count) => *count += 1,
            None => {
                errors.insert(error.into(), 1);
            }
        }
    }

    /// Enters one command that the server executed.
    pub(super) fn count(&self, command: &'static str) {
        let mut commands = self.0.commands.lock().unwrap_or_else(PoisonError::into_inner);
        *commands.entry(command).or_default() += 1;
    }
}

/// That a connection of ours is open, for as long as this lives.
#[derive(Debug)]
pub(super) struct Connected {
    account: Account,
    id: u64,
}

impl Connected {
    /// The server's number for the connection.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut connections = self
            .account
            .0
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.remove(&self.id);
    }
}

/// Every node's account, by where the node listens. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<Mutex<HashMap<Endpoint, Account>>>);

impl Accounts {
    /// The account of the node at `endpoint`; an empty one at first.
    pub fn of(&self, endpoint: &Endpoint) -> Account {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.entry(endpoint.clone()).or_default().clone()
    }

    /// Closes the accounts of all nodes but these.
    pub fn keep(&self, endpoints: impl Fn(&Endpoint) -> bool) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|endpoint, _| endpoints(endpoint));
    }
}

/// A stream whose plain bytes are entered into an account. (The server counts before encryption, so this wraps TLS.)
pub(super) struct Counted {
    pub(super) stream: BoxStream,
    account: Account,
    allowance: Allowance,
}

impl Counted {
    pub(super) fn new(stream: BoxStream, account: Account) -> Self {
        Self {
            stream,
            account,
            allowance: Allowance::default(),
        }
    }

    /// What may still be read; clones are the same.
    pub(super) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }
}

/// How much a connection may still read: any amount, unless somebody says how much. What would go beyond ends the connection.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Allowance {
    /// From now on no more than this.
    pub(super) fn limit(&self, bytes: Bytes) {
        self.0.store(bytes.0, Ordering::Relaxed);
    }

    /// Whether something was cut off.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// How much of so much may be read; an error if nothing may.
    fn room(&self, wanted: usize) -> std::io::Result<usize> {
        match self.0.load(Ordering::Relaxed) {
            0 => Err(std::io::Error::other("the answers are larger than allowed")),
            left => Ok(usize::try_from(left).map_or(wanted, |left| left.min(wanted))),
        }
    }

    fn spend(&self, read: u64) {
        // Only the connection itself takes from it.
        let left = self.0.load(Ordering::Relaxed);
        if left != u64::MAX {
            self.0.store(left - read.min(left), Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let room = self.allowance.room(buffer.remaining())?;
        let mut allowed = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut allowed))?;
        let read = allowed.filled().len();
        buffer.advance(read);
        self.account.0.received.fetch_add(read as u64, Ordering::Relaxed);
        self.allowance.spend(read as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes))?;
        self.account.0.sent.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
