//! What is shown: how the relay is, its rooms, and who uses it.

use relay_testing::{
    frame, reply,
    wire::{BINARY, PING, TEXT},
    within,
};
use tokio::task::JoinHandle;

use super::*;

/// Bytes of the messages here.
const MESSAGE: usize = 100_000;

/// Reads all that comes, as a living client does, until the connection ends.
fn read_all(mut raw: Raw) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(frame) = raw.next_or_cut().await {
            if frame.opcode == PING {
                raw.pong(&frame.payload).await;
            }
        }
    })
}

#[tokio::test]
async fn without_a_relay_it_says_how_to_have_one() {
    let machine = Machine::new();
    for command in ["status", "top", "rooms", "who", "drain", "reload"] {
        let said = machine.fails(&[command]).await;
        assert!(said.contains("RELAY_ADMIN_SOCKET=PATH"), "{said}");
        assert!(said.contains("admin.sock"), "{said}");
    }
    for command in [&["block", "nobody"][..], &["limit", "192.0.2.7"], &["end"]] {
        let output = machine.output(command).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    // One that was killed leaves its socket behind, and the next one takes its place.
    let relay = machine.relay().run();
    machine.says(&["status"]).await;
    drop(relay);
    let said = machine.complains(&["status"]).await;
    assert!(said.contains("nobody answers at"), "{said}");
    let mut relay = machine.relay().run();
    machine.says(&["status"]).await;
    relay.stop().await;
    assert!(!machine.socket().exists());
}

#[tokio::test]
async fn the_figures_are_those_of_what_was_sent() {
    let machine = Machine::new();
    let relay = machine.relay().env("RELAY_MAX_ROOMS", 7).run();
    let (mut sender, mut receiver, code) = pair(&relay, "192.0.2.7", "2001:db8::9").await;
    let mut waiting = client(&relay, "192.0.2.8").await;
    waiting.join(&code).await;
    let (_idle, _peer, _) = pair(&relay, "192.0.2.8", "192.0.2.8").await;
    let say = async |from: &mut Raw, to: &mut Raw, size| {
        from.send(frame(BINARY, vec![7; size])).await;
        to.data(size, "a message").await;
        to.expect_end_of_message().await;
    };
    say(&mut sender, &mut receiver, MESSAGE).await;
    say(&mut receiver, &mut sender, MESSAGE / 2).await;
    // The Pong of the last mark is there as well.
    sender.round_trip().await;
    receiver.round_trip().await;

    // Each takes a second, in which nothing moves.
    let (list, who, status) = tokio::join!(
        machine.json(&["rooms"]),
        machine.json(&["who"]),
        machine.json(&["status"]),
    );
    assert_eq!(list["count"], 2);
    let room = row(&list["rooms"], "sender", "192.0.2.7");
    assert_eq!(room["receiver"], "2001:db8::/64");
    for (field, value) in [
        ("down_bytes", MESSAGE),
        ("up_bytes", MESSAGE / 2),
        ("waiting", 1),
        ("receivers", 1),
        ("down_bytes_per_sec", 0),
        ("untaken_bytes", 0),
    ] {
        assert_eq!(room[field], value, "{field} in {room:#}");
    }
    assert!(room["slow"].is_null() && room["open"] == true, "{room:#}");

    assert_eq!(who["count"], 3);
    let of_third = row(&who["clients"], "address", "192.0.2.8");
    assert_eq!(
        (&of_third["sessions"], &of_third["rooms"]),
        (&3.into(), &1.into())
    );
    let sum = |field: &str| {
        let clients = who["clients"].as_array().unwrap().iter();
        clients.map(|it| it[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(
        sum("received_bytes"),
        relay.metric("relay_received_bytes_total").await
    );
    assert_eq!(
        sum("sent_bytes"),
        relay.metric("relay_sent_bytes_total").await
    );
    assert_eq!(sum("sessions"), relay.metric("relay_sessions").await);
    assert_eq!(sum("handshakes"), 5);

    assert_eq!(status["rooms"], serde_json::json!({"now": 2, "most": 7}));
    assert_eq!(
        (&status["pairs"], &status["waiting"]),
        (&2.into(), &1.into())
    );
    assert_eq!(status["troubles"], serde_json::json!([]));

    let hash = room["room"].as_str().unwrap();
    let (status, list, who) = tokio::join!(
        machine.says(&["status"]),
        machine.says(&["rooms"]),
        machine.says(&["who"]),
    );
    for (said, part) in [
        (&status, "All is well; up"),
        (&status, "sessions 5 of 10000, rooms 2 of 7"),
        (&status, hash),
        (&list, hash),
        (&who, "2001:db8::/64"),
    ] {
        assert!(said.contains(part), "{part}: {said}");
        assert!(!said.contains(&code), "the code of a room: {said}");
    }
    drop(relay);
}

#[tokio::test]
async fn what_an_address_is_refused_counts_whatever_it_has_asked_for() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let mut guest = client(&relay, "192.0.2.8").await;
    guest.send(frame(TEXT, reply::join("abcdef"))).await;
    guest.expect_error("room_not_found").await;
    let plain = "GET /nothing HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.8\r\n";
    assert_eq!(status_of(&relay, plain).await, 426);
    let wrong = of("192.0.2.8").replace("Version: 13", "Version: 12");
    assert_eq!(status_of(&relay, &wrong).await, 426);
    let who = machine.json(&["who"]).await;
    let guest = row(&who["clients"], "address", "192.0.2.8");
    assert_eq!(
        (&guest["handshakes"], &guest["refused"]),
        (&2.into(), &3.into())
    );
}

#[tokio::test]
async fn a_status_is_one_screen_whatever_there_is_to_show() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let mut pairs = Vec::new();
    for number in 1..8 {
        let (sender, receiver) = (
            format!("2001:db8:1111:222{number}::1"),
            format!("2001:db8:3333:444{number}::1"),
        );
        pairs.push(pair(&relay, &sender, &receiver).await);
    }
    for number in 1..30 {
        let body = format!(r#"{{"network":"192.0.2.{number}"}}"#);
        let length = body.len();
        let head = "POST /block HTTP/1.1\r\nHost: x\r\nContent-Length: ";
        machine.answer(&format!("{head}{length}\r\n\r\n{body}"));
    }
    let said = machine.says(&["status"]).await;
    assert!(
        said.contains("29 networks blocked, 0 networks limited"),
        "{said}"
    );
    assert!(said.lines().count() <= 24, "{said}");
    let rows = said.lines().filter(|line| line.contains("2001:db8:"));
    assert_eq!(
        rows.inspect(|row| assert!(row.len() <= 80, "{row}"))
            .count(),
        10
    );
}

#[tokio::test]
async fn the_slow_side_of_a_transfer_is_named() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    // A receiver that takes nothing.
    let (mut sender, _receiver, _) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    let flood = tokio::spawn(async move {
        let message = frame(BINARY, vec![7; 1 << 20]).encode();
        // To the end of this test, at which the relay is gone.
        while sender.try_write(&message).await.is_ok() {}
    });
    // A sender that sends a little all the time.
    let (mut slow, receiver, _) = pair(&relay, "192.0.2.3", "192.0.2.4").await;
    let reading = read_all(receiver);
    let trickle = tokio::spawn(async move {
        let message = frame(BINARY, vec![7; 20_000]).encode();
        while slow.try_write(&message).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    // Until what is in between is full, some is waiting in the relay, and a second has passed in which the other moved.
    let told_apart = async {
        loop {
            let list = machine.json(&["rooms"]).await;
            let [stuck, moving] =
                ["192.0.2.1", "192.0.2.3"].map(|sender| row(&list["rooms"], "sender", sender));
            let rate = moving["down_bytes_per_sec"].as_u64().unwrap();
            println!("{} and {}, {rate}", stuck["slow"], moving["slow"]);
            if stuck["slow"] == "receiver"
                && stuck["down_bytes_per_sec"] == 0
                && stuck["untaken_bytes"].as_u64() > Some(0)
                && moving["slow"] == "sender"
                && (50_000..=800_000).contains(&rate)
            {
                return;
            }
        }
    };
    within("a slow receiver and a slow sender", told_apart).await;

    // One that may not send faster.
    machine
        .says(&["limit", "192.0.2.3", "--bytes-per-sec", "50KiB"])
        .await;
    let limited = async {
        loop {
            let list = machine.json(&["rooms"]).await;
            if row(&list["rooms"], "sender", "192.0.2.3")["slow"] == "limit" {
                return;
            }
        }
    };
    within("one that is held up by its limit", limited).await;
    let said = machine.says(&["status"]).await;
    assert!(
        said.contains("held up: ") && said.contains("1 by the receiver"),
        "{said}"
    );
    drop(relay);
    for task in [flood, reading, trickle] {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn who_floods_stands_first_whatever_it_floods_with() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let (_sender, _receiver, _) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    let addr = relay.addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let flood = tokio::spawn(async move {
        let flooding = async {
            loop {
                let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
                let mut client = Raw::over(stream);
                client.upgrade(&of("198.51.100.9")).await;
            }
        };
        tokio::select! {
            () = flooding => {}
            _ = stopped => {}
        }
    });
    // A flood takes a moment to begin, and on a busy machine it is none in every second.
    let shown = async {
        loop {
            let who = machine.json(&["who"]).await;
            let first = &who["clients"][0];
            if first["handshakes_per_sec"].as_u64() > Some(20) {
                return who;
            }
        }
    };
    let who = within("somebody who connects a lot", shown).await;
    let first = &who["clients"][0];
    assert_eq!(first["address"], "198.51.100.9", "{who:#}");
    assert_eq!(first["share_of"], "handshakes", "{who:#}");
    let told = async {
        loop {
            let said = machine.says(&["status"]).await;
            if said.contains("claude-distill-relay block 198.51.100.9") {
                return said;
            }
        }
    };
    let said = within("the command against it", told).await;
    assert!(said.starts_with("Not all is well"), "{said}");
    drop(stop);
    flood.await.unwrap();
}

#[tokio::test]
async fn what_is_asked_byte_by_byte_is_answered_in_json() {
    let machine = Machine::new();
    let _relay = machine.relay().run();
    let get = |path: &str| machine.answer(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let post = |path: &str, body: &str| {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}");
        machine.answer(&format!("{head}\r\n\r\n{body}"))
    };
    let error = |answer: &Response| {
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    };
    let decided = get("/decided");
    assert_eq!(
        (decided.status, &decided.body[..]),
        (200, r#"{"blocks":[],"limits":[]}"#)
    );
    assert_eq!(decided.header("content-type"), Some("application/json"));
    let unknown = get("/nothing");
    assert_eq!(unknown.status, 404);
    assert!(error(&unknown).contains("no such command"));
    for body in [
        "",
        "{}",
        r#"{"network":"nobody"}"#,
        r#"{"network":"192.0.2.7","seconds":-1}"#,
        r#"{"network":"192.0.2.7","seconds":0}"#,
        r#"{"network":"192.0.2.7","minutes":1}"#,
        &format!(r#"{{"network":"{}"}}"#, "1".repeat(5000)),
    ] {
        let answer = post("/block", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(!error(&answer).is_empty());
    }
    let missing = post("/unblock", r#"{"network":"192.0.2.7"}"#);
    assert_eq!(
        (missing.status, error(&missing)),
        (404, "192.0.2.7 is not blocked".to_owned())
    );
    let done = post("/block", r#"{"network":"192.0.2.7/24","seconds":60}"#);
    let done: Value = serde_json::from_str(&done.body).unwrap();
    assert_eq!(done["network"], "192.0.2.0/24");
    assert_eq!((&done["ended"], &done["kept"]), (&0.into(), &true.into()));
    assert!(done["until"].as_str().unwrap().ends_with('Z'), "{done}");
}
