//! The ways to the relay of this machine that its clients come by: through nginx, and by the public name.
//! A room is opened at the relay itself and joined by that way, so that one which leads elsewhere, even to
//! another relay, is found out.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    client::{Client, Reply},
    note::{Note, Outcome, Status},
    pair,
    plan::Plan,
    published,
    reach::connect,
    target::{Place, Target},
};

/// What is sent each way: enough to be held back by a proxy that buffers.
const SAMPLE: usize = 16 * 1024;
/// How long a client may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Goes to `relay` by `way`.
pub(super) async fn try_way(relay: &Target, way: &Target, plan: &Plan) -> Outcome<()> {
    let (mut sender, mut receiver, mut expires) = (None, None, None);
    // Less than the step's own time, so that there is some left to take leave in.
    let limit = plan.limit.saturating_sub(FAREWELL).max(plan.limit / 2);
    let meeting = meet(relay, way, plan, (&mut sender, &mut receiver), &mut expires);
    let met = timeout(limit, meeting).await.unwrap_or_else(|_| {
        Err(Note::fail(format!(
            "nothing came of it in {:.1} s",
            limit.as_secs_f32()
        ))
        .means("something on this way accepts connections and hangs, or holds messages back"))
    });
    let leaving = async {
        for mut client in receiver.into_iter().chain(sender) {
            client.close().await;
        }
    };
    // What is left of it then ends with its connection.
    drop(timeout(FAREWELL.min(plan.limit / 2), leaving).await);
    // Whatever came of it, what the certificate has shown is worth knowing.
    met.map(|note| ((), note.expires(expires)))
        .map_err(|note| of_way(way, note).expires(expires))
}

/// What a client meets by this way. A note that is not well is of the certificate.
async fn meet(
    relay: &Target,
    way: &Target,
    plan: &Plan,
    (sender, receiver): (&mut Option<Client>, &mut Option<Client>),
    expires: &mut Option<SystemTime>,
) -> Result<Note, Note> {
    let began = Instant::now();
    let (client, _) = reach(relay, plan, &mut None).await?;
    let sender = sender.insert(client);
    let code = sender.create().await?;
    let (client, tls) = reach(way, plan, expires).await?;
    let receiver = receiver.insert(client);
    receiver.join(&code).await?;
    let joined = |reply: &Reply| matches!(reply, Reply::PeerJoined);
    sender.expect(joined, "PEER_JOINED").await?;
    let size = SAMPLE.min(plan.message).min(plan.data);
    let sample = [Bytes::from(vec![b'x'; size])];
    pair::one_way(sender, receiver, &sample).await?;
    pair::one_way(receiver, sender, &sample).await?;
    let left = plan.limit.saturating_sub(began.elapsed());
    published::look(way, left / 2).await?;
    Ok(match tls.status {
        Status::Warn => tls,
        _ => Note::ok(format!("{} leads to the relay", shown(way))),
    })
}

/// A client by this way, and what its TLS has shown; and when the certificate ends, even if nothing else comes
/// of it.
async fn reach(
    way: &Target,
    plan: &Plan,
    expires: &mut Option<SystemTime>,
) -> Result<(Client, Note), Note> {
    let connected = connect(way, plan.limit).await;
    *expires = match &connected {
        Ok((_, note)) | Err(note) => note.expires,
    };
    let (stream, note) = connected?;
    let ((client, _), _) = Client::open(way, stream).await?;
    Ok((client, note))
}

/// A failure, with the way that it was met on.
fn of_way(way: &Target, mut note: Note) -> Note {
    note.detail = format!("{}: {}", shown(way), note.detail);
    note.next.get_or_insert_with(|| way.look().to_owned());
    note
}

fn shown(way: &Target) -> String {
    match (way.place, way.addresses.first()) {
        (Place::Nginx, Some(address)) => format!("{} through nginx at {address}", way.url.host),
        _ => way.url.to_string(),
    }
}
