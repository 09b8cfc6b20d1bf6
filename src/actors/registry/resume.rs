//! Rooms that outlive their senders' connections: what their senders get to take them up again with, and what becomes
//! of who shows that.

use std::time::{Duration, Instant};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use jiff::Timestamp;
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::Reply,
    request::{Create, Request, Resume},
    token::Claim,
};

use super::{RoomRegistry, requests::again_in};
use crate::{
    actors::now,
    limits::address::AddressKey,
    observe::{events::Kind, metrics::NotResumed},
    rooms::{Role, SessionId, Terms, Ticket, Whereabouts},
};

impl RoomRegistry {
    /// What a new room is opened with, as its sender asks for it.
    pub(super) fn terms(&self, create: Create, code: Option<&RoomCode>) -> Terms {
        let config = &self.state.live().config;
        let life = config.life(create.expires_in);
        let opened = since_1970().as_millis() as u64;
        let until = (opened + life.as_millis() as u64).div_ceil(1000);
        let may = create.resume && !config.room_grace.is_zero();
        let ticket = code.filter(|_| may).and_then(|code| {
            let token = self.state.tokens.keyring().sign(code, opened, until)?;
            Some(Ticket {
                opened,
                token: token.to_text(),
                grace: config.room_grace,
            })
        });
        Terms {
            ticket,
            ..Terms::plain(life)
        }
    }

    /// What a request to take a room up says, where its token is good.
    fn claim(&self, resume: &Resume) -> Option<(RoomCode, Claim)> {
        let (code, token) = (resume.code?, resume.token?);
        let now = since_1970().as_secs();
        let claim = self.state.tokens.keyring().verify(&code, &token, now)?;
        Some((code, claim))
    }

    /// Whether a room may be taken up that is not known here.
    pub(super) fn is_unknown(&self, resume: &Resume, now: Instant) -> bool {
        self.claim(resume).is_some_and(|(code, claim)| {
            self.rooms.whereabouts(&code, claim.opened, now) == Whereabouts::Unknown
        })
    }

    /// Has a session take up a room, if that is here, or it is nowhere and this relay is alone.
    pub(super) fn resume(
        &mut self,
        id: SessionId,
        client: AddressKey,
        resume: &Resume,
        now: Instant,
    ) -> Result<(), Ending> {
        let (code, claim) = self.good_claim(resume)?;
        match self.rooms.whereabouts(&code, claim.opened, now) {
            Whereabouts::Here => self.take_up_room(id, code, claim, true, now),
            Whereabouts::Unknown if self.state.cluster.is_none() => {
                self.reopen(id, client, code, claim, now)
            }
            Whereabouts::Unknown => Err(Ending::RoomNotFound),
            Whereabouts::Over => Err(self.over()),
        }
    }

    /// Has a session that another node brings take up a room, if that is here.
    pub(super) fn resume_here(
        &mut self,
        id: SessionId,
        resume: &Resume,
        now: Instant,
    ) -> Result<(), Ending> {
        let (code, claim) = self.good_claim(resume)?;
        match self.rooms.whereabouts(&code, claim.opened, now) {
            Whereabouts::Here => self.take_up_room(id, code, claim, false, now),
            Whereabouts::Unknown | Whereabouts::Over => Err(self.over()),
        }
    }

    fn good_claim(&self, resume: &Resume) -> Result<(RoomCode, Claim), Ending> {
        self.claim(resume).ok_or_else(|| {
            self.state.metrics.resumes.refused(NotResumed::BadToken);
            Ending::RoomNotFound
        })
    }

    fn over(&self) -> Ending {
        self.state.metrics.resumes.refused(NotResumed::RoomOver);
        Ending::RoomNotFound
    }

    /// Gives a room that is here to its sender, which is told code and token here or, where it is elsewhere, there.
    fn take_up_room(
        &mut self,
        id: SessionId,
        code: RoomCode,
        claim: Claim,
        told_here: bool,
        now: Instant,
    ) -> Result<(), Ending> {
        let token = told_here.then(|| self.token_again(&code, claim));
        self.rooms
            .resume(code, claim.opened, id, token, now, &mut self.effects)
    }

    /// The same claim, signed with the key of now: so a token outlives the keys before it.
    fn token_again(&self, code: &RoomCode, claim: Claim) -> String {
        let keyring = self.state.tokens.keyring();
        let token = keyring.sign(code, claim.opened, claim.until);
        token.map(|token| token.to_text()).unwrap_or_default()
    }

    /// Opens a room anew for the life that its token has left.
    fn reopen(
        &mut self,
        id: SessionId,
        client: AddressKey,
        code: RoomCode,
        claim: Claim,
        now: Instant,
    ) -> Result<(), Ending> {
        let grace = self.state.live().config.room_grace;
        if grace.is_zero() {
            return Err(self.over());
        }
        let until = Duration::from_secs(claim.until);
        let terms = Terms {
            life: until.saturating_sub(since_1970()),
            ticket: Some(Ticket {
                opened: claim.opened,
                token: self.token_again(&code, claim),
                grace,
            }),
            anew: true,
        };
        let slots = self.state.pools.rooms.of(client);
        self.rooms
            .create(now, id, &slots, Some(code), &terms, &mut self.effects)
    }

    /// Opens a room anew that no node has, once none takes it at the same time.
    pub(super) fn open_anew(&mut self, id: SessionId, resume: Resume, ctx: &mut Context<Self>) {
        let Some(cluster) = self.state.cluster.clone() else {
            return;
        };
        let code = match self.good_claim(&resume) {
            Ok((code, _)) => code,
            // Its token has died while the others were asked.
            Err(ending) => {
                let kind = Kind::ResumeRoomRejected;
                return self.refuse(id, kind, ending.into(), Duration::ZERO);
            }
        };
        let taking = async move { cluster.take_again(&code).await };
        let opening = taking.into_actor(self).map(move |taken, registry, ctx| {
            registry.opened_anew(id, code, &resume, taken);
            registry.set_alarm(ctx);
        });
        ctx.spawn(opening);
    }

    pub(super) fn opened_anew(
        &mut self,
        id: SessionId,
        code: RoomCode,
        resume: &Resume,
        taken: bool,
    ) {
        let now = now();
        let entered = match (self.client(id), self.claim(resume)) {
            // It has left meanwhile, or is told that the relay stops.
            (None, _) => Err(Ending::ServerShutdown),
            _ if self.draining => Err(Ending::ServerShutdown),
            (Some(_), None) => Err(Ending::RoomNotFound),
            (Some(client), Some((_, claim))) => {
                match self.rooms.whereabouts(&code, claim.opened, now) {
                    // By another session of its sender.
                    Whereabouts::Here => self.take_up_room(id, code, claim, true, now),
                    Whereabouts::Unknown if taken => self.reopen(id, client, code, claim, now),
                    // Another node opens it at this moment.
                    Whereabouts::Unknown => Err(Ending::ClusterUnavailable),
                    Whereabouts::Over => Err(self.over()),
                }
            }
        };
        let Err(ending) = entered else {
            return self.grant(id, Role::Sender);
        };
        if let Some(cluster) = &self.state.cluster
            && !self.rooms.has(&code)
        {
            cluster.closed(&code, None);
        }
        let (Some(client), true) = (self.client(id), ending != Ending::ServerShutdown) else {
            return;
        };
        let reply = match ending {
            Ending::ClusterUnavailable => Reply::until(ending, again_in()),
            other => other.into(),
        };
        self.refuse_entry(id, client, &Request::Resume(*resume), reply, Duration::ZERO);
    }
}

/// The time by the system's clock: a token outlives the process.
fn since_1970() -> Duration {
    let now = Timestamp::now().as_duration();
    Duration::try_from(now).unwrap_or_default()
}
