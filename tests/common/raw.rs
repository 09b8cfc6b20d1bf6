//! A socket that says exactly the bytes it is told to, and reads what comes back frame by frame.

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    TestRelay,
    http::{ACCEPT, Response, UPGRADE},
    reply,
    wire::{self, BINARY, CLOSE, CONTINUATION, Frame, Outgoing, PING, PONG, TEXT, frame},
    within,
};

/// One connection to a relay.
pub(crate) struct Raw {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    pub(super) seen: BytesMut,
    /// Payload bytes of the current data frame that were not handed out yet.
    left: u64,
    /// A message is unfinished: its last frame has not begun.
    unfinished: bool,
}

impl Raw {
    pub(crate) async fn connect(relay: &TestRelay) -> Self {
        Self::connect_by(relay, UPGRADE).await
    }

    /// Connects with the head of a request that is not `UPGRADE`.
    pub(crate) async fn connect_by(relay: &TestRelay, head: &str) -> Self {
        Self::upgrade_by(relay, head).await.0
    }

    /// The same, with the answer for inspection.
    pub(crate) async fn upgrade_by(relay: &TestRelay, head: &str) -> (Self, Response) {
        let mut raw = Self::dial(relay).await;
        let answer = raw.upgrade(head).await;
        (raw, answer)
    }

    /// Connects with a small receive buffer, so that little of what is not read is hidden in the
    /// operating system.
    pub(crate) async fn connect_narrow(relay: &TestRelay) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(128 << 10).expect("SO_RCVBUF");
        let stream = within("a connection", socket.connect(relay.addr())).await;
        let mut raw = Self::over(stream.expect("a connection"));
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A connection on which nothing was said yet.
    pub(crate) async fn dial(relay: &TestRelay) -> Self {
        let stream = within("a connection", TcpStream::connect(relay.addr())).await;
        Self::over(stream.expect("a connection"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
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

    pub(crate) async fn upgrade(&mut self, head: &str) -> Response {
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

    /// The head of the answer to a request.
    pub(crate) async fn response(&mut self) -> Response {
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

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within("room to write", self.writer.write_all(bytes))
            .await
            .expect("a write");
    }

    /// Writes and reads apart, for those who do both at once.
    pub(crate) fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.reader, self.writer)
    }

    pub(crate) fn writer(&mut self) -> &mut OwnedWriteHalf {
        &mut self.writer
    }

    pub(crate) async fn send(&mut self, frame: Outgoing) {
        self.write(&frame.encode()).await;
    }

    /// Writes these frames in one go, so that they arrive in one segment.
    pub(crate) async fn send_together(&mut self, frames: &[Outgoing]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Outgoing::encode).collect();
        self.write(&bytes).await;
    }

    /// Reads until so many bytes are there; false at the end of the stream.
    pub(super) async fn try_fill(&mut self, length: usize, awaited: &str) -> bool {
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
    pub(crate) async fn take(&mut self, length: usize, awaited: &str) -> Bytes {
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
    pub(crate) async fn next(&mut self, awaited: &str) -> Frame {
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
    pub(crate) async fn next_or_end(&mut self, awaited: &str) -> Option<Frame> {
        if self.try_fill(1, awaited).await {
            Some(self.next(awaited).await)
        } else {
            None
        }
    }

    /// The next frame that is not a ping of the relay's.
    pub(crate) async fn next_but_pings(&mut self, awaited: &str) -> Frame {
        loop {
            let frame = self.next(awaited).await;
            if frame.opcode != PING {
                return frame;
            }
        }
    }

    /// The next bytes of data of one message, as soon as they are there: of a frame that has not
    /// arrived whole, and over as many fragments as it takes.
    pub(crate) async fn data(&mut self, length: usize, awaited: &str) -> Bytes {
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
    pub(crate) async fn expect_end_of_message(&mut self) {
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

    /// The next message of the relay's own.
    pub(crate) async fn next_json(&mut self, awaited: &str) -> Value {
        let frame = self.next_but_pings(awaited).await;
        assert!(
            frame.fin && frame.opcode == TEXT,
            "{frame:?} instead of {awaited}"
        );
        reply::parse(std::str::from_utf8(&frame.payload).expect("UTF-8"))
    }

    pub(crate) async fn create_room(&mut self) -> String {
        self.send(frame(TEXT, reply::CREATE)).await;
        reply::created(&self.next_json("ROOM_CREATED").await)
    }

    pub(crate) async fn join(&mut self, code: &str) {
        self.send(frame(TEXT, reply::join(code))).await;
        reply::assert_joined(&self.next_json("ROOM_JOINED").await, code);
    }

    pub(crate) async fn expect_peer(&mut self) -> String {
        reply::peer(&self.next_json("PEER_JOINED").await, "PEER_JOINED")
    }

    pub(crate) async fn expect_peer_gone(&mut self) -> String {
        reply::peer(
            &self.next_json("PEER_DISCONNECTED").await,
            "PEER_DISCONNECTED",
        )
    }

    pub(crate) async fn expect_error(&mut self, reason: &str) {
        reply::assert_error(&self.next_json(reason).await, reason);
    }

    /// The relay's next Ping; returns what a Pong has to repeat.
    pub(crate) async fn expect_ping(&mut self) -> Bytes {
        let frame = self.next("a ping").await;
        assert_eq!(frame.opcode, PING, "{frame:?} instead of a ping");
        frame.payload
    }

    pub(crate) async fn pong(&mut self, payload: &Bytes) {
        self.send(frame(PONG, payload.to_vec())).await;
    }

    /// One round trip that nothing but the answer, and pings of the relay's own, comes between.
    pub(crate) async fn round_trip(&mut self) {
        self.send(frame(PING, "round trip")).await;
        let answer = self.next_but_pings("a pong").await;
        assert_eq!(
            answer,
            Frame {
                fin: true,
                opcode: PONG,
                payload: "round trip".into()
            }
        );
    }

    /// The relay has nothing to say to this client: one round trip is behind all that was sent, a
    /// second one behind all that came of it.
    pub(crate) async fn expect_silence(&mut self) {
        self.round_trip().await;
        self.round_trip().await;
    }

    /// All frames up to the close that tells a receiver of the end of its sender.
    pub(crate) async fn frames_until_sender_gone(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next_but_pings("the end of its sender").await;
            if frame.opcode == CLOSE {
                let expected = [&1001_u16.to_be_bytes()[..], b"sender_disconnected"].concat();
                assert_eq!(frame.payload, expected, "{frame:?}");
                return frames;
            }
            frames.push(frame);
        }
    }

    /// The relay closes with this code. It is answered, and the relay ends the connection.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        let awaited = format!("close {code}");
        let frame = self.next_but_pings(&awaited).await;
        assert_eq!(frame.opcode, CLOSE, "{frame:?} instead of {awaited}");
        assert!(
            frame.payload.len() >= 2,
            "a close without a code instead of {awaited}"
        );
        let (sent, reason) = frame.payload.split_at(2);
        let reason = std::str::from_utf8(reason).expect("a reason in UTF-8");
        assert_eq!(
            u16::from_be_bytes([sent[0], sent[1]]),
            code,
            "closed for {reason:?}"
        );
        let answer = wire::frame(CLOSE, sent).encode();
        let _ = self.writer.write_all(&answer).await; // It may have ended the connection already.
        self.expect_end().await;
    }

    /// The relay says why, and closes with this code.
    pub(crate) async fn expect_close_after_error(&mut self, reason: &str, code: u16) {
        self.expect_error(reason).await;
        self.expect_close(code).await;
    }

    /// The relay ends the connection, and says nothing more.
    pub(crate) async fn expect_end(&mut self) {
        let ending = async {
            loop {
                match self.reader.read_buf(&mut self.seen).await {
                    Ok(0) => return,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                    Ok(_) => {}
                    Err(error) => panic!("{error} instead of the end of the connection"),
                }
            }
        };
        within("the end of the connection", ending).await;
        assert!(
            self.seen.is_empty(),
            "{:?} before the end of the connection",
            self.seen
        );
    }

    /// Goes away with a reset: what it has not sent is lost, and nothing more is taken.
    pub(crate) fn reset(self) {
        let socket = SockRef::from(self.writer.as_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        drop(self);
    }

    /// Goes away without a word, as a lost network does.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}
