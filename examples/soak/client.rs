//! A WebSocket client that can be slow, and that can end in every way a client can.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::{Sleep, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        protocol::{
            CloseFrame, WebSocketConfig,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use crate::{
    plan::{Ending, Random},
    times::{PATIENCE, STALL},
};

/// How often a slow client reads.
const TICK: Duration = Duration::from_millis(50);

pub type WebSocket = WebSocketStream<Paced>;
pub type Sink = SplitSink<WebSocket, Message>;
pub type Stream = SplitStream<WebSocket>;

/// How a session came to an end.
#[derive(Debug)]
pub enum End {
    /// As its client meant it to.
    Own(Ending),
    /// A receiver's, by the relay, because its sender had left.
    SenderLeft,
    /// A receiver's, by the relay, which had no memory for its message.
    BuffersFull,
    /// As it must not.
    Unexpected(String),
}

impl End {
    /// Whether everything is still delivered that was sent before it.
    pub fn keeps_promises(&self) -> bool {
        // A reset takes along what is still under way, and a client that stalls is reset.
        matches!(
            self,
            Self::Own(Ending::Close | Ending::HangUp | Ending::MidMessage | Ending::BadText)
        )
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Own(Ending::Close) => "closed",
            Self::Own(Ending::HangUp) => "hung up",
            Self::Own(Ending::MidMessage) => "hung up in mid-message",
            Self::Own(Ending::Reset) => "reset",
            Self::Own(Ending::BadText) => "sent bad text",
            Self::Own(Ending::Stall) => "stalled",
            Self::SenderLeft => "left by their sender",
            Self::BuffersFull => "met full buffers",
            Self::Unexpected(_) => "unexpected",
        }
    }
}

/// What a stream of messages ended with.
#[derive(Debug)]
pub enum Last {
    Close(Option<CloseFrame>),
    Broken(String),
    Nothing,
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(frame) => write!(f, "closed by the relay with {frame:?}"),
            Self::Broken(error) => write!(f, "cut off: {error}"),
            Self::Nothing => write!(f, "cut off"),
        }
    }
}

impl Last {
    /// What this means to a client that did not end it.
    pub fn end(self) -> End {
        match &self {
            Self::Close(Some(frame)) if frame.reason == "sender_disconnected" => End::SenderLeft,
            Self::Close(Some(frame)) if frame.reason == "relay_buffers_full" => End::BuffersFull,
            _ => End::Unexpected(format!("receiver: {self}")),
        }
    }
}

/// Connects to the relay; a slow client reads `speed` bytes a second.
pub async fn connect(relay: SocketAddr, speed: Option<usize>) -> Result<WebSocket, Error> {
    let socket = TcpSocket::new_v4()?;
    if speed.is_some() {
        // Else the system would read megabytes ahead for it.
        socket.set_recv_buffer_size(256 << 10)?;
    }
    let socket = socket.connect(relay).await?;
    socket.set_nodelay(true)?;
    let paced = Paced {
        socket,
        portion: speed.map(|speed| speed / 20),
        left: 0,
        timer: Box::pin(sleep(Duration::ZERO)),
    };
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let (client, _) =
        client_async_with_config(format!("ws://{relay}/"), paced, Some(config)).await?;
    Ok(client)
}

/// The next text or binary message, or what came instead.
pub async fn next(
    stream: &mut (impl StreamExt<Item = Result<Message, Error>> + Unpin),
) -> Result<Message, Last> {
    loop {
        match stream.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Ok(message),
            Some(Ok(Message::Close(frame))) => return Err(Last::Close(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Last::Broken(error.to_string())),
            None => return Err(Last::Nothing),
        }
    }
}

/// The words a message begins with, in which its sender says who it is, and which message it is of
/// how many.
pub fn label(message: &Message) -> Vec<&str> {
    let bytes: &[u8] = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
        _ => &[],
    };
    let words = bytes.split(|&byte| byte == b' ').take(3);
    words
        .map_while(|word| std::str::from_utf8(word).ok())
        .collect()
}

/// Sends a message in frames as they fall, with pauses between them now and then.
pub async fn send(sink: &mut Sink, message: Message, random: &mut Random) -> Result<(), Error> {
    let cuts = random.cuts(message.len());
    if cuts.is_empty() {
        return sink.send(message).await;
    }
    let mut kind = match message.is_text() {
        true => Data::Text,
        false => Data::Binary,
    };
    let mut rest = message.into_data();
    for length in cuts {
        let piece = rest.split_to(length.min(rest.len()));
        let frame = Frame::message(piece, OpCode::Data(kind), false);
        sink.send(Message::Frame(frame)).await?;
        kind = Data::Continue;
        sleep(random.millis(0..20)).await;
    }
    let last = Frame::message(rest, OpCode::Data(kind), true);
    sink.send(Message::Frame(last)).await
}

/// Ends the session, and stays until the relay has let go of it.
pub async fn end(mut client: WebSocket, ending: Ending) {
    let said = match ending {
        Ending::Close => client.close(None).await,
        Ending::HangUp => return hang_up(client).await,
        Ending::MidMessage => {
            let half = Frame::message("half a mess", OpCode::Data(Data::Text), false);
            let _ = timeout(STALL, client.send(Message::Frame(half))).await;
            return hang_up(client).await;
        }
        Ending::BadText => {
            let bad = Frame::message(b"\xc0\x80".as_slice(), OpCode::Data(Data::Text), true);
            client.send(Message::Frame(bad)).await
        }
        Ending::Reset => return client.get_mut().reset(),
        Ending::Stall => {
            // The relay is to give it up before it goes.
            sleep(2 * STALL).await;
            return client.get_mut().reset();
        }
    };
    if said.is_ok() {
        let _ = timeout(PATIENCE, async { while next(&mut client).await.is_ok() {} }).await;
    }
}

/// Shuts its side of the connection, and takes what still comes until the relay has let go of it. Not
/// through the library, which fails at the first Ping that it cannot answer any more: the socket would
/// then be closed on what is on its way, and its system take back what the client had said.
async fn hang_up(mut client: WebSocket) {
    let socket = client.get_mut();
    if socket.shutdown().await.is_ok() {
        let _ = timeout(PATIENCE, tokio::io::copy(socket, &mut tokio::io::sink())).await;
    }
}

/// A socket that is read no faster than its owner means to.
pub struct Paced {
    socket: TcpStream,
    /// Bytes to read in one tick, if it is slow.
    portion: Option<usize>,
    left: usize,
    timer: Pin<Box<Sleep>>,
}

impl Paced {
    /// Makes the system drop the connection, and what is under way on it, at once.
    fn reset(&self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(portion) = self.portion else {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        };
        if self.left == 0 {
            ready!(self.timer.as_mut().poll(cx));
            self.timer.set(sleep(TICK));
            self.left = portion;
        }
        let mut part = buf.take(self.left);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        self.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
