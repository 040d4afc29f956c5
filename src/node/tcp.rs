//! A TCP connection that can leave the runtime alone while its reader rests.
//!
//! A socket that is watched wakes the runtime for each packet, also when nobody wants it yet; a stream of small packets costs more by
//! that than by reading it. An unwatched one wakes nobody: whoever rests looks again by the clock. It refuses to know when to rest.

use std::io::{self, Read};
use std::net::TcpStream as Unwatched;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Socket, Stream};

/// A connection, watched by the runtime or not.
#[derive(Debug)]
pub(super) struct Tcp {
    state: State,
}

#[derive(Debug)]
enum State {
    Watched(TcpStream),
    Unwatched {
        socket: Unwatched,
        /// The last look took all there was; the next one is for after the rest.
        emptied: bool,
    },
    /// The runtime could neither let go of it nor take it back.
    Lost,
}

impl Tcp {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            state: State::Watched(stream),
        }
    }

    /// The connection as the runtime watches it.
    fn watched(&mut self) -> io::Result<&mut TcpStream> {
        self.watch()?;
        match &mut self.state {
            State::Watched(stream) => Ok(stream),
            State::Unwatched { .. } | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Stream for Tcp {
    fn resetting_handle(&self) -> Option<Socket> {
        let State::Watched(stream) = &self.state else {
            return None;
        };
        stream.set_zero_linger().ok()?;
        let handle = stream.as_fd().try_clone_to_owned().ok()?;
        Some(Socket(Arc::new(handle.into())))
    }

    fn unwatch(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Watched(stream) => State::Unwatched {
                socket: stream.into_std()?,
                emptied: false,
            },
            State::Unwatched { socket, .. } => State::Unwatched { socket, emptied: false },
            State::Lost => State::Lost,
        };
        Ok(())
    }

    fn watch(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Unwatched { socket, .. } => State::Watched(TcpStream::from_std(socket)?),
            watched_or_lost => watched_or_lost,
        };
        Ok(())
    }
}

impl Stream for TlsStream<Tcp> {
    fn resetting_handle(&self) -> Option<Socket> {
        self.get_ref().0.resetting_handle()
    }

    fn unwatch(&mut self) -> io::Result<()> {
        self.get_mut().0.unwatch()
    }

    fn watch(&mut self) -> io::Result<()> {
        self.get_mut().0.watch()
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.state {
            State::Watched(stream) => Pin::new(stream).poll_read(cx, space),
            State::Unwatched { emptied: true, .. } => Poll::Pending,
            State::Unwatched { socket, emptied } => loop {
                let room = space.initialize_unfilled();
                match socket.read(room) {
                    Ok(read) => {
                        *emptied = read > 0 && read < room.len();
                        space.advance(read);
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            },
            State::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// Whoever writes doesn't rest.
impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().watched()?).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().watched()?).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().watched()?).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    async fn connected() -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Tcp::new(ours.expect("a connection")), theirs.expect("its other end").0)
    }

    /// What is there now, without waiting; `None` if nothing is.
    fn look(tcp: &mut Tcp) -> Option<Vec<u8>> {
        let mut space = [0; 64];
        let mut space = ReadBuf::new(&mut space);
        match Pin::new(tcp).poll_read(&mut Context::from_waker(Waker::noop()), &mut space) {
            Poll::Ready(read) => {
                read.expect("a connection that holds");
                Some(space.filled().to_vec())
            }
            Poll::Pending => None,
        }
    }

    /// Looks after one rest after the other, until something is there.
    async fn look_until_it_comes(tcp: &mut Tcp) -> Vec<u8> {
        let found = async {
            loop {
                tcp.unwatch().expect("a connection that holds");
                match look(tcp) {
                    Some(found) => return found,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        timeout(Duration::from_secs(20), found).await.expect("it comes in time")
    }

    #[tokio::test]
    async fn what_comes_while_nobody_watches_is_found_by_looking() {
        let (mut tcp, mut peer) = connected().await;
        tcp.unwatch().expect("a connection that holds");
        assert_eq!(look(&mut tcp), None);
        peer.write_all(b"one").await.expect("it is open");
        assert_eq!(look_until_it_comes(&mut tcp).await, b"one");
        peer.write_all(b"two").await.expect("it is open");
        assert_eq!(
            look(&mut tcp),
            None,
            "one look took all there was, so the next is for after a rest"
        );
        assert_eq!(look_until_it_comes(&mut tcp).await, b"two");
        drop(peer);
        assert_eq!(look_until_it_comes(&mut tcp).await, b"", "the end");
    }

    #[tokio::test]
    async fn whoever_waits_or_writes_after_a_rest_is_woken_again() {
        let (mut tcp, mut peer) = connected().await;
        tcp.unwatch().expect("a connection that holds");
        peer.write_all(b"meanwhile").await.expect("it is open");
        tcp.watch().expect("a connection that holds");
        let mut answer = [0; 9];
        let read = timeout(Duration::from_secs(20), tcp.read_exact(&mut answer)).await;
        read.expect("it wakes the reader").expect("it is open");
        assert_eq!(&answer, b"meanwhile");
        tcp.unwatch().expect("a connection that holds");
        tcp.write_all(b"question").await.expect("it is open");
        peer.read_exact(&mut [0; 8]).await.expect("it was sent");
        peer.write_all(b"an answer").await.expect("it is open");
        let read = timeout(Duration::from_secs(20), tcp.read_exact(&mut answer)).await;
        read.expect("it wakes the reader").expect("it is open");
        assert_eq!(&answer, b"an answer");
    }
}
