//! The first minute in the wild: clients that come, do something, and vanish at any point.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use rand::{RngExt, rngs::StdRng};
use relay_testing::{TestRelay, pair, reply, seeded, skip::size};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

const CLIENTS: u64 = 200;
const ROUNDS: usize = 3000;
/// On a slow machine there are fewer rounds, not more time.
fn time() -> Duration {
    Duration::from_secs(size(3, 12))
}

/// The codes of rooms that some client has opened, most of which are gone by now.
type Codes = Arc<Mutex<Vec<String>>>;

/// A visit that ends wherever it likes. Whatever the relay does meanwhile is right, as long as it
/// forgets all of it afterwards.
struct Visit<'a> {
    rng: &'a mut StdRng,
    codes: &'a Codes,
    ws: WebSocketStream<TcpStream>,
}

impl Visit<'_> {
    /// Reads for a moment; a room's code that comes along is passed on to the others. False where
    /// the connection has ended.
    async fn listen(&mut self) -> bool {
        let moment = Duration::from_millis(self.rng.random_range(0..40));
        let until = Instant::now() + moment;
        while let Ok(next) = tokio::time::timeout_at(until.into(), self.ws.next()).await {
            match next {
                Some(Ok(Message::Text(text))) if text.contains("ROOM_CREATED") => {
                    let code = reply::created(&reply::parse(text.as_str()));
                    self.codes.lock().unwrap().push(code);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                Some(Ok(_)) => {}
            }
        }
        true
    }

    fn any_message(&mut self) -> Message {
        let length = self.rng.random_range(0..30_000);
        match self.rng.random_range(0..5) {
            0 => Message::text("x".repeat(length)),
            1 => Message::binary(vec![0; length]),
            2 => Message::Ping(vec![1; length % 126].into()),
            // The beginning of a message that may never be ended, or the end of none.
            3 => Message::Frame(Frame::message(
                vec![2; length],
                OpCode::Data(Data::Binary),
                false,
            )),
            _ => Message::Frame(Frame::message(vec![3], OpCode::Data(Data::Continue), true)),
        }
    }

    /// A request, right or wrong.
    fn any_request(&mut self) -> String {
        let codes = self.codes.lock().unwrap();
        match self.rng.random_range(0..10) {
            0 => "?".to_owned(),
            1 => reply::join("nobody"),
            2..6 if !codes.is_empty() => {
                let latest = codes.len().saturating_sub(20);
                reply::join(&codes[self.rng.random_range(latest..codes.len())])
            }
            _ => reply::CREATE.to_owned(),
        }
    }

    async fn go(mut self) -> Option<()> {
        let mut message = Message::text(self.any_request());
        while self.rng.random_bool(0.85) {
            // Not waiting for the relay to take it: a stalled one must not keep us from leaving.
            let patience = Duration::from_millis(100);
            tokio::time::timeout(patience, self.ws.send(message))
                .await
                .ok()?
                .ok()?;
            if self.rng.random_bool(0.7) && !self.listen().await {
                return None;
            }
            message = self.any_message();
        }
        if self.rng.random_bool(0.5) {
            let patience = Duration::from_millis(500);
            let _ = tokio::time::timeout(patience, self.ws.close(None)).await;
            if self.rng.random_bool(0.5) {
                while tokio::time::timeout(patience, self.ws.next())
                    .await
                    .ok()?
                    .is_some()
                {}
            }
        } else if self.rng.random_bool(0.3) {
            let socket = socket2::SockRef::from(self.ws.get_ref());
            socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
        Some(()) // And so it vanishes.
    }
}

async fn visit(relay: &str, rng: &mut StdRng, codes: &Codes) -> Option<()> {
    let mut stream = TcpStream::connect(relay).await.expect("a connection");
    let mut request = format!("ws://{relay}/")
        .into_client_request()
        .expect("a request");
    let address = format!("192.0.2.{}", rng.random_range(0..=255));
    request
        .headers_mut()
        .insert("x-forwarded-for", address.parse().expect("a header value"));
    match rng.random_range(0..20) {
        0 => return None,
        1 => {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nUpgrade: webs").await;
            return None;
        }
        _ => {}
    }
    let (ws, _) = client_async(request, stream).await.ok()?;
    Visit { rng, codes, ws }.go().await
}

#[tokio::test]
async fn two_hundred_clients_that_come_and_vanish_leave_nothing_behind() {
    for &workers in size(&[3][..], &[1, 3]) {
        come_and_vanish(workers).await;
    }
}

async fn come_and_vanish(workers: usize) {
    let relay = TestRelay::start(|config| {
        config.workers = workers;
        config.max_rooms = 60;
        config.max_queue = 3;
        config.max_sessions = 180;
        config.max_buffered = 200_000;
        config.address_sessions = 170;
        config.address_rooms = 55;
        config.address_buffered = 180_000;
        config.room_ttl = Duration::from_millis(700);
        config.rate_limit_max = 30;
        config.address_rate_limit_max = 30;
        config.rate_limit_window = Duration::from_secs(1);
        config.failed_join_max = 30;
        config.failed_join_window = Duration::from_secs(1);
        config.request_timeout = Duration::from_millis(500);
        config.ping_interval = Duration::from_millis(100);
        config.ping_timeout = Duration::from_millis(300);
        config.stall_timeout = Duration::from_secs(1);
        config.pair_idle = Duration::from_millis(400);
    });
    let codes = Codes::default();
    let rounds = Arc::new(AtomicUsize::new(0));
    let end = Instant::now() + time();
    let clients = (0..CLIENTS).map(|client| {
        let (addr, codes, rounds) = (relay.addr().to_string(), codes.clone(), rounds.clone());
        tokio::spawn(async move {
            let mut rng = seeded(client);
            while rounds.fetch_add(1, Ordering::Relaxed) < ROUNDS && Instant::now() < end {
                visit(&addr, &mut rng, &codes).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client that does not panic");
    }
    let opened = codes.lock().unwrap().len();
    assert!(opened > 100, "only {opened} rooms: nothing was shown");
    relay.settled().await;
    relay
        .until("the budgets to be forgotten", |now| now.addresses == 0)
        .await;
    // And it works as on the first day.
    let (mut sender, mut receiver) = pair(&relay).await;
    sender.send("still here").await;
    receiver.expect("still here").await;
}
