//! A look at a relay: its workers, asked all at once, and what is counted for all of them.

use std::time::{Duration, Instant};

use actix::{Actor, Handler, Message, dev::ToEnvelope};
use actix_rt::time::timeout;
use futures_util::future::join_all;
use relay_wire::code::RoomCode;

use crate::{
    actors::{
        directory::Directory,
        messages::{Look as LookAround, Seen},
        now,
        registry::RoomRegistry,
    },
    limits::{address::AddressKey, callers::Deeds},
    observe::metrics::tally::Tally,
    state::State,
};

/// How long a worker may take to answer; one that takes longer is a trouble of its own.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What a relay looks like at one moment.
pub(super) struct Look {
    /// When all of it was looked at but the rooms, which have a moment of their own.
    pub(super) at: Instant,
    pub(super) rooms: Vec<Seen>,
    pub(super) clients: Vec<(AddressKey, Deeds)>,
    /// Handshakes of everybody, also of who is forgotten.
    pub(super) handshakes: u64,
    pub(super) tally: Tally,
    /// Workers that have not answered.
    pub(super) silent: usize,
}

impl Look {
    /// Looks at all workers.
    pub(super) async fn take(state: &State, directory: &Directory) -> Self {
        let (at, handshakes) = (now(), state.callers.handshakes());
        let (clients, tally) = (state.callers.all(), state.metrics.tally());
        let answers = ask_all(directory, || LookAround).await;
        Self {
            at,
            silent: answers.iter().filter(|answer| answer.is_none()).count(),
            rooms: answers.into_iter().flatten().flatten().collect(),
            clients,
            handshakes,
            tally,
        }
    }

    /// The rooms whose name begins so.
    pub(super) fn rooms_of(&self, name: &str) -> Vec<&Seen> {
        let rooms = self.rooms.iter();
        let named = rooms.filter(|seen| long_name(&seen.sight.code).starts_with(name));
        named.collect()
    }
}

/// Asks all workers at once. One that does not answer in time has none, and does what it is asked all the
/// same once it can.
pub(super) async fn ask_all<M>(
    directory: &Directory,
    question: impl Fn() -> M,
) -> Vec<Option<M::Result>>
where
    M: Message<Result: Send> + Send + 'static,
    RoomRegistry: Handler<M>,
    <RoomRegistry as Actor>::Context: ToEnvelope<RoomRegistry, M>,
{
    let asked = directory.registries().map(|registry| {
        let answer = timeout(PATIENCE, registry.send(question()));
        async { answer.await.ok()?.ok() }
    });
    join_all(asked).await
}

/// The short name of a room: what its code reads as in the log, without the `#` that a shell would take
/// for a comment.
pub(super) fn short_name(code: &RoomCode) -> String {
    code.to_string().trim_start_matches('#').to_owned()
}

/// The same, with all digits that it has.
pub(super) fn long_name(code: &RoomCode) -> String {
    format!("{code:#}").trim_start_matches('#').to_owned()
}
