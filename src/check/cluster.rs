//! The other relays of a cluster: what the relay of this machine says of them, by its operator's socket.

use std::path::PathBuf;

use tokio::task::spawn_blocking;

use super::note::Note;
use crate::{
    admin,
    cluster::view::{Other, View},
};

/// Asks the relay whose settings have this socket, if they do.
pub(super) async fn ask(socket: Option<PathBuf>) -> Note {
    match spawn_blocking(|| admin::cluster(socket)).await {
        Ok(Ok(Some(view))) => judge(&view),
        Ok(Ok(None)) => Note::warn("the relay that runs is no node of a cluster")
            .means("its settings are those of a node, and it was started with others")
            .next("sudo systemctl restart claude-distill-relay"),
        Ok(Err(why)) => Note::skip(why),
        Err(error) => Note::skip(error.to_string()),
    }
}

fn judge(view: &View) -> Note {
    let nats = &view.nats;
    if nats.address_taken {
        let address = &view.address;
        return Note::warn(format!("another node has this one's address, {address}"))
            .means("this relay has its own rooms alone, until the other is gone")
            .next("a RELAY_CLUSTER_ADDRESS of its own for each node");
    }
    if !nats.reached {
        let complaint = nats.complaint.as_ref();
        let complaint = complaint.map_or(String::new(), |it| format!(": {}", it.text));
        return Note::warn(format!(
            "NATS is not reached for {} s{complaint}",
            nats.seconds
        ))
        .means("this relay has its own rooms alone; who joins a room of another node is told to try again")
        .next("whether nats-server runs, and RELAY_CLUSTER_NATS");
    }
    let server = nats.server.as_deref().unwrap_or("an unknown server");
    let over = format!("over NATS at {server} for {} s", nats.seconds);
    if view.nodes.is_empty() {
        return Note::warn(format!("{over}, and no other node"))
            .means("no other runs, or they have another NATS or another RELAY_CLUSTER_SECRET")
            .next("claude-distill-relay check on the other machines");
    }
    let nodes: Vec<_> = view.nodes.iter().map(node).collect();
    let seen = format!("{over}: {}", nodes.join(", "));
    match view.nodes.iter().find(|it| is_lost(it)) {
        None => Note::ok(seen),
        Some(lost) => Note::warn(seen)
            .means(
                "rooms of that node are not found from here, or their clients not brought there; who joins is told to try \
                 again",
            )
            .next(format!(
                "whether a relay runs at {}, and whether firewalls let the nodes reach it",
                lost.address
            )),
    }
}

fn is_lost(node: &Other) -> bool {
    node.silent || node.doubtful || node.reachable == Some(false)
}

fn node(it: &Other) -> String {
    let heard = match it.silent || it.doubtful {
        true => format!("not heard of for {} s", it.heard_seconds),
        false => "heard of".to_owned(),
    };
    let reached = match it.reachable {
        Some(false) => " and not reached",
        Some(true) => " and reached",
        None => "",
    };
    format!("{} is {heard}{reached}", it.address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::note::Status;

    fn view(nats: &str, nodes: &str) -> View {
        let json =
            format!(r#"{{"address":"ws://a.example/","nats":{nats},"pipes":0,"nodes":{nodes}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_keeps_nodes_apart_is_a_warning_that_names_it() {
        let nats = |reached: bool, taken: bool| {
            format!(
                r#"{{"reached":{reached},"seconds":7,"server":"n1","complaint":{{"text":"authorization violation","seconds":2}},
                "address_taken":{taken}}}"#
            )
        };
        let node = |silent: bool, reachable: bool| {
            format!(
                r#"[{{"address":"ws://b.example/","heard_seconds":4,"reachable":{reachable},"doubtful":false,"silent":{silent}}}]"#
            )
        };
        for (nats, nodes, status, detail) in [
            (
                nats(true, false),
                node(false, true),
                Status::Ok,
                "over NATS at n1 for 7 s: ws://b.example/ is heard of and reached",
            ),
            (
                nats(true, false),
                node(true, false),
                Status::Warn,
                "over NATS at n1 for 7 s: ws://b.example/ is not heard of for 4 s and not reached",
            ),
            (
                nats(true, false),
                node(false, false),
                Status::Warn,
                "over NATS at n1 for 7 s: ws://b.example/ is heard of and not reached",
            ),
            (
                nats(true, false),
                "[]".to_owned(),
                Status::Warn,
                "over NATS at n1 for 7 s, and no other node",
            ),
            (
                nats(false, false),
                node(false, true),
                Status::Warn,
                "NATS is not reached for 7 s: authorization violation",
            ),
            (
                nats(true, true),
                node(false, true),
                Status::Warn,
                "another node has this one's address, ws://a.example/",
            ),
        ] {
            let note = judge(&view(&nats, &nodes));
            assert_eq!((note.status, &*note.detail), (status, detail));
        }
    }
}
