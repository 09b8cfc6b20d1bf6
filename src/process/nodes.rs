//! What the other relays of a cluster say, and what follows from it here.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::Notify;

use crate::{
    cluster::{Change, News, Patience},
    config::Config,
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
    let joined = cluster.join(settings, tell).await;
    joined.map_err(io::Error::other)
}

/// How long a node that falls silent is waited for. One whose process has died is known to be gone in seconds, as its
/// machine says so; this is for a machine or a network of which nothing is heard.
///
/// A receiver hears `cluster_unavailable` meanwhile for every code that no other node has: that it hears
/// `room_not_found` for a room that is only cut off would be worse, as it counts as a wrong code. That ends with the last
/// of the rooms that the silent node has told of, or after the life of a room whose sender did not ask for longer, as it
/// may have opened such ones since. Those of a longer life that a node has opened while it was cut off are not waited for.
///
/// A sender that takes its room up would lose its share by that wait, and need not: it is here, and a node that has lost
/// it ends the room after the grace. Where that node was cut off and comes back sooner than its room ends, both have the
/// room for that while, and a receiver finds the one or the other.
pub(super) fn patience(config: &Config) -> Patience {
    // One that takes nothing is pinged after three intervals, and what waits for it has the time of a stall.
    let noticed = config.ping_interval * 3 + config.ping_timeout + config.stall_timeout;
    Patience {
        any: config.life(None),
        left: noticed + config.room_grace,
    }
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
