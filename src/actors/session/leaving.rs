//! How a session ends: who says Close, what is still written, and what its registry is told.

use std::{mem, time::Instant};

use relay_wire::{
    ending::Ending,
    frame::{self, Opcode},
};

use super::{connection::Connection, phase::Phase};
use crate::{
    actors::messages::Leave,
    flow::{data::Chunk, reader::Oversize},
    rooms::Departure,
};

/// The code of a Close that names no fault (RFC 6455 §7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

impl Connection {
    /// Answers the client's Close with its own code (RFC 6455 §5.5.1), or takes it for the answer
    /// to ours.
    pub(super) fn on_peer_close(&mut self, code: Option<u16>, now: Instant) {
        if self.is_open() {
            self.leave_as(Departure {
                well: matches!(code, None | Some(NORMAL_CLOSURE)),
                ..Ending::PeerClosed.into()
            });
            self.push(match code {
                Some(code) => frame::encode_close(code, ""),
                None => frame::encode(Opcode::Close, b""),
            });
        }
        self.clocks.last_write_due(now);
        self.phase = Phase::Finishing;
    }

    /// Closes on a client that broke the protocol.
    pub(super) fn on_violation(&mut self, violation: Ending, now: Instant) {
        if self.is_open() {
            self.leave(violation);
            self.push_close(Departure {
                oversize: self.reader.oversize(),
                ..violation.into()
            });
        } else if self.outbox.is_empty() {
            // Our Close is written, and theirs will not come: only what waits before it is waited
            // for.
            self.clocks.end_due(now);
        }
        self.phase = Phase::Lingering;
    }

    /// Closes from our side.
    pub(super) fn close(&mut self, departure: impl Into<Departure>) {
        let departure = departure.into();
        if let Phase::Across(_) = self.phase {
            self.close_across(departure);
        } else if self.is_open() {
            self.leave(departure.ending);
            self.push_close(departure);
            self.phase = Phase::Closing;
        }
    }

    /// Ends now, and waits for nothing: a client that is blocked is told, if its system takes that at once.
    pub(super) fn evict(&mut self) {
        if self.is_open() {
            self.leave(Ending::Blocked);
            self.push_close(Ending::Blocked);
        } else if let Phase::Across(across) = &self.phase {
            let rest = across.pipe.rest().map(<[u8]>::to_vec);
            self.leave(Ending::Blocked);
            if let Some(rest) = rest {
                if !rest.is_empty() {
                    self.outbox.push(Chunk::ours(rest, &self.window));
                }
                self.push_close(Ending::Blocked);
            }
        }
        self.phase = Phase::Done;
    }

    /// Queues the Close frame of this ending, with the size of the message where that is why.
    pub(super) fn push_close(&mut self, departure: impl Into<Departure>) {
        let Departure {
            ending, oversize, ..
        } = departure.into();
        let Some(code) = ending.close_code() else {
            return;
        };
        let reason = match oversize {
            Some(Oversize { size, limit }) => {
                &format!("{}: {size} bytes of at most {limit}", ending.name())
            }
            None => ending.name(),
        };
        self.push(frame::encode_close(code, reason));
    }

    /// Tells the registry that nothing more will come, once.
    pub(super) fn leave(&mut self, ending: Ending) {
        self.leave_as(ending.into());
    }

    /// The same, with what is known of how it leaves.
    fn leave_as(&mut self, departure: Departure) {
        self.clocks.closing();
        if mem::take(&mut self.attached) {
            self.ending = departure.ending;
            let departure = Departure {
                oversize: self.reader.oversize(),
                given: Some(self.outbox.given()),
                arrived: self.arrival.payload(),
                ..departure
            };
            let id = self.id;
            self.registry.do_send(Leave { id, departure });
        }
    }
}
