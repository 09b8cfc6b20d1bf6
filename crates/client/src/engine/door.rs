//! The way into a room, up to where the sender believes that the passphrase is known.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};

use super::{
    asks::{self, Says},
    event::{Event, Tell, Warning},
    fault::Fault,
    line::{Heard, Line},
    options::ReceiveOptions,
    pairing::{self, Parting, STALL},
    proof::no_randomness,
    trouble::Trouble,
};
use crate::transfer::{
    hello::{Payload, PublicKey, Word},
    hex::Hex,
    keys::{Ephemeral, Exchange, PassKey, Schedule},
    v1,
};

/// The longest message that is taken: a payload of version 1, as today's clients take it, and some to spare.
const LONGEST: usize = 64 << 20;
/// How long a relay may take to answer a join: it holds those back that come after wrong codes.
const JOIN: Duration = Duration::from_secs(300);
/// Messages for a receiver before that may still come when a room is entered.
const STRAYS: usize = 2048;

/// What has been proved, in which version.
pub(super) enum Proved {
    /// Version 1: what comes next is for the caller to hear.
    First,
    /// Version 2, and the sender's first message.
    Second(Box<Schedule>, Bytes),
}

/// A challenge of a sender's.
struct Challenge {
    salt: Hex<32>,
    nonce: Hex<16>,
    /// In version 2.
    key: Option<PublicKey>,
}

/// The way into a room, up to where the sender believes that the passphrase is known.
pub(super) struct Door {
    options: ReceiveOptions,
    pub(super) tell: Tell,
    pub(super) line: Option<Line>,
    /// Whether the room was there once.
    known: bool,
    /// The last key that was derived, and its salt.
    derived: Option<(Hex<32>, PassKey)>,
    warned: bool,
    /// Whether the sender has gone on in version 2: it has no reason to speak version 1 later.
    second: bool,
}

impl Door {
    pub(super) fn new(options: ReceiveOptions, tell: Tell) -> Result<Self, Fault> {
        let letters = options.code.chars().filter(|it| it.is_alphanumeric());
        if letters.count() == 0 {
            return Err(Fault::NotACode);
        }
        Ok(Self {
            options,
            tell,
            line: None,
            known: false,
            derived: None,
            warned: false,
            second: false,
        })
    }

    /// The line, which stands.
    pub(super) fn line(&mut self) -> Result<&mut Line, Parting> {
        self.line.as_mut().ok_or(Parting::Left)
    }

    /// Leaves; whether the relay has heard all that was said.
    pub(super) async fn leave(&mut self) -> bool {
        match self.line.take() {
            Some(line) => line.close().await,
            None => false,
        }
    }

    /// Joins the room, on a new line, and returns its code as the relay writes it.
    pub(super) async fn enter(&mut self) -> Result<String, Parting> {
        (self.tell)(Event::Connecting);
        let line = Line::open(&self.options.relay, LONGEST).await?;
        let line = self.line.insert(line);
        line.say(asks::join(&self.options.code))?;
        let joined = timeout(JOIN, answer(line)).await;
        let code = match joined.map_err(|_| Trouble::unreached("it does not answer a join"))? {
            Ok(code) => code,
            Err(Trouble::Over(Fault::NoSuchRoom)) if self.known => {
                return Err(Trouble::not_back("the sender is not back yet").into());
            }
            Err(trouble) => return Err(trouble.into()),
        };
        self.known = true;
        (self.tell)(Event::Joined);
        Ok(code)
    }

    /// Says HELLO, waits for its turn, and proves the passphrase.
    pub(super) async fn prove(&mut self, room: &str, second: bool) -> Result<Proved, Parting> {
        let own = Ephemeral::new().map_err(no_randomness)?;
        let receiver = *own.public();
        let hello = match second {
            true => Word::hello(receiver),
            false => Word::hello_v1(),
        };
        let patience = self.options.patience;
        let line = self.line()?;
        line.say(hello.to_text())?;
        let Challenge { salt, nonce, key } = challenge(line, patience).await?;
        if key.is_none() && (self.second || self.options.version_2_only) {
            return Err(Fault::Version1.into());
        }
        (self.tell)(Event::Proving);
        let pass = self.derive(salt).await?;
        let line = self.line()?;
        let Some(sender) = key.filter(|_| second) else {
            let proof = v1::proof(&pass, &nonce);
            line.say(Word::Auth { proof }.to_text())?;
            if second && !std::mem::replace(&mut self.warned, true) {
                (self.tell)(Event::Warning(Warning::OldSender));
            }
            return Ok(Proved::First);
        };
        let exchange = Exchange {
            room,
            receiver: &receiver,
            sender: &sender,
            salt: &salt,
            nonce: &nonce,
        };
        let schedule = Schedule::agree(own, &sender, &exchange, &pass);
        let schedule = schedule.map_err(|_| Parting::Misbehaved("a key that is none"))?;
        let proof = schedule.proof();
        line.say(Word::Auth { proof }.to_text())?;
        let heard = timeout(STALL, line.hear()).await;
        match heard.map_err(|_| Parting::Stalled)?? {
            Heard::Binary(first) => {
                self.second = true;
                Ok(Proved::Second(Box::new(schedule), first))
            }
            Heard::Text(text) => match Word::parse(&text) {
                Some(Word::Denied { reason }) => Err(denied(&reason).into()),
                _ => Err(Parting::Misbehaved("no manifest where one is due")),
            },
        }
    }

    /// Opens a payload of version 1.
    pub(super) async fn open(&mut self, payload: Payload) -> Result<Vec<u8>, Parting> {
        let pass = self.derive(payload.salt).await?;
        let opened = spawn_blocking(move || v1::open(&pass, payload)).await;
        opened
            .ok()
            .and_then(Result::ok)
            .ok_or(Parting::NotAuthentic)
    }

    async fn derive(&mut self, salt: Hex<32>) -> Result<PassKey, Fault> {
        if let Some((_, key)) = self.derived.as_ref().filter(|(of, _)| *of == salt) {
            return Ok(key.clone());
        }
        let passphrase = self.options.passphrase.clone();
        let deriving = spawn_blocking(move || PassKey::derive(passphrase.text(), &salt)).await;
        let key = deriving.map_err(|_| Fault::failed())?;
        self.derived = Some((salt, key.clone()));
        Ok(key)
    }
}

/// The code of the room that was joined.
async fn answer(line: &mut Line) -> Result<String, Trouble> {
    loop {
        let Heard::Text(text) = line.hear().await? else {
            continue;
        };
        match Says::parse(&text) {
            Some(Says::RoomJoined { room_id }) if asks::is_code(&room_id) => return Ok(room_id),
            Some(Says::Error(refusal)) => return Err(refusal.into()),
            _ => {}
        }
    }
}

/// Waits for the sender's challenge: as long as others have their turn, and then not for ever.
async fn challenge(line: &mut Line, patience: Duration) -> Result<Challenge, Parting> {
    let mut until = Instant::now().checked_add(patience);
    // What comes before may be for the receiver that was here before.
    for _ in 0..STRAYS {
        let heard = match until {
            Some(until) => timeout_at(until, line.hear()).await,
            None => Ok(line.hear().await),
        };
        let Heard::Text(text) = heard.map_err(|_| Parting::Stalled)?? else {
            continue;
        };
        match (Says::parse(&text), Word::parse(&text)) {
            (
                _,
                Some(Word::Challenge {
                    version,
                    salt,
                    nonce,
                    key,
                }),
            ) => {
                let key = key.filter(|_| version == Some(2));
                return Ok(Challenge { salt, nonce, key });
            }
            (_, Some(Word::Denied { reason })) => return Err(denied(&reason).into()),
            (Some(Says::Queued { position: 0 }), _) => until = Some(Instant::now() + STALL),
            // Whoever leaves the queue joins it again at its end. The room's time ends it.
            (Some(Says::Queued { .. }), _) => until = None,
            (Some(Says::Error(refusal)), _) => line.note(Some(refusal)),
            _ => {}
        }
    }
    Err(Parting::Misbehaved("no challenge, but much else"))
}

/// What a sender of version 1 says.
pub(super) fn text(heard: Heard) -> Result<Option<Word>, Parting> {
    match heard {
        Heard::Text(text) => Ok(Word::parse(&text)),
        Heard::Binary(_) => Err(Parting::Misbehaved("bytes within version 1")),
    }
}

/// What it means that a sender does not go on.
pub(super) fn denied(reason: &str) -> Fault {
    match reason {
        "invalid_proof" => Fault::WrongPassphrase,
        other => Fault::Denied(pairing::said(other)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
