//! When a session must show a sign of life, and when it is given up. Pure: the time is passed in.

use std::{
    mem,
    time::{Duration, Instant},
};

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From connecting, or from a refusal, to a request.
    pub request: Duration,
    /// Of silence, in either direction, before a Ping.
    pub ping_interval: Duration,
    /// From a Ping to its Pong.
    pub ping: Duration,
    /// With bytes to write and none accepted.
    pub stall: Duration,
}

/// Bytes a second the slowest peer worth waiting for takes.
const SLOWEST: u64 = 32 * 1024;
/// Bytes that systems and proxies may hold of what we wrote and their client is yet to get.
const HELD_ON_THE_WAY: u64 = 8 * 1024 * 1024;
/// How many times during a stall we look whether it is over.
const LOOKS_AT_A_STALL: u32 = 16;

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this moment.
    Nothing(Instant),
    /// Send a Ping.
    Ping,
    /// The peer is dead.
    Dead,
    /// The peer accepts nothing.
    Stalled,
}

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

/// A Pong that is waited for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    since: Instant,
    until: Instant,
}

/// Bytes that the system does not take.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Instant,
    /// What the peer had yet to get then: as the system is full, it is as much until it takes more.
    behind: Duration,
}

/// The clocks of one session.
#[derive(Debug)]
pub struct Liveness {
    timeouts: Timeouts,
    received: Instant,
    sent: Instant,
    /// When it last said something that is no mere control frame.
    heard: Instant,
    pong: Option<Awaited>,
    /// When the slowest peer worth waiting for has got all that was written.
    taken_by: Instant,
    /// Bytes written since it was pinged.
    since_ping: u64,
    waiting: Option<Waiting>,
    /// Whether the peer was read when it was last asked what is due.
    reading: bool,
}

impl Liveness {
    /// A session that begins at `now`.
    pub fn new(now: Instant, timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            received: now,
            sent: now,
            heard: now,
            pong: None,
            taken_by: now,
            since_ping: 0,
            waiting: None,
            reading: true,
        }
    }

    /// Bytes have come.
    pub fn received(&mut self, now: Instant) {
        self.received = now;
    }

    /// Data have come: mostly an answer to what was written, which has been taken then.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.taken_by = now;
    }

    /// Bytes have been accepted, and some may be `left`. If they had to wait, the peer has taken
    /// others: it is alive, and its Pong comes after them. If not, they show nothing: the system's
    /// buffer takes what fits into it, for the dead too.
    pub fn wrote(&mut self, now: Instant, count: usize, left: bool) {
        if count > 0 {
            self.sent = now;
            self.since_ping = self.since_ping.saturating_add(count as u64);
            let most = now + at_slowest(HELD_ON_THE_WAY);
            if let Some(waited) = self.waiting.take() {
                self.taken_by = self.taken_by.max(now + waited.behind);
                if let Some(pong) = &mut self.pong {
                    pong.until = pong.until.max(self.taken_by + self.timeouts.ping);
                }
            } else {
                self.taken_by = (self.all_taken(now) + at_slowest(count as u64)).min(most);
            }
        }
        if left {
            let behind = self.all_taken(now) - now;
            let since = now;
            self.waiting.get_or_insert(Waiting { since, behind });
        } else {
            self.waiting = None;
        }
    }

    /// A Ping is on its way.
    pub fn pinged(&mut self, now: Instant) {
        if self.pong.is_none() {
            let until = self.all_taken(now) + self.timeouts.ping;
            self.pong = Some(Awaited { since: now, until });
            self.since_ping = 0;
        }
    }

    /// The peer has answered: it has got all that was written before it was pinged.
    pub fn ponged(&mut self, now: Instant) {
        self.pong = None;
        self.taken_by = self.taken_by.min(now + at_slowest(self.since_ping));
    }

    /// When what was written until `now` has reached a living peer, however slow.
    pub fn all_taken(&self, now: Instant) -> Instant {
        self.taken_by.max(now)
    }

    /// When to look whether the peer accepts again what waits for it, if anything does. The system
    /// may say so late: not before a third of its buffer is free.
    pub fn next_look_at_stall(&self, now: Instant) -> Option<Instant> {
        let stall = self.timeouts.stall;
        let end = self.waiting?.since + stall;
        Some(end.min(now + stall / LOOKS_AT_A_STALL))
    }

    /// What there is to do at `now`. While we do not read, nothing is held against the peer; it is
    /// pinged all the same, for the proxies in between.
    pub fn due(&mut self, now: Instant, reading: Reading) -> Due {
        if let Some(waiting) = self.waiting {
            // With bytes stuck in front of it a Ping would tell nothing.
            let end = waiting.since + self.timeouts.stall;
            return if end <= now {
                Due::Stalled
            } else {
                Due::Nothing(end)
            };
        }
        let reads = reading != Reading::Paused;
        if !(mem::replace(&mut self.reading, reads) && reads) {
            self.received = now;
            self.pong = None;
        }
        let Some(pong) = &mut self.pong else {
            let quiet = if reads {
                self.received.min(self.sent)
            } else {
                self.sent
            };
            let end = quiet + self.timeouts.ping_interval;
            return if end <= now {
                Due::Ping
            } else {
                Due::Nothing(end)
            };
        };
        if pong.until <= now {
            if reading != Reading::InMessage || self.heard <= pong.since {
                return Due::Dead;
            }
            // It comes behind the message.
            *pong = Awaited {
                since: now,
                until: now + self.timeouts.ping,
            };
        }
        Due::Nothing(pong.until)
    }
}

/// The time the slowest peer worth waiting for takes for so many bytes.
fn at_slowest(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Between, InMessage, Paused};

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUTS: Timeouts = Timeouts {
        request: Duration::from_secs(10),
        ping_interval: Duration::from_secs(20),
        ping: Duration::from_secs(5),
        stall: Duration::from_secs(60),
    };

    fn begin() -> (impl Fn(u32) -> Instant, Liveness) {
        let start = Instant::now();
        let at = move |seconds| start + seconds * SECOND;
        (at, Liveness::new(start, TIMEOUTS))
    }

    #[test]
    fn silence_is_met_with_a_ping_and_silence_after_it_with_the_end() {
        let (at, mut live) = begin();
        assert_eq!(live.due(at(19), Between), Due::Nothing(at(20)));
        assert_eq!(live.due(at(20), Between), Due::Ping);
        live.pinged(at(20));
        live.wrote(at(20), 10, false);
        assert_eq!(live.due(at(24), Between), Due::Nothing(at(25)));
        assert_eq!(live.due(at(25), Between), Due::Dead);
        live.received(at(25));
        live.ponged(at(25));
        assert_eq!(live.due(at(25), Between), Due::Nothing(at(40)));
    }

    #[test]
    fn talking_to_it_alone_does_not_show_that_a_peer_lives() {
        let (at, mut live) = begin();
        for second in 1..20 {
            live.wrote(at(second), 1, false);
        }
        assert_eq!(live.due(at(20), Between), Due::Ping);
    }

    #[test]
    fn a_trickle_into_the_systems_buffer_does_not_put_off_the_end() {
        let (at, mut live) = begin();
        live.pinged(at(20));
        for second in 20..25 {
            live.wrote(at(second), 1, false);
            assert_eq!(live.due(at(second), Between), Due::Nothing(at(25)));
        }
        assert_eq!(live.due(at(25), Between), Due::Dead);
    }

    #[test]
    fn talk_is_no_answer_but_a_message_in_progress_is_let_end() {
        let (at, mut live) = begin();
        live.pinged(at(20));
        live.heard(at(24));
        assert_eq!(live.due(at(25), InMessage), Due::Nothing(at(30)));
        live.heard(at(29));
        assert_eq!(live.due(at(30), InMessage), Due::Nothing(at(35)));
        // It has stopped in the middle, but for control frames.
        live.received(at(34));
        assert_eq!(live.due(at(35), InMessage), Due::Dead);
        live.heard(at(35));
        assert_eq!(live.due(at(35), Between), Due::Dead);
    }

    #[test]
    fn a_second_ping_gives_no_more_time_for_the_answer() {
        let (at, mut live) = begin();
        live.pinged(at(20));
        live.pinged(at(24));
        assert_eq!(live.due(at(25), Between), Due::Dead);
    }

    #[test]
    fn a_peer_that_takes_what_had_to_wait_is_given_time_anew() {
        let (at, mut live) = begin();
        live.pinged(at(20));
        live.wrote(at(20), 0, true);
        live.wrote(at(24), 1, false);
        assert_eq!(live.due(at(28), Between), Due::Nothing(at(29)));
        assert_eq!(live.due(at(29), Between), Due::Dead);
    }

    #[test]
    fn a_pong_behind_megabytes_is_waited_for() {
        let (at, mut live) = begin();
        live.wrote(at(10), 20 * SLOWEST as usize, false);
        assert_eq!(live.due(at(20), Between), Due::Ping);
        live.pinged(at(20));
        assert_eq!(live.due(at(34), Between), Due::Nothing(at(35)));
        assert_eq!(live.due(at(35), Between), Due::Dead);
        live.wrote(at(21), 2 * SLOWEST as usize, false);
        assert_eq!(live.all_taken(at(22)), at(32));
        live.ponged(at(22));
        assert_eq!(live.all_taken(at(22)), at(24), "what came after the Ping");
        live.pinged(at(55));
        assert_eq!(live.due(at(60), Between), Due::Dead);
    }

    #[test]
    fn while_the_system_is_full_nothing_of_it_counts_as_taken() {
        let (at, mut live) = begin();
        live.wrote(at(0), 30 * SLOWEST as usize, true);
        for second in [20, 40, 60] {
            live.wrote(at(second), 1000, true);
            assert_eq!(live.all_taken(at(second)), at(second + 30));
        }
        live.wrote(at(80), 1000, false);
        live.pinged(at(80));
        assert_eq!(live.due(at(114), Between), Due::Nothing(at(115)));
        // Its answer, or any other.
        live.heard(at(114));
        assert_eq!(live.all_taken(at(114)), at(114));
    }

    #[test]
    fn what_is_on_its_way_is_waited_for_but_not_for_ever() {
        let (at, mut live) = begin();
        assert_eq!(live.all_taken(at(0)), at(0));
        live.wrote(at(1), 10 * SLOWEST as usize, false);
        live.wrote(at(3), 10 * SLOWEST as usize, true);
        live.received(at(3));
        assert_eq!(live.all_taken(at(3)), at(21));
        live.wrote(at(4), 0, false);
        assert_eq!(live.all_taken(at(22)), at(22));
        live.wrote(at(30), 1 << 40, false);
        let held = (HELD_ON_THE_WAY / SLOWEST) as u32;
        assert_eq!(live.all_taken(at(30)), at(30 + held));
    }

    #[test]
    fn what_we_do_not_read_is_not_held_against_the_peer() {
        let (at, mut live) = begin();
        live.pinged(at(0));
        live.wrote(at(90), 1, false);
        assert_eq!(live.due(at(100), Paused), Due::Nothing(at(110)));
        live.pinged(at(101));
        assert_eq!(live.due(at(107), Between), Due::Nothing(at(110)));
        live.pinged(at(110));
        assert_eq!(live.due(at(114), Between), Due::Nothing(at(115)));
    }

    #[test]
    fn who_is_not_read_is_pinged_and_need_not_answer() {
        let (at, mut live) = begin();
        for round in 1..=5 {
            let next = at(20 * round);
            assert_eq!(live.due(at(20 * round - 1), Paused), Due::Nothing(next));
            assert_eq!(live.due(next, Paused), Due::Ping);
            live.pinged(next);
            live.wrote(next, 10, false);
        }
        assert_eq!(live.due(at(119), Between), Due::Nothing(at(120)));
    }

    #[test]
    fn only_accepted_bytes_end_a_stall() {
        let (at, mut live) = begin();
        live.wrote(at(0), 0, true);
        live.wrote(at(30), 0, true);
        live.received(at(59));
        assert_eq!(live.due(at(59), Between), Due::Nothing(at(60)));
        assert_eq!(live.due(at(60), Between), Due::Stalled);
        live.wrote(at(60), 1, true);
        assert_eq!(live.due(at(61), Between), Due::Nothing(at(120)));
        live.wrote(at(62), 1, false);
        assert_eq!(live.due(at(62), Between), Due::Nothing(at(79)));
    }

    #[test]
    fn a_stall_is_looked_at_until_its_end() {
        let (at, mut live) = begin();
        assert_eq!(live.next_look_at_stall(at(0)), None);
        live.wrote(at(0), 0, true);
        let step = TIMEOUTS.stall / LOOKS_AT_A_STALL;
        assert_eq!(live.next_look_at_stall(at(10)), Some(at(10) + step));
        assert_eq!(live.next_look_at_stall(at(59)), Some(at(60)));
        live.wrote(at(59), 1, false);
        assert_eq!(live.next_look_at_stall(at(59)), None);
    }
}
