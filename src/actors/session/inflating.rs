//! What a client without compression is sent of compressed messages: they wait in front of its outbox, and
//! are inflated into that as it empties.
//!
//! While any wait, what else is for that client and must keep its place waits behind them. What is written
//! brings the next piece, in the same turn or, behind a number of them, in the next.

use std::{future::Future, pin::pin, task::Context as Task};

use super::connection::Connection;
use crate::{
    actors::messages::Fault,
    flow::{
        data::Delivery,
        unpack::{Broken, Unpacker},
    },
    rooms::Departure,
};

/// Pieces that are inflated in one turn.
const MOST_PIECES: usize = 32;

impl Connection {
    /// Queues whole frames, in the order in which they are to be written.
    pub(super) fn queue(&mut self, delivery: Delivery) {
        let compressed = delivery.is_compressed();
        if compressed && self.reader.has_compression() {
            self.state.metrics.passed_compressed(delivery.payload());
        } else if compressed && self.unpacker.is_none() {
            self.unpacker = Some(Box::new(Unpacker::new(self.most_inflated)));
        }
        match &mut self.unpacker {
            None => self.outbox.push(delivery),
            Some(unpacker) => {
                unpacker.push(delivery);
                self.refill();
            }
        }
    }

    /// Has the next of what waits in front of the outbox follow, once that is empty. Returns whether any
    /// did.
    pub(super) fn refill(&mut self) -> bool {
        while self.outbox.is_empty()
            && let Some(unpacker) = &mut self.unpacker
        {
            let next = unpacker.take();
            self.state.metrics.inflated(unpacker.take_inflated());
            self.outbox.gave(unpacker.take_swallowed());
            match next {
                Ok(Some(chunk)) => {
                    self.outbox.push(chunk);
                    return true;
                }
                Ok(None) => {
                    self.unpacker.take_if(|unpacker| unpacker.is_idle());
                    return false;
                }
                // What is the relay's own of the rest still goes.
                Err(Broken { ending, oversize }) => {
                    let departure = Departure {
                        oversize,
                        ..ending.into()
                    };
                    self.registry.do_send(Fault {
                        id: self.id,
                        departure,
                    });
                }
            }
        }
        false
    }
}

/// How many pieces a session has had in this turn.
#[derive(Default)]
pub(super) struct Pieces(usize);

impl Pieces {
    /// Whether it may go on. If not, it is woken when others have had their turn.
    pub(super) fn may_go_on(&mut self, task: &mut Task<'_>) -> bool {
        self.0 += 1;
        let may = self.0 < MOST_PIECES;
        if !may {
            // Never ready at once: a plain wake-up would come before the runtime looks at other sockets.
            let _ = pin!(tokio::task::yield_now()).poll(task);
        }
        may
    }
}
