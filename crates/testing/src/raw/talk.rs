//! What a client says to the relay itself, and what it hears of it.

use std::io;

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Raw;
use crate::{
    reply,
    wait::within,
    wire::{self, CLOSE, Frame, PING, PONG, TEXT, frame},
};

impl Raw {
    /// The next message of the relay's own.
    pub async fn next_json(&mut self, awaited: &str) -> Value {
        let frame = self.next_but_pings(awaited).await;
        assert!(
            frame.fin && frame.opcode == TEXT,
            "{frame:?} instead of {awaited}"
        );
        reply::parse(std::str::from_utf8(&frame.payload).expect("UTF-8"))
    }

    /// Opens a room and returns its code.
    pub async fn create_room(&mut self) -> String {
        self.send(frame(TEXT, reply::CREATE)).await;
        reply::created(&self.next_json("ROOM_CREATED").await)
    }

    /// Joins a room, whether it is paired at once or queued.
    pub async fn join(&mut self, code: &str) {
        self.send(frame(TEXT, reply::join(code))).await;
        reply::assert_joined(&self.next_json("ROOM_JOINED").await, code);
    }

    /// A receiver is paired; returns its id.
    pub async fn expect_peer(&mut self) -> String {
        reply::peer(&self.next_json("PEER_JOINED").await, "PEER_JOINED")
    }

    /// The receiver is gone; returns its id.
    pub async fn expect_peer_gone(&mut self) -> String {
        reply::peer(
            &self.next_json("PEER_DISCONNECTED").await,
            "PEER_DISCONNECTED",
        )
    }

    /// The relay refuses something, for this reason.
    pub async fn expect_error(&mut self, reason: &str) {
        reply::assert_error(&self.next_json(reason).await, reason);
    }

    /// The relay's next Ping; returns what a Pong has to repeat.
    pub async fn expect_ping(&mut self) -> Bytes {
        let frame = self.next("a ping").await;
        assert_eq!(frame.opcode, PING, "{frame:?} instead of a ping");
        frame.payload
    }

    /// One round trip that nothing but the answer, and pings of the relay's own, comes between.
    pub async fn round_trip(&mut self) {
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
    pub async fn expect_silence(&mut self) {
        self.round_trip().await;
        self.round_trip().await;
    }

    /// All frames up to the close that tells a receiver of the end of its sender.
    pub async fn frames_until_sender_gone(&mut self) -> Vec<Frame> {
        self.frames_until_close(1001, "sender_disconnected").await
    }

    /// All frames up to the close with this code and reason.
    pub async fn frames_until_close(&mut self, code: u16, reason: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next_alive(reason).await;
            if frame.opcode == CLOSE {
                let expected = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
                assert_eq!(frame.payload, expected, "{frame:?}");
                return frames;
            }
            frames.push(frame);
        }
    }

    /// The relay closes with this code; returns the reason. It is answered, and the relay ends the connection.
    pub async fn expect_close(&mut self, code: u16) -> String {
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
        reason.to_owned()
    }

    /// The relay says why, and closes with this code.
    pub async fn expect_close_after_error(&mut self, reason: &str, code: u16) {
        self.expect_error(reason).await;
        self.expect_close(code).await;
    }

    /// Waits until the relay ends the connection, whatever it says before.
    pub async fn ended(&mut self) {
        while self.try_fill(1, "the end of the connection").await {
            self.seen.clear();
        }
    }

    /// The relay ends the connection, and says nothing more.
    pub async fn expect_end(&mut self) {
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
}
