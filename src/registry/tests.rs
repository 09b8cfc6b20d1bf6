//! What no client can see: which worker knows of whom.

use actix::Message;

use super::*;
use crate::{
    config::Config,
    session::tests::{ask, connect, hear},
    worker::Worker,
};

#[derive(Message)]
#[rtype(result = "usize")]
struct Members;

impl Handler<Members> for RoomRegistry {
    type Result = usize;

    fn handle(&mut self, _: Members, _: &mut Self::Context) -> usize {
        self.members.len()
    }
}

/// Waits until so many sessions are known to each worker.
async fn known(workers: &[Worker; 2], expected: [usize; 2]) {
    loop {
        let mut members = [0; 2];
        for (known, worker) in members.iter_mut().zip(workers) {
            *known = worker.registry.send(Members).await.unwrap();
        }
        if members == expected {
            return;
        }
    }
}

#[actix_rt::test]
async fn a_session_is_known_to_the_worker_of_its_room_alone() {
    let shared = Arc::new(Shared::new(Config {
        workers: 2,
        ..Config::default()
    }));
    let workers = [0, 1].map(|index| Worker::begin(Arc::clone(&shared), index));
    let (_, mut sender) = connect(&workers[1]).await;
    let (_, mut near) = connect(&workers[1]).await;
    let (_, mut far) = connect(&workers[0]).await;
    known(&workers, [1, 2]).await;

    ask(&mut sender, r#"{"type":"CREATE_ROOM"}"#).await;
    let created = hear(&mut sender, "1800}").await;
    let code = created.split('"').nth(7).unwrap();
    let join = format!(r#"{{"type":"JOIN_ROOM","room_id":"{code}"}}"#);
    for receiver in [&mut near, &mut far] {
        ask(receiver, &join).await;
        hear(receiver, "ROOM_JOINED").await;
    }
    known(&workers, [0, 3]).await;

    // A second room goes to the other worker, and its sender with it.
    let (_, mut other) = connect(&workers[1]).await;
    ask(&mut other, r#"{"type":"CREATE_ROOM"}"#).await;
    hear(&mut other, "1800}").await;
    known(&workers, [1, 3]).await;

    drop((sender, near, far, other));
    known(&workers, [0, 0]).await;
    let now = shared.snapshot();
    assert_eq!((now.sessions, now.rooms, now.in_flight), (0, 0, 0));
    let text = shared.metrics.encode(&now).unwrap();
    let ended = r#"relay_sessions_ended_total{reason="peer_vanished"} 4"#;
    assert!(text.contains(ended), "{text}");
}
