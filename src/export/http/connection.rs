//! Connections within limits: how many, and how long a client may take to say what it wants.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::published::Published;

/// Connections open at the same time, over all listeners.
const CONNECTIONS_MAX: usize = 1_024;
/// From one answer, or the connection's start, to the end of the next request's header: longer than the usual scrape interval.
const HEADER_TIME_MAX: Duration = Duration::from_secs(20);
/// What one request's header may hold.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Lets so many connections in, and counts those it doesn't.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    published: Published,
}

impl Gate {
    pub(super) fn new(published: Published) -> Self {
        Self {
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
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
    shutdown: CancellationToken,
    open: JoinSet<()>,
}

impl Connections {
    pub(super) fn new(router: Router, gate: Gate, shutdown: CancellationToken) -> Self {
        Self {
            router,
            gate,
            shutdown,
            open: JoinSet::new(),
        }
    }

    /// Serves a connection, or closes it at once if too many are open.
    pub(super) fn open(&mut self, stream: TcpStream) {
        let Some(permit) = self.gate.enter() else { return };
        let router = self.router.clone();
        let shutdown = self.shutdown.clone();
        self.open.spawn(async move {
            serve(stream, router, shutdown).await;
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

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, router: Router, shutdown: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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
