//! The one seam to a server: a stream that speaks the server's protocol, over the network or from a stage in memory.
//!
//! Everything above the stream (commands, MONITOR bytes) is the same for both.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's bytes, whatever carries them: TCP, TLS, or memory.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<Any: AsyncRead + AsyncWrite + Send + Unpin> Stream for Any {}

/// A [`Stream`] of a kind chosen at run time.
pub type BoxStream = Box<dyn Stream>;
