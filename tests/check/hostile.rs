//! A check against servers that mean harm: they get no more of its time, and no more is read of what they
//! send, than a relay would need.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use relay_testing::wire::{BINARY, CLOSE, PING, PONG, TEXT};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::doubles::command::Check;

/// What is read of one connection at most, and what the system's buffers may hold of it beside that.
const MOST: usize = (4 << 20) + (12 << 20);

/// A server that says something, and then the same for ever.
struct Flood {
    port: u16,
    sent: Arc<AtomicUsize>,
    callers: Arc<AtomicUsize>,
}

impl Flood {
    /// `first` is given the request. Each of `again` follows the one before after this time.
    fn of(
        first: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
        again: &[u8],
        every: Duration,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sent, callers) = (Arc::default(), Arc::default());
        let flood = Self {
            port,
            sent,
            callers,
        };
        let (sent, callers) = (Arc::clone(&flood.sent), Arc::clone(&flood.callers));
        let again = again.to_vec();
        // Ends with the test's process.
        thread::spawn(move || {
            for socket in listener.incoming() {
                callers.fetch_add(1, SeqCst);
                let socket = socket.unwrap();
                let (first, again, sent) = (&first, &again, &sent);
                thread::scope(|scope| {
                    scope.spawn(move || flood_one(socket, first, again, every, sent));
                });
            }
        });
        flood
    }

    /// Opens a WebSocket first.
    fn behind_a_handshake(again: &[u8]) -> Self {
        Self::of(switching, again, Duration::ZERO)
    }

    /// The check of it fails, soon and having read little.
    #[track_caller]
    fn is_survived(&self, scheme: &str, what: &str) {
        let began = Instant::now();
        let url = format!("{scheme}://127.0.0.1:{}", self.port);
        let outcome = Check::new(&["check", &url, "--timeout=0.3"]).json();
        assert_eq!(outcome.exit, 2, "{what}: {}", outcome.json);
        let took = began.elapsed();
        // Three steps' time for all of them, and the way of a debug build to there and back.
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        let sent = self.sent.load(SeqCst);
        println!("{what}: {} KiB in {took:?}", sent / 1024);
        assert!(sent <= MOST, "{what}: {sent} bytes were taken");
    }
}

fn flood_one(
    mut socket: TcpStream,
    first: &impl Fn(&str) -> Vec<u8>,
    again: &[u8],
    every: Duration,
    sent: &AtomicUsize,
) {
    let mut request = [0; 4096];
    let read = socket.read(&mut request).unwrap_or(0);
    let first = first(&String::from_utf8_lossy(&request[..read]));
    // Many at once, or it would be slow for a flood.
    let piece = again.repeat(if every.is_zero() {
        (64 << 10) / again.len() + 1
    } else {
        1
    });
    let mut next: &[u8] = &first;
    while socket.write_all(next).is_ok() {
        sent.fetch_add(next.len(), SeqCst);
        thread::sleep(every);
        next = &piece;
    }
}

fn switching(request: &str) -> Vec<u8> {
    let mut lines = request.lines();
    let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// A frame as a server sends it: whole, without a mask, and short.
fn short(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, u8::try_from(payload.len()).unwrap()];
    frame.extend(payload);
    frame
}

#[test]
fn a_flood_of_frames_is_not_read_to_its_end() {
    let created = br#"{"type":"ROOM_CREATED","room_id":"aaaaaa","expires_in":1}"#;
    for (what, frames) in [
        ("Pings", short(PING, &[b'x'; 100])),
        ("empty Pings", short(PING, b"")),
        ("Pongs", short(PONG, b"check")),
        ("answers", short(TEXT, created)),
        ("data", short(BINARY, &[0; 125])),
        ("Closes", short(CLOSE, &[3, 232])),
        ("reserved bits", vec![0xff; 7]),
    ] {
        Flood::behind_a_handshake(&frames).is_survived("ws", what);
    }
}

#[test]
fn a_frame_that_is_too_long_is_not_waited_for() {
    // Of 2^62 bytes, and of a GiB in pieces.
    let long =
        |request: &str| [switching(request), vec![0x82, 127, 64, 0, 0, 0, 0, 0, 0, 0]].concat();
    Flood::of(long, &[0], Duration::ZERO).is_survived("ws", "one frame");
    let begun = |request: &str| [switching(request), vec![0x02, 1, 0]].concat();
    let more = [vec![0x00, 126, 0xff, 0xff], vec![0; 65_535]].concat();
    Flood::of(begun, &more, Duration::ZERO).is_survived("ws", "one message");
}

#[test]
fn a_head_without_end_is_not_read_to_its_end() {
    let head = |text: &'static str| move |_: &str| text.as_bytes().to_vec();
    for (what, first, again) in [
        (
            "lines",
            "HTTP/1.1 101 Switching Protocols\r\n",
            "X-Y: z\r\n",
        ),
        ("a line", "HTTP/1.1 200 OK\r\nX-Y: ", "zzzzzzzz"),
        ("a status", "HTTP/1.1 200 ", "zzzzzzzz"),
        (
            "a body",
            "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 999999999999\r\n\r\n",
            "<html>",
        ),
        ("earlier heads", "", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("noise", "", "\0"),
    ] {
        Flood::of(head(first), again.as_bytes(), Duration::ZERO).is_survived("ws", what);
    }
}

#[test]
fn what_drips_in_has_only_its_time() {
    let drip = Duration::from_millis(20);
    let head = |_: &str| b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
    Flood::of(head, b"X", drip).is_survived("ws", "a head");
    Flood::of(switching, &short(PING, b"x"), drip).is_survived("ws", "Pings");
    Flood::of(|_| vec![22, 3, 3, 64, 0, 2], b"x", drip).is_survived("wss", "TLS");
}

#[test]
fn a_flood_before_tls_is_not_read_to_its_end() {
    for (what, record) in [
        ("changes of cipher", vec![20, 3, 3, 0, 1, 1]),
        ("warnings", vec![21, 3, 3, 0, 2, 1, 90]),
        ("empty handshakes", vec![22, 3, 3, 0, 0]),
        (
            "one long handshake",
            [vec![22, 3, 3, 63, 255], vec![2; 16_383]].concat(),
        ),
        ("data", [vec![23, 3, 3, 63, 255], vec![0; 16_383]].concat()),
    ] {
        Flood::of(|_| Vec::new(), &record, Duration::ZERO).is_survived("wss", what);
    }
}

#[test]
fn nobody_is_followed_elsewhere() {
    let answer = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n".to_vec();
    let chain = Flood::of(move |_| answer.clone(), b"", Duration::from_secs(3600));
    chain.is_survived("ws", "redirects");
    assert_eq!(chain.callers.load(SeqCst), 1);
}
