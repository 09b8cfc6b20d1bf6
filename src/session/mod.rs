//! The `Session` actor: one client's WebSocket.
//!
//! What it reads becomes a request for the registry, or, once a request is granted, goes there
//! unread; what the registry delivers waits in the outbox until the socket takes it. Rooms, peers
//! and budgets are the registry's; `pump` moves the bytes and watches the clocks, `wire` is the
//! socket, `travel` the way to another worker.

mod liveness;
mod pace;
mod pump;
mod travel;
mod wire;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use actix_rt::net::TcpStream;
use actix_web_actors::ws::CloseCode;
use bytes::Bytes;
use log::{debug, info};

use self::{
    liveness::{Liveness, Timeouts},
    pace::Pace,
    pump::Pump,
};
use crate::{
    client_addr::AddressKey,
    messages::{Ask, Attach, Cleared, Deliver, Forward, Leave, Ticket},
    protocol::{Close, MAX_REQUEST, Reason, Reply, Request},
    registry::RoomRegistry,
    rooms::SessionId,
    server::Shared,
    transport::{
        credit::{Credit, Window},
        data::{Chunk, Data, Fragment},
        frame::{self, Opcode, Violation},
        outbox::Outbox,
        reader::{Event, FrameReader},
    },
    worker::Worker,
};

/// What a client has left of our time once it must have heard all that we had to tell it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that has just become a WebSocket.
pub struct Upgraded {
    /// The socket, with nothing sent on it yet.
    pub socket: TcpStream,
    /// The answer to the handshake.
    pub head: Bytes,
    /// What the client sent behind its handshake.
    pub unread: Bytes,
    /// Whose budget its requests are charged to.
    pub client: AddressKey,
    /// Its place among `RELAY_MAX_SESSIONS`.
    pub slot: Credit,
}

/// One client.
pub struct Session {
    id: SessionId,
    client: AddressKey,
    /// The registry of the worker it is on.
    registry: Addr<RoomRegistry>,
    shared: Arc<Shared>,
    timeouts: Timeouts,

    reader: FrameReader,
    outbox: Outbox,
    window: Arc<Window>,
    /// Read from the socket, and left until the request before it is answered.
    unread: Bytes,
    phase: Phase,
    /// Whether its registry still counts on it.
    attached: bool,
    /// Whether the socket has refused a write; what the client sent before is still read.
    write_failed: bool,
    end: &'static str,

    liveness: Liveness,
    pace: Pace,
    /// The Ping whose answer the registry waits for.
    barrier: Option<u64>,
    /// What was under way from it, and since when no other amount, while its window is full.
    untaken: Option<(usize, Instant)>,
    /// Its place among `RELAY_MAX_SESSIONS`; none once it has gone to another worker.
    slot: Option<Credit>,
}

/// How far a session has come.
enum Phase {
    /// A request is due by this moment.
    Asking { request: Collected, by: Instant },
    /// A request is with the registry, or its refusal is due at a moment. What follows it is not
    /// read: it may be data or another.
    Waiting { refusal: Option<(Instant, Reply)> },
    /// Its request is another worker's to answer.
    Moving { ticket: Box<Ticket> },
    /// In a room: everything is passed on.
    Piping,
    /// We have said Close, and wait for the client's, until this moment once it is written.
    Closing { by: Option<Instant> },
    /// The client broke the protocol: its stream means nothing any more. It is told and left to
    /// hang up, since closing on bytes unread would take our Close from it.
    Lingering { by: Option<Instant> },
    /// The client has said Close: when what waits is written, by this moment, the socket is shut.
    Finishing { by: Instant },
    /// Nothing is left to do.
    Done,
}

/// A request on its way in.
#[derive(Default)]
struct Collected {
    message: Vec<u8>,
    too_long: bool,
}

impl Collected {
    /// Adds a fragment; the request, once it is whole (`Some(None)` for one nobody understands).
    fn add(&mut self, fragment: &Fragment) -> Option<Option<Request>> {
        if self.message.len() + fragment.payload().len() > MAX_REQUEST {
            self.too_long = true;
            self.message = Vec::new();
        } else if !self.too_long {
            self.message.extend_from_slice(fragment.payload());
        }
        let understood = || Request::parse(&self.message).filter(|_| !self.too_long);
        fragment.fin.then(understood)
    }
}

impl Session {
    /// Starts the actor of a new connection.
    pub fn begin(id: SessionId, upgraded: Upgraded, worker: &Worker) -> Addr<Self> {
        let (shared, registry) = (Arc::clone(worker), worker.registry.clone());
        let mut session = Self::new(id, upgraded.client, registry.clone(), shared);
        session
            .outbox
            .push(Chunk::new(upgraded.head, &session.window));
        session.unread = upgraded.unread;
        session.slot = Some(upgraded.slot);
        debug!("session {} from {}", id.0, upgraded.client);
        let session = session.start_on(Some(upgraded.socket));
        registry.do_send(Attach {
            id,
            session: session.clone(),
            client: upgraded.client,
        });
        session
    }

    /// A session without a connection.
    fn new(
        id: SessionId,
        client: AddressKey,
        registry: Addr<RoomRegistry>,
        shared: Arc<Shared>,
    ) -> Self {
        let (config, now) = (&shared.config, Instant::now());
        let window = Window::part_of(&shared.totals.in_flight, config.window);
        let timeouts = Timeouts {
            request: config.request_timeout,
            ping_interval: config.ping_interval,
            ping: config.ping_timeout,
            stall: config.stall_timeout,
        };
        Self {
            id,
            client,
            registry,
            timeouts,
            reader: FrameReader::new(config.max_msg_size, Arc::clone(&window)),
            outbox: Outbox::default(),
            window,
            unread: Bytes::new(),
            phase: Phase::Asking {
                request: Collected::default(),
                by: now + timeouts.request,
            },
            attached: true,
            write_failed: false,
            end: "peer_vanished",
            liveness: Liveness::new(now, timeouts),
            pace: Pace::new(config.session_bytes_per_sec, now),
            barrier: None,
            untaken: None,
            slot: None,
            shared,
        }
    }

    fn start_on(self, socket: Option<TcpStream>) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.spawn(Pump::new(socket, self.timeouts.request));
            self
        })
    }

    fn on_data(&mut self, data: Data) {
        match (&mut self.phase, data) {
            (Phase::Piping, data) => self.registry.do_send(Forward { id: self.id, data }),
            (Phase::Asking { request, .. }, Data::Fragment(fragment)) => {
                if let Some(request) = request.add(&fragment) {
                    self.phase = Phase::Waiting { refusal: None };
                    let id = self.id;
                    self.registry.do_send(Ask { id, request });
                }
            }
            _ => {}
        }
    }

    /// Acts on an event; the answers to Pings are gathered in `pongs`, many to be written as one.
    fn on_event(&mut self, event: Event, pongs: &mut Vec<u8>, now: Instant) {
        match event {
            Event::Data(data) => {
                self.liveness.heard(now);
                self.on_data(data);
            }
            Event::Ping(payload) => pongs.extend(frame::encode(Opcode::Pong, &payload)),
            Event::Pong(number) => {
                self.liveness.ponged(now);
                if self.barrier.take_if(|barrier| *barrier <= number).is_some() {
                    self.registry.do_send(Cleared(self.id));
                }
            }
            Event::Close(code) => self.on_peer_close(code, now),
            Event::Violation(violation) => self.on_violation(violation, now),
        }
    }

    /// Answers the client's Close with its own code (RFC 6455 §5.5.1), or takes it for the answer
    /// to ours.
    fn on_peer_close(&mut self, code: Option<CloseCode>, now: Instant) {
        if self.is_open() {
            self.leave("peer_closed");
            self.push(match code {
                Some(code) => frame::encode_close(code, ""),
                None => frame::encode(Opcode::Close, b""),
            });
        }
        let by = now + CLOSE_TIMEOUT;
        self.phase = Phase::Finishing { by };
    }

    fn on_violation(&mut self, violation: Violation, now: Instant) {
        let by = if self.is_open() {
            self.leave(violation.reason);
            self.push(frame::encode_close(violation.code, violation.reason));
            None
        } else {
            Some(now)
        };
        self.phase = Phase::Lingering { by };
    }

    /// Closes from our side.
    fn close(&mut self, close: Close) {
        if self.is_open() {
            self.leave(close.reason);
            self.push(close.encode());
            self.phase = Phase::Closing { by: None };
        }
    }

    /// Tells the client why it may not have what it asked for, and what becomes of it.
    fn refuse(&mut self, reply: &Reply, now: Instant) {
        self.say(reply.encode());
        match reply.close() {
            Some(close) => self.close(close),
            None => {
                self.phase = Phase::Asking {
                    request: Collected::default(),
                    by: now + self.timeouts.request,
                }
            }
        }
    }

    /// Ends a session that is in no room.
    fn dismiss(&mut self, reason: Reason, now: Instant) {
        self.shared.metrics.refused(reason);
        info!("session {} refused: {}", self.id.0, reason.name());
        self.refuse(&reason.into(), now);
    }

    /// Whether nobody has said Close yet.
    fn is_open(&self) -> bool {
        matches!(
            self.phase,
            Phase::Asking { .. } | Phase::Waiting { .. } | Phase::Piping
        )
    }

    /// Queues a frame of our own, unless a Close is queued already.
    fn say(&mut self, frame: Vec<u8>) {
        if self.is_open() {
            self.push(frame);
        }
    }

    /// Queues a frame. It is charged to the session itself: who does not take our answers is not
    /// read any further.
    fn push(&mut self, frame: Vec<u8>) {
        if !self.write_failed {
            self.outbox.push(Chunk::new(frame, &self.window));
        }
    }

    /// Pings the client; returns the number it will answer with.
    fn ping(&mut self, now: Instant) -> u64 {
        let number = self.reader.next_ping();
        self.say(frame::encode(Opcode::Ping, &number.to_be_bytes()));
        self.liveness.pinged(now);
        number
    }

    /// Tells the registry that nothing more will come, once.
    fn leave(&mut self, end: &'static str) {
        if mem::take(&mut self.attached) {
            self.end = end;
            self.registry.do_send(Leave(self.id));
        }
    }
}

impl Actor for Session {
    type Context = Context<Self>;
}

impl Drop for Session {
    /// Here, and not in `stopped`, so that a panic cannot leave a member behind.
    fn drop(&mut self) {
        if self.slot.is_none() {
            // It lives on, on another worker.
            return;
        }
        self.leave(if std::thread::panicking() {
            "panicked"
        } else {
            "peer_vanished"
        });
        self.shared.metrics.session_ended(self.end);
        debug!("session {} ended: {}", self.id.0, self.end);
    }
}

impl Handler<Deliver> for Session {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        match deliver {
            Deliver::Data(chunk) => {
                if self.is_open() && !self.write_failed {
                    self.outbox.push(chunk);
                }
            }
            Deliver::Tell(reply) => self.say(reply.encode()),
            Deliver::Granted => {
                if matches!(self.phase, Phase::Waiting { .. }) {
                    self.reader.join_messages();
                    self.phase = Phase::Piping;
                }
            }
            Deliver::Move(ticket) => {
                if matches!(self.phase, Phase::Waiting { .. }) {
                    self.phase = Phase::Moving { ticket };
                }
            }
            Deliver::Refused(reply, delay) => {
                if let Phase::Waiting { refusal } = &mut self.phase {
                    *refusal = Some((Instant::now() + delay, reply));
                }
            }
            Deliver::Ping => {
                self.barrier = Some(self.ping(Instant::now()));
            }
            Deliver::Close(close) => self.close(close),
            Deliver::Stopping => {
                if matches!(self.phase, Phase::Asking { .. } | Phase::Waiting { .. }) {
                    self.dismiss(Reason::ServerShutdown, Instant::now());
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod tests;
