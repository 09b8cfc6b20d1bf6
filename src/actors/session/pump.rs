//! The way of a session's bytes: from its socket through the reader to the registry, and from the
//! outbox to its socket.
//!
//! One future in the session's own context, so that everything a frame needs happens in the task
//! of its actor, in one turn: what is there is read, what is due is done, what waits is written, and
//! the next wake-up is set. The socket, the alarm, the registry's messages and credit that comes
//! back each wake that task.

use std::{
    io,
    pin::Pin,
    task::{Context as Task, Poll},
    time::Instant,
};

use actix::{ActorContext, Context, Handler, fut::ActorFuture};
use actix_rt::net::TcpStream;

use super::{
    actor::Session, connection::Connection, inflating::Pieces, phase::Phase, socket::Socket,
};
use crate::{
    actors::{
        messages::{Deliver, Given},
        now,
    },
    flow::{clocks::Wait, data::Delivery, outbox::Outbox},
    observe::logging::log_client,
};

/// Drives the session it is spawned into, for as long as that has its socket here.
pub(super) struct Pump(Option<Socket>);

impl Pump {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Some(Socket::new(stream)))
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
        if let (Some(connection), Some(socket)) = (&mut session.0, &mut self.0) {
            match connection.phase {
                Phase::Moving { .. } => {
                    let socket = self.0.take();
                    session.depart(socket.map(|socket| socket.stream));
                }
                _ => {
                    connection.turn(socket, now(), task);
                    if !matches!(connection.phase, Phase::Done) {
                        return Poll::Pending;
                    }
                }
            }
        }
        ctx.stop();
        Poll::Ready(())
    }
}

impl Handler<Deliver> for Session {
    type Result = ();

    /// Whatever it brings is written by the pump, which runs in the same task and behind the
    /// mailbox: a message wakes both.
    fn handle(&mut self, deliver: Deliver, ctx: &mut Self::Context) {
        let Some(connection) = &mut self.0 else {
            return;
        };
        match deliver {
            Deliver::Data(delivery) => connection.deliver(delivery),
            Deliver::Seek(request, charge) => self.seek(request, charge, ctx),
            other => connection.on_deliver(other),
        }
    }
}

impl Connection {
    fn turn(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) {
        if let Phase::Across(_) = self.phase {
            return self.turn_across(socket, now, task);
        }
        let pause = match socket.poll_turn(task) {
            Poll::Ready(()) => {
                let pause = self.read(socket, now, task);
                socket.end_turn(pause, task);
                pause
            }
            // Not yet: it is paused for what it was.
            Poll::Pending => socket.paused,
        };
        let pause = self.read_ahead(pause, socket, now, task);
        self.note_pause(pause, now);
        self.run_timers(socket, now, task);
        self.write(socket, now, task);
        if !matches!(self.phase, Phase::Done)
            && let Some(next) = self.clocks.next()
        {
            socket.wake_at(next, now, task);
        }
    }

    /// Queues what the peer sent.
    fn deliver(&mut self, delivery: Delivery) {
        if self.is_open() && !self.write_failed {
            self.queue(delivery);
        }
    }

    /// Makes ready what is at the front: a Ping whose turn has come, a mark where one is due, a fragment of
    /// what would take too long.
    ///
    /// A mark goes in front of more data, and never behind the last: a client that has all it waited for
    /// may have hung up with something to say that is still on its way, which the Ping would take away.
    fn prepare_front(&mut self, now: Instant) {
        if self.outbox.take_ping() && self.is_open() {
            self.barrier = Some(self.ping(now));
        }
        if self.is_past_pongs() {
            return;
        }
        let until_mark = self.arrival.until_mark(self.outbox.written_to());
        if until_mark == 0 && self.outbox.is_at_data() {
            self.mark(now);
        }
        if let Some(longest) = self.arrival.longest_frame() {
            self.outbox.cut(longest);
        }
    }

    /// Whether nothing that comes is looked at any more.
    fn is_past_pongs(&self) -> bool {
        matches!(self.phase, Phase::Lingering | Phase::Finishing)
    }

    /// Bytes that may be written now: those that are urgent, and others as far as the delivery window has
    /// room for them, up to the next mark. The window does not bind where Pongs are not seen.
    fn room_now(&self) -> usize {
        if self.is_past_pongs() {
            return usize::MAX;
        }
        let written = self.outbox.written_to();
        let at_once = self.arrival.most_at_once(written);
        let room = match self.deaf {
            true => at_once,
            false => self
                .arrival
                .room(written, self.outbox.next_len())
                .min(at_once),
        };
        usize::try_from(room).map_or(usize::MAX, |room| room.max(self.outbox.urgent()))
    }

    /// Bytes that may be written now, once the front is ready.
    pub(super) fn most_to_write(&mut self, now: Instant) -> usize {
        self.prepare_front(now);
        self.room_now()
    }

    fn write(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) {
        if matches!(self.phase, Phase::Finishing) {
            self.offer(now, |outbox| socket.offer_last(outbox));
        }
        self.queue_owed_pong();
        if !self.outbox.is_empty() {
            let (count, wait) = self.write_on(socket, now, task);
            self.note_written(count, wait, now);
        }
        if self.has_written_all() {
            match self.phase {
                Phase::Closing => self.clocks.close_due(now, self.arrival.is_awaited()),
                Phase::Lingering => {
                    socket.shut(task);
                    self.clocks.close_due(now, false);
                }
                Phase::Finishing => self.phase = Phase::Done,
                _ => {}
            }
        }
    }

    fn has_written_all(&self) -> bool {
        let unpacker = self.unpacker.as_ref();
        self.outbox.is_empty() && unpacker.is_none_or(|unpacker| unpacker.is_empty())
    }

    /// Writes what may be written now, and says how many bytes that were, and what the rest waits for, or why
    /// no more can be written.
    fn write_on(
        &mut self,
        socket: &mut Socket,
        now: Instant,
        task: &mut Task<'_>,
    ) -> (usize, io::Result<Option<Wait>>) {
        let (mut written, mut pieces) = (0, Pieces::default());
        while !self.outbox.is_empty() {
            let most = self.most_to_write(now);
            if self.outbox.is_empty() {
                // A Ping that nobody needs any more was all that waited here.
                self.refill();
                continue;
            }
            if most == 0 {
                return (written, Ok(Some(Wait::Pong)));
            }
            let Poll::Ready(count) = socket.write(&mut self.outbox, most, task) else {
                return (written, Ok(Some(Wait::System)));
            };
            match count {
                Ok(count) => written += count,
                Err(error) => return (written, Err(error)),
            }
            self.queue_owed_pong();
            if self.refill() && !pieces.may_go_on(task) {
                break;
            }
        }
        (written, Ok(None))
    }

    /// Offers what waits to the system, and notes what it took.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        offer: impl FnOnce(&mut Outbox) -> (usize, io::Result<()>),
    ) {
        let (count, offered) = offer(&mut self.outbox);
        let wait = offered.map(|()| {
            self.refill();
            (!self.outbox.is_empty()).then_some(Wait::System)
        });
        self.note_written(count, wait, now);
    }

    /// Notes that so many bytes were written, and what others wait for, or why there are no more.
    fn note_written(&mut self, count: usize, wait: io::Result<Option<Wait>>, now: Instant) {
        match wait {
            Ok(wait) => self.wrote(count, wait, now),
            Err(error) => {
                self.give_up_writing(&error);
                self.wrote(count, None, now);
            }
        }
    }

    fn wrote(&mut self, count: usize, wait: Option<Wait>, now: Instant) {
        self.count_sent(count);
        self.waits.write(wait.is_some(), now, &self.state.metrics);
        let bytes = self.outbox.given();
        if bytes != self.given.bytes {
            self.given = Given { bytes, last: now };
        }
        self.vitals.wrote(bytes, wait.is_some(), now);
        self.clocks.wrote(now, count, wait);
    }

    /// Counts bytes that were written.
    pub(super) fn count_sent(&self, count: usize) {
        self.state.metrics.sent(count);
        if let Some(guest) = &self.guest {
            guest.sent(count);
        }
        self.caller.sent(count);
    }

    fn give_up_writing(&mut self, error: &io::Error) {
        let client = self.visitor.network;
        log_client!(Debug, client, "session {}: {error}", self.id.0);
        self.outbox.clear();
        self.unpacker = None;
        self.write_failed = true;
        if !self.is_open() {
            self.phase = Phase::Done;
        }
    }
}
