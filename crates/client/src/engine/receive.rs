//! The receiver: into a room, and again until it has everything.

use std::{pin::pin, time::Duration};

use tokio::time::timeout;

use super::{
    door::{Door, Proved, denied, text},
    event::{Event, Tell, Warning},
    fault::Fault,
    home::Home,
    meter::tell_begun,
    options::{ReceiveOptions, Received},
    pairing::{self, Parting, STALL},
    receiving::Receiving,
    retry::Retry,
    trouble::{Kind, Trouble},
};
use crate::transfer::{
    hello::Word,
    seal::{Opener, Sealer},
};

/// After how long a sender of version 1 that says nothing may be one of sessions.
const QUIET: Duration = Duration::from_secs(30);

/// Receives what is shared under a code. What is there already, of an earlier try, is not asked for again.
///
/// # Errors
///
/// [`Fault`]; [`Fault::Interrupted`] where `stop` came first: what was received until then is kept.
pub async fn receive(
    options: ReceiveOptions,
    tell: Tell,
    stop: impl Future<Output = ()> + Send,
) -> Result<Received, Fault> {
    let mut receiver = Receiver::new(options, tell)?;
    let stop = pin!(stop);
    let end = tokio::select! {
        end = receiver.run() => end,
        () = stop => Err(Fault::Interrupted),
    };
    if let Some(mut line) = receiver.door.line.take() {
        pairing::say_interrupted(&mut line, receiver.keys.take());
        line.close().await;
    }
    end
}

/// A receiver at work.
struct Receiver {
    door: Door,
    home: Home,
    retry: Retry,
    /// The keys of the attempt that goes on.
    keys: Option<(Sealer, Opener)>,
}

impl Receiver {
    fn new(options: ReceiveOptions, tell: Tell) -> Result<Self, Fault> {
        Ok(Self {
            home: Home::new(options.to.clone()),
            retry: Retry::new(options.patience, &tell),
            door: Door::new(options, tell)?,
            keys: None,
        })
    }

    async fn run(&mut self) -> Result<Received, Fault> {
        loop {
            let before = self.home.bytes();
            let parting = match self.attempt().await {
                Ok(received) => return Ok(self.done(received)),
                Err(parting) => parting,
            };
            match parting.leaves_the_line() {
                // With what the sender was told last, which has not gone out yet.
                true => drop(self.door.leave().await),
                false => self.door.line = None,
            }
            let trouble = parting.of_receiver();
            if let Some(received) = self.home.received() {
                // All that is missing is that the sender hears of it. One that is gone cannot hear, or has heard.
                match &trouble {
                    Trouble::Later(later) if later.kind != Kind::Peer => {}
                    _ => return Ok(self.done(received)),
                }
            }
            if self.home.bytes() > before {
                self.retry.progress();
            }
            if let Err(fault) = self.retry.wait(trouble).await {
                let received = self.home.received().ok_or(fault)?;
                return Ok(self.done(received));
            }
        }
    }

    /// The sender knows, or will never.
    fn done(&mut self, received: Received) -> Received {
        self.home.forget();
        received
    }

    async fn attempt(&mut self) -> Result<Received, Parting> {
        let room = self.door.enter().await?;
        self.retry.reached();
        let received = match self.door.prove(&room, true).await? {
            Proved::Second(schedule, first) => {
                let Door { line, tell, .. } = &mut self.door;
                let line = line.as_mut().ok_or(Parting::Left)?;
                let keys = self.keys.insert(schedule.of_receiver());
                let received = Receiving::new(line, keys)
                    .run(first, &mut self.home, tell)
                    .await;
                self.keys = None;
                received?
            }
            Proved::First => {
                let received = self.old().await?;
                // Its sender has no use for a receiver that comes back.
                self.door.leave().await;
                return Ok(received);
            }
        };
        // Unanswered, it may not have arrived, that everything has.
        match self.door.leave().await {
            true => Ok(received),
            false => Err(Trouble::later(Kind::Line, "it was lost at the very end", None).into()),
        }
    }

    /// Receives a distillation of one of today's other clients.
    async fn old(&mut self) -> Result<Received, Parting> {
        let Door { line, tell, .. } = &mut self.door;
        let line = line.as_mut().ok_or(Parting::Left)?;
        let heard = match timeout(QUIET, line.hear()).await {
            Ok(heard) => heard?,
            Err(_) => {
                tell(Event::Warning(Warning::PerhapsSessions));
                let heard = timeout(STALL, line.hear()).await;
                heard.map_err(|_| Parting::Stalled)??
            }
        };
        let payload = match text(heard)? {
            Some(Word::Payload(payload)) => payload,
            Some(Word::Denied { reason }) => return Err(denied(&reason).into()),
            _ => return Err(Parting::Misbehaved("no payload where one is due")),
        };
        let content = self.door.open(payload).await?;
        if std::str::from_utf8(&content).is_err() {
            return Err(Parting::Misbehaved("a distillation that is no text"));
        }
        let name = "distillation.md".to_owned();
        tell_begun(&self.door.tell, &name, content.len());
        let received = self.home.put(name, content).await?;
        self.door.line()?.say(Word::Ack.to_text())?;
        Ok(received)
    }
}
