//! Compression (RFC 7692): who has it, that messages pass as they came, and what is inflated on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "compression/deflated.rs"]
mod deflated;
#[cfg(target_os = "linux")]
#[path = "compression/memory.rs"]
mod memory;

use std::time::Duration;

use relay_testing::{
    Raw, TestRelay, frame,
    metrics::{Account, Metrics},
    noise,
    pairs::paired,
    prose, reply, seeded,
    wire::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT},
    within,
};
use relay_wire::frame::COMPRESSED;
use tokio::io::AsyncWriteExt;

use self::deflated::{
    Came, OFFER, client, compressed, create, deflate, deflate_within, in_frames, inflate, message,
    offering, pair, plain_text,
};

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                      client_max_window_bits=9";

fn handshakes(metrics: &Metrics, offered: &str, accepted: &str) -> u64 {
    let labels = format!("offered=\"{offered}\",accepted=\"{accepted}\"");
    metrics.get(&format!("relay_handshakes_total{{{labels}}}"))
}

#[tokio::test]
async fn who_offers_compression_is_answered_by_the_table() {
    let relay = TestRelay::start(|_| {});
    for (offer, more, answer) in [
        (OFFER, "", Some(ANSWER)),
        ("permessage-deflate; server_max_window_bits=9", "", None),
        ("permessage-deflate; surprise", "", None),
        ("permessage-deflate; \"", "", None),
        ("x-webkit-deflate-frame", "", None),
        // A browser.
        (OFFER, "Origin: http://relay.example\r\n", None),
        // A second line.
        (
            "other",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n",
            Some(ANSWER),
        ),
    ] {
        let (_client, response) = offering(&relay, offer, more).await;
        let answered = response.header("sec-websocket-extensions");
        assert_eq!(answered, answer, "{offer}; {more}");
    }
    let plain = "permessage-deflate";
    let (_client, response) = offering(&relay, plain, "").await;
    let answered = response.header("sec-websocket-extensions").unwrap();
    assert_eq!(format!("{answered}; client_max_window_bits=9"), ANSWER);
    let _without = Raw::connect(&relay).await;
    let metrics = relay.metrics();
    for (offered, accepted, count) in [
        ("none", "none", 1),
        ("other", "none", 2),
        ("deflate", "none", 3),
        ("deflate", "any_window", 1),
        ("deflate", "small_window", 2),
    ] {
        assert_eq!(
            handshakes(&metrics, offered, accepted),
            count,
            "{offered}, {accepted}"
        );
    }
}

#[tokio::test]
async fn turned_off_nobody_has_it() {
    let relay = TestRelay::start(|config| config.compression = false);
    let (mut client, response) = offering(&relay, OFFER, "").await;
    assert_eq!(response.header("sec-websocket-extensions"), None);
    client
        .send(compressed(TEXT, reply::CREATE.as_bytes()))
        .await;
    client.expect_close(1002).await;
}

#[tokio::test]
async fn the_bit_stands_on_the_first_frame_of_a_message_alone() {
    let relay = TestRelay::start(|_| {});
    for bad in [
        vec![frame(PING, "").rsv(COMPRESSED)],
        vec![frame(CLOSE, "").rsv(COMPRESSED)],
        vec![frame(TEXT, deflate(b"")).rsv(2)],
        vec![frame(TEXT, deflate(b"")).rsv(1 | COMPRESSED)],
        vec![
            frame(TEXT, deflate(b"")).rsv(COMPRESSED).more(),
            frame(CONTINUATION, "").rsv(COMPRESSED),
        ],
    ] {
        for sends in [true, false] {
            let (sender, receiver) = pair(&relay, true, true).await;
            let (mut client, _other) = if sends {
                (sender, receiver)
            } else {
                (receiver, sender)
            };
            client.send_together(&bad).await;
            let mut close = client.next_but_pings("a close").await;
            if close.opcode != CLOSE {
                // What came of the message up to there.
                close = client.next_but_pings("a close").await;
            }
            assert_eq!(close.payload[..], *b"\x03\xeareserved_bits");
        }
    }
    let (mut plain, _receiver) = pair(&relay, false, true).await;
    plain.send(compressed(TEXT, b"no")).await;
    plain.expect_close(1002).await;
}

/// A message of this kind, without pattern but compressible, or not.
fn sample(opcode: u8, size: usize) -> Vec<u8> {
    let rng = &mut seeded(size as u64);
    match opcode {
        TEXT => prose(rng, size).into_bytes(),
        _ => noise(rng, size),
    }
}

/// Every pair, both ways: what a client is sent is what the other has said, compressed as it was where both
/// can, and inflated where its recipient cannot.
#[tokio::test]
async fn any_pair_fits() {
    let relay = TestRelay::start(|_| {});
    for (sends, receives) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut sender, mut receiver) = pair(&relay, sends, receives).await;
        for up in [false, true] {
            let (from, to) = match up {
                false => (&mut sender, &mut receiver),
                true => (&mut receiver, &mut sender),
            };
            let (compresses, inflates) = match up {
                false => (sends, receives),
                true => (receives, sends),
            };
            for (opcode, size, piece, bits) in [
                (TEXT, 0, 10, 9),
                (TEXT, 100, 1000, 9),
                (BINARY, 100, 7, 15),
                (TEXT, 300_000, 10_000, 15),
                (BINARY, 200_000, 70_000, 9),
                (TEXT, 100_000, 1 << 20, 9),
            ] {
                let said = sample(opcode, size);
                let bytes = match compresses {
                    true => deflate_within(&said, bits),
                    false => said.clone(),
                };
                let frames = match compresses {
                    true => in_frames(opcode, &bytes, piece),
                    false => vec![frame(opcode, said.clone())],
                };
                let sending = async {
                    for frame in &frames {
                        from.send(frame.clone()).await;
                    }
                };
                let (came, ()) = tokio::join!(message(to), sending);
                let passes = compresses && inflates;
                let expected = Came {
                    compressed: passes,
                    opcode,
                    payload: if passes { bytes } else { said },
                };
                assert!(came == expected, "{sends} {receives} {up} {opcode} {size}");
            }
        }
    }
    let account = Account::of(&relay.metrics());
    assert!(account.is_even() && account.held == 0, "{account:?}");
    let metrics = relay.metrics();
    assert!(metrics.get("relay_compressed_bytes_total") > 0);
    for purpose in ["look", "delivery"] {
        let name = format!("relay_inflated_bytes_total{{purpose=\"{purpose}\"}}");
        assert!(metrics.get(&name) > 600_000, "{purpose}");
    }
}

#[tokio::test]
async fn a_share_of_today_arrives_whoever_has_compression() {
    let hex: String = noise(&mut seeded(1), 4_000_000)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let bytes = deflate(hex.as_bytes());
    assert!(bytes.len() < hex.len() * 6 / 10);
    let relay = TestRelay::start(|_| {});
    for receives in [true, false] {
        let (mut sender, mut receiver) = pair(&relay, true, receives).await;
        let sending = sender.send(frame(TEXT, bytes.clone()).rsv(COMPRESSED));
        let (came, ()) = tokio::join!(message(&mut receiver), sending);
        assert_eq!((came.compressed, came.opcode), (receives, TEXT));
        let payload = match receives {
            true => inflate(&came.payload, hex.len()),
            false => came.payload,
        };
        assert!(payload == hex.as_bytes());
    }
}

#[tokio::test]
async fn requests_may_be_compressed_and_are_bounded_inflated() {
    let relay = TestRelay::start(|_| {});
    let mut sender = client(&relay, true).await;
    let code = create(&mut sender).await;
    let mut receiver = client(&relay, true).await;
    let request = deflate(reply::join(&code).as_bytes());
    for bad in [
        deflate(format!("{}{}", reply::join(&code), " ".repeat(4096)).as_bytes()),
        vec![0xff; 20],
        deflate(b"not JSON"),
        request[..request.len() / 2].to_vec(),
    ] {
        receiver.send(frame(TEXT, bad).rsv(COMPRESSED)).await;
        receiver.expect_error("invalid_request").await;
    }
    for frame in in_frames(TEXT, &request, 10) {
        receiver.send(frame).await;
    }
    assert_eq!(
        &receiver.next_but_pings("a pong").await.payload[..],
        b"between"
    );
    reply::assert_joined(&receiver.next_json("ROOM_JOINED").await, &code);
    sender.expect_peer().await;
}

/// The reason of such a close: of a message that is too long, how long it is as far as it was inflated.
fn assert_told(reason: &str, close: u16) {
    if close != 1009 {
        return assert!(
            ["bad_compression", "invalid_utf8"].contains(&reason),
            "{reason}"
        );
    }
    let size = reason.strip_prefix("message_too_big: ").and_then(|size| {
        let size = size.strip_suffix(" bytes of at most 100000")?;
        size.parse().ok()
    });
    // With the piece that went over it.
    let sizes = 100_001..=100_000 + 32 * 1024;
    assert!(size.is_some_and(|size| sizes.contains(&size)), "{reason}");
}

/// What a receiver may say that its sender's library would end over, and how it ends instead.
fn harmful() -> Vec<(Vec<u8>, u8, u16)> {
    vec![
        (vec![0xff; 100], BINARY, 1007),
        (deflate(b"\xc3\x28"), TEXT, 1007),
        // In the middle of a character.
        (deflate(&"é".as_bytes()[..1]), TEXT, 1007),
        ([deflate(b"good"), vec![0x07; 9]].concat(), TEXT, 1007),
        (deflate(&vec![0; 100_001]), BINARY, 1009),
        (deflate_within(&vec![b' '; 30_000_000], 15), TEXT, 1009),
    ]
}

/// With compression or without, a sender gets what is good of its receivers, and outlives them.
#[tokio::test]
async fn a_receiver_that_sends_harm_ends_itself() {
    let relay = TestRelay::start(|config| config.max_msg_size = 100_000);
    for sends in [true, false] {
        let mut sender = client(&relay, sends).await;
        let code = sender.create_room().await;
        for (bytes, opcode, close) in harmful() {
            for size in [1 << 20, bytes.len() / 2] {
                let mut receiver = client(&relay, true).await;
                receiver.join(&code).await;
                sender.expect_peer().await;
                receiver.send(compressed(TEXT, b"good")).await;
                assert_eq!(message(&mut sender).await.compressed, sends);
                // The bomb is refused with its end still to be written.
                for frame in in_frames(opcode, &bytes, size) {
                    let _ = receiver.try_write(&frame.encode()).await;
                }
                let mut last = receiver.next_but_pings("a close").await;
                if last.opcode != CLOSE {
                    last = receiver.next_but_pings("a close").await;
                }
                assert_eq!(last.payload[..2], close.to_be_bytes(), "{last:?}");
                assert_told(std::str::from_utf8(&last.payload[2..]).unwrap(), close);
                sender.expect_peer_gone().await;
                let ping = sender.expect_ping().await;
                sender.pong(&ping).await;
            }
        }
        sender.expect_silence().await;
    }
}

#[tokio::test]
async fn a_sender_that_sends_harm_to_a_receiver_without_compression_ends_itself() {
    let relay = TestRelay::start(|config| config.max_msg_size = 100_000);
    for (bytes, opcode, close) in harmful() {
        let (mut sender, mut receiver) = pair(&relay, true, false).await;
        sender.send(compressed(TEXT, b"good")).await;
        assert_eq!(plain_text(&mut receiver).await, "good");
        sender.send(frame(opcode, bytes).rsv(COMPRESSED)).await;
        let reading = async {
            let mut came = 0;
            loop {
                let frame = receiver.next_alive("the end of its sender").await;
                if frame.opcode == CLOSE {
                    return (came, frame.payload);
                }
                assert!(!frame.fin, "a whole message");
                came += frame.payload.len();
            }
        };
        let (reason, (came, told)) = tokio::join!(sender.expect_close(close), reading);
        assert_told(&reason, close);
        assert!(came <= 100_000);
        // It hears of a message that is too long, and otherwise that its sender is gone.
        let code: u16 = if close == 1009 { 1009 } else { 1001 };
        assert_eq!(told[..2], code.to_be_bytes());
    }
    relay
        .until("the end of it all", |now| {
            now.rooms == 0 && now.in_flight == 0
        })
        .await;
    let account = Account::of(&relay.metrics());
    assert!(account.is_even() && account.held == 0, "{account:?}");
}

#[tokio::test]
async fn what_a_queued_receiver_says_is_held_as_it_came() {
    let relay = TestRelay::start(|_| {});
    for sends in [true, false] {
        let mut sender = client(&relay, sends).await;
        let code = sender.create_room().await;
        let (mut first, mut second) = (client(&relay, false).await, client(&relay, true).await);
        first.join(&code).await;
        sender.expect_peer().await;
        second.join(&code).await;
        let texts = ["one", "two", "three"];
        second.send(compressed(TEXT, texts[0].as_bytes())).await;
        second.send(frame(TEXT, texts[1])).await;
        for frame in in_frames(TEXT, &deflate(texts[2].as_bytes()), 2) {
            second.send(frame).await;
        }
        first.vanish();
        sender.expect_peer_gone().await;
        let ping = sender.expect_ping().await;
        sender.pong(&ping).await;
        sender.expect_peer().await;
        for (text, was_compressed) in texts.into_iter().zip([true, false, true]) {
            let came = message(&mut sender).await;
            assert_eq!(came.compressed, sends && was_compressed);
            let payload = match came.compressed {
                true => inflate(&came.payload, text.len()),
                false => came.payload,
            };
            assert_eq!(payload, text.as_bytes());
        }
        // Behind all of it, in its place.
        second.vanish();
        sender.expect_peer_gone().await;
    }
}

/// Waits until something is counted, and no more follows.
async fn until_still(count: impl Fn() -> u64) -> u64 {
    let standing = async {
        let (mut last, mut same) = (0, 0);
        while same < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = count();
            same = if now == last && now > 0 { same + 1 } else { 0 };
            last = now;
        }
        last
    };
    within("a count that stands still", standing).await
}

/// Nothing is inflated that its receiver has not asked for: what swells a thousandfold waits as it came.
#[tokio::test]
async fn what_waits_for_a_slow_receiver_waits_compressed() {
    let relay = TestRelay::start(|config| config.max_msg_size = 200 << 20);
    let sender = client(&relay, true).await;
    let narrow = Raw::connect_narrow(&relay).await;
    let (mut sender, mut receiver) = paired(sender, narrow).await;
    let size = 60_000_000;
    let bytes = deflate_within(&vec![b'x'; size], 15);
    sender.send(frame(TEXT, bytes).rsv(COMPRESSED)).await;
    sender.round_trip().await;
    let inflated =
        |metrics: &Metrics| metrics.get("relay_inflated_bytes_total{purpose=\"delivery\"}");
    // What the system takes for it: its buffers, and no more than a piece beyond.
    let first = until_still(|| inflated(&relay.metrics())).await;
    assert!(first < 5_000_000, "{first}");
    assert!(relay.counters().in_flight < 256 * 1024);
    let mut came = 0;
    while came < 9_000_000 {
        came += receiver.next_alive("a part").await.payload.len();
    }
    assert!(relay.counters().in_flight < 256 * 1024);
    assert!(inflated(&relay.metrics()) < 14_000_000);
    // Its Ping is answered in the middle of it all, in front of what waits, and it may leave.
    receiver.send(frame(PING, "in between")).await;
    loop {
        let next = receiver.next_alive("a pong").await;
        if next.opcode == PONG {
            assert_eq!(&next.payload[..], b"in between");
            break;
        }
        assert!(!next.fin, "the end of the message");
    }
    receiver.send(frame(CLOSE, 1000_u16.to_be_bytes())).await;
    drop(receiver);
    sender.expect_peer_gone().await;
    relay
        .until("nothing in flight", |now| now.in_flight == 0)
        .await;
}

/// What its peer sent is still to be inflated for a client that has no compression when that client leaves.
#[tokio::test]
async fn who_leaves_in_front_of_what_is_to_be_inflated_is_answered_behind_it() {
    let relay = TestRelay::start(|_| {});
    let narrow = Raw::connect_narrow(&relay).await;
    let (mut sender, mut receiver) = paired(narrow, client(&relay, true).await).await;
    let size = 8_000_000;
    receiver.send(compressed(BINARY, &vec![0; size])).await;
    receiver.round_trip().await;
    receiver.vanish();
    relay.until("its end", |now| now.sessions == 1).await;
    sender.send(frame(CLOSE, 1000_u16.to_be_bytes())).await;
    let mut came = 0;
    let close = loop {
        // Behind its Close it says nothing more.
        let frame = sender.next_but_pings("its own Close").await;
        match frame.opcode {
            CLOSE => break frame,
            TEXT => assert!(
                frame
                    .payload
                    .windows(17)
                    .any(|it| it == b"PEER_DISCONNECTED")
            ),
            _ => came += frame.payload.len(),
        }
    };
    assert_eq!(
        (came, &close.payload[..]),
        (size, &1000_u16.to_be_bytes()[..])
    );
}

#[tokio::test]
async fn who_waits_behind_a_broken_message_of_one_that_left_is_told() {
    let relay = TestRelay::start(|_| {});
    let sender = client(&relay, true).await;
    let narrow = Raw::connect_narrow(&relay).await;
    let (mut sender, mut receiver) = paired(sender, narrow).await;
    let size = 8_000_000;
    sender.send(compressed(BINARY, &vec![0; size])).await;
    sender
        .send(frame(BINARY, [0xff; 100]).rsv(COMPRESSED))
        .await;
    sender.round_trip().await;
    sender.vanish();
    relay.until("its end", |now| now.sessions == 1).await;
    let mut came = 0;
    let close = loop {
        let frame = receiver.next_alive("a Close").await;
        match frame.opcode {
            CLOSE => break frame,
            TEXT => {}
            _ => came += frame.payload.len(),
        }
    };
    assert_eq!(
        (came, &close.payload[..2]),
        (size, &1001_u16.to_be_bytes()[..])
    );
}

/// A receiver's swelling message is looked into bit by bit: whoever shares its thread has its turn between.
#[tokio::test]
async fn looking_into_one_client_does_not_hold_up_another() {
    const PART: usize = 8_000_000;
    const PARTS: usize = 60;
    let relay = TestRelay::start(|config| config.max_msg_size = (PARTS * PART) as u64);
    let (mut sender, mut receiver) = pair(&relay, true, true).await;
    let mut other = Raw::connect(&relay).await;
    // Each part is 8 KiB that become 8 MB; a read has forty of them.
    let mut bomb = [&deflate(&vec![0; PART])[..], &[0, 0, 0xff, 0xff]].concat();
    bomb = bomb.repeat(PARTS);
    bomb.truncate(bomb.len() - 4);
    let bomb = frame(BINARY, bomb).rsv(COMPRESSED).encode();
    let writing = tokio::spawn(async move {
        receiver.writer().write_all(&bomb).await.unwrap();
        receiver
    });
    let looked = || {
        let metrics = relay.metrics();
        metrics.get("relay_inflated_bytes_total{purpose=\"look\"}") as usize
    };
    let (mut seen, mut answered) = (0, 0);
    while seen < PARTS * PART {
        other.round_trip().await;
        let now = looked();
        answered += usize::from(now > seen);
        seen = now;
    }
    println!("{answered} answers meanwhile");
    assert!(answered >= 10, "{answered} answers meanwhile");
    assert!(message(&mut sender).await.compressed);
    drop(writing.await.unwrap());
}
