//! A line to a relay: a WebSocket that is read and written at once, is kept alive, and is given up when
//! nothing comes by it any more.
//!
//! Whoever owns a [`Line`] turns it: [`Line::turn`] waits until something has come, or until there is room
//! to say something more. One task does both, so that a side that is written to slowly is still heard, and
//! the relay's Pings are answered in the middle of megabytes.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tokio_util::io::InspectReader;

use super::{
    asks::Refusal,
    options::Relay,
    trouble::{Lost, Trouble},
};
use crate::{
    handshake::{self, Socket},
    stream::Stream,
    tcp::{self, Resolved},
    tls::Tls,
};

/// How often a Ping is sent: every 20 s, as the relay's own.
const PING: Duration = Duration::from_secs(20);
/// After how long without a single byte a line is given up: two Pings, and the time of their Pongs.
const SILENCE: Duration = Duration::from_secs(45);
/// How often it is looked at whether bytes have come.
const LOOK: Duration = Duration::from_secs(5);
/// How long the way to a relay may take, each of its steps.
const STEP: Duration = Duration::from_secs(15);
/// How long a Close may take.
const CLOSE: Duration = Duration::from_secs(5);

/// What the other end has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Text(String),
    Binary(Bytes),
}

/// What a turn has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something has come.
    Heard(Heard),
    /// There is room to [say](Line::say) something.
    Room,
}

/// A line that stands.
pub(super) struct Line {
    socket: Socket,
    /// Whether bytes have come since it was last looked at.
    came: Arc<AtomicBool>,
    heard: Instant,
    pinged: Instant,
    look: Pin<Box<Sleep>>,
    refusal: Option<Refusal>,
    /// The receiver at the other end, by the name that the relay tells the sender alone.
    peer: Option<String>,
}

impl Line {
    /// Connects to a relay. No message longer than `longest` bytes is taken from it.
    pub(super) async fn open(relay: &Relay, longest: usize) -> Result<Self, Trouble> {
        let (stream, came) = watched(dial(relay).await?);
        let bearer = relay
            .key
            .as_ref()
            .map(|key| format!("Bearer {}", key.text()));
        let headers: Vec<_> = bearer
            .iter()
            .map(|it| ("authorization", it.as_str()))
            .collect();
        let opening = handshake::open(&relay.url, &headers, longest, stream);
        let (socket, _) = timeout(STEP, opening)
            .await
            .map_err(|_| Trouble::unreached("it accepts connections and does not answer"))??;
        Ok(Self::over(socket, came))
    }

    fn over(socket: Socket, came: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        Self {
            socket,
            came,
            heard: now,
            pinged: now,
            look: Box::pin(sleep_until(now + LOOK)),
            refusal: None,
            peer: None,
        }
    }

    /// Keeps what the relay has said in its own name: the Close that follows it is understood by it.
    pub(super) fn note(&mut self, refusal: Option<Refusal>) {
        self.refusal = refusal;
    }

    /// Is paired with a receiver from here on.
    pub(super) fn pair_with(&mut self, peer: String) {
        self.refusal = None;
        self.peer = Some(peer);
    }

    /// Whether the receiver at the other end has this name. The receiver does not know it, so that it cannot say
    /// in the relay's place that it has left.
    pub(super) fn is_paired_with(&self, peer: &str) -> bool {
        self.peer.as_deref() == Some(peer)
    }

    /// Waits until something has come, or where `more` is to be said until there is room for it. What was
    /// said before goes out meanwhile. Nothing is lost where the future is dropped.
    pub(super) async fn turn(&mut self, more: bool) -> Result<Turn, Lost> {
        poll_fn(|cx| self.poll_turn(cx, more)).await
    }

    /// Waits until something has come.
    pub(super) async fn hear(&mut self) -> Result<Heard, Lost> {
        loop {
            if let Turn::Heard(heard) = self.turn(false).await? {
                return Ok(heard);
            }
        }
    }

    /// Says something. It goes out by the turns that follow; who says much asks for room first.
    pub(super) fn say(&mut self, message: impl Into<Message>) -> Result<(), Lost> {
        Pin::new(&mut self.socket)
            .start_send(message.into())
            .map_err(Lost::from)
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, more: bool) -> Poll<Result<Turn, Lost>> {
        while self.look.as_mut().poll(cx).is_ready() {
            self.keep_alive(Instant::now())?;
        }
        // The socket wakes this task for reading and for writing alike.
        while let Poll::Ready(read) = Pin::new(&mut self.socket).poll_next(cx) {
            let message = read.ok_or(Lost::Gone("it has ended".to_owned()))??;
            match message {
                Message::Text(text) => {
                    let text = text.as_str().to_owned();
                    return Poll::Ready(Ok(Turn::Heard(Heard::Text(text))));
                }
                Message::Binary(bytes) => {
                    return Poll::Ready(Ok(Turn::Heard(Heard::Binary(bytes))));
                }
                Message::Close(frame) => return Poll::Ready(Err(self.closed(frame))),
                // Pings are answered by the library.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        if more && Pin::new(&mut self.socket).poll_ready(cx)?.is_ready() {
            return Poll::Ready(Ok(Turn::Room));
        }
        if !more {
            // Whether all of it has gone out is not waited for.
            let _ = Pin::new(&mut self.socket).poll_flush(cx)?;
        }
        Poll::Pending
    }

    fn closed(&mut self, frame: Option<CloseFrame>) -> Lost {
        let (code, reason) = match frame {
            Some(frame) => (frame.code.into(), frame.reason.as_str().to_owned()),
            None => (1005, String::new()),
        };
        Lost::Closed {
            code,
            reason,
            refusal: self.refusal.take(),
        }
    }

    fn keep_alive(&mut self, now: Instant) -> Result<(), Lost> {
        if self.came.swap(false, Relaxed) {
            self.heard = now;
        }
        if now >= self.heard + SILENCE {
            return Err(Lost::Silent);
        }
        if now >= self.pinged + PING {
            self.pinged = now;
            self.say(Message::Ping(Bytes::new()))?;
        }
        self.look.as_mut().reset(now + LOOK);
        Ok(())
    }

    /// Leaves with a Close, behind what was said before, and says whether it was answered: then the relay
    /// has all of it. So it has where the other side has left meanwhile, and can hear of nothing more.
    pub(super) async fn close(mut self) -> bool {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let closing = async {
            self.say(Message::Close(Some(frame)))?;
            loop {
                self.turn(false).await?;
            }
        };
        let end: Result<Result<Infallible, Lost>, _> = timeout(CLOSE, closing).await;
        matches!(
            end,
            Ok(Err(Lost::Closed {
                code: 1000 | 1001,
                ..
            }))
        )
    }
}

/// The same connection, and whether anything has come by it.
fn watched(stream: Stream) -> (Stream, Arc<AtomicBool>) {
    let came = Arc::new(AtomicBool::new(false));
    let comes = Arc::clone(&came);
    let note = move |bytes: &[u8]| {
        if !bytes.is_empty() {
            comes.store(true, Relaxed);
        }
    };
    (Box::new(InspectReader::new(stream, note)), came)
}

/// A connection to where the relay is, with TLS where its URL asks for it.
async fn dial(relay: &Relay) -> Result<Stream, Trouble> {
    let url = &relay.url;
    let resolved = timeout(STEP, tcp::resolve(url)).await;
    let addresses = match resolved.map_err(|_| Trouble::unreached("no name server answers"))?? {
        Resolved::Given(address) => vec![address],
        Resolved::Found(addresses) => addresses,
    };
    let connected = tcp::connect(&addresses, STEP, usize::MAX).await?;
    if !url.tls {
        return Ok(Box::new(connected.stream));
    }
    let tls = Tls::new(&url.host)?;
    let secured = timeout(STEP, tls.handshake(connected.stream)).await;
    let secured = secured.map_err(|_| Trouble::unreached("its TLS handshake does not end"))??;
    Ok(secured.stream)
}

#[cfg(test)]
impl Line {
    /// Has all that was said go out, and hears nothing meanwhile.
    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx))
            .await
            .map_err(Lost::from)
    }
}

/// Two lines that lead to each other, with `buffer` bytes between them.
#[cfg(test)]
pub(super) mod testing {
    use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

    use super::*;

    pub(in super::super) async fn line(stream: Stream, role: Role) -> Line {
        let (stream, came) = watched(stream);
        Line::over(
            WebSocketStream::from_raw_socket(stream, role, None).await,
            came,
        )
    }

    pub(in super::super) async fn pair(buffer: usize) -> (Line, Line) {
        let (here, there) = tokio::io::duplex(buffer);
        (
            line(Box::new(here), Role::Client).await,
            line(Box::new(there), Role::Server).await,
        )
    }
}
