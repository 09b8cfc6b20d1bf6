//! What the other relays of a cluster say, and what follows from it here.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::Notify;

use crate::{
    cluster::{Change, News},
    observe::events::{Event, Kind},
    state::State,
};

/// Joins the other relays, where this one is one of several. `decided` is told where the operator's decisions
/// have changed for what they say.
pub(super) async fn join(state: &Arc<State>, decided: &Arc<Notify>) -> io::Result<()> {
    let config = &state.live().config;
    let (Some(cluster), Some(settings)) = (&state.cluster, config.cluster()) else {
        return Ok(());
    };
    let (listener, decided) = (Arc::clone(state), Arc::clone(decided));
    let tell = move |news| hear(&listener, &decided, news);
    let joined = cluster
        .join(settings, config.life(Some(u64::MAX)), tell)
        .await;
    joined.map_err(io::Error::other)
}

fn hear(state: &State, decided: &Notify, news: News) {
    let happened = |kind, node: Option<&str>| {
        state.events.tell(|| Event {
            node: node.map(str::to_owned),
            ..Event::of(kind)
        });
    };
    match news {
        News::WrongCode(client) => state.admission.wrong_code_elsewhere(client, Instant::now()),
        // Whoever waits for this has the sessions here meet it, and writes it down.
        News::Decided => decided.notify_one(),
        News::Joined => happened(Kind::ClusterJoined, None),
        News::Left => happened(Kind::ClusterLeft, None),
        News::Node(change) => {
            let kind = match change {
                Change::Came(_) | Change::Back(_) => Kind::NodeHeard,
                Change::Silent(_) => Kind::NodeSilent,
                Change::Gone(_) => Kind::NodeGone,
            };
            happened(kind, Some(&change.node().address));
        }
    }
}
