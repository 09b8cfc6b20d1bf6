//! A connection of one request: its head is read whole before anything looks into it, and what
//! comes behind it is not HTTP's to read.
//!
//! actix-http parses a head anew with every read that brings more of it, which costs whoever waits for
//! a long one that drips in. It also reads on behind a request for the next one, as HTTP/1.1 lets
//! clients send many in a row, and keeps the answers to all of them for a client that reads none:
//! megabytes for each connection, and no time for anybody else meanwhile. Nobody needs a second request
//! here, and what follows an upgrade is the session's.

use std::{
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Bytes that the head of a request may have.
pub const MAX_HEAD: usize = 16 * 1024;
/// Bytes read in one call.
const READ: usize = 8 * 1024;
/// Bytes behind a head that is too long for which its client is still waited for.
const MAX_DISCARDED: usize = 256 * 1024;

/// How much of a head was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// All of it.
    Whole,
    /// [`MAX_HEAD`] bytes, and it has more.
    TooLarge,
}

/// A socket that ends, for its reader, with the head of the first request.
pub struct OneHead {
    socket: TcpStream,
    end: EndOfHead,
    /// What has come of the head and was not handed on yet.
    head: Bytes,
    /// What was read behind it.
    rest: Bytes,
}

impl OneHead {
    /// A socket from which nothing was read yet.
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            end: EndOfHead::default(),
            head: Bytes::new(),
            rest: Bytes::new(),
        }
    }

    /// Reads the head, and looks at each byte of it once. It takes memory for what has come, and none
    /// before that. `heard` is told of each read that brought some of it and not the last.
    ///
    /// # Errors
    ///
    /// The system's own, and `UnexpectedEof` where the client hangs up.
    pub async fn read(&mut self, mut heard: impl FnMut()) -> io::Result<Head> {
        let mut head = Vec::new();
        loop {
            self.socket.readable().await?;
            // Not kept over a wait, so that it is no part of a connection's memory.
            let mut buffer = [0; READ];
            let most = READ.min(MAX_HEAD - head.len());
            let read = match self.socket.try_read(&mut buffer[..most]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            let end = self.end.find(read);
            let (last, rest) = read.split_at(end.unwrap_or(read.len()));
            make_room(&mut head, last.len());
            head.extend_from_slice(last);
            if end.is_some() {
                self.head = head.into();
                self.rest = Bytes::copy_from_slice(rest);
                return Ok(Head::Whole);
            }
            if head.len() == MAX_HEAD {
                return Ok(Head::TooLarge);
            }
            heard();
        }
    }

    /// What was read of the head, until it is handed on.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The address of this machine that the client has connected to.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.socket.local_addr().ok().map(|address| address.ip())
    }

    /// The socket, and what was read from it behind the head.
    pub fn into_parts(self) -> (TcpStream, Bytes) {
        (self.socket, self.rest)
    }

    /// Says a last word, as far as the system takes it at once.
    pub fn say_last(&self, answer: &[u8]) {
        // Who does not take that much, or is gone, has no use for it.
        let _ = self.socket.try_write(answer);
    }

    /// Waits until a client that was told a last word has read it, or does not stop sending: to close
    /// on bytes unread would take the answer from it.
    ///
    /// # Errors
    ///
    /// The system's own.
    pub async fn let_go(mut self) -> io::Result<()> {
        self.socket.shutdown().await?;
        let mut left = MAX_DISCARDED;
        while left > 0 {
            self.socket.readable().await?;
            match self.socket.try_read(&mut [0; READ]) {
                Ok(0) => break,
                Ok(count) => left = left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsyncRead for OneHead {
    /// What was read of the head, and then the end.
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.head.len().min(buffer.remaining());
        buffer.put_slice(&self.head.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OneHead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl ActixStream for OneHead {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.socket, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.socket, cx)
    }
}

/// Makes room for so many bytes more. It doubles, so that a head that drips in is not copied for each
/// drop; but a `Vec` by itself would go on to nearly twice [`MAX_HEAD`].
fn make_room(head: &mut Vec<u8>, more: usize) {
    let wanted = head.len() + more;
    if wanted > head.capacity() {
        let capacity = wanted.max((2 * head.capacity()).min(MAX_HEAD));
        head.reserve_exact(capacity - head.len());
    }
}

/// Looks for the empty line that ends a head (RFC 9112 §2.1), with the lone line feeds and the
/// empty lines in front of a request that parsers put up with (§2.2).
#[derive(Debug, Default)]
struct EndOfHead {
    /// Whether anything but line ends has come.
    begun: bool,
    /// Whether anything but a carriage return has come since the last line feed.
    in_line: bool,
}

impl EndOfHead {
    /// How many of these bytes still belong to the head, if it ends in them.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.begun && !self.in_line => return Some(index + 1),
                b'\n' => self.in_line = false,
                b'\r' => {}
                _ => (self.begun, self.in_line) = (true, true),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_empty_line_however_it_is_split() {
        for (head, rest) in [
            (
                "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET / HTTP/1.1\r\n\r\n",
            ),
            ("GET / HTTP/1.1\r\n\r\n", "\r\n\r\n"),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", ""),
            ("GET / HTTP/1.1\nHost: x\n\n", "more\n\n"),
            ("GET / HTTP/1.1\r\nHost: x\n\r\n", "\n"),
        ] {
            let all = format!("{head}{rest}");
            for cut in 0..=head.len() {
                let mut end = EndOfHead::default();
                let (first, second) = all.as_bytes().split_at(cut);
                let found = end.find(first);
                let found = found.or_else(|| end.find(second).map(|len| cut + len));
                assert_eq!(found, Some(head.len()), "{all:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_head_takes_16_kib_at_most_however_it_comes() {
        for first in [1, 3, 4_100, 8_191, READ] {
            let (mut head, mut grown) = (Vec::new(), 0);
            for count in [first, READ - 1].into_iter().chain([1; READ]) {
                let count = count.min(MAX_HEAD - head.len());
                let before = head.capacity();
                make_room(&mut head, count);
                grown += usize::from(head.capacity() > before);
                head.extend_from_slice(&[b'x'; READ][..count]);
            }
            assert_eq!((head.len(), head.capacity()), (MAX_HEAD, MAX_HEAD));
            assert!(grown <= 4, "from {first} on in {grown} steps");
        }
    }

    #[test]
    fn a_head_without_an_empty_line_has_no_end() {
        for head in [
            "",
            "\r\n\r\n\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r",
            "\r\n\r\nG\r\n",
        ] {
            assert_eq!(EndOfHead::default().find(head.as_bytes()), None, "{head:?}");
        }
    }
}
