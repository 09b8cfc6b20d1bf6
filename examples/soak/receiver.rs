//! A receiver: joins a room, says what it has to say, and listens.

use std::{cell::RefCell, convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use futures_util::{
    SinkExt, StreamExt,
    future::{Either, pending, select},
};
use tokio::{sync::Notify, time::timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    client::{self, End, Last, Sink, Stream},
    ledger::{Digest, Visit},
    plan::{Behaviour, Random},
};

/// Joins the room of this code as receiver `number`, until all is said and heard, or for as long
/// as is planned.
pub async fn run(relay: SocketAddr, code: &str, number: usize, plan: Behaviour) -> Visit {
    let guest = Guest::default();
    let end = match visit(relay, code, number, plan, &guest).await {
        Ok(end) => end,
        Err(what) => Some(End::Unexpected(format!("receiver: {what}"))),
    };
    Visit {
        end,
        ..guest.visit.into_inner()
    }
}

/// How it ended; `None` for one that is not let in.
async fn visit(
    relay: SocketAddr,
    code: &str,
    number: usize,
    mut plan: Behaviour,
    guest: &Guest,
) -> Result<Option<End>, String> {
    let failed = |error: Error| error.to_string();
    let mut client = client::connect(relay, plan.speed).await.map_err(failed)?;
    let join = format!(r#"{{"type":"JOIN_ROOM","room_id":"{code}"}}"#);
    client.send(Message::text(join)).await.map_err(failed)?;
    let answer = client::next(&mut client).await;
    let answer = answer.map_err(|last| last.to_string())?;
    let answer = answer.to_text().unwrap_or_default();
    if answer.contains(r#""room_not_found""#) {
        // Its sender has left before it came.
        client::end(client, plan.ending).await;
        return Ok(None);
    }
    if !answer.contains(r#""ROOM_JOINED""#) {
        return Err(answer.to_owned());
    }

    let (mut sink, mut stream) = client.split();
    {
        let listening = pin!(guest.listen(&mut stream));
        let talking = pin!(async {
            guest
                .speak(&mut sink, number, plan.messages, &mut plan.random)
                .await;
            guest.heard_all.notified().await;
        });
        let until = timeout(plan.ends_after.unwrap_or(Duration::MAX), talking);
        if let Either::Left((last, _)) = select(listening, pin!(until)).await {
            return Ok(Some(last.end()));
        }
    }
    let client = sink.reunite(stream).map_err(|error| error.to_string())?;
    client::end(client, plan.ending).await;
    Ok(Some(End::Own(plan.ending)))
}

/// What the two halves of a receiver have in common.
#[derive(Default)]
struct Guest {
    visit: RefCell<Visit>,
    heard_all: Notify,
}

impl Guest {
    /// Takes in what comes; returns what ended it.
    async fn listen(&self, stream: &mut Stream) -> Last {
        loop {
            let message = match client::next(stream).await {
                Ok(message) => message,
                Err(last) => return last,
            };
            let mut visit = self.visit.borrow_mut();
            if visit.peer.is_none() {
                match client::label(&message)[..] {
                    [peer, _, count] if peer.starts_with("conn_") => {
                        visit.peer = Some(peer.to_owned());
                        visit.announced = count.parse().unwrap_or(0);
                    }
                    // The relay's word on why it closes; the close says it again.
                    _ => continue,
                }
            }
            visit.account.received.push(Digest::of(&message));
            if visit.account.received.len() == visit.announced {
                self.heard_all.notify_one();
            }
        }
    }

    async fn speak(&self, sink: &mut Sink, number: usize, count: usize, random: &mut Random) {
        for index in 0..count {
            let label = format!("{number} {index} {count} ");
            let message = random.message(&label, index > 0);
            let digest = Digest::of(&message);
            self.visit.borrow_mut().account.sent.push(digest);
            if client::send(sink, message, random).await.is_err() {
                // The relay has ended it: the listener hears how.
                pending::<Infallible>().await;
            }
            self.visit.borrow_mut().account.whole += 1;
        }
    }
}
