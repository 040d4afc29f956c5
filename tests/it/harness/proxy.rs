//! A network between a client and a server that can fall silent: bytes stop, in one direction or both, and neither side is told.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    BothWays,
    ToServerOnly,
    ToClientOnly,
    Nowhere,
}

/// Stands between clients and one server until it is dropped.
pub(crate) struct Proxy {
    pub address: SocketAddr,
    flow: watch::Sender<Flow>,
}

impl Proxy {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (flow, _) = watch::channel(Flow::BothWays);
        let flows = flow.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let flow = flows.subscribe();
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await?;
                    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(server));
                    tokio::try_join!(
                        forward(
                            from_client,
                            to_server,
                            flow.clone(),
                            &[Flow::BothWays, Flow::ToServerOnly]
                        ),
                        forward(from_server, to_client, flow, &[Flow::BothWays, Flow::ToClientOnly]),
                    )
                });
            }
        });
        Self { address, flow }
    }

    pub(crate) fn let_through(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }
}

/// Passes on bytes, and the end of them, while they may flow; otherwise it takes none and says nothing.
async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut flow: watch::Receiver<Flow>,
    open_in: &[Flow],
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    loop {
        flow.wait_for(|flow| open_in.contains(flow)).await.map_err(gone)?;
        // A read that has begun when the network falls silent takes nothing out of it: it is given up.
        let read = tokio::select! {
            biased;
            changed = flow.changed() => { changed.map_err(gone)?; continue }
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(read) if read > 0 => to.write_all(&buffer[..read]).await?,
            // The other direction may have more to say.
            _ => {
                to.shutdown().await?;
                flow.wait_for(|_| false).await.map_err(gone)?;
            }
        }
    }
}
