//! A connection of one request: what comes behind its head is not HTTP's to read.
//!
//! actix-http reads on behind a request for the next one, as HTTP/1.1 lets clients send many in a
//! row, and keeps the answers to all of them for a client that reads none: megabytes for each
//! connection, and no time for anybody else meanwhile. Nobody needs a second request here, and what
//! follows an upgrade is the session's.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that ends, for its reader, with the head of the first request.
pub struct OneHead {
    socket: TcpStream,
    end: EndOfHead,
    /// What was read behind the head; some, even if empty, once the head is there.
    rest: Option<Vec<u8>>,
}

impl OneHead {
    /// A socket from which nothing was read yet.
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            end: EndOfHead::default(),
            rest: None,
        }
    }

    /// The socket, and what was read from it behind the head.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.socket, self.rest.unwrap_or_default())
    }
}

impl AsyncRead for OneHead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
            let read = &buffer.filled()[before..];
            if let Some(len) = self.end.find(read) {
                self.rest = Some(read[len..].to_vec());
                buffer.set_filled(before + len);
            }
        }
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
