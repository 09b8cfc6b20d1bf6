//! What no client can bring about, or see: a panic in the middle of a session, whose turn it is, and
//! what comes between two chunks.

use std::{future::poll_fn, io::Write, mem, task::Poll, time::Duration};

use actix::{Handler, Message};
use relay_testing::metrics::Metrics;
use relay_wire::{
    ending::Ending,
    frame::{Header, Opcode, encode, encode_close, encode_masked},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::{
    actors::{
        messages::Deliver,
        testing::{Worker, create, hear, join},
    },
    config::Config,
    flow::{credit::Window, data::Delivery},
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

/// Bytes read from all sessions.
fn received(worker: &Worker) -> usize {
    let count = Metrics::parse(&worker.metrics()).get("relay_received_bytes_total");
    usize::try_from(count).unwrap()
}

/// Waits until so many bytes more were read than by the first request.
async fn until_read(worker: &Worker, bytes: usize) {
    let request = r#"{"type":"CREATE_ROOM"}"#.len() + 6;
    while received(worker) < request + bytes {
        tokio::task::yield_now().await;
    }
}

/// Bytes read between one turn of another task and the next, until `sent` more than `begun` are.
async fn turns(worker: Worker, begun: usize, sent: usize) -> Vec<usize> {
    let (mut before, mut turns) = (begun, Vec::new());
    let other = poll_fn(move |task| {
        let now = received(&worker);
        turns.push(now - before);
        before = now;
        if now - begun == sent {
            return Poll::Ready(mem::take(&mut turns));
        }
        task.waker().wake_by_ref();
        Poll::Pending
    });
    actix_rt::spawn(other).await.unwrap()
}

#[actix_rt::test]
async fn a_panic_ends_its_session_alone_and_is_counted() {
    let worker = Worker::new(Config::default());
    let (session, mut sender) = worker.connect().await;
    let (_, mut other) = worker.connect().await;
    let code = create(&mut sender).await;

    session.do_send(Boom);
    let mut rest = Vec::new();
    let _ = sender.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "it is cut off");

    join(&mut other, &code).await;
    hear(&mut other, "room_not_found").await;
    let now = worker.snapshot();
    assert_eq!((now.sessions, now.rooms), (1, 0));
    let panicked = r#"relay_sessions_ended_total{reason="panicked"}"#;
    assert_eq!(Metrics::parse(&worker.metrics()).get(panicked), 1);
}

/// A masked message without a byte: it costs little credit, and time like any other frame.
const EMPTY: [u8; 6] = [0x81, 0x80, 0, 0, 0, 0];

/// Bytes of a flood of frames of this size that one turn takes, with the rest of its last read.
fn turn_of(frame: usize) -> usize {
    reading::TURN * frame / (frame + reading::FRAME_COST) + socket::READ
}

#[actix_rt::test]
async fn a_flood_of_small_frames_waits_for_the_turn_of_others() {
    let worker = Worker::new(Config::default());
    let (_, mut client) = worker.connect().await;
    create(&mut client).await;

    // Written faster than it is read, so that there is always more.
    let flood = EMPTY.repeat(1 << 20);
    let sent = flood.len();
    let mut client = client.into_std().unwrap();
    client.set_nonblocking(false).unwrap();
    let writer = std::thread::spawn(move || {
        client.write_all(&flood).unwrap();
        client
    });

    let begun = received(&worker);
    let largest = turns(worker, begun, sent).await.into_iter().max().unwrap();
    assert!(
        largest <= turn_of(EMPTY.len()),
        "{largest} bytes in one turn"
    );
    writer.join().unwrap();
}

#[actix_rt::test]
async fn floods_are_read_one_at_a_time_between_looks_at_sockets() {
    const FLOODS: usize = 8;
    let worker = Worker::new(Config::default());
    let flood = EMPTY.repeat(100_000);
    let (mut clients, mut sent) = (Vec::new(), 0);
    for _ in 0..FLOODS {
        let (_, mut client) = worker.connect().await;
        create(&mut client).await;
        clients.push(client);
    }
    let begun = received(&worker);
    for client in &clients {
        // Nothing is read meanwhile: the relay is on this thread.
        while let Ok(count) = client.try_write(&flood) {
            sent += count;
        }
    }
    let turns = turns(worker, begun, sent).await;
    // At first each has its own socket to wake it, and so perhaps one that ran dry meanwhile.
    let turn = turn_of(EMPTY.len());
    let crowded = turns.iter().filter(|&&read| read > turn).count();
    assert!(sent > 5 * FLOODS * turn, "{sent} is too little");
    assert!(crowded <= 4, "{crowded} times more than one flood");
}

/// The frames in `bytes`, which are whole ones from beginning to end.
fn frames(mut bytes: &[u8]) -> Vec<(Opcode, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, len) = Header::parse(bytes).unwrap().unwrap();
        let end = len + usize::try_from(header.len).unwrap();
        frames.push((header.opcode, bytes[len..end].to_vec()));
        bytes = &bytes[end..];
    }
    frames
}

/// What the client has read, whose Pings it answers as it comes to them.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// How many of them are in frames that it has looked at.
    seen: usize,
}

impl Heard {
    /// Reads at most `most` bytes; returns how many came.
    async fn read(&mut self, client: &mut TcpStream, most: usize) -> usize {
        let mut buffer = vec![0; most];
        let count = client.read(&mut buffer).await.unwrap();
        self.bytes.extend_from_slice(&buffer[..count]);
        while let Ok(Some((header, len))) = Header::parse(&self.bytes[self.seen..])
            && let end = self.seen + len + header.len as usize
            && end <= self.bytes.len()
        {
            if header.opcode == Opcode::Ping {
                let payload = &self.bytes[self.seen + len..end];
                let pong = encode_masked(Opcode::Pong, true, payload, [1, 2, 3, 4]);
                // It may be told to go, and has gone.
                let _ = client.write_all(&pong).await;
            }
            self.seen = end;
        }
        count
    }

    /// The messages that have begun.
    fn messages(&self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for (opcode, payload) in frames(&self.bytes[..self.seen]) {
            match opcode {
                Opcode::Text | Opcode::Binary => messages.push(payload),
                Opcode::Continuation => messages.last_mut().unwrap().extend(payload),
                Opcode::Close | Opcode::Ping | Opcode::Pong => {}
            }
        }
        messages
    }
}

/// Has the client say of Pings, as they are made, that it has read up to them: then the system is given
/// what it takes, and nothing else keeps the session from writing.
async fn claim_all(worker: &Worker, client: &mut TcpStream) -> usize {
    let mut bytes = 0;
    for number in 1..=300_u64 {
        let pong = encode_masked(Opcode::Pong, true, &number.to_be_bytes(), [1, 2, 3, 4]);
        client.write_all(&pong).await.unwrap();
        bytes += pong.len();
        until_read(worker, bytes).await;
    }
    bytes
}

#[actix_rt::test]
async fn who_breaks_a_rule_after_our_close_still_gets_what_was_before_it() {
    let worker = Worker::new(Config::default());
    let (session, mut client) = worker.connect().await;
    create(&mut client).await;
    // More than the system takes at once, so that the Close has to wait behind it.
    let window = Window::new(usize::MAX);
    let message = encode(Opcode::Binary, &[7; 8 << 20]);
    let delivery = Chunk::of_payload(message, 8 << 20, &window);
    session.do_send(Deliver::Data(delivery.into()));
    session.do_send(Deliver::Close(Ending::SenderDisconnected.into()));
    let before = received(&worker);
    client
        .write_all(&encode(Opcode::Text, b"without a mask"))
        .await
        .unwrap();
    while received(&worker) == before {
        tokio::task::yield_now().await;
    }
    let mut heard = Heard::default();
    while heard.read(&mut client, 1 << 20).await > 0 {}
    assert_eq!(heard.messages(), [vec![7; 8 << 20]]);
    let close = encode_close(1001, "sender_disconnected");
    assert!(heard.bytes.ends_with(&close));
}

#[actix_rt::test]
async fn nothing_ever_falls_into_a_frame() {
    const PARTS: usize = 40;
    const PART: usize = 10_000;
    let worker = Worker::new(Config::default());
    let (session, mut client) = worker.connect().await;
    create(&mut client).await;

    // Frames in many chunks, and everything else that a session is sent or says, by turns: from its
    // registry, and in answer to its client.
    let window = Window::new(usize::MAX);
    let long = [Opcode::Binary, Opcode::Text].map(|kind| {
        let fragment = move |index| {
            let opcode = if index == 0 {
                kind
            } else {
                Opcode::Continuation
            };
            Header::new(opcode, index + 1 == PARTS, PART).frame(&[b'x'; PART])
        };
        (0..PARTS).map(fragment)
    });
    let mut pinged = 0;
    for (round, fragments) in long.iter().cycle().take(20).enumerate() {
        let chunks = fragments
            .clone()
            .map(|bytes| Chunk::of_payload(bytes, PART, &window));
        session.do_send(Deliver::Data(Delivery::Chunks(chunks.collect())));
        session.do_send(Deliver::Ping);
        session.do_send(Deliver::Reply(Ending::NoPeer.into()));
        let ping = encode_masked(Opcode::Ping, true, &[round as u8], [1, 2, 3, 4]);
        client.write_all(&ping).await.unwrap();
        pinged += ping.len();
        if round == 10 {
            // All of it has been read by then, and little of what waits has been taken.
            until_read(&worker, pinged).await;
        }
    }
    session.do_send(Deliver::Close(Ending::ServerShutdown.into()));

    let mut heard = Heard::default();
    while !heard.bytes.ends_with(b"server_shutdown") {
        // Slowly, so that the session writes in pieces.
        let count = heard.read(&mut client, 3000).await;
        assert!(count > 0, "the end of {} bytes", heard.bytes.len());
    }
    let messages = heard.messages();
    let (long, replies): (Vec<_>, Vec<_>) = messages.iter().partition(|it| it.len() > PART);
    assert_eq!(long, vec![&vec![b'x'; PARTS * PART]; 20]);
    assert_eq!(replies.len(), 20);
    assert!(replies.iter().all(|reply| reply.ends_with(b"}")));
    let frames = frames(&heard.bytes);
    let count = |opcode| frames.iter().filter(|frame| frame.0 == opcode).count();
    assert_eq!(count(Opcode::Close), 1);
    assert!(count(Opcode::Ping) >= 20, "one behind each, and marks");
    let pong = frames.iter().position(|frame| frame.0 == Opcode::Pong);
    let text = frames.iter().position(|frame| frame.0 == Opcode::Text);
    assert!(pong < text, "it does not wait for what was there before");
}

#[actix_rt::test]
async fn who_takes_no_pongs_has_one_waiting_and_one_due() {
    let worker = Worker::new(Config::default());
    let (session, mut client) = worker.connect().await;
    create(&mut client).await;
    // More than the system takes at once, so that every Pong has to wait behind it.
    let window = Window::new(usize::MAX);
    let message = encode(Opcode::Binary, &[7; 8 << 20]);
    let message = Chunk::of_payload(message, 8 << 20, &window);
    session.do_send(Deliver::Data(message.into()));

    let claimed = claim_all(&worker, &mut client).await;

    let pings: Vec<_> = (0..200_u8)
        .map(|number| encode_masked(Opcode::Ping, true, &[number], [1, 2, 3, 4]))
        .collect();
    for (index, ping) in pings.iter().enumerate() {
        client.write_all(ping).await.unwrap();
        until_read(&worker, claimed + (index + 1) * ping.len()).await;
    }
    let mut heard = Heard::default();
    while heard.messages().last().map(Vec::len) != Some(8 << 20) {
        assert!(heard.read(&mut client, 1 << 20).await > 0);
    }
    let frames = frames(&heard.bytes[..heard.seen]);
    let pongs = frames.iter().filter(|frame| frame.0 == Opcode::Pong);
    let pongs: Vec<_> = pongs.map(|(_, payload)| payload[0]).collect();
    assert_eq!(pongs, [0, 199]);
}

#[actix_rt::test]
async fn a_pong_that_was_put_off_comes_whoever_has_written_the_one_before() {
    for size in (15..=20).map(|step| step * 10_000) {
        let worker = Worker::new(Config {
            // The system is offered what waits every tenth of a second.
            stall_timeout: Duration::from_millis(1600),
            ..Config::default()
        });
        let (session, mut client) = worker.connect_narrow().await;
        create(&mut client).await;
        let window = Window::new(usize::MAX);
        let message = encode(Opcode::Binary, &vec![7; size]);
        let message = Chunk::of_payload(message, size, &window);
        session.do_send(Deliver::Data(message.into()));
        let claimed = claim_all(&worker, &mut client).await;
        let pings = [1_u8, 2].map(|number| encode_masked(Opcode::Ping, true, &[number], [0; 4]));
        for (index, ping) in pings.iter().enumerate() {
            client.write_all(ping).await.unwrap();
            until_read(&worker, claimed + (index + 1) * ping.len()).await;
        }
        // A little is taken, and in the pause behind it the offer finds room for the rest.
        let mut heard = Heard::default();
        while heard.bytes.len() < 50_000 {
            heard.read(&mut client, 50_000).await;
        }
        actix_rt::time::sleep(Duration::from_millis(400)).await;
        let last = (Opcode::Pong, vec![2]);
        let reading = async {
            while !frames(&heard.bytes[..heard.seen]).contains(&last) {
                assert!(heard.read(&mut client, 50_000).await > 0);
            }
        };
        let came = timeout(Duration::from_secs(1), reading).await;
        assert!(
            came.is_ok(),
            "of {size} bytes {} and no last pong",
            heard.bytes.len()
        );
    }
}
