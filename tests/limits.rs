//! What one client, or one address, may ask for, and how it is told that it asks too much.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{
    Client, Raw, TestRelay, frame, noise, pair, reply, seeded, skip::size, text, wire,
};
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn only_so_many_rooms_are_open_at_once() {
    let relay = TestRelay::start(|config| config.max_rooms = 2);
    let (mut first, mut second) = (Client::connect(&relay).await, Client::connect(&relay).await);
    first.create_room().await;
    let code = second.create_room().await;
    let mut third = Client::connect(&relay).await;
    for _ in 0..2 {
        third.send(reply::CREATE).await;
        third.expect_error("too_many_rooms").await;
    }
    first.close().await;
    relay.until("the end of a room", |now| now.rooms == 1).await;
    third.create_room().await;
    // Joining is another matter.
    Client::connect(&relay).await.join(&code).await;
}

#[tokio::test]
async fn a_session_has_a_budget_of_requests_that_refused_ones_count_towards() {
    let relay = TestRelay::start(|config| config.rate_limit_max = 3);
    let mut client = Client::connect(&relay).await;
    client.send("not a request").await;
    client.expect_error("invalid_request").await;
    client.send(reply::join("nobody")).await;
    client.expect_error("room_not_found").await;
    client.send(" ".repeat(5000)).await;
    client.expect_error("invalid_request").await;
    client.send(reply::CREATE).await;
    let refusal = client.expect_error("rate_limited").await;
    assert!(
        refusal["retry_after"]
            .as_u64()
            .is_some_and(|wait| wait <= 60),
        "{refusal}"
    );
    client.expect_close(1008).await;
}

#[tokio::test]
async fn data_is_no_request() {
    let relay = TestRelay::start(|config| config.rate_limit_max = 2);
    let (mut sender, mut receiver) = pair(&relay).await;
    for turn in 0..50 {
        sender.send(format!("{turn}")).await;
        receiver.expect(text(format!("{turn}"))).await;
        receiver.send(reply::CREATE).await;
        sender.expect(reply::CREATE).await;
    }
}

#[tokio::test]
async fn reconnecting_buys_no_requests() {
    let relay = TestRelay::start(|config| config.address_rate_limit_max = 3);
    for _ in 0..3 {
        let mut client = Client::connect(&relay).await;
        client.create_room().await;
        client.close().await;
    }
    for _ in 0..3 {
        let mut client = Client::connect(&relay).await;
        client.send(reply::CREATE).await;
        client.expect_close_after_error("rate_limited", 1008).await;
    }
}

#[tokio::test]
async fn waiting_for_retry_after_is_enough_and_asking_meanwhile_does_no_harm() {
    let relay = TestRelay::start(|config| {
        config.address_rate_limit_max = 2;
        config.rate_limit_window = Duration::from_secs(6);
    });
    let mut refusals = 0;
    let mut promised = None;
    loop {
        let mut client = Client::connect(&relay).await;
        client.send(reply::CREATE).await;
        let answer = client.next_json("an answer").await;
        if answer["type"] == "ERROR" {
            reply::assert_error(&answer, "rate_limited");
            client.expect_close(1008).await;
            refusals += 1;
            let wait = answer["retry_after"].as_u64().expect("whole seconds");
            assert!((1..=3).contains(&wait), "{answer}");
            let until = Instant::now() + Duration::from_secs(wait);
            promised = Some(promised.map_or(until, |earlier: Instant| earlier.min(until)));
        } else if let Some(promised) = promised {
            // Two seconds more, since the machine may have been busy; a wait that each refusal
            // begins anew would never end.
            assert!(
                Instant::now() < promised + Duration::from_secs(2),
                "not as promised"
            );
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refusals >= 5, "only {refusals} refusals: nothing was shown");
}

#[tokio::test]
async fn an_address_may_guess_only_so_many_wrong_codes() {
    let relay = TestRelay::start(|config| config.failed_join_max = 4);
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    // What names no code is no guess.
    for request in [
        r#"{"type":"JOIN_ROOM"}"#,
        r#"{"type":"JOIN_ROOM","room_id":7}"#,
    ] {
        let mut client = Client::connect_for(&relay, "192.0.2.1").await;
        client.send(request).await;
        client.expect_error("invalid_request").await;
    }
    // A join is one guess, however its code is written; what could be two codes is none.
    let two = format!("{code} {code}");
    for wrong in ["aaaaaa", "AAA-aaa.", "not a code", &two] {
        let mut client = Client::connect_for(&relay, "192.0.2.1").await;
        client.send(reply::join(wrong)).await;
        client.expect_error("room_not_found").await;
    }
    // Then not even a right one is told from a wrong one, but a room may still be opened.
    for guess in ["aaaaaa", &code] {
        let mut client = Client::connect_for(&relay, "192.0.2.1").await;
        client.send(reply::join(guess)).await;
        client.expect_close_after_error("rate_limited", 1008).await;
    }
    Client::connect_for(&relay, "192.0.2.1")
        .await
        .create_room()
        .await;
    Client::connect_for(&relay, "192.0.2.2")
        .await
        .join(&code)
        .await;
}

/// Whether an address that a proxy told of has something left of a budget of one request.
async fn may_ask(relay: &TestRelay, forwarded_for: &str) -> bool {
    let mut client = Client::connect_for(relay, forwarded_for).await;
    client.send("?").await;
    client.next_json("an answer").await["reason"] != "rate_limited"
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_address_has_its_own_budget() {
    let relay = TestRelay::start(|config| config.address_rate_limit_max = 1);
    for address in [
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8:0:1::1",
        "2001:db8:0:2::1",
    ] {
        assert!(may_ask(&relay, address).await, "{address}");
        assert!(!may_ask(&relay, address).await, "{address} again");
    }
    // Two addresses, two /64s, and the /56 and the /48 around those.
    assert_eq!(relay.counters().addresses, 6);
}

#[tokio::test]
async fn an_ipv6_network_of_64_bits_shares_one_budget() {
    let relay = TestRelay::start(|config| config.address_rate_limit_max = 1);
    assert!(may_ask(&relay, "2001:db8:0:1::1").await);
    assert!(!may_ask(&relay, "2001:db8:0:1:ffff:ffff:ffff:ffff").await);
    assert!(!may_ask(&relay, "2001:0DB8:0:1:0:0:0:2").await);
    assert!(may_ask(&relay, "2001:db8:0:2::1").await);
    // An IPv4 address is one, however it is written.
    assert!(may_ask(&relay, "192.0.2.1").await);
    assert!(!may_ask(&relay, "::ffff:192.0.2.1").await);
}

#[tokio::test]
async fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
    let relay = TestRelay::start(|config| {
        config.address_rate_limit_max = 1;
        config.trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]
            .map(|net| net.parse().unwrap())
            .into();
    });
    assert!(may_ask(&relay, "198.51.100.9, 192.0.2.1, 10.1.2.3").await);
    assert!(
        !may_ask(&relay, "198.51.100.8, 192.0.2.1").await,
        "the left ones are hearsay"
    );
    assert!(!may_ask(&relay, "192.0.2.1,10.0.0.1 , 127.0.0.1").await);
    assert!(may_ask(&relay, "192.0.2.1, 192.0.2.2").await);
    // Several headers are one list, in their order.
    for (lines, expected) in [
        (["192.0.2.7", "192.0.2.2"], false),
        (["192.0.2.2", "192.0.2.7"], true),
    ] {
        let headers = lines.map(|line| ("x-forwarded-for", line));
        let mut client = Client::open(relay.addr(), &headers)
            .await
            .expect("an upgrade");
        client.send("?").await;
        let answer = client.next_json("an answer").await;
        assert_eq!(
            answer["reason"] != "rate_limited",
            expected,
            "{lines:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_header_from_a_stranger_changes_nothing() {
    let relay = TestRelay::start(|config| {
        config.address_rate_limit_max = 1;
        config.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    });
    assert!(may_ask(&relay, "192.0.2.1").await);
    assert!(!may_ask(&relay, "198.51.100.1").await);
    assert_eq!(relay.counters().addresses, 1);
}

#[tokio::test]
async fn who_asks_for_nothing_is_closed_in_time() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let relay = TestRelay::start(|config| config.request_timeout = TIMEOUT);
    let mut granted = Client::connect(&relay).await;
    granted.create_room().await;
    let before = Instant::now();
    let mut silent = Client::connect(&relay).await;
    let mut unfinished = Raw::connect(&relay).await;
    unfinished
        .send(frame(wire::TEXT, "{\"type\":").more())
        .await;
    silent.send(Message::Ping(Vec::new().into())).await; // It is no request.
    silent.expect_error("request_timeout").await;
    assert!(
        before.elapsed() >= TIMEOUT,
        "closed after {:?}",
        before.elapsed()
    );
    silent.expect_close(1008).await;
    unfinished
        .expect_close_after_error("request_timeout", 1008)
        .await;
    granted.expect_silence().await; // It has asked: nothing more is asked of it.
}

#[tokio::test]
async fn a_refusal_gives_the_full_time_again() {
    let timeout = Duration::from_secs(size(2, 3));
    let relay = TestRelay::start(|config| config.request_timeout = timeout);
    let mut client = Client::connect(&relay).await;
    let before = Instant::now();
    let mut last = before;
    while before.elapsed() < timeout + timeout / 4 {
        tokio::time::sleep(timeout / 3).await;
        last = Instant::now();
        client.send(reply::join("mistyp")).await;
        client.expect_error("room_not_found").await;
    }
    client.expect_error("request_timeout").await;
    assert!(
        last.elapsed() >= timeout,
        "closed after {:?}",
        last.elapsed()
    );
    client.expect_close(1008).await;
}

#[tokio::test]
async fn data_over_a_sessions_rate_is_slowed_down_and_not_lost() {
    const RATE: usize = 1 << 20;
    let relay = TestRelay::start(|config| config.session_bytes_per_sec = RATE as u64);
    let (mut sender, mut receiver) = pair(&relay).await;
    let mut rng = seeded(7);
    let messages: Vec<_> = (0..40)
        .map(|_| Message::binary(noise(&mut rng, RATE / 10)))
        .collect();
    let before = Instant::now();
    tokio::join!(
        sender.exchange(&messages, &messages),
        receiver.exchange(&messages, &messages)
    );
    // Four seconds' worth each way at once, of which one may go through as a burst.
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(2900), "took {took:?}");
    assert!(took < Duration::from_secs(12), "took {took:?}");
    sender.expect_silence().await;
    receiver.expect_silence().await;
}

#[tokio::test]
async fn a_full_relay_refuses_upgrades_and_says_when_to_come_back() {
    let relay = TestRelay::start(|config| config.max_sessions = 2);
    let (sender, receiver) = pair(&relay).await;
    match Client::open(relay.addr(), &[]).await.err() {
        Some(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            let wait = response.headers().get("retry-after").expect("Retry-After");
            assert!(
                wait.to_str().unwrap().parse::<u32>().unwrap() >= 1,
                "{wait:?}"
            );
        }
        other => panic!("{other:?} instead of a refusal"),
    }
    let health = Raw::ask(&relay, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(health.status, 200);
    receiver.close().await;
    relay.until("a place", |now| now.sessions == 1).await;
    Client::connect(&relay).await.create_room().await;
    sender.close().await;
}

#[tokio::test]
async fn a_receiver_that_would_take_too_much_memory_is_closed() {
    let relay = TestRelay::start(|config| config.max_buffered = 1 << 20);
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&code).await;
    let id = sender.expect_peer().await;
    receiver.send(vec![0; 4 << 20]).await;
    receiver.expect_close(1013).await;
    assert_eq!(sender.expect_peer_gone().await, id);
    sender.expect_silence().await;
    relay
        .until("the memory to be free", |now| {
            now.buffered == 0 && now.in_flight == 0
        })
        .await;
    // What fits is still served, and what a sender says is never assembled.
    let mut next = Client::connect(&relay).await;
    next.join(&code).await;
    sender.expect_peer().await;
    next.send(vec![1; 500_000]).await;
    sender.expect(vec![1; 500_000]).await;
    tokio::join!(sender.send(vec![2; 4 << 20]), next.expect(vec![2; 4 << 20]));
}

#[tokio::test]
async fn who_waits_for_its_turn_is_sent_away_when_the_relay_stops() {
    let mut relay = TestRelay::start(|config| {
        config.failed_join_max = 1;
        config.failed_join_window = Duration::from_secs(60);
    });
    let mut client = Client::connect(&relay).await;
    client.send(reply::join("wrong1")).await;
    client.expect_error("room_not_found").await;
    client.send(reply::join("wrong2")).await;
    relay.until("the wait", |now| now.waiting == 1).await;
    relay.begin_shutdown();
    client
        .expect_close_after_error("server_shutdown", 1012)
        .await;
}
