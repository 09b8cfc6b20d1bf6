//! What may become due of a session, and when. What sets and clears it is for the clocks.

use std::time::Instant;

/// What may become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The time for a request is up, or a part of it.
    Request,
    /// A refusal that was held back is to be sent.
    Refusal,
    /// The time for the client's Close is up, or the time for what waits to be written to it.
    Close,
    /// The peer has accepted no bytes for too long, or none have arrived.
    Stall,
    /// The peer may accept bytes again: the runtime says so late, not before a third of the
    /// system's buffer is free.
    Look,
    /// A Ping is to be sent.
    Ping,
    /// No Pong has come in time: the peer is dead.
    Pong,
    /// Others wait for its client's place: it is to be asked for a sign that it takes what it is sent.
    Ask,
    /// No such sign has come in time.
    GiveWay,
    /// Nobody has taken what the session sent for the time of a stall.
    Untaken,
    /// The session may be read again (`RELAY_SESSION_BYTES_PER_SEC`).
    Pace,
}

impl Timer {
    /// All timers; of two that are due, the first fires first.
    pub(super) const ALL: [Self; 11] = [
        Self::Request,
        Self::Refusal,
        Self::Close,
        Self::Look,
        Self::Stall,
        Self::Untaken,
        Self::Ping,
        Self::Pong,
        Self::Ask,
        Self::GiveWay,
        Self::Pace,
    ];
}

/// When each timer is due, if it is set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: [Option<Instant>; Timer::ALL.len()],
    /// A bit for each timer that was put off and has not been set since.
    put_off: u16,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.due[timer as usize] = Some(at);
        self.put_off &= !bit(timer);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.due[timer as usize] = None;
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Instant> {
        self.due[timer as usize]
    }

    /// Sets a timer that has fired once more, unless that was done already.
    pub(super) fn put_off(&mut self, timer: Timer, at: Instant) -> bool {
        let first = self.put_off & bit(timer) == 0;
        if first {
            self.set(timer, at);
            self.put_off |= bit(timer);
        }
        first
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.get(timer).is_some()
    }
}

fn bit(timer: Timer) -> u16 {
    1 << timer as u16
}
