//! A session's Pings and Pongs: its client's are answered, and its own ask whether the client is there, and
//! how far it has read.

use std::time::{Duration, Instant};

use relay_wire::frame::{self, Opcode};

use super::connection::Connection;
use crate::{actors::messages::Cleared, flow::data::Chunk};

/// The answers to the Pings of one read.
#[derive(Default)]
pub(super) struct Pongs {
    frames: Vec<u8>,
    /// Where the last of them begins.
    last: usize,
}

impl Pongs {
    pub(super) fn push(&mut self, payload: &[u8]) {
        self.last = self.frames.len();
        self.frames.extend(frame::encode(Opcode::Pong, payload));
    }
}

impl Connection {
    /// Answers Pings. While Pongs wait that the client has not taken, it is the last of them alone that
    /// will be answered (RFC 6455 §5.5.3): who takes none has none made.
    pub(super) fn pong(&mut self, mut pongs: Pongs) {
        if pongs.frames.is_empty() {
            return;
        }
        if self.outbox.has_written(self.ponged_by) {
            self.owed = None;
            self.say_urgently(pongs.frames);
        } else {
            self.owed = Some(pongs.frames.split_off(pongs.last));
        }
    }

    /// Queues the Pong that was put off, if it is due.
    pub(super) fn queue_owed_pong(&mut self) {
        let due = self.outbox.has_written(self.ponged_by);
        if let Some(pong) = self.owed.take_if(|_| due) {
            self.say_urgently(pong);
        }
    }

    /// Queues Pongs in front of what waits.
    fn say_urgently(&mut self, pongs: Vec<u8>) {
        if self.is_open() && !self.write_failed {
            let pongs = Chunk::ours(pongs, &self.window);
            self.ponged_by = self.outbox.push_urgent(pongs);
        }
    }

    /// Pings the client, in front of what waits; returns the number it will answer with.
    pub(super) fn ping(&mut self, now: Instant) -> u64 {
        self.clocks.pinged(now, self.arrival.is_awaited());
        self.pinged = self.mark(now);
        self.pinged
    }

    /// Pings the client for no other reason than to hear how far it has read; returns the number it
    /// will answer with.
    pub(super) fn mark(&mut self, now: Instant) -> u64 {
        let number = self.reader.next_ping();
        if !self.write_failed {
            let payload = self.outbox.payload_before_urgent();
            let ping = frame::encode(Opcode::Ping, &number.to_be_bytes());
            // What waits goes on as what is before it arrives.
            let moved = match self.outbox.is_empty() {
                true => self.given.last,
                false => now,
            };
            let place = self.outbox.push_urgent(Chunk::ours(ping, &self.window));
            self.arrival.pinged(number, place, payload, moved, now);
        }
        number
    }

    /// The client has answered the Ping of this number, and so those before it.
    pub(super) fn on_pong(&mut self, number: u64, now: Instant) {
        let shown = self.arrival.ponged(number, now);
        self.state.metrics.arrived(shown.payload);
        // One that may have waited with the system for its session to be read tells nothing of the way.
        let was_read = |took: &Duration| self.read_since.is_some_and(|since| now - since >= *took);
        if let Some(took) = shown.took.filter(was_read) {
            self.state.metrics.waits.round_trip(took, shown.behind_data);
        }
        self.clocks.arrived(now, self.arrival.is_awaited());
        if number >= self.pinged {
            self.clocks.ponged();
        }
        if self.barrier.take_if(|barrier| *barrier <= number).is_some() {
            self.registry.do_send(Cleared(self.id));
        }
    }
}
