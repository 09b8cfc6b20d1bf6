//! A client with the keep-alive of Python's `websockets`, which today's clients have.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use relay_testing::{Client, reply};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{AbortHandle, spawn},
    time::{Instant, sleep_until},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// A Ping so long after the last was answered, and the end so long after a Ping whose own Pong has not
/// come. What is sent goes out in its order: a Ping stands behind the message that is being sent.
#[derive(Clone, Copy)]
pub struct KeepAlive {
    pub interval: Duration,
    pub timeout: Duration,
}

impl KeepAlive {
    /// As the library comes.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
    };
    /// Often, and without an end: to see how long answers take.
    pub const CURIOUS: Self = Self {
        interval: Duration::from_millis(200),
        timeout: Duration::from_secs(1000),
    };
}

/// One connection to a relay, used in the background.
pub struct Kept {
    outgoing: UnboundedSender<Message>,
    incoming: UnboundedReceiver<Result<Message, String>>,
    pings: Arc<Mutex<Pings>>,
    /// What reads and what writes.
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct Pings {
    /// The longest that an answer took.
    worst: Duration,
    /// When the Ping was due that is not answered yet.
    asked: Option<Instant>,
}

impl Kept {
    /// Opens a room.
    pub async fn sender(addr: SocketAddr, alive: KeepAlive) -> (Self, String) {
        let mut client = Client::open(addr, &[]).await.unwrap();
        let code = client.create_room().await;
        (Self::over(client, alive), code)
    }

    /// Joins a room.
    pub async fn receiver(addr: SocketAddr, code: &str, alive: KeepAlive) -> Self {
        let mut client = Client::open(addr, &[]).await.unwrap();
        client.join(code).await;
        Self::over(client, alive)
    }

    fn over(client: Client, alive: KeepAlive) -> Self {
        let (sink, stream) = client.into_inner().split();
        let (outgoing, mut waiting) = unbounded_channel();
        let (heard, incoming) = unbounded_channel();
        let pings = Arc::<Mutex<Pings>>::default();
        let writing = spawn(async move {
            let mut sink = sink;
            while let Some(message) = waiting.recv().await {
                // Whoever reads hears of a failure, too.
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        let (asking, counts) = (outgoing.clone(), Arc::clone(&pings));
        let reading = spawn(async move {
            let end = read(stream, alive, &asking, &heard, &counts).await;
            // Nobody may be interested any more.
            let _ = heard.send(Err(end));
        });
        Self {
            outgoing,
            incoming,
            pings,
            tasks: [writing, reading].map(|task| task.abort_handle()),
        }
    }

    /// Sends a message, behind those before it.
    pub fn send(&self, message: impl Into<Message>) {
        // A failure shows when something is awaited.
        let _ = self.outgoing.send(message.into());
    }

    /// The next message, or how the connection has ended.
    pub async fn hear(&mut self) -> Result<Message, String> {
        let message = self.incoming.recv().await;
        message.unwrap_or_else(|| Err("the end was told before".to_owned()))
    }

    /// The next message is one of the relay's own, of this type.
    pub async fn hear_json(&mut self, kind: &str) -> Value {
        let message = self.hear().await;
        let value = reply::parse(message.unwrap().to_text().unwrap());
        assert_eq!(value["type"], kind, "{value}");
        value
    }

    /// The longest that a Ping has waited for its Pong, the one included that still does.
    pub fn worst(&self) -> Duration {
        let pings = self.pings.lock().unwrap();
        let waits = pings.asked.map(|asked| asked.elapsed());
        pings.worst.max(waits.unwrap_or_default())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Reads, and pings, to the end of the connection. Returns how it ended.
async fn read(
    mut stream: futures_util::stream::SplitStream<WebSocketStream<TcpStream>>,
    alive: KeepAlive,
    outgoing: &UnboundedSender<Message>,
    heard: &UnboundedSender<Result<Message, String>>,
    pings: &Mutex<Pings>,
) -> String {
    let mut number = 0_u32;
    let mut due = Instant::now() + alive.interval;
    loop {
        let asked = pings.lock().unwrap().asked;
        let alarm = asked.map_or(due, |asked| asked + alive.timeout);
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Pong(payload))) if payload == number.to_be_bytes()[..] => {
                    let mut pings = pings.lock().unwrap();
                    if let Some(asked) = pings.asked.take() {
                        let took = asked.elapsed();
                        pings.worst = pings.worst.max(took);
                        due = Instant::now() + alive.interval.saturating_sub(took);
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(close))) => return format!("{close:?}"),
                // Nobody may be interested any more.
                Some(Ok(message)) => drop(heard.send(Ok(message))),
                Some(Err(error)) => return error.to_string(),
                None => return "the end of the connection".to_owned(),
            },
            () = sleep_until(alarm) => {
                if asked.is_some() {
                    return "no Pong in time".to_owned();
                }
                number += 1;
                pings.lock().unwrap().asked = Some(alarm);
                let _ = outgoing.send(Message::Ping(number.to_be_bytes().to_vec().into()));
            }
        }
    }
}
