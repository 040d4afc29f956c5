//! Connections over the network: resolves, keeps the pace of new connections, connects, encrypts.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::tcp::Tcp;
use super::tls::{self, Encryption, TlsError, TlsSettings};
use super::{BoxStream, LinkError};
use crate::model::Endpoint;

/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 8;

/// How long a diagnosing connection may take.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(1);

/// How real servers are reached.
#[derive(Clone, Debug)]
pub struct Network {
    encryption: Option<Encryption>,
    connect_timeout: Duration,
    pace: Pace,
}

/// At most so many new connections in any second, whatever they are for. Clones share one pace.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Mutex<VecDeque<Instant>>>);

impl Pace {
    /// New connections in any one second.
    pub const PER_SECOND: usize = 20;

    /// A pace of its own; a daemon has one.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(VecDeque::with_capacity(Self::PER_SECOND))))
    }

    /// Waits until one more connection may be opened. Whoever waits keeps its place in the queue.
    async fn turn(&self) {
        let mut opened = self.0.lock().await;
        if opened.len() == Self::PER_SECOND
            && let Some(oldest) = opened.front()
        {
            sleep_until(*oldest + Duration::from_secs(1)).await;
            // Not before: whoever gives up while waiting has opened nothing.
            opened.pop_front();
        }
        opened.push_back(Instant::now());
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// Connections in the clear.
    pub fn plain(connect_timeout: Duration, pace: Pace) -> Self {
        Self {
            encryption: None,
            connect_timeout,
            pace,
        }
    }

    /// Encrypted connections. The certificates are read now, once.
    pub fn encrypted(settings: &TlsSettings, connect_timeout: Duration, pace: Pace) -> Result<Self, TlsError> {
        if settings.insecure {
            tracing::warn!(
                "tls.insecure is set: certificates are not checked, and whoever is between can read passwords"
            );
        }
        Ok(Self {
            encryption: Some(Encryption::new(settings)?),
            connect_timeout,
            pace,
        })
    }

    pub(super) fn encrypts(&self) -> bool {
        self.encryption.is_some()
    }

    pub(super) async fn addresses(&self, endpoint: &Endpoint) -> Vec<IpAddr> {
        self.resolve(endpoint)
            .await
            .map(|addresses| addresses.iter().map(SocketAddr::ip).collect())
            .unwrap_or_default()
    }

    pub(super) async fn dial(&self, endpoint: &Endpoint) -> Result<BoxStream, LinkError> {
        let tcp = Tcp::new(self.connect(endpoint).await?);
        let Some(encryption) = &self.encryption else {
            return Ok(Box::new(tcp));
        };
        let name = encryption.server_name(endpoint)?;
        let handshake = encryption.connector().connect(name, tcp);
        match timeout(self.connect_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) if tls::cut_short(&error) => Err(self
                .plain_redis(endpoint)
                .await
                .unwrap_or_else(|| LinkError::Closed(endpoint.clone()))),
            Ok(Err(error)) => Err(tls::explain(endpoint, error)),
            // A plain Redis may wait for the end of what it takes for a very long word.
            Err(_elapsed) => Err(self
                .plain_redis(endpoint)
                .await
                .unwrap_or_else(|| self.timed_out(endpoint, "complete the TLS handshake"))),
        }
    }

    /// The server took a plain connection and closed it without a word: most likely it waited for TLS.
    pub(super) async fn explain_silence(&self, endpoint: &Endpoint) -> LinkError {
        let closed = LinkError::Closed(endpoint.clone());
        if self.encryption.is_some() {
            return closed;
        }
        let Ok(tcp) = self.connect(endpoint).await else {
            return closed;
        };
        let handshake = tls::handshake_with_anyone(endpoint, tcp);
        match timeout(DIAGNOSIS_TIMEOUT, handshake).await {
            Ok(true) => LinkError::TlsNeeded(endpoint.clone()),
            _ => closed,
        }
    }

    /// Whether a plain Redis answers where TLS failed.
    async fn plain_redis(&self, endpoint: &Endpoint) -> Option<LinkError> {
        let mut tcp = self.connect(endpoint).await.ok()?;
        let answer = async {
            tcp.write_all(b"PING\r\n").await?;
            tcp.read_u8().await
        };
        let first = timeout(DIAGNOSIS_TIMEOUT, answer).await.ok()?.ok()?;
        matches!(first, b'+' | b'-').then(|| LinkError::NotTls(endpoint.clone()))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<TcpStream, LinkError> {
        let addresses = self.resolve(endpoint).await.map_err(|source| LinkError::Unresolved {
            endpoint: endpoint.clone(),
            source,
        })?;
        let mut failure = self.timed_out(endpoint, "connect");
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            self.pace.turn().await;
            match timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    // Requests are small and each waits for its answer.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(Err(error)) => failure = unreachable(endpoint, error),
                Err(_elapsed) => failure = self.timed_out(endpoint, "connect"),
            }
        }
        Err(failure)
    }

    async fn resolve(&self, endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
        let lookup = tokio::net::lookup_host((endpoint.host(), endpoint.port()));
        let addresses: Vec<SocketAddr> = match timeout(self.connect_timeout, lookup).await {
            Ok(found) => found?.collect(),
            Err(elapsed) => return Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
        };
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
        }
        Ok(addresses)
    }

    fn timed_out(&self, endpoint: &Endpoint, what: &str) -> LinkError {
        LinkError::TimedOut {
            endpoint: endpoint.clone(),
            what: what.to_owned(),
            after: self.connect_timeout,
        }
    }
}

pub(super) fn unreachable(endpoint: &Endpoint, source: io::Error) -> LinkError {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        return LinkError::Refused(endpoint.clone());
    }
    LinkError::Unreachable {
        endpoint: endpoint.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_than_twenty_connections_are_opened_in_any_second() {
        let pace = Pace::new();
        let begin = Instant::now();
        let mut turns = Vec::new();
        for _ in 0..45 {
            pace.turn().await;
            turns.push(begin.elapsed().as_millis());
        }
        assert_eq!([turns[19], turns[20], turns[39], turns[40]], [0, 1000, 1000, 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_waiting_takes_nobodys_turn() {
        let pace = Pace::new();
        let begin = Instant::now();
        for _ in 0..Pace::PER_SECOND {
            pace.turn().await;
        }
        for _ in 0..3 {
            let patience = timeout(Duration::from_millis(10), pace.turn()).await;
            assert!(
                patience.is_err(),
                "it had its turn {:?} after the first",
                begin.elapsed()
            );
        }
        pace.turn().await;
        assert_eq!(begin.elapsed().as_millis(), 1000);
    }
}
