//! One end of a connection: just enough WebSocket to load a server without being the bottleneck.
//!
//! Messages to send are masked once and written many times. Received ones are counted and
//! measured by their headers; their content is what the tests check.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use relay_testing::http::UPGRADE;
use relay_wire::frame::{Opcode, encode_masked};
use serde_json::Value;

use crate::failure::Result;

/// The answer that never comes ends a load with an error, not with a hang.
const TIMEOUT: Duration = Duration::from_secs(20);
/// For sessions of which there are thousands.
const SMALL_BUFFER: usize = 4 << 10;
/// For a stream of messages.
const LARGE_BUFFER: usize = 256 << 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// A binary message of `len` bytes as a client sends it: one masked frame.
pub(crate) fn message(len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(len).collect();
    encode_masked(Opcode::Binary, true, &payload, MASK)
}

/// One end of a connection.
pub(crate) struct End {
    stream: BufReader<TcpStream>,
    /// Whether what arrives is masked: a forwarder leaves it as it was sent, a relay may not.
    masked: bool,
}

struct Header {
    fin: bool,
    opcode: u8,
    len: u64,
}

impl End {
    /// An end of a connection through a forwarder: frames from the first byte on.
    pub(crate) fn forwarded(stream: TcpStream) -> Result<Self> {
        Self::new(stream, true)
    }

    fn new(stream: TcpStream, masked: bool) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let stream = BufReader::with_capacity(SMALL_BUFFER, stream);
        Ok(Self { stream, masked })
    }

    /// Connects to a relay, as a WebSocket client with these further lines in the head of its request.
    pub(crate) fn connect(address: SocketAddr, lines: &str) -> Result<Self> {
        let mut end = Self::new(TcpStream::connect(address)?, false)?;
        end.send(format!("{UPGRADE}{lines}\r\n").as_bytes())?;
        let mut line = String::new();
        end.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 101") {
            return Err(format!("the upgrade was refused: {}", line.trim()).into());
        }
        while line != "\r\n" {
            line.clear();
            if end.stream.read_line(&mut line)? == 0 {
                return Err("the server left during the upgrade".into());
            }
        }
        Ok(end)
    }

    /// Gets ready to receive a stream of messages. Nothing may be unread.
    pub(crate) fn with_large_buffer(self) -> Self {
        debug_assert!(self.stream.buffer().is_empty());
        let stream = BufReader::with_capacity(LARGE_BUFFER, self.stream.into_inner());
        Self { stream, ..self }
    }

    /// Writes frames that are ready for the wire.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(frames)?)
    }

    /// The connection below, for writing at one's own pace.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send_json(&mut self, request: &Value) -> Result<()> {
        let text = request.to_string();
        self.send(&encode_masked(Opcode::Text, true, text.as_bytes(), MASK))
    }

    /// Receives a JSON text message in one frame, as the relays' own messages are.
    pub(crate) fn receive_json(&mut self) -> Result<Value> {
        let header = self.data_header()?;
        let mut text = vec![0; header.len.try_into()?];
        self.stream.read_exact(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Receives a message, in however many frames it comes, and returns its length.
    pub(crate) fn receive(&mut self) -> Result<u64> {
        let mut total = 0;
        loop {
            let header = self.data_header()?;
            self.skip(header.len)?;
            total += header.len;
            if header.fin {
                return Ok(total);
            }
        }
    }

    /// Receives a message, and returns when the first byte of its payload came.
    pub(crate) fn receive_and_time(&mut self) -> Result<Instant> {
        let mut header = self.data_header()?;
        while header.len == 0 {
            header = self.data_header()?;
        }
        self.skip(1)?;
        let came = Instant::now();
        self.skip(header.len - 1)?;
        if !header.fin {
            self.receive()?;
        }
        Ok(came)
    }

    /// Says goodbye and waits until the server has closed the connection.
    pub(crate) fn close(mut self) -> Result<()> {
        let code = 1000_u16.to_be_bytes();
        self.send(&encode_masked(Opcode::Close, true, &code, MASK))?;
        while self.skip_buffered(u64::MAX)? > 0 {}
        Ok(())
    }

    /// The next header of a data frame. Pings in front of it are answered: what a relay sends is bounded by
    /// what their Pongs show to have arrived.
    fn data_header(&mut self) -> Result<Header> {
        loop {
            let header = self.header()?;
            match header.opcode {
                0x0..CLOSE => return Ok(header),
                CLOSE => return Err("the server closed the session".into()),
                PING => {
                    let mut payload = vec![0; header.len.try_into()?];
                    self.stream.read_exact(&mut payload)?;
                    self.send(&encode_masked(Opcode::Pong, true, &payload, MASK))?;
                }
                _ => self.skip(header.len)?,
            }
        }
    }

    fn header(&mut self) -> Result<Header> {
        let [first, second] = self.read()?;
        let len = match second & 0x7f {
            126 => u16::from_be_bytes(self.read()?).into(),
            127 => u64::from_be_bytes(self.read()?),
            len => len.into(),
        };
        if (second & 0x80 != 0) != self.masked {
            return Err("a frame is masked, or not, against the rules".into());
        }
        if self.masked {
            self.read::<4>()?;
        }
        Ok(Header {
            fin: first & 0x80 != 0,
            opcode: first & 0x0f,
            len,
        })
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, mut len: u64) -> Result<()> {
        while len > 0 {
            match self.skip_buffered(len)? {
                0 => return Err("the server left in mid-message".into()),
                skipped => len -= skipped,
            }
        }
        Ok(())
    }

    /// Skips at most `len` bytes of what one read brings; 0 at the end of the stream.
    fn skip_buffered(&mut self, len: u64) -> Result<u64> {
        let available = self.stream.fill_buf()?.len() as u64;
        let skipped = available.min(len);
        self.stream.consume(skipped as usize);
        Ok(skipped)
    }
}
