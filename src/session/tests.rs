//! What no client can bring about: a panic in the middle of a session.

use actix::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream as Client},
};

use super::*;
use crate::{
    config::Config,
    transport::frame::{Header, unmask_into},
};

#[derive(Message)]
#[rtype(result = "()")]
struct Boom;

impl Handler<Boom> for Session {
    type Result = ();

    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        panic!("on purpose");
    }
}

async fn connect(worker: &Worker) -> (Addr<Session>, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    let upgraded = Upgraded {
        socket,
        head: Bytes::from_static(b"head"),
        unread: Bytes::new(),
        client: peer.ip().into(),
        slot: Credit::charge(&worker.totals.sessions, 1),
    };
    (
        Session::begin(worker.next_session(), upgraded, worker),
        client,
    )
}

async fn ask(client: &mut Client, request: &str) {
    let mut key = [1, 2, 3, 4];
    let header = Header {
        mask: Some(key),
        ..Header::new(Opcode::Text, true, request.len())
    };
    let (bytes, len) = header.encode();
    let mut frame = bytes[..len].to_vec();
    unmask_into(&mut frame, request.as_bytes(), &mut key);
    client.write_all(&frame).await.unwrap();
}

/// Reads until `text` has come.
async fn hear(client: &mut Client, text: &str) -> String {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(text) {
        assert!(
            client.read_buf(&mut heard).await.unwrap() > 0,
            "{text} never came"
        );
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[actix_rt::test]
async fn a_panic_ends_its_session_alone_and_is_counted() {
    let worker = Worker::begin(Arc::new(Shared::new(Config::default())), 0);
    let (session, mut sender) = connect(&worker).await;
    let (_, mut other) = connect(&worker).await;
    ask(&mut sender, r#"{"type":"CREATE_ROOM"}"#).await;
    let created = hear(&mut sender, "1800}").await;
    let code = created.split('"').nth(7).unwrap();

    session.do_send(Boom);
    let mut rest = Vec::new();
    let _ = sender.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "it is cut off");

    ask(
        &mut other,
        &format!(r#"{{"type":"JOIN_ROOM","room_id":"{code}"}}"#),
    )
    .await;
    hear(&mut other, "room_not_found").await;
    let now = worker.snapshot();
    assert_eq!((now.sessions, now.rooms), (1, 0));
    let text = worker.metrics.encode(&now).unwrap();
    assert!(
        text.contains(r#"relay_sessions_ended_total{reason="panicked"} 1"#),
        "{text}"
    );
}
