//! A session whose room is on another node: it finds the way there, and from then on is a pipe. That node's session
//! knows the client, pings it and lets it go; this one ends when either side does.

use std::{sync::Arc, task::Context as Task, time::Instant};

use actix::{AsyncContext, Context, WrapFuture};
use relay_wire::{
    ending::Ending,
    frame,
    reply::{Reply, ResumeBy},
    request::Request,
};

use super::{
    actor::Session,
    connection::Connection,
    phase::{Across, Phase},
    socket::{Pause, Socket},
};
use crate::{
    actors::{
        charge::Charge,
        messages::{Came, Deliver, Sought},
    },
    cluster::{
        Cluster,
        pipe::{End, Last, Pipe},
        visit::Upstream,
        words::Guest,
    },
    flow::data::Chunk,
    observe::logging::log_client,
    rooms::Departure,
};

/// Pings that a client may be sent while its room is looked for, and more.
const PINGS_ON_THE_WAY: u64 = 16;

impl Session {
    /// Tries a code on the other nodes. The answer comes as a message, which wakes the pump.
    pub(super) fn seek(&mut self, request: Request, charge: Charge, ctx: &mut Context<Self>) {
        let Some(connection) = &mut self.0 else {
            return;
        };
        let (Some(cluster), Some(guest)) = (
            connection.state.cluster.clone(),
            connection.guest_of(&request),
        ) else {
            return;
        };
        connection.answer_is_late();
        let session = ctx.address();
        let visiting = async move {
            let came = cluster.visit(guest).await;
            let came = came.map(|upstream| upstream.map(Box::new));
            // Where the session is gone, so is the way there.
            session.do_send(Deliver::Visited(request, charge, came));
        };
        ctx.spawn(visiting.into_actor(self));
    }
}

impl Connection {
    /// What another node has to know of this client.
    fn guest_of(&self, request: &Request) -> Option<Guest> {
        let (queue_updates, resume) = match request {
            Request::Join(join) => (join.queue_updates, None),
            Request::Resume(resume) => (false, Some(resume.token?.to_text())),
            Request::Create(_) => return None,
        };
        Some(Guest {
            code: request.code()?.reveal(),
            client: self.visitor.address,
            compression: self.reader.has_compression(),
            queue_updates,
            resume,
            // And those that it may be sent until it is there.
            pings: self.reader.last_ping() + PINGS_ON_THE_WAY,
        })
    }

    /// The other nodes have answered.
    pub(super) fn visited(
        &mut self,
        request: Request,
        charge: Charge,
        came: Result<Option<Box<Upstream>>, Ending>,
    ) {
        if !matches!(self.phase, Phase::Waiting { .. }) {
            return;
        }
        self.registry.do_send(Sought {
            id: self.id,
            request,
            came: match &came {
                Ok(Some(_)) => Came::In,
                Ok(None) => Came::Nowhere,
                Err(ending) => Came::Refused(*ending),
            },
            charge,
        });
        if let (Ok(Some(upstream)), Some(cluster)) = (came, self.state.cluster.clone()) {
            log_client!(
                Info,
                self.visitor.network,
                "session {} is in a room on another node",
                self.id.0
            );
            self.cross(*upstream, cluster, request);
        }
    }

    /// From here on all that comes is passed on: behind what this session had to say, which has the answer to the
    /// request at its end, and behind what its client has said since that.
    fn cross(&mut self, upstream: Upstream, cluster: Arc<Cluster>, request: Request) {
        let mut first = self.outbox.slices(usize::MAX).collect::<Vec<_>>().concat();
        self.outbox.clear();
        first.extend(self.owed.take().unwrap_or_default());
        first.extend(answer(&request, &upstream).encode());
        let unread = std::mem::take(&mut self.unread);
        self.phase = Phase::Across(Box::new(Across {
            pipe: Pipe::new(upstream, first, unread),
            ending: Ending::PeerClosed,
            _counted: cluster.counts.pipe(),
            cluster,
        }));
    }

    /// Has a session that is across end for this, once the frame that is on its way to its client is whole.
    pub(super) fn close_across(&mut self, departure: Departure) {
        if let Phase::Across(across) = &mut self.phase
            && let Some(code) = departure.ending.close_code()
        {
            across.ending = departure.ending;
            across
                .pipe
                .close(frame::encode_close(code, departure.ending.name()));
        }
    }

    /// Moves what there is between its client and its room's node.
    pub(super) fn turn_across(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) {
        if socket.poll_turn(task).is_pending() {
            return;
        }
        let Phase::Across(across) = &mut self.phase else {
            return;
        };
        let turn = socket.with_buffer(|stream, buffer| across.pipe.poll(stream, buffer, task));
        across.cluster.counts.passed(turn.received, turn.sent);
        let ending = across.ending;
        self.count_bytes(turn.received, now);
        self.count_sent(turn.sent);
        let paused = if turn.more { Pause::More } else { Pause::Empty };
        socket.end_turn(paused, task);
        if let Some(end) = turn.end {
            self.come_back(end, ending, now);
            // What is left is written as by any other session.
            task.waker().wake_by_ref();
        }
    }

    /// Ends as the pipe has ended.
    fn come_back(&mut self, end: End, ending: Ending, now: Instant) {
        let (rest, last) = match end {
            End::Client => return self.vanish(),
            End::Closed(rest) => {
                self.leave(ending);
                (rest, Last::Close)
            }
            End::Room(last) => {
                self.leave(match last {
                    Last::Close => Ending::PeerClosed,
                    Last::Whole | Last::Part => Ending::NodeLost,
                });
                (Vec::new(), last)
            }
        };
        if !rest.is_empty() {
            self.outbox.push(Chunk::ours(rest, &self.window));
        }
        match last {
            Last::Close => self.phase = Phase::Lingering,
            Last::Whole => {
                self.push_close(Ending::NodeLost);
                self.phase = Phase::Lingering;
            }
            // A Close would be taken for the rest of the frame.
            Last::Part => {
                self.clocks.last_write_due(now);
                self.phase = Phase::Finishing;
            }
        }
    }
}

/// What a client is told whose request another node has granted. That node does not say code and token: on the way
/// between the two they could be read.
fn answer(request: &Request, upstream: &Upstream) -> Reply {
    let room_id = request.code().map(|code| code.reveal()).unwrap_or_default();
    let token = match request {
        Request::Resume(resume) => resume.token,
        Request::Join(_) | Request::Create(_) => None,
    };
    match token {
        None => Reply::RoomJoined { room_id },
        Some(token) => Reply::RoomResumed {
            room_id,
            expires_in: upstream.expires_in,
            resume: ResumeBy {
                token: token.to_text(),
                within: upstream.resume_within,
            },
        },
    }
}
