//! What no client can see: which worker knows of whom.

mod node;

use std::{iter, time::Duration};

use actix::Message;
use actix_rt::time::timeout;
use relay_testing::metrics::Metrics;
use relay_wire::request::{Create, Request};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{effects::KEPT_EFFECTS, *};
use crate::{
    actors::{
        messages::{Attach, Decided, Deliver, KeysChanged},
        testing::{Worker, ask, create, hear, join, say},
    },
    config::{AccessKeys, Config},
    flow::vitals::Vitals,
    limits::{access::Visitor, budget::Limit},
};

/// How many sessions are known, and how many of them have spent some of their budget.
#[derive(Message)]
#[rtype(result = "Vec<usize>")]
struct Members;

impl Handler<Members> for RoomRegistry {
    type Result = Vec<usize>;

    fn handle(&mut self, _: Members, _: &mut Self::Context) -> Vec<usize> {
        let one = Limit {
            max: 1,
            window: Duration::from_secs(60),
        };
        let has_spent = |member: &&Member| member.spent.check(Instant::now(), one).is_err();
        let spenders = self.members.values().filter(has_spent);
        vec![self.members.len(), spenders.count()]
    }
}

/// Carries out so many effects at once; how many the list keeps memory for then.
#[derive(Message)]
#[rtype(result = "usize")]
struct CarryOut(usize);

impl Handler<CarryOut> for RoomRegistry {
    type Result = usize;

    fn handle(&mut self, CarryOut(count): CarryOut, _: &mut Self::Context) -> usize {
        let effects = iter::repeat_with(|| Effect::Ping(SessionId(u64::MAX)));
        self.effects.extend(effects.take(count));
        self.carry_out();
        self.effects.capacity()
    }
}

#[actix_rt::test]
async fn a_long_list_of_effects_gives_its_memory_back() {
    let worker = Worker::new(Config::default());
    let after_many = worker.registry.send(CarryOut(100_000)).await.unwrap();
    assert!(after_many <= KEPT_EFFECTS, "{after_many}");
    let after_few = worker.registry.send(CarryOut(3)).await.unwrap();
    assert!(after_few >= 3, "a short one keeps it");
}

/// Waits until the workers know of so many.
async fn known(workers: &[Worker; 2], expected: [[usize; 2]; 2]) {
    let mut seen = Vec::new();
    let looking = async {
        while seen != expected {
            seen.clear();
            for worker in workers {
                seen.push(worker.registry.send(Members).await.unwrap());
            }
        }
    };
    let found = timeout(Duration::from_secs(20), looking).await;
    assert!(found.is_ok(), "{seen:?} and not {expected:?}");
}

#[actix_rt::test]
async fn a_session_is_known_to_the_worker_of_its_room_alone() {
    let workers = Worker::of::<2>(Config::default());
    let (_, mut sender) = workers[1].connect().await;
    let (_, mut near) = workers[1].connect().await;
    let (_, mut far) = workers[0].connect().await;
    known(&workers, [[1, 0], [2, 0]]).await;

    let code = create(&mut sender).await;
    for receiver in [&mut near, &mut far] {
        join(receiver, &code).await;
        hear(receiver, "ROOM_JOINED").await;
    }
    known(&workers, [[0, 0], [3, 3]]).await;

    // A second room goes to the other worker, and its sender with it.
    let (_, mut other) = workers[1].connect().await;
    create(&mut other).await;
    known(&workers, [[1, 1], [3, 3]]).await;

    drop((near, far));
    known(&workers, [[1, 1], [1, 1]]).await;
    drop((sender, other));
    known(&workers, [[0, 0], [0, 0]]).await;
    let now = workers[0].snapshot();
    assert_eq!((now.sessions, now.rooms, now.in_flight), (0, 0, 0));
    let ended = r#"relay_sessions_ended_total{reason="peer_vanished"}"#;
    assert_eq!(Metrics::parse(&workers[0].metrics()).get(ended), 4);
}

#[actix_rt::test]
async fn who_was_on_its_way_when_it_was_blocked_ends_when_it_comes() {
    let worker = Worker::new(Config::default());
    let (_, mut before) = worker.connect().await;
    hear(&mut before, "head").await;
    let now = jiff::Timestamp::now();
    worker
        .rules
        .block("127.0.0.1".parse().unwrap(), None, now)
        .unwrap();
    let (_, mut client) = worker.connect().await;
    hear(&mut client, "blocked").await;
    // Who is here already is told by the message alone.
    let network = "127.0.0.0/8".parse().unwrap();
    assert_eq!(worker.registry.send(Decided(network)).await.unwrap(), 1);
    hear(&mut before, "blocked").await;
}

#[actix_rt::test]
async fn who_has_left_and_is_still_written_to_is_blocked_as_well() {
    let worker = Worker::new(Config::default());
    let (_, mut sender) = worker.connect().await;
    let code = create(&mut sender).await;
    let (session, mut receiver) = worker.connect_narrow().await;
    join(&mut receiver, &code).await;
    hear(&mut sender, "PEER_JOINED").await;
    // More than its system takes, of which it reads nothing.
    say(&mut sender, &[7; 100_000]).await;
    sender.shutdown().await.unwrap();
    let left = async { while worker.registry.send(Members).await.unwrap()[0] > 0 {} };
    timeout(Duration::from_secs(20), left).await.unwrap();
    assert!(session.connected(), "there is something left to write");

    let network = "127.0.0.1".parse().unwrap();
    let now = jiff::Timestamp::now();
    worker.rules.block(network, None, now).unwrap();
    assert_eq!(worker.registry.send(Decided(network)).await.unwrap(), 1);
    let gone = async {
        while worker.snapshot().sessions > 0 {
            actix_rt::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.unwrap();
    assert_eq!(worker.registry.send(Decided(network)).await.unwrap(), 0);
}

/// What a session hears from a registry that it comes to, until there is no more.
async fn told(worker: &Worker, visitor: Visitor, moved: Option<Moved>) -> Vec<Deliver> {
    Guest::at(worker, visitor, moved).hears(worker).await
}

/// A session that has come to a registry.
struct Guest {
    id: SessionId,
    ear: Addr<Ear>,
    heard: UnboundedReceiver<Deliver>,
}

impl Guest {
    fn at(worker: &Worker, visitor: Visitor, moved: Option<Moved>) -> Self {
        let (hears, heard) = unbounded_channel();
        let (id, ear) = (worker.next_session(), Ear(hears).start());
        worker.registry.do_send(Attach {
            id,
            session: ear.clone().recipient(),
            visitor,
            vitals: Arc::new(Vitals::new(now())),
            moved,
        });
        Self { id, ear, heard }
    }

    /// What it is told until there is no more.
    async fn hears(&mut self, worker: &Worker) -> Vec<Deliver> {
        // Behind what it was sent.
        worker.registry.send(Alive).await.unwrap();
        self.ear.send(Deliver::Ping).await.unwrap();
        let mut all = Vec::new();
        loop {
            match self.heard.recv().await.unwrap() {
                Deliver::Ping => return all,
                other => all.push(other),
            }
        }
    }
}

/// Somebody who says what it is told.
struct Ear(UnboundedSender<Deliver>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Ear {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        self.0.send(deliver).unwrap();
    }
}

#[actix_rt::test]
async fn who_comes_from_another_worker_has_what_holds_when_it_comes() {
    let worker = Worker::new(Config::default());
    let visitor = || Visitor::new([192, 0, 2, 7].into());
    let moved = || {
        Some(Moved {
            request: Request::Create(Create::default()),
            spent: Spent::default(),
        })
    };
    let network = "192.0.2.7".parse().unwrap();
    // Its limit was lifted on its way.
    let heard = told(&worker, visitor(), moved()).await;
    assert!(matches!(heard[0], Deliver::Limit(None)), "a limit stays");
    let now = jiff::Timestamp::now();
    worker.rules.limit(network, 7, now, Instant::now()).unwrap();
    let heard = told(&worker, visitor(), moved()).await;
    assert!(matches!(heard[0], Deliver::Limit(Some(_))), "no limit");
    worker.rules.block(network, None, now).unwrap();
    let heard = told(&worker, visitor(), moved()).await;
    assert!(matches!(heard[..], [Deliver::Evict]), "it is let in");
    // What checks this relay from this machine is meant by neither.
    let check = Visitor {
        check: true,
        ..visitor()
    };
    let heard = told(&worker, check, None).await;
    assert!(matches!(heard[..], []), "a check");
}

#[actix_rt::test]
async fn who_lacks_a_key_when_it_comes_is_given_nothing() {
    let worker = Worker::new(Config::default());
    let (session, mut before) = worker.connect().await;
    hear(&mut before, "head").await;
    let keys = AccessKeys::parse("alice:0123456789abcdef").unwrap();
    worker.access.configure(&keys);
    // Between its handshake and here; its request may be on its way already.
    let (_, mut client) = worker.connect().await;
    ask(&mut client, r#"{"type":"CREATE_ROOM"}"#).await;
    let heard = hear(&mut client, "access_key_withdrawn").await;
    assert!(!heard.contains("ROOM_CREATED"), "{heard}");
    // From another worker, with a request that was charged there.
    let (other, mut moving) = worker.connect_as_check().await;
    worker
        .registry
        .send(Attach {
            id: SessionId(u64::MAX),
            session: other.recipient(),
            visitor: Visitor::new([127, 0, 0, 1].into()),
            vitals: Arc::new(Vitals::new(now())),
            moved: Some(Moved {
                request: Request::Create(Create::default()),
                spent: Spent::default(),
            }),
        })
        .await
        .unwrap();
    let heard = hear(&mut moving, "access_key_withdrawn").await;
    assert!(!heard.contains("ROOM_CREATED"), "{heard}");
    // Who is here already and asks before it is told.
    ask(&mut before, r#"{"type":"CREATE_ROOM"}"#).await;
    let heard = hear(&mut before, "access_key_withdrawn").await;
    assert!(!heard.contains("ROOM_CREATED"), "{heard}");
    drop(session);
    assert_eq!(worker.snapshot().rooms, 0);
}

#[actix_rt::test]
async fn keys_that_are_asked_for_end_who_came_without() {
    let worker = Worker::new(Config::default());
    let (_, mut client) = worker.connect().await;
    let (_, mut check) = worker.connect_as_check().await;
    create(&mut client).await;
    let keys = AccessKeys::parse("alice:0123456789abcdef").unwrap();
    worker.access.configure(&keys);
    worker.registry.do_send(KeysChanged);
    hear(&mut client, "access_key_withdrawn").await;
    create(&mut check).await;
}
