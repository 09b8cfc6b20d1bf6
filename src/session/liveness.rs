//! When a session must show a sign of life, and when it is given up. Pure: the time is passed in.

use std::time::{Duration, Instant};

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From connecting, or from a refusal, to a request.
    pub request: Duration,
    /// Of silence, in either direction, before a Ping.
    pub ping_interval: Duration,
    /// From a Ping to the next sign of life.
    pub ping: Duration,
    /// With bytes to write and none accepted.
    pub stall: Duration,
}

/// Bytes a second the slowest peer worth waiting for takes. A Pong comes after what was written
/// before the Ping, and proxies take megabytes of it in at once that their client is yet to get.
const SLOWEST: u64 = 64 * 1024;

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

/// The clocks of one session.
#[derive(Debug)]
pub struct Liveness {
    timeouts: Timeouts,
    received: Instant,
    sent: Instant,
    pinged: Option<Instant>,
    /// Bytes written since the peer was last heard of.
    unproven: u64,
    /// Since when bytes have waited with none accepted.
    waiting: Option<Instant>,
}

impl Liveness {
    /// A session that begins at `now`.
    pub fn new(now: Instant, timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            received: now,
            sent: now,
            pinged: None,
            unproven: 0,
            waiting: None,
        }
    }

    /// Bytes have come. Any will do: a Pong may be stuck behind a long message on a slow line.
    pub fn received(&mut self, now: Instant) {
        self.received = now;
        self.pinged = None;
        self.unproven = 0;
    }

    /// Bytes have been accepted, and some may be `left`. If they had to wait, the peer has taken
    /// others: it is alive, and its Pong comes after them. If not, they show nothing: the system's
    /// buffer takes what fits into it, for the dead too.
    pub fn wrote(&mut self, now: Instant, count: usize, left: bool) {
        if count > 0 {
            self.sent = now;
            self.unproven += count as u64;
            if self.waiting.take().is_some() {
                self.pinged = self.pinged.map(|_| now);
            }
        }
        if left {
            self.waiting.get_or_insert(now);
        } else {
            self.waiting = None;
        }
    }

    /// A Ping is on its way.
    pub fn pinged(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    /// What there is to do at `now`. While we are not `reading` a Pong could not reach us, so
    /// nothing is asked and nothing is held against the peer.
    pub fn due(&mut self, now: Instant, reading: bool) -> Due {
        if let Some(since) = self.waiting {
            let end = since + self.timeouts.stall;
            if end <= now {
                return Due::Stalled;
            }
            // With bytes stuck in front of it a Ping would tell nothing.
            return Due::Nothing(end);
        }
        if !reading {
            self.received(now);
            return Due::Nothing(now + self.timeouts.ping_interval);
        }
        let (end, due) = match self.pinged {
            Some(since) => {
                let behind = Duration::from_millis(self.unproven * 1000 / SLOWEST);
                (since + self.timeouts.ping + behind, Due::Dead)
            }
            None => {
                let quiet = self.received.min(self.sent);
                (quiet + self.timeouts.ping_interval, Due::Ping)
            }
        };
        if end <= now { due } else { Due::Nothing(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUTS: Timeouts = Timeouts {
        request: Duration::from_secs(10),
        ping_interval: Duration::from_secs(20),
        ping: Duration::from_secs(5),
        stall: Duration::from_secs(60),
    };

    fn begin() -> (Instant, Liveness) {
        let start = Instant::now();
        (start, Liveness::new(start, TIMEOUTS))
    }

    #[test]
    fn silence_is_met_with_a_ping_and_silence_after_it_with_the_end() {
        let (start, mut live) = begin();
        let at = |seconds: u32| start + seconds * SECOND;
        assert_eq!(live.due(at(19), true), Due::Nothing(at(20)));
        assert_eq!(live.due(at(20), true), Due::Ping);
        live.pinged(at(20));
        live.wrote(at(20), 10, false);
        assert_eq!(live.due(at(24), true), Due::Nothing(at(25)));
        assert_eq!(live.due(at(25), true), Due::Dead);
        live.received(at(25));
        assert_eq!(live.due(at(25), true), Due::Nothing(at(40)));
    }

    #[test]
    fn talking_to_it_alone_does_not_show_that_a_peer_lives() {
        let (start, mut live) = begin();
        for second in 1..20 {
            live.wrote(start + second * SECOND, 1, false);
        }
        assert_eq!(live.due(start + 20 * SECOND, true), Due::Ping);
    }

    #[test]
    fn a_trickle_into_the_systems_buffer_does_not_put_off_the_end() {
        let (start, mut live) = begin();
        let at = |seconds: u32| start + seconds * SECOND;
        live.pinged(at(20));
        for second in 20..25 {
            live.wrote(at(second), 1, false);
            assert_eq!(live.due(at(second), true), Due::Nothing(at(25)));
        }
        assert_eq!(live.due(at(25), true), Due::Dead);
    }

    #[test]
    fn a_peer_that_takes_what_had_to_wait_is_given_time_anew() {
        let (start, mut live) = begin();
        let at = |seconds: u32| start + seconds * SECOND;
        live.pinged(at(20));
        live.wrote(at(20), 0, true);
        live.wrote(at(24), 1, false);
        assert_eq!(live.due(at(28), true), Due::Nothing(at(29)));
        assert_eq!(live.due(at(29), true), Due::Dead);
    }

    #[test]
    fn a_pong_behind_megabytes_is_waited_for() {
        let (start, mut live) = begin();
        let at = |seconds: u32| start + seconds * SECOND;
        live.wrote(at(1), 10 * SLOWEST as usize, false);
        assert_eq!(live.due(at(20), true), Due::Ping);
        live.pinged(at(20));
        assert_eq!(live.due(at(34), true), Due::Nothing(at(35)));
        assert_eq!(live.due(at(35), true), Due::Dead);
        live.received(at(35));
        live.pinged(at(55));
        assert_eq!(live.due(at(60), true), Due::Dead);
    }

    #[test]
    fn what_we_do_not_read_is_not_held_against_the_peer() {
        let (start, mut live) = begin();
        let at = |seconds: u32| start + seconds * SECOND;
        live.pinged(at(0));
        assert_eq!(live.due(at(100), false), Due::Nothing(at(120)));
        assert_eq!(live.due(at(101), true), Due::Ping, "it may be asked again");
        live.pinged(at(101));
        assert_eq!(live.due(at(105), true), Due::Nothing(at(106)));
    }

    #[test]
    fn only_accepted_bytes_end_a_stall() {
        let (start, mut live) = begin();
        let at = |seconds: u32| start + seconds * SECOND;
        live.wrote(at(0), 0, true);
        live.wrote(at(30), 0, true);
        live.received(at(59));
        assert_eq!(live.due(at(59), true), Due::Nothing(at(60)));
        assert_eq!(live.due(at(60), true), Due::Stalled);
        live.wrote(at(60), 1, true);
        assert_eq!(live.due(at(61), true), Due::Nothing(at(120)));
        live.wrote(at(62), 1, false);
        assert_eq!(live.due(at(62), true), Due::Nothing(at(79)));
    }
}
