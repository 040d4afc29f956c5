//! A connection to a server that counts what goes through it. It shares no code with what it tests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::server::Account;
use super::tls::Authority;

const DEADLINE: Duration = Duration::from_secs(10);

/// A reply in RESP2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Vec<Value>),
}

impl Value {
    /// The text of a simple or bulk string.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Simple(text) => text.clone(),
            Self::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("a text was expected, not {other:?}"),
        }
    }

    pub(crate) fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("a number was expected, not {other:?}"),
        }
    }

    pub(crate) fn items(&self) -> &[Value] {
        match self {
            Self::Array(items) => items,
            other => panic!("an array was expected, not {other:?}"),
        }
    }
}

/// Bytes both ways, whatever carries them.
trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<Bytes: AsyncRead + AsyncWrite + Send + Unpin> Carrier for Bytes {}

/// One connection: commands out, replies in, bytes counted.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Carrier>>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

impl Connection {
    /// Connects from `source`, which the server shows as the client's address, and authenticates.
    pub(crate) async fn open(
        server: SocketAddr,
        source: IpAddr,
        authority: Option<&Authority>,
        account: Option<&Account>,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source, 0))?;
        let tcp = timeout(DEADLINE, socket.connect(server)).await??;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Carrier> = match authority {
            None => Box::new(tcp),
            Some(authority) => {
                let name = server.ip().into();
                Box::new(TlsConnector::from(authority.client()).connect(name, tcp).await?)
            }
        };
        let mut connection = Self::over(stream);
        if let Some(account) = account {
            let reply = connection.call(&["AUTH", &account.user, &account.password]).await?;
            if let Value::Error(message) = reply {
                return Err(io::Error::other(message));
            }
        }
        Ok(connection)
    }

    /// Speaks over a stream that stands already.
    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            sent_bytes: 0,
            received_bytes: 0,
        }
    }

    /// One command, one reply; a server's error is a [`Value::Error`].
    pub(crate) async fn call(&mut self, command: &[&str]) -> io::Result<Value> {
        self.send(&[command.to_vec()]).await?;
        self.receive().await
    }

    /// Writes commands without waiting for replies.
    pub(crate) async fn send(&mut self, commands: &[Vec<&str>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for argument in command {
                bytes.extend_from_slice(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
            }
        }
        self.sent_bytes += bytes.len() as u64;
        timeout(DEADLINE, self.stream.write_all(&bytes)).await??;
        timeout(DEADLINE, self.stream.flush()).await?
    }

    /// The next reply.
    pub(crate) async fn receive(&mut self) -> io::Result<Value> {
        timeout(DEADLINE, Box::pin(self.value())).await?
    }

    /// The next line as it stands, without its end: how MONITOR's lines come.
    pub(crate) async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let read = timeout(DEADLINE, self.stream.read_until(b'\n', &mut line)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received_bytes += read as u64;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn value(&mut self) -> io::Result<Value> {
        let line = self.line().await?;
        let (kind, rest) = line.split_at(1);
        let size = || rest.parse::<i64>().map_err(io::Error::other);
        Ok(match kind {
            "+" => Value::Simple(rest.to_owned()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Integer(size()?),
            "$" => Value::Bulk(match usize::try_from(size()?) {
                Ok(length) => Some(self.bulk(length).await?),
                Err(_) => None,
            }),
            "*" => {
                let mut items = Vec::new();
                for _ in 0..size()? {
                    items.push(Box::pin(self.value()).await?);
                }
                Value::Array(items)
            }
            _ => return Err(io::Error::other(format!("not RESP2: {line}"))),
        })
    }

    async fn bulk(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).await?;
        self.received_bytes += bytes.len() as u64;
        bytes.truncate(length);
        Ok(bytes)
    }
}
