//! The signs that a client takes what it is sent, which it has to show while others wait for its place.

use std::time::{Duration, Instant};

use super::{Clocks, Reading, Timer, Wait};

/// How often a client is asked for a sign, while others wait for its place: so many times in the time of
/// a stall.
const SIGNS: u32 = 6;

impl Clocks {
    /// Others have come to wait for the client's place, or none does any more. While they wait, it must
    /// show that it takes what it is sent, within half the time of a stall after being asked, which it is
    /// once nothing of it has come for a sixth of that time: by an answer to a Ping, by data, or as its
    /// system takes bytes that had to wait.
    pub fn awaited(&mut self, now: Instant, others: bool) {
        self.timers.clear(Timer::GiveWay);
        match others && self.open {
            true => self.timers.set(Timer::Ask, self.ask_at().max(now)),
            false => self.timers.clear(Timer::Ask),
        }
    }

    /// The client was asked for a sign.
    pub fn asked(&mut self, now: Instant) {
        self.timers
            .set(Timer::GiveWay, now + self.timeouts.stall / 2);
    }

    /// The client has shown that it takes what it is sent.
    pub fn shows_a_sign(&mut self, now: Instant) {
        if self.timers.is_set(Timer::GiveWay) {
            self.timers.clear(Timer::GiveWay);
            self.timers.set(Timer::Ask, now + self.between_signs());
        }
    }

    /// Whether a timer that has fired asks for a sign, or judges by it, too soon; then it is set anew.
    pub(super) fn no_sign_is_due(&mut self, timer: Timer, now: Instant) -> bool {
        // Nothing that it says could reach us.
        let unread = self.reading == Reading::Paused && self.wait != Some(Wait::System);
        match timer {
            Timer::GiveWay if unread => self.asked(now),
            Timer::Ask if unread || self.ask_at() > now => {
                let later = self.ask_at().max(now + self.between_signs());
                self.timers.set(Timer::Ask, later);
            }
            _ => return false,
        }
        true
    }

    /// When it is to be asked for a sign, as nothing of it has come for so long. Not sooner: it may have
    /// hung up with something to say that is still on its way, which a Ping would take away.
    fn ask_at(&self) -> Instant {
        self.received + self.between_signs()
    }

    fn between_signs(&self) -> Duration {
        self.timeouts.stall / SIGNS
    }
}
