//! The way of a session's bytes: from its socket through the reader to the registry, and from the
//! outbox to its socket.
//!
//! One future in the session's own context, so that everything a frame needs happens in the task
//! of its actor, in one turn: what is there is read, what is due is done, what waits is written, and
//! the next wake-up is set. The socket, the alarm, the registry's messages and credit that comes
//! back each wake that task.

use std::{
    io, mem,
    pin::Pin,
    task::{Context as Task, Poll},
    time::Instant,
};

use actix::{ActorContext, Context, Handler, fut::ActorFuture};
use actix_rt::net::TcpStream;
use relay_wire::ending::Ending;

use super::{
    actor::Session,
    connection::{Connection, Pongs},
    inflating::Pieces,
    phase::Phase,
    socket::{Pause, READ, Socket},
};
use crate::{
    actors::{
        messages::{Ask, Deliver, Forward},
        now,
    },
    flow::{
        clocks::{Reading, Wait},
        credit::Share,
        data::{Data, Delivery, OVERHEAD},
        ledger::Dropped,
        reader::{Counts, Event},
    },
    observe::logging::log_client,
};

/// What may be read from one session before the others have their turn: bytes, and so many more for
/// each frame. Data in large frames are stopped earlier, by the window: this is a read more than that
/// usually is, for the headers.
pub(super) const TURN: usize = 5 * READ;
/// Bytes that take as much time as a frame does, whatever is in it.
pub(super) const FRAME_COST: usize = 64;

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
    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        let Some(connection) = &mut self.0 else {
            return;
        };
        match deliver {
            Deliver::Data(delivery) => connection.deliver(delivery),
            other => connection.on_deliver(other),
        }
    }
}

impl Connection {
    fn turn(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) {
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

    fn read(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) -> Pause {
        let mut left = TURN;
        loop {
            let most = match self.most_to_read(now, task) {
                Ok(most) => most,
                Err(pause) => return pause,
            };
            if left == 0 {
                return Pause::More;
            }
            if !self.unread.is_empty() {
                let unread = mem::take(&mut self.unread);
                self.consume(&unread, now);
                left = self.left_of_turn(left);
                continue;
            }
            let mut frames = 0;
            let read = socket.poll_read(most.min(left), task, |bytes| {
                frames = self.received(bytes, now);
            });
            self.loan = None;
            match read {
                Poll::Pending => return Pause::Empty,
                Poll::Ready(Ok(count)) if count > 0 => {
                    left = self.left_of_turn(left.saturating_sub(count + frames * FRAME_COST));
                }
                Poll::Ready(result) => self.end_of_stream(result.err()),
            }
        }
    }

    /// What there is left of a turn: nothing, where the reader has left something for the next.
    fn left_of_turn(&self, left: usize) -> usize {
        if self.unread.is_empty() { left } else { 0 }
    }

    /// Bytes that may be read now, or why there are none.
    fn most_to_read(&mut self, now: Instant, task: &mut Task<'_>) -> Result<usize, Pause> {
        let free = match self.window.poll_free(task) {
            0 => self.borrow().ok_or(Pause::Full),
            free => Ok(free),
        };
        match self.phase {
            Phase::Asking(_) => free,
            Phase::Piping { .. } => {
                let free = free?;
                let allowed = self.allowance(now).map_err(Pause::Until)?;
                Ok(free.min(allowed))
            }
            Phase::Closing | Phase::Lingering => self.allowance(now).map_err(Pause::Until),
            Phase::Waiting { .. } | Phase::Moving { .. } | Phase::Finishing | Phase::Done => {
                Err(Pause::Unwanted)
            }
        }
    }

    /// Bytes that may be read at `now` by its own pace and by that of its address.
    ///
    /// # Errors
    ///
    /// When to ask again.
    fn allowance(&mut self, now: Instant) -> Result<usize, Instant> {
        let own = self.pace.allowance(now)?;
        match &self.limit {
            None => Ok(own),
            Some(limit) => Ok(own.min(limit.allowance(now)?)),
        }
    }

    /// Borrows memory for what may be read although the window is full: of a sender to the end of the
    /// message that it is in, and not a byte further, as its own Ping stands behind that.
    fn borrow(&mut self) -> Option<usize> {
        let Phase::Piping { spare: Some(spare) } = &self.phase else {
            return None;
        };
        let left = usize::try_from(self.reader.least_left()).unwrap_or(READ);
        let most = READ.min(left);
        self.loan = (most > 0).then(|| Share::try_borrow(spare, most + 2 * OVERHEAD))?;
        self.loan.as_ref().map(|_| most)
    }

    /// Takes in what was read; returns how many frames began in it.
    fn received(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.count_bytes(bytes.len(), now);
        match self.phase {
            Phase::Lingering => 0,
            _ => self.consume(bytes, now),
        }
    }

    /// Acts on what was read, as far as it may be looked at now; returns how many frames began in it.
    fn consume(&mut self, mut bytes: &[u8], now: Instant) -> usize {
        let mut pongs = Pongs::default();
        while matches!(
            self.phase,
            Phase::Asking(_) | Phase::Piping { .. } | Phase::Closing
        ) {
            match self.reader.next(&mut bytes) {
                Some(event) => self.on_event(event, &mut pongs, now),
                None => break,
            }
        }
        self.pong(pongs);
        if !bytes.is_empty()
            && matches!(
                self.phase,
                Phase::Waiting { .. } | Phase::Piping { .. } | Phase::Closing
            )
        {
            self.unread = bytes.to_vec();
        }
        self.count_frames(now)
    }

    /// Counts bytes that have come.
    pub(super) fn count_bytes(&mut self, count: usize, now: Instant) {
        self.clocks.received(now);
        self.pace.record(count);
        if let Some(limit) = &self.limit {
            limit.record(count);
        }
        self.caller.received(count);
        self.state.metrics.received(count);
    }

    /// Ends with its client's stream.
    pub(super) fn end_of_stream(&mut self, error: Option<io::Error>) {
        log_client!(
            Debug,
            self.client,
            "session {}: end of stream, {error:?}",
            self.id.0
        );
        self.vanish();
    }

    /// Counts the frames that have begun since the last time, and ends a session of which too many were
    /// for nothing; returns how many they are.
    pub(super) fn count_frames(&mut self, now: Instant) -> usize {
        let Counts {
            frames,
            idle,
            inflated,
            ..
        } = self.reader.take_counts();
        if inflated > 0 {
            self.state.metrics.looked_into(inflated as usize);
        }
        let (frames, idle) = (frames as usize, idle as usize);
        let ends = matches!(self.phase, Phase::Lingering | Phase::Finishing);
        if idle > 0 && !self.chatter.allows(idle, now) && !ends {
            self.on_violation(Ending::ControlFlood, now);
        }
        frames
    }

    /// Acts on an event; the answers to Pings are gathered in `pongs`, many to be written as one.
    pub(super) fn on_event(&mut self, event: Event, pongs: &mut Pongs, now: Instant) {
        match event {
            Event::Data(data) => {
                self.clocks.heard(now);
                self.on_data(data);
            }
            Event::Ping(payload) => pongs.push(&payload),
            Event::Pong(number) => self.on_pong(number, now),
            Event::Close(code) => self.on_peer_close(code, now),
            Event::Violation(violation) => self.on_violation(violation, now),
        }
    }

    fn on_data(&mut self, data: Data) {
        match (&mut self.phase, data) {
            (Phase::Piping { .. }, mut data) => {
                if let Some(loan) = &mut self.loan {
                    data.charge_to(loan);
                }
                self.registry.do_send(Forward { id: self.id, data });
            }
            (Phase::Asking(request), Data::Fragment(fragment)) => {
                if let Some(request) = request.add(&fragment) {
                    self.phase = Phase::Waiting { refusal: None };
                    self.ahead = None;
                    self.clocks.requested();
                    let id = self.id;
                    self.registry.do_send(Ask { id, request });
                }
            }
            (_, data) => data.dropped(Dropped::Closing),
        }
    }

    /// Tells the clocks how the session is read from here on.
    fn note_pause(&mut self, pause: Pause, now: Instant) {
        self.deaf =
            matches!(self.phase, Phase::Lingering) || !matches!(pause, Pause::Empty | Pause::More);
        let reading = match pause {
            // Who has been told to close has a deadline of its own, and may not answer any more.
            _ if !self.is_open() => Reading::Paused,
            Pause::Full | Pause::Unwanted | Pause::Until(_) => Reading::Paused,
            Pause::Empty | Pause::More if self.reader.in_message() => Reading::InMessage,
            Pause::Empty | Pause::More => Reading::Between,
        };
        self.clocks.read(now, reading);
        match pause {
            Pause::Full | Pause::Unwanted => self.clocks.under_way(now, self.window.used()),
            Pause::Empty | Pause::More | Pause::Until(_) => self.clocks.taken(),
        }
        self.vitals.paced(matches!(pause, Pause::Until(_)), now);
        self.clocks.paced(match pause {
            Pause::Until(then) => Some(then),
            Pause::Empty | Pause::More | Pause::Full | Pause::Unwanted => None,
        });
    }

    /// Queues what the peer sent.
    fn deliver(&mut self, delivery: Delivery) {
        if self.is_open() && !self.write_failed {
            self.queue(delivery);
        }
    }

    /// Bytes that may be written now: those that are urgent, and others as far as the delivery window has
    /// room for them, up to the next mark.
    ///
    /// A mark goes in front of more data, and never behind the last: a client that has all it waited for
    /// may have hung up with something to say that is still on its way, which the Ping would take away.
    pub(super) fn most_to_write(&mut self, now: Instant) -> usize {
        if self.outbox.take_ping() && self.is_open() {
            self.barrier = Some(self.ping(now));
        }
        if self.deaf {
            return usize::MAX;
        }
        let written = self.outbox.written_to();
        if self.arrival.until_mark(written) == 0 && self.outbox.is_at_data() {
            self.mark(now);
        }
        self.outbox.cut(self.arrival.longest_frame());
        // Where the mark cannot go yet, the chunk that stands in its way may.
        let next = self.arrival.until_mark(written).max(1);
        let room = self.arrival.room(written).min(next);
        usize::try_from(room).map_or(usize::MAX, |room| room.max(self.outbox.urgent()))
    }

    fn write(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) {
        if matches!(self.phase, Phase::Finishing) {
            let offered = socket.offer_last(&mut self.outbox);
            self.offered(offered, now);
        }
        self.queue_owed_pong();
        if !self.outbox.is_empty() {
            match self.write_on(socket, now, task) {
                Ok((count, wait)) => self.wrote(count, wait, now),
                Err(error) => self.write_failed(&error, now),
            }
        }
        if self.outbox.is_empty() {
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

    /// Writes what may be written now, and says how many bytes that were, and what the rest waits for.
    fn write_on(
        &mut self,
        socket: &mut Socket,
        now: Instant,
        task: &mut Task<'_>,
    ) -> io::Result<(usize, Option<Wait>)> {
        let (mut written, mut pieces) = (0, Pieces::default());
        while !self.outbox.is_empty() {
            let most = self.most_to_write(now);
            if self.outbox.is_empty() {
                // A Ping that nobody needs any more was all that waited.
                break;
            }
            if most == 0 {
                return Ok((written, Some(Wait::Pong)));
            }
            let Poll::Ready(count) = socket.write(&mut self.outbox, most, task) else {
                return Ok((written, Some(Wait::System)));
            };
            written += count?;
            self.queue_owed_pong();
            if self.refill() && !pieces.may_go_on(task) {
                break;
            }
        }
        Ok((written, None))
    }

    /// Notes what the system took of what it was offered.
    pub(super) fn offered(&mut self, offered: io::Result<usize>, now: Instant) {
        match offered {
            Ok(count) => {
                self.refill();
                let wait = (!self.outbox.is_empty()).then_some(Wait::System);
                self.wrote(count, wait, now);
            }
            Err(error) => self.write_failed(&error, now),
        }
    }

    fn wrote(&mut self, count: usize, wait: Option<Wait>, now: Instant) {
        self.state.metrics.sent(count);
        self.caller.sent(count);
        self.vitals.wrote(self.outbox.given(), wait.is_some(), now);
        self.clocks.wrote(now, count, wait);
    }

    fn write_failed(&mut self, error: &io::Error, now: Instant) {
        log_client!(Debug, self.client, "session {}: {error}", self.id.0);
        self.outbox.clear();
        self.unpacker = None;
        self.clocks.wrote(now, 0, None);
        self.write_failed = true;
        if !self.is_open() {
            self.phase = Phase::Done;
        }
    }
}
