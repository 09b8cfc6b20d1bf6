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
    /// With bytes to write and none accepted.
    pub stall: Duration,
}

/// Time for the client's Close, from when all that we wrote can have been read, and for what waits
/// to be written to a client that has said Close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes a second that the slowest peer worth waiting for takes.
const SLOWEST: u64 = 32 * 1024;
/// Bytes that systems and proxies may hold of what we wrote and their client is yet to get.
const HELD_ON_THE_WAY: u64 = 8 * 1024 * 1024;
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
    /// Bytes written since it was pinged.
    since_ping: u64,
    /// When the slowest peer worth waiting for has got all that was written.
    taken_by: Instant,
    /// While the system does not take bytes: the time for what the peer had yet to get when it
    /// filled up. As the system is full, it is as much until it takes more.
    behind: Option<Duration>,
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
            since_ping: 0,
            taken_by: now,
            behind: None,
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
            let in_message = self.reading == Reading::InMessage && self.heard > self.pinged;
            if timer == Timer::Pong && in_message {
                // It comes behind the message.
                self.pinged = now;
                self.timers.set(Timer::Pong, now + self.timeouts.ping);
                continue;
            }
            if self.no_sign_is_due(timer, now) {
                continue;
            }
            return Some(timer);
        }
    }

    /// Gives the peer more time if the timer that fired would judge it by what has not come, and
    /// `unread` finds that something has: what it is waited for may be among that. After a pause of the
    /// whole process (a frozen machine, a stopped service) everybody's time seems to be up, and their
    /// answers wait in the system. Once for each time that it is set: who goes on sending must not put off
    /// its end for ever.
    ///
    /// Returns whether it has more time.
    pub fn put_off(&mut self, timer: Timer, now: Instant, unread: impl FnOnce() -> bool) -> bool {
        matches!(timer, Timer::Request | Timer::Pong | Timer::GiveWay)
            && unread()
            && self.timers.put_off(timer, now + TIME_TO_READ)
    }

    /// When a timer fires. With bytes stuck in front of it a Ping would tell nothing, and no Pong
    /// can be expected.
    fn fires_at(&self, timer: Timer) -> Option<Instant> {
        let stuck = self.behind.is_some() && matches!(timer, Timer::Ping | Timer::Pong);
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

    /// Our Close has been written: the client's is due, a while after it can have read ours.
    pub fn close_due(&mut self, now: Instant) {
        if !self.timers.is_set(Timer::Close) {
            let read = self.all_taken(now);
            self.timers.set(Timer::Close, read + CLOSE_TIMEOUT);
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
        if self.behind.is_some() {
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

    /// Bytes have been accepted, and some may be `left`. If they had to wait, the peer has taken
    /// others: it is alive, and its Pong comes after them. If not, they show nothing: the system's
    /// buffer takes what fits into it, for the dead too.
    pub fn wrote(&mut self, now: Instant, count: usize, left: bool) {
        if count > 0 {
            self.sent = now;
            self.since_ping = self.since_ping.saturating_add(count as u64);
            let waited = self.behind.is_some();
            if waited {
                self.shows_a_sign(now);
            }
            let in_front = match self.behind.take() {
                Some(behind) => {
                    self.timers.clear(Timer::Stall);
                    behind
                }
                None => self.all_taken(now) - now,
            };
            // The next one on the way has taken it, which may be a proxy that holds megabytes.
            let held = at_slowest(HELD_ON_THE_WAY);
            let taken_by = now + held.min(in_front + at_slowest(count as u64));
            self.taken_by = self.taken_by.max(taken_by);
            if let Some(until) = self.timers.get(Timer::Pong).filter(|_| waited) {
                let later = self.taken_by + self.timeouts.ping;
                self.timers.set(Timer::Pong, until.max(later));
            }
        }
        if left {
            if self.behind.is_none() {
                self.behind = Some(self.all_taken(now) - now);
                self.timers.set(Timer::Stall, now + self.timeouts.stall);
            }
            if count > 0 || !self.timers.is_set(Timer::Look) {
                let step = self.timeouts.stall / LOOKS_AT_A_STALL;
                self.timers.set(Timer::Look, now + step);
            }
        } else {
            self.behind = None;
            self.timers.clear(Timer::Stall);
            self.timers.clear(Timer::Look);
        }
        self.set_ping();
    }

    /// A Ping is on its way.
    pub fn pinged(&mut self, now: Instant) {
        if !self.timers.is_set(Timer::Pong) {
            let until = self.all_taken(now) + self.timeouts.ping;
            self.timers.set(Timer::Pong, until);
            self.timers.clear(Timer::Ping);
            self.pinged = now;
            self.since_ping = 0;
        }
    }

    /// The peer has answered: it has got all that was written before it was pinged.
    pub fn ponged(&mut self, now: Instant) {
        self.timers.clear(Timer::Pong);
        self.taken_by = self.taken_by.min(now + at_slowest(self.since_ping));
    }

    /// When what was written until `now` has reached a living peer, however slow.
    pub fn all_taken(&self, now: Instant) -> Instant {
        self.taken_by.max(now)
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

/// The time the slowest peer worth waiting for takes for so many bytes.
fn at_slowest(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
