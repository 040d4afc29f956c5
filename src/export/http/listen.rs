//! The addresses we listen on, and the life of the server from the first connection to a graceful end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, lookup_host};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{CONNECTIONS_MAX, Connections, Gate};
use super::order::Order;
use super::routes::{App, Exposure, router};
use super::security::{Security, WebConfigError};
use super::settings::{ListenAddress, WebSettings};
use crate::export::open::OpenWindows;
use crate::metrics::published::Published;

/// How long open requests may take to end once we stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait before accepting again when the system refuses, which it does when it has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Someone else has it.
    #[error(
        "cannot listen on {0}: it is in use; stop what listens there or set web.listen_address (--web.listen-address; port 0 lets the system choose)"
    )]
    InUse(ListenAddress),
    /// The machine doesn't have it, or we may not.
    #[error("cannot listen on {0}: {1}; set web.listen_address")]
    Refused(ListenAddress, io::Error),
    /// Encryption or passwords can't be set up.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
}

/// Listening, though nobody is answered yet.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<(TcpListener, SocketAddr)>,
    settings: WebSettings,
    security: Security,
    archive: Option<PathBuf>,
    windows: OpenWindows,
    connections_max: usize,
}

/// Listens on every address of the settings.
pub async fn bind(settings: WebSettings) -> Result<Bound, BindError> {
    let security = Security::read(settings.config.file.as_deref())?;
    let mut listeners = Vec::new();
    for address in &settings.listen_address {
        let listener = listen(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address.clone()),
            _ => BindError::Refused(address.clone(), error),
        })?;
        let local = listener
            .local_addr()
            .map_err(|error| BindError::Refused(address.clone(), error))?;
        listeners.push((listener, local));
    }
    Ok(Bound {
        listeners,
        settings,
        security,
        archive: None,
        windows: OpenWindows::default(),
        connections_max: CONNECTIONS_MAX,
    })
}

async fn listen(address: &ListenAddress) -> io::Result<TcpListener> {
    if address.host().is_empty() {
        // An IPv6 socket takes IPv4 as well; a machine without IPv6 refuses it.
        return match TcpListener::bind(("::", address.port())).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(("0.0.0.0", address.port())).await
            }
            outcome => outcome,
        };
    }
    let resolved: Vec<SocketAddr> = lookup_host((address.host(), address.port())).await?.collect();
    TcpListener::bind(&*resolved).await
}

impl Bound {
    /// Where it really listens: the ports that the system chose, where they were 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, local)| *local).collect()
    }

    /// Shows the rounds that are kept in this file, too.
    pub fn keeping(mut self, archive: Option<PathBuf>) -> Self {
        self.archive = archive;
        self
    }

    /// Tells what these windows see while they are open, too.
    pub fn watching(mut self, windows: OpenWindows) -> Self {
        self.windows = windows;
        self
    }

    /// Lets in so many connections at the same time.
    #[cfg(test)]
    pub(super) fn admitting(mut self, connections_max: usize) -> Self {
        self.connections_max = connections_max;
        self
    }

    /// Answers until `shutdown`, then ends event streams, lets open requests end within a grace period, and returns.
    pub async fn serve(self, published: Published, orders: mpsc::Sender<Order>, shutdown: CancellationToken) {
        let security = self.security;
        let app = App::new(
            self.settings,
            security.clone(),
            published.clone(),
            orders,
            shutdown.clone(),
        )
        .keeping(self.archive.as_deref())
        .watching(self.windows);
        let gate = Gate::new(published, self.connections_max);
        let mut accepting = JoinSet::new();
        for (listener, local) in self.listeners {
            let router = router(app.clone(), Exposure::of(local.ip()));
            let connections = Connections::new(router, gate.clone(), security.clone(), shutdown.clone());
            accepting.spawn(accept(listener, connections, shutdown.clone()));
        }
        accepting.spawn(security.watch(shutdown));
        while accepting.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, mut connections: Connections, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = connections.reap() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.open(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.finish(GRACE).await;
}
