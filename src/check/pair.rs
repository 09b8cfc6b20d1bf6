//! What two clients do in a room. Where and in which order is for others to say.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::try_join;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    client::{Client, Code, Reply},
    note::{Note, Outcome, Status},
    plan::{DATA_SIZE, Plan},
};

pub(super) async fn create(sender: &mut Client) -> Outcome<Code> {
    let code = sender.create().await?;
    Ok((code, Note::ok("a room was created")))
}

pub(super) async fn join(
    sender: &mut Client,
    receiver: &mut Option<Client>,
    opened: impl Future<Output = Result<Client, Note>>,
    code: &Code,
    patience: Duration,
) -> Outcome<()> {
    // Kept by the caller even if this ends halfway, so that it can take leave.
    let receiver = receiver.insert(opened.await?);
    let Ok(joined) = timeout(patience, receiver.join(code)).await else {
        sender.ping().await?;
        return Err(
            Note::warn("the relay keeps a join waiting, and answers others")
                .means("from this address many wrong codes were tried, so that all wait for a turn")
                .next("the same check in a minute; RELAY_TRUSTED_PROXIES, X-Forwarded-For"),
        );
    };
    joined?;
    let paired = |reply: &Reply| matches!(reply, Reply::PeerJoined);
    sender.expect(paired, "PEER_JOINED").await?;
    Ok((
        (),
        Note::ok("a second client joined, and the first was told"),
    ))
}

pub(super) async fn transfer(
    sender: &mut Client,
    receiver: &mut Client,
    plan: &Plan,
) -> Outcome<()> {
    let mut data = vec![0; plan.data];
    getrandom::fill(&mut data)
        .map_err(|error| Note::fail(format!("this machine has no random data: {error}")))?;
    let data = Bytes::from(data);
    let pieces: Vec<_> = (0..data.len())
        .step_by(plan.message)
        .map(|start| data.slice(start..data.len().min(start + plan.message)))
        .collect();
    let began = Instant::now();
    one_way(sender, receiver, &pieces).await?;
    one_way(receiver, sender, &pieces).await?;
    let took = began.elapsed().as_millis();
    let amount = match plan.data {
        DATA_SIZE => "1 MiB".to_owned(),
        less => format!("{less} bytes"),
    };
    Ok((
        (),
        Note::ok(format!(
            "{amount} each way came over unchanged, in {took} ms"
        )),
    ))
}

pub(super) async fn one_way(
    from: &mut Client,
    to: &mut Client,
    pieces: &[Bytes],
) -> Result<(), Note> {
    let send = async {
        for piece in pieces {
            from.send(Message::Binary(piece.clone())).await?;
        }
        Ok(())
    };
    let receive = async {
        for piece in pieces {
            if to.receive().await?.into_data() != piece {
                return Err(Note::fail("the data came over changed")
                    .means("another client's data, or a proxy on the way that alters it"));
            }
        }
        Ok(())
    };
    match try_join(send, receive).await {
        Ok(_) => Ok(()),
        // The other end only hears that somebody left; whoever sent was told why.
        Err(note) => Err(match timeout(Duration::from_secs(1), from.ended()).await {
            Ok(reason) if reason.status == Status::Warn => reason,
            _ => note,
        }),
    }
}

pub(super) async fn ping(client: &mut Client) -> Outcome<()> {
    let began = Instant::now();
    client.ping().await?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    Ok(((), Note::ok(format!("answered after {took:.1} ms"))))
}

/// Neither client says anything for that long, but for answers to the relay's Pings.
pub(super) async fn idle(
    sender: &mut Client,
    receiver: &mut Client,
    time: Duration,
) -> Outcome<()> {
    let (began, pings) = (Instant::now(), Cell::new(0));
    let silence = async { try_join(sender.sit(&pings), receiver.sit(&pings)).await };
    if let Ok(Err(note)) = timeout(time, silence).await {
        if note.status == Status::Warn {
            return Err(note);
        }
        let after = began.elapsed().as_secs();
        return Err(Note::fail(format!(
            "cut off after {after} s of silence: {}",
            note.detail
        ))
        .means("a proxy's idle timeout is shorter than the time between the relay's Pings")
        .next("proxy_read_timeout 1h;   (in the nginx site), and RELAY_PING_INTERVAL under 60"));
    }
    // A connection may be dead without anyone having said so.
    sender.ping().await?;
    receiver.ping().await?;
    let (time, pings) = (time.as_secs_f32(), pings.get());
    let note = Note::ok(format!(
        "both survived {time} s of silence, with {pings} Pings from the relay"
    ));
    Ok(((), note))
}

pub(super) async fn part(sender: &mut Client, receiver: &mut Client) -> Outcome<()> {
    receiver.close().await;
    let gone = |reply: &Reply| matches!(reply, Reply::PeerDisconnected);
    sender.expect(gone, "PEER_DISCONNECTED").await?;
    sender.close().await;
    Ok(((), Note::ok("both left, and no room is left behind")))
}
