//! What a session has and does, whatever moves its bytes: it answers and refuses. How it ends is in `leaving`.

use std::{sync::Arc, time::Instant};

use actix::Addr;
use relay_wire::{ending::Ending, reply::Reply};

use super::{
    loan::Borrower,
    phase::{Collected, Phase},
    waits::Waits,
};
use crate::{
    actors::{
        directory::Directory,
        messages::{Deliver, Given, Parted},
        now,
        registry::RoomRegistry,
    },
    flow::{
        arrival::Arrival,
        chatter::Chatter,
        clocks::Clocks,
        credit::{Share, Window},
        data::Chunk,
        outbox::Outbox,
        pace::{Pace, SharedPace},
        reader::FrameReader,
        unpack::Unpacker,
        vitals::Vitals,
    },
    limits::{
        access::{Guest, Visitor},
        callers::Caller,
    },
    observe::{events::Kind, logging::log_client},
    rooms::{Role, SessionId},
    state::State,
};

/// All of one client but its socket.
pub(super) struct Connection {
    pub(super) id: SessionId,
    pub(super) visitor: Visitor,
    /// What its access key counts, where it has come with one.
    pub(super) guest: Option<Guest>,
    pub(super) state: Arc<State>,
    pub(super) directory: Arc<Directory>,
    /// The registry of the worker it is on.
    pub(super) registry: Addr<RoomRegistry>,

    pub(super) reader: FrameReader,
    pub(super) outbox: Outbox,
    /// What has to be inflated before it goes there, and what comes behind that.
    pub(super) unpacker: Option<Box<Unpacker>>,
    pub(super) window: Arc<Window>,
    /// Read from the socket, and left until the request before it is answered.
    pub(super) unread: Vec<u8>,
    /// Bytes that may still be read before that, where the answer is late.
    pub(super) ahead: Option<usize>,
    pub(super) phase: Phase,
    /// What it has become, and whom it waits for.
    pub(super) waits: Waits,
    /// Bytes that a message of its peer's may have once it is inflated.
    pub(super) most_inflated: u64,
    /// Whether its registry still counts on it.
    pub(super) attached: bool,
    /// Whether the socket has refused a write; what the client sent before is still read.
    pub(super) write_failed: bool,
    /// How it ends, as far as that is known.
    pub(super) ending: Ending,

    pub(super) clocks: Clocks,
    pub(super) pace: Pace,
    /// The pace of its address, where the operator has limited that.
    pub(super) limit: Option<Arc<SharedPace>>,
    pub(super) chatter: Chatter,
    /// What its client was given, as it was last written.
    pub(super) given: Given,
    /// How it fares, for its registry to look at.
    pub(super) vitals: Arc<Vitals>,
    /// What its address does.
    pub(super) caller: Arc<Caller>,
    /// The place in the outbox behind our last Pongs.
    pub(super) ponged_by: u64,
    /// The Pong that is due once those are written.
    pub(super) owed: Option<Vec<u8>>,
    /// The number of the last Ping whose answer is due.
    pub(super) pinged: u64,
    /// The number of the Ping whose answer the registry waits for.
    pub(super) barrier: Option<u64>,
    /// How much of what was written has arrived.
    pub(super) arrival: Arrival,
    /// Whether Pongs that come now are not seen, as the session is not read. Nothing then waits for them.
    pub(super) deaf: bool,
    /// Since when it has been read without a pause, if it is.
    pub(super) read_since: Option<Instant>,
    /// Its place among `RELAY_MAX_SESSIONS`, until the last of it is gone.
    pub(super) slot: Share,
}

impl Connection {
    /// A client that begins at `now`, in the relay and with the registry of `home`.
    pub(super) fn new(
        id: SessionId,
        visitor: Visitor,
        slot: Share,
        home: (&Arc<State>, &Arc<Directory>, &Addr<RoomRegistry>),
        now: Instant,
    ) -> Self {
        let (state, directory, registry) = home;
        let live = state.live();
        let config = &live.config;
        let window = Window::part_of(&state.pools.in_flight, &state.ledger, config.window);
        Self {
            id,
            guest: visitor.key.clone().map(Guest::new),
            caller: state.callers.of(visitor.network),
            visitor,
            reader: FrameReader::new(config.sender_message(), Arc::clone(&window)),
            outbox: Outbox::default(),
            unpacker: None,
            window,
            unread: Vec::new(),
            ahead: None,
            phase: Phase::Asking(Collected::default()),
            waits: Waits::default(),
            most_inflated: u64::MAX,
            attached: true,
            write_failed: false,
            ending: Ending::PeerVanished,
            clocks: Clocks::new(now, Arc::clone(&live.timeouts)),
            pace: Pace::new(config.session_bytes_per_sec, now),
            limit: None,
            chatter: Chatter::new(now),
            given: Given {
                bytes: 0,
                last: now,
            },
            vitals: Arc::new(Vitals::new(now)),
            ponged_by: 0,
            owed: None,
            pinged: 0,
            barrier: None,
            arrival: Arrival::default(),
            deaf: false,
            read_since: Some(now),
            slot,
            state: Arc::clone(state),
            directory: Arc::clone(directory),
            registry: registry.clone(),
        }
    }

    /// Whether nobody has said Close yet.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            self.phase,
            Phase::Asking(_) | Phase::Waiting { .. } | Phase::Piping { .. }
        )
    }

    /// Does what the registry says, but for data: `pump` takes those.
    pub(super) fn on_deliver(&mut self, deliver: Deliver) {
        let waiting = matches!(self.phase, Phase::Waiting { .. });
        match deliver {
            Deliver::Reply(reply) => self.say(reply.encode()),
            Deliver::Granted(role) if waiting => {
                self.enter_room(role);
            }
            Deliver::Move { worker, moved } if waiting => {
                self.phase = Phase::Moving { worker, moved };
            }
            Deliver::Paired => self.waits.queued = false,
            Deliver::Late if waiting => self.answer_is_late(),
            Deliver::Refused(reply, delay) if waiting => {
                if !delay.is_zero() {
                    self.answer_is_late();
                }
                self.phase = Phase::Waiting {
                    refusal: Some(reply),
                };
                self.clocks.refusal_due(now(), delay);
            }
            Deliver::Ping if self.is_open() => self.push_chunk(Chunk::ping(&self.window)),
            Deliver::Awaited(others) => self.clocks.awaited(now(), others),
            Deliver::Visited(request, charge, came) => self.visited(request, charge, came),
            Deliver::Close(departure) => self.close(departure),
            Deliver::Evict => self.evict(),
            Deliver::Limit(limit) => self.limit = limit,
            Deliver::Stopping { must: true } if matches!(self.phase, Phase::Across(_)) => {
                self.close(Ending::ServerShutdown);
            }
            Deliver::Stopping { .. } if waiting || matches!(self.phase, Phase::Asking(_)) => {
                self.dismiss(Ending::ServerShutdown, now());
            }
            Deliver::Data(_)
            | Deliver::Granted(_)
            | Deliver::Late
            | Deliver::Move { .. }
            | Deliver::Ping
            | Deliver::Refused(..)
            | Deliver::Seek(..)
            | Deliver::Stopping { .. } => {}
        }
    }

    /// Its request is granted: what comes from here on is for its peer.
    fn enter_room(&mut self, role: Role) {
        let live = self.state.live();
        self.reader.join_messages();
        self.waits.role = Some(role);
        self.waits.queued = role == Role::Receiver;
        let borrower = match role {
            Role::Sender => {
                self.reader.set_max_message(live.config.sender_message());
                let buffers = self.state.pools.buffers.of(self.visitor.network);
                Some(Borrower::new(buffers))
            }
            Role::Receiver => {
                self.reader.set_max_message(live.config.receiver_message());
                // Its sender's library would end over a message that is none.
                self.reader.look_inside();
                // Those of receivers are looked into before they are passed on.
                self.most_inflated = live.config.sender_message();
                None
            }
        };
        self.phase = Phase::Piping { borrower };
    }

    /// Tells the client why it may not have what it asked for, and what becomes of it.
    pub(super) fn refuse(&mut self, reply: &Reply, now: Instant) {
        self.say(reply.encode());
        match reply.ending().filter(|ending| ending.ends_session()) {
            Some(ending) => self.close(ending),
            None => {
                self.phase = Phase::Asking(Collected::default());
                self.clocks.request_due(now);
            }
        }
    }

    /// Ends a session that is in no room.
    pub(super) fn dismiss(&mut self, ending: Ending, now: Instant) {
        let (kind, visitor) = (Kind::RequestRejected, Some(&self.visitor));
        self.state.refused(kind, self.id, visitor, ending);
        self.refuse(&ending.into(), now);
    }

    /// Queues a frame of our own, unless a Close is queued already.
    pub(super) fn say(&mut self, frame: Vec<u8>) {
        if self.is_open() {
            self.push(frame);
        }
    }

    /// Queues a frame. It is charged to the session itself: who does not take our answers is not
    /// read any further.
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.push_chunk(Chunk::ours(frame, &self.window));
    }

    fn push_chunk(&mut self, chunk: Chunk) {
        if self.write_failed {
            return;
        }
        match &mut self.unpacker {
            None => self.outbox.push(chunk),
            Some(unpacker) => {
                unpacker.push_ours(chunk);
                self.refill();
            }
        }
    }
}

impl Drop for Connection {
    /// Here, and not where the actor stops, so that a panic cannot leave a member behind.
    fn drop(&mut self) {
        self.leave(if std::thread::panicking() {
            Ending::Panicked
        } else {
            Ending::PeerVanished
        });
        let given = Given {
            bytes: self.outbox.given(),
            ..self.given
        };
        self.registry.do_send(Parted { id: self.id, given });
        let (metrics, now) = (&self.state.metrics, now());
        self.waits.read(None, now, metrics);
        self.waits.write(false, now, metrics);
        metrics.session_ended(self.ending);
        log_client!(
            Debug,
            self.visitor.network,
            "session {} ended: {}",
            self.id.0,
            self.ending.name()
        );
    }
}
