//! The one seam to a server: a stream that speaks the server's protocol, over the network or from a stage in memory.
//!
//! Everything above the stream is the same for both: [`Link`] sends commands and reads answers, [`probe`] is one poll of a
//! node, [`Tap`] is the byte stream of MONITOR. It refuses to know what the bytes mean.

mod account;
mod client;
pub mod commands;
mod credentials;
mod error;
mod greeting;
pub mod iam;
mod limit;
mod link;
mod network;
mod parameters;
pub mod probe;
mod race;
mod raw;
pub mod rights;
pub mod simulated;
pub mod sizes;
pub mod sources;
pub mod survey;
mod tap;
mod tcp;
mod tls;
mod version;
pub mod watch;

use std::io;
use std::net::{IpAddr, Shutdown, TcpStream as BlockingStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::model::Endpoint;

pub use account::{Account, Accounts};
pub use client::ClientLine;
pub use commands::CommandTables;
pub use credentials::{AuthSettings, AwsIdentity, Credentials, CredentialsError};
pub use error::LinkError;
pub use limit::ServerLimit;
pub use link::{Link, LinkSettings};
pub use network::{Network, Pace};
pub use parameters::{Parameters, ToldLimit};
use simulated::Stage;
pub use tap::{Chunk, Cut, Tap, TapError, TapSettings};
pub use tls::{TlsError, TlsSettings, client_config};
pub use version::Version;

/// A connection's bytes, whatever carries them: TCP, TLS, or memory.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Another handle of the socket below, and the peer is reset when both are gone; `None` if there is no socket.
    fn resetting_handle(&self) -> Option<Socket> {
        None
    }

    /// From now on what comes wakes nobody: a read that finds nothing is [`Pending`](std::task::Poll), and whoever reads looks again by himself.
    fn unwatch(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// From now on whoever waits for something to read is woken by it.
    fn watch(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for DuplexStream {}

/// A [`Stream`] of a kind chosen at run time.
pub type BoxStream = Box<dyn Stream>;

/// A second handle of a stream's socket, for whoever must end the connection while its reader is busy.
#[derive(Clone, Debug)]
pub struct Socket(Arc<BlockingStream>);

impl Socket {
    /// Ends both directions at once: the server sees the end and frees what it buffered for us.
    pub fn shut_down(&self) {
        // It fails only if the connection is gone already, which is what was wanted.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where connections come from.
#[derive(Clone, Debug)]
pub enum Dialer {
    /// Real servers.
    Network(Network),
    /// Simulated servers.
    Stage(Stage),
}

impl Dialer {
    /// Opens one connection.
    pub async fn dial(&self, endpoint: &Endpoint) -> Result<BoxStream, LinkError> {
        match self {
            Self::Network(network) => network.dial(endpoint).await,
            Self::Stage(stage) => stage
                .dial(endpoint)
                .map_err(|error| network::unreachable(endpoint, error)),
        }
    }

    /// The addresses behind an endpoint's name; none where names don't resolve to addresses.
    pub async fn addresses(&self, endpoint: &Endpoint) -> Vec<IpAddr> {
        match self {
            Self::Network(network) => network.addresses(endpoint).await,
            Self::Stage(_) => endpoint.host().parse().into_iter().collect(),
        }
    }

    /// Whether connections are encrypted: it decides which of a node's announced names and ports is meant.
    pub fn encrypts(&self) -> bool {
        match self {
            Self::Network(network) => network.encrypts(),
            Self::Stage(_) => false,
        }
    }

    /// Why a server that took the connection closed it before its first answer.
    async fn explain_silence(&self, endpoint: &Endpoint) -> LinkError {
        match self {
            Self::Network(network) => network.explain_silence(endpoint).await,
            Self::Stage(_) => LinkError::Closed(endpoint.clone()),
        }
    }
}
