//! Carries out what follows in the rooms: through the sessions' mailboxes, in the counts, in the log and in the
//! event log.

use std::{fmt::Display, time::Instant};

use relay_wire::code::RoomCode;

use super::{
    RoomRegistry,
    member::{Absent, Member},
};
use crate::{
    actors::{messages::Deliver, now},
    flow::credit::Share,
    observe::{
        events::{Event, Kind},
        logging::log_client,
    },
    rooms::{Away, Effect, Joined, Paired, Resumed, SessionId, Summary, Visit},
};

/// Effects for which an empty list keeps its memory. One message seldom has more.
pub(super) const KEPT_EFFECTS: usize = 64;

impl RoomRegistry {
    pub(super) fn carry_out(&mut self) {
        self.carry_out_for(None);
    }

    /// The same where a client may have caused a room to open or to close.
    pub(super) fn carry_out_for(&mut self, cause: Option<&Member>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver(id, delivery) => self.send(id, Deliver::Data(delivery)),
                Effect::Reply(id, reply) => {
                    if let Some(ending) = reply.ending() {
                        self.state.metrics.refused(ending);
                    }
                    self.send(id, Deliver::Reply(reply));
                }
                Effect::Ping(id) => self.send(id, Deliver::Ping),
                Effect::Awaited(id, others) => self.send(id, Deliver::Awaited(others)),
                Effect::Close(id, departure) => self.send(id, Deliver::Close(departure)),
                Effect::Opened(id, code, until) => self.room_opened(id, code, until, cause),
                Effect::Away(away) => self.room_away(&away, cause),
                Effect::Resumed(resumed) => self.room_resumed(&resumed, cause),
                Effect::Joined(joined) => self.joined(&joined, cause),
                Effect::Paired(paired) => self.paired(&paired),
                Effect::Begun(id) => self.visits.begun(id, now()),
                Effect::Left(visit) => self.left(&visit, cause),
                Effect::Closed(summary) => self.room_closed(&summary, cause),
            }
        }
        // Closing many rooms at once makes a long list, once.
        effects.shrink_to(KEPT_EFFECTS);
        self.effects = effects;
    }

    fn room_opened(
        &mut self,
        sender: SessionId,
        code: RoomCode,
        until: Instant,
        cause: Option<&Member>,
    ) {
        self.state.placement.opened(self.worker);
        if let Some(cluster) = &self.state.cluster {
            cluster.opened(&code, until);
        }
        let is_check = |it: &Member| it.visitor.check;
        if self.members.get(&sender).is_some_and(is_check) {
            self.checks.insert(code);
            self.state.metrics.check_room_opened();
        } else {
            self.state.metrics.room_opened();
        }
        let line = format_args!("room {code} opened by session {}", sender.0);
        self.log_room(&code, cause, &line);
        self.tell(code, cause, || Event {
            session: Some(sender),
            ..Event::of(Kind::RoomCreated)
        });
    }

    fn room_away(&mut self, away: &Away, cause: Option<&Member>) {
        let absent = Absent {
            visitor: cause.map(|it| it.visitor.clone()),
            _counted: Share::take(&self.state.pools.away, 1),
        };
        self.away.insert(away.code, absent);
        self.state.metrics.resumes.away();
        self.log_room(&away.code, cause, away);
        self.tell(away.code, cause, || Event {
            session: Some(away.sender),
            reason: Some(away.departure.ending),
            ..Event::of(Kind::SenderAway)
        });
    }

    fn room_resumed(&mut self, resumed: &Resumed, cause: Option<&Member>) {
        self.away.remove(&resumed.code);
        self.state.metrics.resumes.resumed(resumed.anew);
        self.log_room(&resumed.code, cause, resumed);
        self.tell(resumed.code, cause, || Event {
            session: Some(resumed.sender),
            ..Event::of(Kind::RoomResumed)
        });
    }

    fn joined(&mut self, joined: &Joined, cause: Option<&Member>) {
        self.visits.joined(joined.receiver);
        if !self.checks.contains(&joined.code) {
            self.state.metrics.transfers.joined(joined.place);
        }
        self.log_room(&joined.code, cause, joined);
        self.tell(joined.code, cause, || Event {
            session: Some(joined.receiver),
            peer: Some(joined.peer),
            ..Event::of(Kind::RoomJoined)
        });
    }

    fn paired(&mut self, paired: &Paired) {
        self.visits.paired(paired.receiver, now());
        self.send(paired.receiver, Deliver::Paired);
        let receiver = self.members.get(&paired.receiver);
        self.tell(paired.code, receiver, || Event {
            session: Some(paired.receiver),
            peer: Some(paired.peer),
            ..Event::of(Kind::RelayStarted)
        });
    }

    fn left(&mut self, visit: &Visit, cause: Option<&Member>) {
        let now = now();
        let pair = self.visits.left(visit.receiver);
        let member = self.members.get(&visit.receiver).or(cause);
        self.log_room(&visit.code, member, &visit.at(now));
        if let (Some(outcome), Some(pair)) = (visit.outcome, pair)
            && !self.checks.contains(&visit.code)
        {
            let sent = visit.passed.down;
            self.visits.ended(visit.receiver, pair, outcome, sent);
        }
        self.tell(visit.code, member, || Event {
            session: Some(visit.receiver),
            peer: Some(visit.peer),
            reason: Some(visit.departure.ending),
            // It may have waited in the queue until now, so that there is nothing to tell of.
            passed: pair.map(|_| visit.passed),
            duration: pair.map(|pair| now.duration_since(pair.since)),
            ..Event::of(Kind::RelayFinished)
        });
    }

    fn room_closed(&mut self, summary: &Summary, cause: Option<&Member>) {
        self.state.placement.closed(self.worker);
        self.away.remove(&summary.code);
        if let Some(cluster) = &self.state.cluster {
            cluster.closed(&summary.code, summary.void_until);
        }
        let now = now();
        let lasted = now.duration_since(summary.opened);
        self.log_room(&summary.code, cause, &summary.at(now));
        let sender = self.members.get(&summary.sender).or(cause);
        let departure = summary.departure.map(|departure| departure.ending);
        self.tell(summary.code, sender, || Event {
            session: Some(summary.sender),
            reason: Some(departure.unwrap_or(summary.ending)),
            passed: Some(summary.passed),
            receivers: Some(summary.receivers),
            duration: Some(lasted),
            ..Event::of(Kind::RoomClosed)
        });
        if !self.checks.remove(&summary.code) {
            let metrics = &self.state.metrics;
            metrics.room_closed(summary.ending);
            metrics.transfers.room_lasted(lasted);
        }
    }

    /// Logs a line of a room that a client causes; those of checks matter to nobody else.
    fn log_room(&self, code: &RoomCode, cause: Option<&Member>, line: &dyn Display) {
        let client = cause.map(|it| it.visitor.network);
        if self.checks.contains(code) {
            log_client!(Debug, client, "{line}");
        } else {
            log_client!(Info, client, "{line}");
        }
    }

    /// Tells the event log of something in a room that is no check's, and whose doing it is.
    fn tell(&self, code: RoomCode, member: Option<&Member>, event: impl FnOnce() -> Event) {
        if !self.checks.contains(&code) {
            self.state.events.tell(|| Event {
                room: Some(code),
                visitor: member.map(|it| it.visitor.clone()),
                ..event()
            });
        }
    }
}
