//! Moving a session's bytes: socket to reader, outbox to socket, and the clocks beside them.
//!
//! One future in the session's own context, so that everything a frame needs happens in the task
//! of its actor, in one turn: what is there is read, what is due is done, what waits is written.

use std::{
    ffi::c_int,
    io, mem,
    pin::Pin,
    task::{Context as Task, Poll},
    time::{Duration, Instant},
};

use actix::{ActorContext, Context, fut::ActorFuture};
use actix_rt::net::TcpStream;
use bytes::Bytes;
use futures_util::FutureExt;
use log::debug;
use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};

use super::{
    CLOSE_TIMEOUT, Phase, Session,
    liveness::{Due, Reading},
    wire::{Pause, READ, Wire},
};
use crate::protocol::{Close, Reason};

/// Bytes read from one session before the others have their turn. What costs no credit, such as Pongs
/// and empty fragments, is stopped by nothing else. Data are, by the window: this is a read more than
/// that usually is, for the headers.
pub(super) const TURN: usize = 5 * READ;

const NO_FLAGS: c_int = 0;
/// More is to follow: the FIN, so that the last bytes need no packet of their own.
#[cfg(target_os = "linux")]
const WITH_FIN: c_int = libc::MSG_MORE;
#[cfg(not(target_os = "linux"))]
const WITH_FIN: c_int = NO_FLAGS;

/// Drives the session it is spawned into, for as long as there is a connection.
pub(super) struct Pump(Option<Wire>);

impl Pump {
    /// A pump of this socket, whose session will first look at its clocks after so long, if not
    /// before.
    pub(super) fn new(socket: Option<TcpStream>, first_look: Duration) -> Self {
        Self(socket.map(|socket| Wire::new(socket, first_look)))
    }
}

impl ActorFuture<Session> for Pump {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        session: &mut Session,
        ctx: &mut Context<Session>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        if matches!(session.phase, Phase::Moving { .. })
            && let Some(wire) = self.0.take()
        {
            session.depart(wire.socket.into_std());
        }
        if let Some(wire) = &mut self.0 {
            session.turn(wire, task);
            if !matches!(session.phase, Phase::Done) {
                return Poll::Pending;
            }
        }
        ctx.stop();
        Poll::Ready(())
    }
}

impl Session {
    fn turn(&mut self, wire: &mut Wire, task: &mut Task<'_>) {
        let now = Instant::now();
        let pause = match wire.poll_turn(task) {
            Poll::Ready(()) => {
                let pause = self.read(wire, now, task);
                wire.end_turn(pause, task);
                pause
            }
            // Not yet: it is paused for what it was.
            Poll::Pending => wire.paused,
        };
        let next = self.look_at_clocks(wire, now, pause);
        self.write(&mut wire.socket, now, task);
        // The write may have begun a stall, or ended it.
        let stall = self.liveness.next_look_at_stall(now);
        let next = stall.into_iter().fold(next, Instant::min);
        if !matches!(self.phase, Phase::Done) {
            wire.wake_at(next, now, task);
        }
    }

    fn read(&mut self, wire: &mut Wire, now: Instant, task: &mut Task<'_>) -> Pause {
        let mut left = TURN;
        loop {
            let most = match self.most_to_read(now, task) {
                Ok(most) => most,
                Err(pause) => return pause,
            };
            if !self.unread.is_empty() {
                let unread = mem::take(&mut self.unread);
                self.consume(&unread, now);
                continue;
            }
            if left == 0 {
                return Pause::More;
            }
            let read = wire.poll_read(most.min(left), task, |bytes| self.received(bytes, now));
            match read {
                Poll::Pending => return Pause::Empty,
                Poll::Ready(Ok(count)) if count > 0 => left -= count,
                Poll::Ready(result) => {
                    debug!("session {}: end of stream, {:?}", self.id.0, result.err());
                    self.leave("peer_vanished");
                    self.phase = Phase::Done;
                }
            }
        }
    }

    /// Bytes that may be read now, or why there are none.
    fn most_to_read(&mut self, now: Instant, task: &mut Task<'_>) -> Result<usize, Pause> {
        let free = || match self.window.poll_free(task) {
            0 => Err(Pause::Full),
            free => Ok(free),
        };
        match self.phase {
            Phase::Asking { .. } => free(),
            Phase::Piping => {
                let free = free()?;
                let allowed = self.pace.allowance(now).map_err(Pause::Until)?;
                Ok(free.min(allowed))
            }
            Phase::Closing { .. } | Phase::Lingering { .. } => {
                self.pace.allowance(now).map_err(Pause::Until)
            }
            Phase::Waiting { .. }
            | Phase::Moving { .. }
            | Phase::Finishing { .. }
            | Phase::Done => Err(Pause::Unwanted),
        }
    }

    fn received(&mut self, bytes: &[u8], now: Instant) {
        self.liveness.received(now);
        self.pace.spend(bytes.len());
        self.shared.metrics.received(bytes.len());
        if !matches!(self.phase, Phase::Lingering { .. }) {
            self.consume(bytes, now);
        }
    }

    /// Acts on what was read, as far as it may be looked at now.
    fn consume(&mut self, mut bytes: &[u8], now: Instant) {
        let mut pongs = Vec::new();
        while matches!(
            self.phase,
            Phase::Asking { .. } | Phase::Piping | Phase::Closing { .. }
        ) {
            match self.reader.next(&mut bytes) {
                Some(event) => self.on_event(event, &mut pongs, now),
                None => break,
            }
        }
        if !pongs.is_empty() {
            self.say(pongs);
        }
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.unread = Bytes::copy_from_slice(bytes);
        }
    }

    /// Does what is due, and says when to look again.
    fn look_at_clocks(&mut self, wire: &Wire, now: Instant, pause: Pause) -> Instant {
        let end_of_phase = self.end_of_phase(now);
        if end_of_phase.is_some_and(|by| by <= now) {
            return self.end_phase(now);
        }
        if !self.outbox.is_empty() && wire.alarm.is_elapsed() {
            // The runtime waits to hear that the system takes more, which it says only when a third
            // of its buffer is free: with a slow peer that takes minutes.
            self.offer(&wire.socket, NO_FLAGS, now);
        }
        if self.is_stuck(&wire.socket, now, pause) {
            self.leave("peer_vanished");
            self.phase = Phase::Done;
            return now;
        }
        let due = match self.liveness.due(now, self.reading(pause)) {
            Due::Nothing(then) => then,
            Due::Ping => {
                self.ping(now);
                // An answer is due then, or, of who is not read, the next Ping.
                now + self.timeouts.ping.min(self.timeouts.ping_interval)
            }
            Due::Dead => {
                self.leave(Close::PING_TIMEOUT.reason);
                self.push(Close::PING_TIMEOUT.encode());
                self.phase = Phase::Done;
                now
            }
            Due::Stalled => {
                self.leave("stalled");
                // What waits in the system's buffer is not worth keeping either.
                let _ = SockRef::from(&wire.socket).set_linger(Some(Duration::ZERO));
                self.phase = Phase::Done;
                now
            }
        };
        let resume = match pause {
            Pause::Until(then) => Some(then),
            Pause::Empty | Pause::More | Pause::Full | Pause::Unwanted => None,
        };
        [end_of_phase, resume]
            .into_iter()
            .flatten()
            .fold(due, Instant::min)
    }

    fn reading(&self, pause: Pause) -> Reading {
        if !matches!(pause, Pause::Empty | Pause::More) || !self.is_open() {
            // Who has been told to close has a deadline of its own, and may not answer any more.
            Reading::Paused
        } else if self.reader.in_message() {
            Reading::InMessage
        } else {
            Reading::Between
        }
    }

    /// When the time of this phase is up, if it is limited.
    fn end_of_phase(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.phase {
            Phase::Closing { by } | Phase::Lingering { by } if self.outbox.is_empty() => {
                Some(*by.get_or_insert(self.liveness.all_taken(now) + CLOSE_TIMEOUT))
            }
            Phase::Asking { by, .. } | Phase::Finishing { by } => Some(*by),
            Phase::Waiting { refusal } => refusal.as_ref().map(|&(at, _)| at),
            Phase::Closing { .. }
            | Phase::Lingering { .. }
            | Phase::Piping
            | Phase::Moving { .. }
            | Phase::Done => None,
        }
    }

    /// Whether nobody has taken what the session sent for `RELAY_STALL_TIMEOUT`, and its connection
    /// has ended. Reading would tell, but while we do not read, nothing else does. While somebody
    /// takes it, what is left in the system's buffer is still worth reading.
    fn is_stuck(&mut self, socket: &TcpStream, now: Instant, pause: Pause) -> bool {
        if !matches!(pause, Pause::Full | Pause::Unwanted) {
            self.untaken = None;
            return false;
        }
        let used = self.window.used();
        match self.untaken {
            Some((before, since)) if before == used => {
                since + self.timeouts.stall <= now && self.has_hung_up(socket)
            }
            _ => {
                self.untaken = Some((used, now));
                false
            }
        }
    }

    /// Whether nothing more will come from the client than what is there to be read.
    fn has_hung_up(&self, socket: &TcpStream) -> bool {
        let ready = socket.ready(Interest::READABLE).now_or_never();
        self.write_failed || matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
    }

    /// Goes on to the next phase, as the time of this one is up; says when to look again.
    fn end_phase(&mut self, now: Instant) -> Instant {
        match mem::replace(&mut self.phase, Phase::Done) {
            asking @ Phase::Asking { .. } => {
                self.phase = asking;
                self.dismiss(Reason::RequestTimeout, now);
            }
            Phase::Waiting { refusal } => {
                self.phase = Phase::Waiting { refusal: None };
                if let Some((_, reply)) = refusal {
                    self.refuse(&reply, now);
                }
            }
            _ => {}
        }
        now
    }

    fn write(&mut self, socket: &mut TcpStream, now: Instant, task: &mut Task<'_>) {
        if matches!(self.phase, Phase::Finishing { .. }) {
            self.offer(socket, WITH_FIN, now);
        }
        if !self.outbox.is_empty() {
            let written = self.outbox.write_to(socket, task);
            self.wrote(written, now);
        }
        if self.outbox.is_empty() {
            match self.phase {
                // Never pending: a TCP socket is shut in one system call. If it fails, it is gone.
                Phase::Lingering { .. } => drop(Pin::new(socket).poll_shutdown(task)),
                Phase::Finishing { .. } => self.phase = Phase::Done,
                _ => {}
            }
        }
    }

    /// Offers what waits to the system without asking the runtime.
    fn offer(&mut self, socket: &TcpStream, flags: c_int, now: Instant) {
        let socket = SockRef::from(socket);
        let send = |bytes: &[u8]| socket.send_with_flags(bytes, flags);
        let written = self.outbox.offer_to(send);
        self.wrote(written, now);
    }

    fn wrote(&mut self, written: io::Result<usize>, now: Instant) {
        match written {
            Ok(count) => {
                self.shared.metrics.sent(count);
                self.liveness.wrote(now, count, !self.outbox.is_empty());
            }
            Err(error) => {
                debug!("session {}: {error}", self.id.0);
                self.outbox.clear();
                self.liveness.wrote(now, 0, false);
                self.write_failed = true;
                if !self.is_open() {
                    self.phase = Phase::Done;
                }
            }
        }
    }
}
