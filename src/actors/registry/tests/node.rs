//! Rooms that a node of a cluster opens anew, as no other has them.

use relay_wire::{ending::Ending, reply::Reply, request::Resume};

use super::*;
use crate::cluster::Cluster;

const OPENED: u64 = 5;

/// A session may open a room anew that no node has.
#[derive(Message)]
#[rtype(result = "()")]
struct OpenAnew(SessionId, Resume);

impl Handler<OpenAnew> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, OpenAnew(id, resume): OpenAnew, ctx: &mut Self::Context) {
        self.open_anew(id, resume, ctx);
    }
}

/// The same, once its code is taken.
#[derive(Message)]
#[rtype(result = "()")]
struct OpenedAnew(SessionId, Resume);

impl Handler<OpenedAnew> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, OpenedAnew(id, resume): OpenedAnew, _: &mut Self::Context) {
        self.opened_anew(id, resume.code.unwrap(), &resume, true);
    }
}

fn node() -> Worker {
    Worker::of_node(Config::default(), Cluster::alone())
}

fn guest(worker: &Worker) -> Guest {
    Guest::at(worker, Visitor::new([192, 0, 2, 7].into()), None)
}

/// How a room is taken up whose token lives until then.
fn resume(worker: &Worker, until: u64) -> Resume {
    let code = RoomCode::random(6).unwrap();
    Resume {
        code: Some(code),
        token: worker.tokens.keyring().sign(&code, OPENED, until),
    }
}

fn in_an_hour() -> u64 {
    jiff::Timestamp::now().as_second() as u64 + 3600
}

#[actix_rt::test]
async fn a_session_whose_token_dies_while_the_others_are_asked_is_told() {
    let worker = node();
    let mut sender = guest(&worker);
    let dead = resume(&worker, 1);
    worker.registry.do_send(OpenAnew(sender.id, dead));
    let heard = sender.hears(&worker).await;
    let [.., Deliver::Refused(reply, _)] = &heard[..] else {
        unreachable!("it waits for ever");
    };
    assert_eq!(reply.ending(), Some(Ending::RoomNotFound));
}

#[actix_rt::test]
async fn a_room_is_shown_to_others_though_another_session_has_given_its_code_back() {
    let worker = node();
    let cluster = worker.cluster.clone().unwrap();
    let mut second = guest(&worker);
    let ticket = resume(&worker, in_an_hour());
    let code = ticket.code.unwrap();
    for _ in ["of the first", "of the second"] {
        assert!(cluster.take(&code).await);
    }
    // Its line was cut meanwhile.
    let first = SessionId(u64::MAX);
    worker
        .registry
        .send(OpenedAnew(first, ticket))
        .await
        .unwrap();
    assert!(!cluster.shows(&code), "nobody has it");
    worker
        .registry
        .send(OpenedAnew(second.id, ticket))
        .await
        .unwrap();
    let heard = second.hears(&worker).await;
    let is_resumed = |it: &Deliver| matches!(it, Deliver::Reply(Reply::RoomResumed { .. }));
    assert!(heard.iter().any(is_resumed));
    assert!(cluster.shows(&code));
}
