//! Connections within limits: how many, and how long a client may take to say what it wants.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::patient::Patient;
use super::security::Security;
use crate::metrics::published::Published;

/// Connections open at the same time, over all listeners.
pub(super) const CONNECTIONS_MAX: usize = 1_024;
/// From one answer, or the connection's start, to the end of the next request's header: longer than the usual scrape interval.
const HEADER_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a client may take nothing of an answer that waits for it.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a client may take to set up TLS.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// What one request's header may hold.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Lets so many connections in, and counts those it doesn't.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    published: Published,
}

impl Gate {
    /// For so many at the same time.
    pub(super) fn new(published: Published, connections_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections_max)),
            published,
        }
    }

    fn enter(&self) -> Option<OwnedSemaphorePermit> {
        let permit = self.free.clone().try_acquire_owned().ok();
        if permit.is_none() {
            self.published.exports().refused();
        }
        permit
    }
}

/// The connections of one listener.
pub(super) struct Connections {
    router: Router,
    gate: Gate,
    security: Security,
    shutdown: CancellationToken,
    open: JoinSet<()>,
}

impl Connections {
    pub(super) fn new(router: Router, gate: Gate, security: Security, shutdown: CancellationToken) -> Self {
        Self {
            router,
            gate,
            security,
            shutdown,
            open: JoinSet::new(),
        }
    }

    /// Serves a connection, or closes it at once if too many are open.
    pub(super) fn open(&mut self, stream: TcpStream) {
        let Some(permit) = self.gate.enter() else { return };
        let router = self.router.clone();
        let shutdown = self.shutdown.clone();
        let encryption = self.security.rules().encryption.clone();
        self.open.spawn(async move {
            match encryption {
                None => serve(stream, router, shutdown).await,
                Some(config) => serve_encrypted(stream, config, router, shutdown).await,
            }
            drop(permit);
        });
    }

    /// Takes what is left of a connection that has ended; waits for ever if none is open.
    pub(super) async fn reap(&mut self) {
        if self.open.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Waits for the open connections to end, at most for the grace period.
    pub(super) async fn finish(mut self, grace: Duration) {
        let ended = tokio::time::timeout(grace, async { while self.open.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(
                connections = self.open.len(),
                "closing HTTP connections that didn't end in time"
            );
            self.open.shutdown().await;
        }
    }
}

async fn serve_encrypted(stream: TcpStream, config: Arc<ServerConfig>, router: Router, shutdown: CancellationToken) {
    let handshake = TlsAcceptor::from(config).accept(stream);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake) => shaken,
        () = shutdown.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve(stream, router, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%error, "a client failed to set up TLS"),
        Err(_) => tracing::debug!("a client took too long to set up TLS"),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, router: Router, shutdown: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    let connection = builder.serve_connection(
        TokioIo::new(Patient::new(stream, READ_TIME_MAX)),
        TowerToHyperService::new(router),
    );
    tokio::pin!(connection);
    // How a client leaves is its own affair: there is nothing to do about an error here.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
