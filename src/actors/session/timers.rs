//! What follows when a timer of a session fires.

use std::{
    task::Context as Task,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use relay_wire::ending::Ending;
use socket2::SockRef;
use tokio::io::Interest;

use super::{connection::Connection, phase::Phase, socket::Socket};
use crate::flow::clocks::Timer;

impl Connection {
    /// Does all that is due at `now`.
    pub(super) fn run_timers(&mut self, socket: &mut Socket, now: Instant, task: &Task<'_>) {
        while !matches!(self.phase, Phase::Done)
            && let Some(timer) = self.clocks.fire(now)
        {
            if self.clocks.put_off(timer, now, || socket.has_unread()) {
                continue;
            }
            self.on_timer(timer, socket, now);
            if matches!(timer, Timer::Request | Timer::Refusal) {
                // In its new phase it may read what it did not read in the last one.
                task.waker().wake_by_ref();
            }
        }
    }

    fn on_timer(&mut self, timer: Timer, socket: &Socket, now: Instant) {
        match timer {
            Timer::Request if self.clocks.request_may_wait(now, self.slot.is_wanted()) => {}
            Timer::Request => self.dismiss(Ending::RequestTimeout, now),
            // It has sent more than is read ahead, so that nothing else has told of its end.
            Timer::Refusal if self.ahead.is_some() && self.has_hung_up(socket) => self.vanish(),
            Timer::Refusal => {
                if let Phase::Waiting { refusal } = &mut self.phase
                    && let Some(reply) = refusal.take()
                {
                    self.refuse(&reply, now);
                }
            }
            Timer::Close => self.phase = Phase::Done,
            Timer::Look => {
                let most = self.most_to_write(now);
                self.offer(now, |outbox| socket.offer(outbox, most));
            }
            Timer::Stall => self.give_up(Ending::Stalled, socket),
            Timer::Untaken => {
                // Reading would tell whether the client is gone, but while we do not read, nothing
                // else does. While somebody takes what it sent, the rest is still worth reading.
                if self.has_hung_up(socket) {
                    self.vanish();
                } else {
                    self.clocks.still_under_way(now);
                }
            }
            Timer::Ping => {
                self.ping(now);
            }
            Timer::Ask => {
                self.mark(now);
                self.clocks.asked(now);
            }
            // What waits for it holds up its sender, and so the next receiver.
            Timer::GiveWay if !self.outbox.is_empty() => self.give_up(Ending::GaveWay, socket),
            Timer::GiveWay => self.close(Ending::GaveWay),
            Timer::Pong => {
                self.leave(Ending::PingTimeout);
                self.push_close(Ending::PingTimeout);
                self.phase = Phase::Done;
            }
            // The turn that it woke reads.
            Timer::Pace => {}
        }
    }

    /// Ends without a word, as it would stand behind what the client does not take.
    fn give_up(&mut self, ending: Ending, socket: &Socket) {
        self.leave(ending);
        // What waits in the system's buffer is not worth keeping either.
        let _ = SockRef::from(&socket.stream).set_linger(Some(Duration::ZERO));
        self.phase = Phase::Done;
    }

    /// Ends without a word, as nobody is there to hear it.
    pub(super) fn vanish(&mut self) {
        self.leave(Ending::PeerVanished);
        self.phase = Phase::Done;
    }

    /// Whether nothing more will come from the client than what is there to be read.
    fn has_hung_up(&self, socket: &Socket) -> bool {
        let ready = socket.stream.ready(Interest::READABLE).now_or_never();
        self.write_failed || matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
    }
}
