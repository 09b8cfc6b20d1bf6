//! When something is due of a session: a request, a Ping, its Pong, the end of a stall, the client's
//! Close.
//!
//! Pure: the time is passed in. Each thing that may become due is a [`Timer`]. What happens sets and
//! clears the timers; [`Clocks::fire`] takes one whose time has come, and what then follows is for
//! the session, which tells of it here in turn. Nothing else changes a timer, but that a Pong which may
//! come behind a message is given more time: asking for [`Clocks::next`] does not. What a client has to
//! show while others wait for its place is in `signs`.

mod signs;
mod timers;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::timers::Timer;
use self::timers::Timers;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From connecting, or from a refusal, to a request, while there is place for others.
    pub request: Duration,
    /// Of silence, in either direction, before a Ping.
    pub ping_interval: Duration,
    /// From a Ping to its Pong.
    pub ping: Duration,
    /// With bytes to write or on their way, and none accepted or arrived.
    pub stall: Duration,
}

/// What bytes that are to be written wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The system takes no more. It is looked at again, as the runtime tells of room late.
    System,
    /// Too many are on their way: a Pong is to show that some have arrived.
    Pong,
}

/// Time for the client's Close, from when nothing more is known to be on its way to it, and for what
/// waits to be written to a client that has said Close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Ping intervals after which a session that is not read is pinged, for the proxies in between. A client
/// may have hung up with something to say that is not read yet, and what comes to it then takes that
/// away: its system resets the connection. Whose peer is slow is read again sooner than this.
const INTERVALS_UNREAD: u32 = 3;
/// How many times during a stall we look whether it is over.
const LOOKS_AT_A_STALL: u32 = 16;
/// Parts of the time for a request. At the end of each, who has asked for nothing goes if others need
/// its place: a person may take its time, and a crowd of silent ones cannot keep everybody out.
const PARTS_OF_A_REQUEST: u32 = 3;
/// Time to read what has come, before a peer is judged by what has not.
pub const TIME_TO_READ: Duration = Duration::from_secs(2);

/// How a session is read at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Not at all: a Pong could not reach us.
    Paused,
    /// All that has come, and a message has begun that has not ended: a Pong may come behind it.
    InMessage,
    /// All that has come.
    Between,
}

/// The clocks of one session.
#[derive(Debug)]
pub struct Clocks {
    timeouts: Arc<Timeouts>,
    timers: Timers,
    /// When a request has to be there, whatever place there is.
    asked_by: Instant,
    /// When bytes last came, and when bytes were last accepted.
    received: Instant,
    sent: Instant,
    /// When it last said something that is no mere control frame.
    heard: Instant,
    /// When the Ping was sent that a Pong is awaited for, or its time was prolonged.
    pinged: Instant,
    /// What bytes wait for, if any do.
    wait: Option<Wait>,
    reading: Reading,
    /// When it was last read.
    read: Instant,
    /// Whether nobody has said Close yet.
    open: bool,
    /// Bytes of the session that were under way when that was last another amount.
    untaken: usize,
}

impl Clocks {
    /// A session that begins at `now`, and owes a request.
    pub fn new(now: Instant, timeouts: Arc<Timeouts>) -> Self {
        let mut clocks = Self {
            timers: Timers::default(),
            asked_by: now,
            received: now,
            sent: now,
            heard: now,
            pinged: now,
            wait: None,
            reading: Reading::Between,
            read: now,
            open: true,
            untaken: 0,
            timeouts,
        };
        clocks.request_due(now);
        clocks.set_ping();
        clocks
    }

    /// When the next timer fires, if any is set.
    pub fn next(&self) -> Option<Instant> {
        let set = Timer::ALL
            .into_iter()
            .filter_map(|timer| self.fires_at(timer));
        set.min()
    }

    /// Takes a timer that is due at `now`: it is not set any more.
    pub fn fire(&mut self, now: Instant) -> Option<Timer> {
        loop {
            let is_due = |&timer: &Timer| self.fires_at(timer).is_some_and(|at| at <= now);
            let timer = Timer::ALL.into_iter().find(is_due)?;
            self.timers.clear(timer);
            if !self.pong_may_be_behind(timer, now) && !self.no_sign_is_due(timer, now) {
                return Some(timer);
            }
        }
    }

    /// Whether a timer that has fired waits for a Pong that may come behind the message that the client
    /// is in the middle of; then it is set anew.
    fn pong_may_be_behind(&mut self, timer: Timer, now: Instant) -> bool {
        let (since, time) = match timer {
            Timer::Pong => (self.pinged, self.timeouts.ping),
            Timer::Stall if self.wait == Some(Wait::Pong) => {
                (now - self.timeouts.stall, self.timeouts.stall)
            }
            _ => return false,
        };
        let may = self.reading == Reading::InMessage && self.heard > since;
        if may {
            self.timers.set(timer, now + time);
            if timer == Timer::Pong {
                self.pinged = now;
            }
        }
        may
    }

    /// Gives the peer more time if the timer that fired would judge it by what has not come, and
    /// `unread` finds that something has: what it is waited for may be among that. After a pause of the
    /// whole process (a frozen machine, a stopped service) everybody's time seems to be up, and their
    /// answers wait in the system. Once for each time that it is set: who goes on sending must not put off
    /// its end for ever.
    ///
    /// Returns whether it has more time.
    pub fn put_off(&mut self, timer: Timer, now: Instant, unread: impl FnOnce() -> bool) -> bool {
        let judges = matches!(
            timer,
            Timer::Request | Timer::Pong | Timer::Stall | Timer::GiveWay
        );
        judges && unread() && self.timers.put_off(timer, now + TIME_TO_READ)
    }

    /// When a timer fires. With bytes stuck in front of it a Ping would tell nothing, and no Pong
    /// can be expected.
    fn fires_at(&self, timer: Timer) -> Option<Instant> {
        let stuck = self.wait == Some(Wait::System) && matches!(timer, Timer::Ping | Timer::Pong);
        self.timers.get(timer).filter(|_| !stuck)
    }

    /// A request is due from the client.
    pub fn request_due(&mut self, now: Instant) {
        self.asked_by = now + self.timeouts.request;
        self.await_request(now);
    }

    /// A part of the time for a request is up. Returns whether the client may take another, as it may
    /// while its place is not needed (`crowded`) and the whole time is not up.
    pub fn request_may_wait(&mut self, now: Instant, crowded: bool) -> bool {
        let may = !crowded && now < self.asked_by;
        if may {
            self.await_request(now);
        }
        may
    }

    fn await_request(&mut self, now: Instant) {
        let part = self.timeouts.request / PARTS_OF_A_REQUEST;
        self.timers
            .set(Timer::Request, self.asked_by.min(now + part));
    }

    /// A request has come whole.
    pub fn requested(&mut self) {
        self.timers.clear(Timer::Request);
    }

    /// A refusal is to be sent after this time.
    pub fn refusal_due(&mut self, now: Instant, delay: Duration) {
        self.timers.set(Timer::Refusal, now + delay);
    }

    /// Somebody has said Close: from here on its own deadline is all there is, but for a stall.
    pub fn closing(&mut self) {
        self.open = false;
        for timer in [
            Timer::Request,
            Timer::Refusal,
            Timer::Ping,
            Timer::Pong,
            Timer::Ask,
            Timer::GiveWay,
        ] {
            self.timers.clear(timer);
        }
    }

    /// Our Close has been written: the client's is due, a while after it has shown to have read what a
    /// Pong is `awaited` for.
    pub fn close_due(&mut self, now: Instant, awaited: bool) {
        if !self.timers.is_set(Timer::Close) {
            self.timers
                .set(Timer::Close, now + self.time_for_close(awaited));
        }
    }

    fn time_for_close(&self, awaited: bool) -> Duration {
        match awaited {
            true => self.timeouts.stall.max(CLOSE_TIMEOUT),
            false => CLOSE_TIMEOUT,
        }
    }

    /// The client has said Close: what waits for it must be written soon.
    pub fn last_write_due(&mut self, now: Instant) {
        self.timers.set(Timer::Close, now + CLOSE_TIMEOUT);
    }

    /// The session is to end now: there is nothing left to wait for.
    pub fn end_due(&mut self, now: Instant) {
        self.timers.set(Timer::Close, now);
    }

    /// The session may be read again at a later moment, or at any.
    pub fn paced(&mut self, resume: Option<Instant>) {
        match resume {
            Some(at) => self.timers.set(Timer::Pace, at),
            None => self.timers.clear(Timer::Pace),
        }
    }

    /// Bytes have come.
    pub fn received(&mut self, now: Instant) {
        self.received = now;
    }

    /// Data have come. They do not show that the peer has taken what was written: one that sends
    /// and reads at the same time says nothing of how far it has read.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.shows_a_sign(now);
    }

    /// The session has been read, and is so at the moment. While we do not read, nothing is held
    /// against the peer; it is pinged all the same, for the proxies in between.
    pub fn read(&mut self, now: Instant, reading: Reading) {
        if self.wait == Some(Wait::System) {
            return;
        }
        let paused = [self.reading, reading].contains(&Reading::Paused);
        if self.reading != Reading::Paused || reading != Reading::Paused {
            self.read = now;
        }
        self.reading = reading;
        if paused {
            self.received = now;
            self.timers.clear(Timer::Pong);
        }
        self.set_ping();
    }

    /// The session is not read, and so many of its bytes are under way.
    pub fn under_way(&mut self, now: Instant, bytes: usize) {
        if self.untaken != bytes || !self.timers.is_set(Timer::Untaken) {
            self.untaken = bytes;
            self.timers.set(Timer::Untaken, now + self.timeouts.stall);
        }
    }

    /// Nobody has taken any, but the client may be there still: to be looked at again.
    pub fn still_under_way(&mut self, now: Instant) {
        let later = now + self.timeouts.ping_interval;
        self.timers.set(Timer::Untaken, later);
    }

    /// The session is read again.
    pub fn taken(&mut self) {
        self.timers.clear(Timer::Untaken);
    }

    /// Bytes have been accepted, and others may `wait`. If they had to wait for the system, the peer has
    /// taken others: it is alive. If not, they show nothing: the system's buffer takes what fits into it,
    /// for the dead too.
    pub fn wrote(&mut self, now: Instant, count: usize, wait: Option<Wait>) {
        if count > 0 {
            self.sent = now;
            if self.wait == Some(Wait::System) {
                self.shows_a_sign(now);
                self.moves(now, true);
            }
        }
        self.wait = wait;
        match wait {
            Some(_) if !self.timers.is_set(Timer::Stall) => {
                self.timers.set(Timer::Stall, now + self.timeouts.stall);
            }
            Some(_) => {}
            None => self.timers.clear(Timer::Stall),
        }
        if wait != Some(Wait::System) {
            self.timers.clear(Timer::Look);
        } else if count > 0 || !self.timers.is_set(Timer::Look) {
            let step = self.timeouts.stall / LOOKS_AT_A_STALL;
            self.timers.set(Timer::Look, now + step);
        }
        self.set_ping();
    }

    /// A Ping is on its way; for data in front of it a Pong is `awaited`.
    pub fn pinged(&mut self, now: Instant, awaited: bool) {
        if !self.timers.is_set(Timer::Pong) {
            self.timers
                .set(Timer::Pong, now + self.time_for_pong(awaited));
            self.timers.clear(Timer::Ping);
            self.pinged = now;
        }
    }

    /// A client that takes data slowly answers when it has come to the Ping.
    fn time_for_pong(&self, awaited: bool) -> Duration {
        match awaited {
            true => self.timeouts.ping.max(self.timeouts.stall),
            false => self.timeouts.ping,
        }
    }

    /// The peer has answered the last Ping that is waited for.
    pub fn ponged(&mut self) {
        self.timers.clear(Timer::Pong);
    }

    /// Data have arrived, and for more of them a Pong is `awaited` or not: whoever waits for this client
    /// waits anew.
    pub fn arrived(&mut self, now: Instant, awaited: bool) {
        self.shows_a_sign(now);
        self.moves(now, awaited);
        if self.timers.is_set(Timer::Close) {
            self.timers
                .set(Timer::Close, now + self.time_for_close(awaited));
        }
    }

    /// The peer takes data: what is judged by that has its time anew.
    fn moves(&mut self, now: Instant, awaited: bool) {
        if self.timers.is_set(Timer::Stall) {
            self.timers.set(Timer::Stall, now + self.timeouts.stall);
        }
        if self.timers.is_set(Timer::Pong) {
            self.timers
                .set(Timer::Pong, now + self.time_for_pong(awaited));
        }
    }

    /// Sets the next Ping, unless a Pong is awaited: after silence in either direction, or later where
    /// the session is not read.
    fn set_ping(&mut self) {
        if self.timers.is_set(Timer::Pong) || !self.open {
            return;
        }
        let (quiet, intervals) = match self.reading {
            Reading::Paused => (self.sent.max(self.read), INTERVALS_UNREAD),
            Reading::InMessage | Reading::Between => (self.received.min(self.sent), 1),
        };
        self.timers
            .set(Timer::Ping, quiet + intervals * self.timeouts.ping_interval);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
