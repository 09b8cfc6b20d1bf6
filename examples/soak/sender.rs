//! The sender of a room: serves its receivers one after another, and keeps an account of each.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    time::Duration,
};

use futures_util::{
    SinkExt, StreamExt,
    future::{Either, select},
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    client::{self, End, Sink, Stream},
    ledger::{Account, Digest, Segment},
    plan::{Behaviour, Random},
};

/// Opens a room, tells its code, and serves it until all have left, or for as long as is planned.
pub async fn run(
    relay: SocketAddr,
    plan: Behaviour,
    opened: oneshot::Sender<String>,
    all_left: oneshot::Receiver<()>,
) -> (Vec<Segment>, End) {
    let room = Room::default();
    let end = match serve(relay, plan, opened, all_left, &room).await {
        Ok(end) => end,
        Err(what) => End::Unexpected(format!("sender: {what}")),
    };
    (room.segments.into_inner(), end)
}

async fn serve(
    relay: SocketAddr,
    mut plan: Behaviour,
    opened: oneshot::Sender<String>,
    all_left: oneshot::Receiver<()>,
    room: &Room,
) -> Result<End, String> {
    let failed = |error: Error| error.to_string();
    let mut client = client::connect(relay, plan.speed).await.map_err(failed)?;
    let create = Message::text(r#"{"type":"CREATE_ROOM"}"#);
    client.send(create).await.map_err(failed)?;
    let created = client::next(&mut client).await;
    let created = json(&created.map_err(|last| last.to_string())?);
    let code = created["room_id"].as_str().ok_or(created.to_string())?;
    let _ = opened.send(code.to_owned());

    let (mut sink, mut stream) = client.split();
    {
        let (tell, joined) = mpsc::unbounded_channel();
        let listening = pin!(room.listen(&mut stream, tell));
        let speaking = pin!(room.speak(&mut sink, joined, plan.messages, &mut plan.random));
        let talk = select(listening, speaking);
        let until = timeout(plan.ends_after.unwrap_or(Duration::MAX), all_left);
        match select(pin!(until), talk).await {
            Either::Left(_) => {}
            Either::Right((Either::Left((last, _)), _)) => return Err(last),
            // The socket is broken, and the listener would have said why; it is not asked again.
            Either::Right((Either::Right((Err(error), _)), _)) => return Err(failed(error)),
        }
    }
    let client = sink.reunite(stream).map_err(|error| error.to_string())?;
    client::end(client, plan.ending).await;
    Ok(End::Own(plan.ending))
}

/// What the two halves of a sender have in common.
#[derive(Default)]
struct Room {
    segments: RefCell<Vec<Segment>>,
    /// Whether the last of them is still going on.
    paired: Cell<bool>,
}

impl Room {
    /// Takes in what comes; returns what it was that ended it.
    async fn listen(&self, stream: &mut Stream, joined: mpsc::UnboundedSender<()>) -> String {
        loop {
            let message = match client::next(stream).await {
                Ok(message) => message,
                Err(last) => return last.to_string(),
            };
            if let Err(told) = self.hear(&message) {
                match (told["type"].as_str(), told["peer_id"].as_str()) {
                    (Some("PEER_JOINED"), Some(peer)) => {
                        self.segments.borrow_mut().push(Segment {
                            peer: peer.to_owned(),
                            from: None,
                            account: Account::default(),
                            over: false,
                        });
                        self.paired.set(true);
                        let _ = joined.send(());
                    }
                    _ => return told.to_string(),
                }
            }
        }
    }

    /// Enters a message into the account of the receiver it is from; one that is from none is the
    /// relay's, and is returned.
    fn hear(&self, message: &Message) -> Result<(), Value> {
        let mut segments = self.segments.borrow_mut();
        let Some(segment) = segments.last_mut().filter(|_| self.paired.get()) else {
            return Err(json(message));
        };
        // A receiver does not know its name before its sender tells, and never says this.
        let leaving = r#"{"type":"PEER_DISCONNECTED","peer_id":""#;
        if message
            .to_text()
            .is_ok_and(|text| text.starts_with(leaving))
        {
            segment.over = json(message)["peer_id"] == segment.peer;
            self.paired.set(false);
        } else {
            if segment.from.is_none() {
                segment.from = client::label(message)
                    .first()
                    .and_then(|word| word.parse().ok());
            }
            segment.account.received.push(Digest::of(message));
        }
        Ok(())
    }

    /// Says what there is to say to each receiver.
    async fn speak(
        &self,
        sink: &mut Sink,
        mut joined: mpsc::UnboundedReceiver<()>,
        count: usize,
        random: &mut Random,
    ) -> Result<Infallible, Error> {
        loop {
            if joined.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            let current = self.segments.borrow().len() - 1;
            let is_here = || self.paired.get() && self.segments.borrow().len() == current + 1;
            for number in 0..count {
                if !is_here() {
                    break;
                }
                let message = {
                    let account = &mut self.segments.borrow_mut()[current];
                    let label = format!("{} {number} {count} ", account.peer);
                    let message = random.message(&label, number > 0);
                    account.account.sent.push(Digest::of(&message));
                    message
                };
                client::send(sink, message, random).await?;
                self.segments.borrow_mut()[current].account.whole += 1;
            }
        }
    }
}

fn json(message: &Message) -> Value {
    let text = message.to_text().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
