//! What a WebSocket is opened over: a TCP connection, or TLS over one.

use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// A connection, whatever is beneath it.
pub type Stream = Box<dyn Io>;
