//! How a sender makes sure of a receiver: HELLO, CHALLENGE, AUTH.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    event::{Event, Tell, Warning},
    fault::Fault,
    line::{Heard, Line},
    pairing::{self, Parting},
};
use crate::transfer::{
    hello::{PublicKey, Word},
    hex::Hex,
    keys::{Ephemeral, Exchange, NoRandomness, PassKey, Schedule, random},
    v1,
};

/// How long a receiver may take to begin.
const HELLO: Duration = Duration::from_secs(60);
/// How long it may take to prove the passphrase, which somebody may have to type.
const AUTH: Duration = Duration::from_secs(300);
/// Wrong proofs in all, after which a share ends.
const MOST_WRONG: u32 = 10;
/// Today's clients print the reason as it is.
const VERSION_2: &str = "this needs version 2: receive it with distill, or by the relay's page";

/// What was proved.
pub(super) enum Proved {
    /// In version 1: what comes next depends on what is shared.
    First,
    /// In version 2.
    Second(Box<Schedule>),
}

/// The passphrase of a share, and how often it was missed.
pub(super) struct Guard {
    pub(super) salt: Hex<32>,
    pub(super) pass: PassKey,
    /// How often that was.
    pub(super) wrong: u32,
    /// Whether who speaks version 1 alone is sent away.
    pub(super) version_2_only: bool,
}

impl Guard {
    /// Whether too many wrong passphrases have been tried.
    pub(super) fn is_over(&self) -> bool {
        self.wrong >= MOST_WRONG
    }

    /// Lets a receiver prove that it knows the passphrase.
    pub(super) async fn prove(
        &mut self,
        line: &mut Line,
        room: &str,
        tell: &Tell,
    ) -> Result<Proved, Parting> {
        let word = hear(line, HELLO).await?;
        let Some(Word::Hello { versions, key, .. }) = word else {
            return Err(refuse(
                line,
                "unexpected_message",
                "it does not begin with HELLO",
            ));
        };
        tell(Event::Proving);
        match key.filter(|_| versions.contains(&2)) {
            Some(receiver) => self.second(line, room, receiver, tell).await,
            None if self.version_2_only => Err(refuse(
                line,
                VERSION_2,
                "it speaks version 1, which is refused here",
            )),
            None => self.first(line, tell).await,
        }
    }

    async fn first(&mut self, line: &mut Line, tell: &Tell) -> Result<Proved, Parting> {
        let nonce = Hex(random().map_err(no_randomness)?);
        let challenge = Word::Challenge {
            version: None,
            salt: self.salt,
            nonce,
            key: None,
        };
        line.say(challenge.to_text())?;
        let proof = auth(line).await?;
        match v1::is_proved_by(&self.pass, &nonce, &proof) {
            true => Ok(Proved::First),
            false => Err(self.missed(line, tell)),
        }
    }

    async fn second(
        &mut self,
        line: &mut Line,
        room: &str,
        receiver: PublicKey,
        tell: &Tell,
    ) -> Result<Proved, Parting> {
        let nonce = Hex(random().map_err(no_randomness)?);
        let own = Ephemeral::new().map_err(no_randomness)?;
        let sender = *own.public();
        let exchange = Exchange {
            room,
            receiver: &receiver,
            sender: &sender,
            salt: &self.salt,
            nonce: &nonce,
        };
        let Ok(schedule) = Schedule::agree(own, &receiver, &exchange, &self.pass) else {
            return Err(refuse(line, "bad_key", "its key is none"));
        };
        let challenge = Word::Challenge {
            version: Some(2),
            salt: self.salt,
            nonce,
            key: Some(sender),
        };
        line.say(challenge.to_text())?;
        let proof = auth(line).await?;
        if !schedule.is_proved_by(&proof) {
            return Err(self.missed(line, tell));
        }
        tell(Event::Proved);
        Ok(Proved::Second(Box::new(schedule)))
    }

    fn missed(&mut self, line: &mut Line, tell: &Tell) -> Parting {
        self.wrong += 1;
        let left = MOST_WRONG.saturating_sub(self.wrong);
        tell(Event::Warning(Warning::WrongPassphrase { left }));
        refuse(line, "invalid_proof", "its passphrase is wrong")
    }
}

/// What the receiver says next, within this time; nothing where that is none of the texts of a beginning.
pub(super) async fn hear(line: &mut Line, within: Duration) -> Result<Option<Word>, Parting> {
    match pairing::of_receiver(line, Instant::now() + within).await? {
        Heard::Text(text) => Ok(Word::parse(&text)),
        Heard::Binary(_) => Ok(None),
    }
}

async fn auth(line: &mut Line) -> Result<Hex<32>, Parting> {
    match hear(line, AUTH).await? {
        Some(Word::Auth { proof }) => Ok(proof),
        _ => Err(refuse(
            line,
            "unexpected_message",
            "no AUTH behind CHALLENGE",
        )),
    }
}

/// Refuses a receiver, and tells it with one word.
pub(super) fn refuse(line: &mut Line, reason: &str, why: &'static str) -> Parting {
    let reason = reason.to_owned();
    match line.say(Word::Denied { reason }.to_text()) {
        Ok(()) => Parting::Refused(why),
        Err(lost) => lost.into(),
    }
}

pub(super) fn no_randomness(_: NoRandomness) -> Fault {
    Fault::Machine("This machine gives no randomness.".to_owned())
}
