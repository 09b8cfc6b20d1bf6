//! A socket that says exactly the bytes it is told to, and reads what comes back frame by frame.

mod talk;

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::{
    http::{ACCEPT, Response, UPGRADE},
    local::TestRelay,
    wait::within,
    wire::{BINARY, CLOSE, CONTINUATION, Frame, Outgoing, PING, PONG, TEXT, frame},
};

/// One connection to a relay.
pub struct Raw {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    seen: BytesMut,
    /// Payload bytes of the current data frame that were not handed out yet.
    left: u64,
    /// A message is unfinished: its last frame has not begun.
    unfinished: bool,
}

impl Raw {
    /// A session.
    pub async fn connect(relay: &TestRelay) -> Self {
        Self::connect_by(relay, UPGRADE).await
    }

    /// A session, by the head of a request that is not `UPGRADE`.
    pub async fn connect_by(relay: &TestRelay, head: &str) -> Self {
        Self::upgrade_by(relay, head).await.0
    }

    /// The same, with the answer for inspection.
    pub async fn upgrade_by(relay: &TestRelay, head: &str) -> (Self, Response) {
        let mut raw = Self::dial(relay).await;
        let answer = raw.upgrade(head).await;
        (raw, answer)
    }

    /// Connects with a small receive buffer, so that little of what is not read is hidden in the
    /// operating system.
    pub async fn connect_narrow(relay: &TestRelay) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(128 << 10).expect("SO_RCVBUF");
        let stream = within("a connection", socket.connect(relay.addr())).await;
        let mut raw = Self::over(stream.expect("a connection"));
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A connection on which nothing was said yet.
    pub async fn dial(relay: &TestRelay) -> Self {
        let stream = within("a connection", TcpStream::connect(relay.addr())).await;
        Self::over(stream.expect("a connection"))
    }

    /// A connection that was made already.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let (reader, writer) = stream.into_split();
        Self {
            reader,
            writer,
            seen: BytesMut::new(),
            left: 0,
            unfinished: false,
        }
    }

    /// Makes a session of the connection, by a request of this head.
    pub async fn upgrade(&mut self, head: &str) -> Response {
        self.write(format!("{head}\r\n").as_bytes()).await;
        let answer = self.response().await;
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some(ACCEPT),
            "{answer:?}"
        );
        answer
    }

    /// Sends the relay a request that makes no session, and reads the whole answer.
    pub async fn ask(relay: &TestRelay, request: &str) -> Response {
        let mut raw = Self::dial(relay).await;
        raw.write(request.as_bytes()).await;
        let mut response = raw.response().await;
        let length = response
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        let body = raw.take(length, "the body of an answer").await;
        response.body = String::from_utf8(body.to_vec()).expect("a body in UTF-8");
        response
    }

    /// The head of the answer to a request.
    pub async fn response(&mut self) -> Response {
        let end = loop {
            if let Some(end) = self.seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            let known = self.seen.len();
            self.fill(known + 1, "the head of an answer").await;
        };
        let head = String::from_utf8(self.seen.split_to(end).to_vec()).expect("a head in UTF-8");
        Response::parse(&head)
    }

    /// Writes these bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        within("room to write", self.writer.write_all(bytes))
            .await
            .expect("a write");
    }

    /// Writes what a relay may not take any more.
    ///
    /// # Errors
    ///
    /// Where it does not.
    pub async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await
    }

    /// Writes and reads apart, for those who do both at once.
    pub fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.reader, self.writer)
    }

    /// What it writes with, for those who do it at their own pace.
    pub fn writer(&mut self) -> &mut OwnedWriteHalf {
        &mut self.writer
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Outgoing) {
        self.write(&frame.encode()).await;
    }

    /// Writes these frames in one go, so that they arrive in one segment.
    pub async fn send_together(&mut self, frames: &[Outgoing]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Outgoing::encode).collect();
        self.write(&bytes).await;
    }

    /// Reads until so many bytes are there; false at the end of the stream.
    async fn try_fill(&mut self, length: usize, awaited: &str) -> bool {
        let reading = async {
            while self.seen.len() < length {
                match self.reader.read_buf(&mut self.seen).await {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return false,
                    Err(error) => panic!("{error} instead of {awaited}"),
                }
            }
            true
        };
        within(awaited, reading).await
    }

    async fn fill(&mut self, length: usize, awaited: &str) {
        let enough = self.try_fill(length, awaited).await;
        assert!(enough, "the end of the connection instead of {awaited}");
    }

    /// The next so many bytes, whatever they are.
    pub async fn take(&mut self, length: usize, awaited: &str) -> Bytes {
        self.fill(length, awaited).await;
        self.seen.split_to(length).freeze()
    }

    /// Reads a header as a client must: whole, unmasked, without reserved bits, and its length in
    /// its shortest form. Returns opcode, FIN and length.
    async fn header(&mut self, awaited: &str) -> (u8, bool, u64) {
        self.fill(2, awaited).await;
        let (first, second) = (self.seen[0], self.seen[1]);
        assert_eq!(first & 0x70, 0, "reserved bits in a frame of the relay's");
        assert_eq!(second & 0x80, 0, "a masked frame of the relay's");
        let extended = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.fill(2 + extended, awaited).await;
        self.seen.advance(2);
        let length = match extended {
            0 => second.into(),
            2 => self.seen.get_u16().into(),
            _ => self.seen.get_u64(),
        };
        let shortest = match length {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        assert_eq!(
            extended, shortest,
            "a length of {length} in a longer form than it needs"
        );
        (first & 0x0f, first & 0x80 != 0, length)
    }

    /// The next frame, whatever it is.
    pub async fn next(&mut self, awaited: &str) -> Frame {
        assert_eq!(self.left, 0, "in the middle of a frame");
        let (opcode, fin, length) = self.header(awaited).await;
        if opcode >= 8 {
            assert!(fin && length <= 125, "a control frame out of shape");
        }
        let payload = self.take(length as usize, awaited).await;
        Frame {
            fin,
            opcode,
            payload,
        }
    }

    /// The next frame, or None where the connection ends instead.
    pub async fn next_or_end(&mut self, awaited: &str) -> Option<Frame> {
        if self.try_fill(1, awaited).await {
            Some(self.next(awaited).await)
        } else {
            None
        }
    }

    /// The next frame, or None where the connection ends, were it in the middle of one.
    pub async fn next_or_cut(&mut self) -> Option<Frame> {
        const AWAITED: &str = "a frame, or the end";
        for needed in [2, 10] {
            // No frame is shorter than two bytes; one of ten has a whole header.
            if !self.try_fill(needed, AWAITED).await {
                return None;
            }
            let length = usize::from(self.seen[1] & 0x7f);
            if needed == 2 && length < 126 {
                let whole = self.try_fill(2 + length, AWAITED).await;
                return if whole {
                    Some(self.next(AWAITED).await)
                } else {
                    None
                };
            }
        }
        let length = match self.seen[1] {
            126 => 4 + usize::from(u16::from_be_bytes([self.seen[2], self.seen[3]])),
            _ => 10 + usize::try_from((&self.seen[2..10]).get_u64()).expect("a length"),
        };
        match self.try_fill(length, AWAITED).await {
            true => Some(self.next(AWAITED).await),
            false => None,
        }
    }

    /// The next frame for somebody who answers pings, as a living client does.
    pub async fn next_alive(&mut self, awaited: &str) -> Frame {
        loop {
            let frame = self.next(awaited).await;
            if frame.opcode != PING {
                return frame;
            }
            self.pong(&frame.payload).await;
        }
    }

    /// The next frame that is not a ping of the relay's.
    pub async fn next_but_pings(&mut self, awaited: &str) -> Frame {
        loop {
            let frame = self.next(awaited).await;
            if frame.opcode != PING {
                return frame;
            }
        }
    }

    /// The next bytes of data of one message, as soon as they are there: of a frame that has not
    /// arrived whole, and over as many fragments as it takes.
    pub async fn data(&mut self, length: usize, awaited: &str) -> Bytes {
        let mut data = BytesMut::with_capacity(length);
        while data.len() < length {
            if self.left == 0 {
                assert!(
                    data.is_empty() || self.unfinished,
                    "the end of a message, not {awaited}"
                );
                self.data_header(awaited).await;
                continue;
            }
            self.fill(1, awaited).await;
            let wanted = self.left.min((length - data.len()) as u64) as usize;
            let taken = wanted.min(self.seen.len());
            data.extend_from_slice(&self.seen.split_to(taken));
            self.left -= taken as u64;
        }
        data.freeze()
    }

    /// All of the message was read: what may follow is an empty last fragment.
    pub async fn expect_end_of_message(&mut self) {
        while self.unfinished && self.left == 0 {
            self.data_header("the last fragment").await;
        }
        assert_eq!(
            self.left, 0,
            "bytes after what should be the end of a message"
        );
    }

    /// Reads the header of a frame of data. Pings before it are answered, as any library does.
    async fn data_header(&mut self, awaited: &str) {
        loop {
            let (opcode, fin, length) = self.header(awaited).await;
            if opcode >= CLOSE {
                let payload = self
                    .take(length as usize, "the payload of a control frame")
                    .await;
                assert_eq!(
                    opcode, PING,
                    "a control frame {payload:?} instead of {awaited}"
                );
                self.pong(&payload).await;
                continue;
            }
            let begins = matches!(opcode, TEXT | BINARY);
            let right = if self.unfinished {
                opcode == CONTINUATION
            } else {
                begins
            };
            assert!(right, "opcode {opcode} instead of {awaited}");
            self.unfinished = !fin;
            self.left = length;
            return;
        }
    }

    /// Answers a Ping that carried this.
    pub async fn pong(&mut self, payload: &Bytes) {
        self.send(frame(PONG, payload.to_vec())).await;
    }

    /// Goes away with a reset: what it has not sent is lost, and nothing more is taken.
    pub fn reset(self) {
        let socket = SockRef::from(self.writer.as_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        drop(self);
    }

    /// Goes away without a word, as a lost network does.
    pub fn vanish(self) {
        drop(self);
    }
}
