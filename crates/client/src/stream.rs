//! What a WebSocket is opened over: a TCP connection, or TLS over one; and how much of it is taken from
//! a server, whatever that says.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, whatever is beneath it.
pub type Stream = Box<dyn Io>;

/// More came than the connection was to bring: the error inside an [`io::Error`].
#[derive(Debug)]
pub struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server sends more than was asked for")
    }
}

impl std::error::Error for TooMuch {}

impl TooMuch {
    /// Whether this is what an error is about.
    pub fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// A connection from which so many bytes are read, and then an error that is [`TooMuch`]. It stands
/// beneath TLS and the WebSocket, so that it bounds what either could be flooded with.
#[derive(Debug)]
pub struct Bounded<S> {
    inner: S,
    left: usize,
}

impl<S> Bounded<S> {
    /// `inner`, of which no more than `most` bytes and the rest of one read are taken.
    pub fn new(inner: S, most: usize) -> Self {
        Self { inner, left: most }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let Some(left) = self.left.checked_sub(read) else {
            self.left = 0;
            return Poll::Ready(Err(io::Error::other(TooMuch)));
        };
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_fits_is_read_and_what_is_more_is_an_error() {
        let mut text = String::new();
        let mut fitting = Bounded::new(tokio::io::join(&b"abc"[..], Vec::new()), 3);
        let read = fitting.read_to_string(&mut text).await;
        assert_eq!((read.ok(), text.as_str()), (Some(3), "abc"));

        let mut endless = Bounded::new(tokio::io::join(tokio::io::repeat(0), Vec::new()), 3);
        let mut bytes = [0; 2];
        assert!(endless.read_exact(&mut bytes).await.is_ok());
        for _ in 0..2 {
            let error = endless.read_exact(&mut bytes).await;
            assert!(error.is_err_and(|error| TooMuch::is_in(&error)));
        }
    }
}
