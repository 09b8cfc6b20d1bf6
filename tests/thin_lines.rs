//! Shares over lines that carry little, take their time, or have deep buffers: they arrive, in the line's
//! own time, and the keep-alives of both clients live.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "thin_lines/kept.rs"]
mod kept;
#[cfg(target_os = "linux")]
#[path = "thin_lines/kernel.rs"]
mod kernel;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use relay_testing::{
    Client, TestRelay,
    line::{Forwarder, Line, mbit},
    noise, seeded,
    skip::is_too_long,
    text, within,
};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_tungstenite::tungstenite::Message;

use self::kept::{KeepAlive, Kept};

/// How long a Ping may take, whatever is under way.
const PROMPT: Duration = Duration::from_secs(5);
/// What handshakes, a busy machine and the beginning of a connection may add to the line's own time.
const BESIDES: Duration = Duration::from_millis(300);

/// A line whose buffer takes megabytes, as those of proxies do.
fn deep_line(down: u64) -> Line {
    Line {
        down,
        buffer: 4 << 20,
        ..Line::default()
    }
}

/// One share to a receiver whose line carries so many bytes a second, behind deep buffers. Where it was late
/// it is made again, and once more: what else goes on in the machine can only add to its time.
async fn share(relay: &TestRelay, rate: u64, bytes: usize, alive: KeepAlive) {
    for _ in 0..2 {
        match share_once(relay, rate, bytes, alive).await {
            Ok(()) => return,
            Err(late) => println!("{late}"),
        }
    }
    share_once(relay, rate, bytes, alive).await.unwrap();
}

/// An error says in what way it was late.
async fn share_once(
    relay: &TestRelay,
    rate: u64,
    bytes: usize,
    alive: KeepAlive,
) -> Result<(), String> {
    let what = format!("{bytes} bytes at {rate} bytes/s");
    let line = deep_line(rate).lay(relay.addr());
    let (mut sender, code) = Kept::sender(relay.addr(), alive).await;
    let mut receiver = Kept::receiver(line.addr(), &code, alive).await;
    sender.hear_json("PEER_JOINED").await;

    let message = Message::binary(noise(&mut seeded(rate), bytes));
    let began = Instant::now();
    sender.send(message.clone());
    let received = receiver.hear().await;
    let took = began.elapsed();
    let received = received.unwrap_or_else(|end| panic!("{what}: {end} after {took:?}"));
    assert!(received == message, "{what}: other bytes than were sent");
    receiver.send(text("ACK"));
    let ack = sender.hear().await;
    assert_eq!(ack, Ok(text("ACK")), "{what}, after {:?}", began.elapsed());

    let own = Duration::from_secs_f64(bytes as f64 / rate as f64);
    let share = took.as_secs_f64() / own.as_secs_f64();
    let worst = [&sender, &receiver].map(Kept::worst);
    println!("{what}: {share:.3} of the line's own time, Pings took {worst:?} at most");
    if took > own.mul_f64(1.05) + BESIDES {
        return Err(format!("{what}: {took:?} for {own:?}"));
    }
    match worst.iter().all(|&worst| worst <= PROMPT) {
        true => Ok(()),
        false => Err(format!("{what}: Pings took {worst:?}")),
    }
}

#[tokio::test]
async fn pings_are_answered_at_once_while_a_message_takes_its_time() {
    let relay = TestRelay::start(|_| {});
    let shares = [(0.12, 110_000), (1.0, 900_000), (10.0, 9_000_000)];
    let shares = shares.map(|(rate, bytes)| share(&relay, mbit(rate), bytes, KeepAlive::CURIOUS));
    join_all(shares).await;
    relay.settled().await;
}

#[tokio::test]
async fn a_share_takes_the_time_of_a_thin_line_and_no_keep_alive_ends_it() {
    if is_too_long() {
        return;
    }
    let relay = TestRelay::start(|_| {});
    // For longer than both times of a keep-alive, by far.
    let shares = [(1.0, 8_000_000), (0.25, 2_000_000)];
    let shares = shares.map(|(rate, bytes)| share(&relay, mbit(rate), bytes, KeepAlive::DEFAULT));
    join_all(shares).await;
    relay.settled().await;
}

/// Bytes a second that arrive through a line, from its first second on and for one and a half.
async fn seen(line: &Forwarder) -> f64 {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, began) = (line.down(), Instant::now());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    (line.down() - before) as f64 / began.elapsed().as_secs_f64()
}

/// Of 100 ms there and back. Its buffer is what bounds it, to 10 MiB/s.
fn long_line() -> Line {
    Line {
        delay: Duration::from_millis(50),
        buffer: 512 << 10,
        ..Line::default()
    }
}

/// Bytes a second that a program passes through a long line which writes all it may.
async fn plain_throughput() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = long_line().lay(listener.local_addr().unwrap());
    let mut receiver = tokio::net::TcpStream::connect(line.addr()).await.unwrap();
    let (mut writer, _) = within("a connection", listener.accept()).await.unwrap();
    let (chunk, mut sink) = (vec![7; 64 << 10], tokio::io::sink());
    tokio::select! {
        seen = seen(&line) => seen,
        _ = async { loop { writer.write_all(&chunk).await.unwrap() } } => unreachable!(),
        _ = tokio::io::copy(&mut receiver, &mut sink) => unreachable!(),
    }
}

/// Bytes a second that the relay passes on between two such lines.
async fn relayed_throughput() -> f64 {
    let relay = TestRelay::start(|_| {});
    let lines = [(); 2].map(|()| long_line().lay(relay.addr()));
    let (mut sender, code) = Kept::sender(lines[0].addr(), KeepAlive::DEFAULT).await;
    let mut receiver = Kept::receiver(lines[1].addr(), &code, KeepAlive::DEFAULT).await;
    sender.hear_json("PEER_JOINED").await;
    let message = Message::binary(noise(&mut seeded(1), 1 << 20));
    for _ in 0..100 {
        sender.send(message.clone());
    }
    let seen = tokio::select! {
        seen = seen(&lines[1]) => seen,
        () = async { loop { assert!(receiver.hear().await.unwrap() == message) } } => unreachable!(),
    };
    drop((sender, receiver, lines));
    relay.settled().await;
    seen
}

#[tokio::test]
async fn no_throughput_is_lost_on_a_long_line() {
    // What else goes on in the machine takes from both, and not always alike.
    for last in [false, true] {
        let (plain, relayed) = tokio::join!(plain_throughput(), relayed_throughput());
        let share = relayed / plain;
        println!("{plain:.0} bytes/s without the relay, {relayed:.0} with it: {share:.3}");
        if share >= 0.9 {
            return;
        }
        assert!(!last, "{relayed} bytes/s, and {plain} without the relay");
    }
}

#[tokio::test]
async fn two_that_send_before_they_read_anything_get_it_all() {
    const BYTES: usize = 9_000_000;
    let relay = TestRelay::start(|_| {});
    let [first, second] = [1, 2].map(|seed| Message::binary(noise(&mut seeded(seed), BYTES)));
    let lines = [(); 2].map(|()| Line::default().lay(relay.addr()));
    let ways = [
        ("themselves", [relay.addr(), relay.addr()]),
        ("a line of its own each", [lines[0].addr(), lines[1].addr()]),
    ];
    for (by, [sender, receiver]) in ways {
        println!("connected by {by}");
        let mut sender = Client::open(sender, &[]).await.unwrap();
        let code = sender.create_room().await;
        let mut receiver = Client::open(receiver, &[]).await.unwrap();
        receiver.join(&code).await;
        sender.expect_peer().await;
        tokio::join!(
            async {
                sender.send(first.clone()).await;
                sender.expect(second.clone()).await;
            },
            async {
                receiver.send(second.clone()).await;
                receiver.expect(first.clone()).await;
            }
        );
    }
}

/// How long a client may take nothing, in the tests of those who take little or nothing.
const STALL: Duration = Duration::from_secs(2);

/// A relay that lets nobody take nothing for longer.
fn strict() -> TestRelay {
    TestRelay::start(|config| config.stall_timeout = STALL)
}

fn megabytes(count: usize) -> Message {
    Message::binary(noise(&mut seeded(3), count * 1_000_000))
}

#[tokio::test]
async fn who_is_slow_and_moves_is_not_ended() {
    let relay = strict();
    let line = deep_line(8 << 10).lay(relay.addr());
    let (mut sender, code) = Kept::sender(relay.addr(), KeepAlive::CURIOUS).await;
    let mut receiver = Kept::receiver(line.addr(), &code, KeepAlive::CURIOUS).await;
    sender.hear_json("PEER_JOINED").await;
    // More than all buffers on the way take.
    sender.send(megabytes(9));
    sender.send(megabytes(9));
    for _ in 0..5 {
        let before = line.down();
        tokio::select! {
            said = sender.hear() => panic!("the sender hears {said:?}"),
            said = receiver.hear() => panic!("the receiver hears {said:?}"),
            () = tokio::time::sleep(STALL / 2) => {}
        }
        let moved = line.down() - before;
        assert!(moved > 0, "nothing has arrived in {:?}", STALL / 2);
    }
    drop((sender, receiver, line));
    relay.settled().await;
}

#[tokio::test]
async fn who_takes_nothing_is_ended_however_much_the_buffers_before_it_take() {
    let relay = strict();
    let line = deep_line(u64::MAX).lay(relay.addr());
    let (mut sender, code) = Kept::sender(relay.addr(), KeepAlive::CURIOUS).await;
    let mut frozen = Client::open(line.addr(), &[]).await.unwrap();
    frozen.join(&code).await;
    sender.hear_json("PEER_JOINED").await;
    // No more than they take.
    sender.send(megabytes(3));
    let began = Instant::now();
    within("the news", sender.hear_json("PEER_DISCONNECTED")).await;
    let took = began.elapsed();
    assert!(
        (STALL / 2..3 * STALL).contains(&took),
        "ended after {took:?}"
    );
    drop((sender, frozen, line));
    relay.settled().await;
}
