//! What is decided of rooms and addresses takes effect on those that are here, and outlives a restart.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use relay_testing::{
    frame,
    wire::{BINARY, CLOSE, PING},
    within,
};
use tokio::task::JoinHandle;

use super::*;

/// How soon a decision has to take effect.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// By how much a machine that does much else is late.
const BUSY: Duration = Duration::from_secs(4);

/// What was decided then has taken effect soon.
fn assert_soon(then: Instant) {
    let passed = then.elapsed();
    assert!(passed < SOON + BUSY, "{passed:?}");
}

/// Clients of one address, who send each other as much as they can.
struct Flood {
    received: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Flood {
    async fn start(relay: &Relay, address: &str) -> Self {
        let (mut sender, mut receiver, _) = pair(relay, address, address).await;
        let received = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&received);
        let sending = tokio::spawn(async move {
            let message = frame(BINARY, vec![7; 16 << 10]).encode();
            while sender.try_write(&message).await.is_ok() {}
        });
        let receiving = tokio::spawn(async move {
            while let Some(frame) = receiver.next_or_cut().await {
                match frame.opcode {
                    PING => receiver.pong(&frame.payload).await,
                    CLOSE => return,
                    _ => {
                        sum.fetch_add(frame.payload.len() as u64, SeqCst);
                    }
                }
            }
        });
        Self {
            received,
            tasks: vec![sending, receiving],
        }
    }

    /// Bytes a second that arrive, over so long.
    async fn rate(&self, time: Duration) -> u64 {
        let (start, before) = (Instant::now(), self.received.load(SeqCst));
        tokio::time::sleep(time).await;
        let more = self.received.load(SeqCst) - before;
        (more as f64 / start.elapsed().as_secs_f64()) as u64
    }

    /// Waits until both are gone.
    async fn until_over(self) {
        for task in self.tasks {
            within("the end of a flood", task).await.unwrap();
        }
    }
}

/// What a client is told last: the code and the reason of its Close.
pub(super) async fn last_word(client: &mut Raw) -> (u16, String) {
    let close = client.next_but_pings("a Close").await;
    assert_eq!(close.opcode, CLOSE);
    let code = u16::from_be_bytes([close.payload[0], close.payload[1]]);
    (
        code,
        String::from_utf8_lossy(&close.payload[2..]).into_owned(),
    )
}

#[tokio::test]
async fn a_room_ends_for_everybody_in_it_and_no_other() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let (mut sender, mut receiver, code) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    let mut waiting = client(&relay, "192.0.2.3").await;
    waiting.join(&code).await;
    let (mut other, mut peer, _) = pair(&relay, "192.0.2.4", "192.0.2.5").await;
    let list = machine.json(&["rooms"]).await;
    let name = row(&list["rooms"], "sender", "192.0.2.1")["room"].as_str();
    // As the log has it, too.
    let name = format!("#{}", name.unwrap());
    let said = machine.says(&["end", &name]).await;
    assert!(
        said.ends_with("is ended, and everybody in it was told\n"),
        "{said}"
    );

    sender.expect_error("ended_by_operator").await;
    waiting.expect_error("ended_by_operator").await;
    for member in [&mut sender, &mut receiver, &mut waiting] {
        let told = last_word(member).await;
        assert_eq!(told, (1008, "ended_by_operator".to_owned()));
    }
    let closed = r#"relay_rooms_closed_total{reason="ended_by_operator"}"#;
    assert_eq!(relay.metric(closed).await, 1);
    other.send(frame(BINARY, [1, 2, 3])).await;
    assert_eq!(&peer.next_but_pings("data").await.payload[..], [1, 2, 3]);

    let again = machine.complains(&["end", &name]).await;
    assert!(again.contains("there is no room"), "{again}");
    let short = machine.complains(&["end", &name[..4]]).await;
    assert!(short.contains("6 digits or more"), "{short}");
}

#[tokio::test]
async fn a_block_of_everybody_has_to_be_meant_and_keeps_no_check_out() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    // As a proxy that names nobody, and as the health check.
    let silent = UPGRADE.replace("relay.example", "127.0.0.1");
    let check = format!("{silent}X-Relay-Check: 1\r\n");
    let mut checking = relay.connect_by(&check).await;
    for network in ["127.0.0.1", "127.0.0.0/30", "0.0.0.0/0", "::1"] {
        let why = machine.fails(&["block", network]).await;
        assert!(why.contains("of a trusted proxy"), "{why}");
    }
    assert_eq!(status_of(&relay, &silent).await, 101);
    let body = r#"{"network":"127.0.0.1"}"#;
    let length = body.len();
    let head = format!("POST /block HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(machine.answer(&(head + body)).status, 409);

    machine.says(&["block", "127.0.0.1", "--force"]).await;
    assert_eq!(status_of(&relay, &silent).await, 403);
    checking.create_room().await;
    assert_eq!(status_of(&relay, &check).await, 101);
    assert_eq!(status(&relay, "192.0.2.7").await, 101);
}

#[tokio::test]
async fn an_ipv4_address_is_blocked_however_it_is_written() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let start = Instant::now();
    let mut mapped = client(&relay, "::ffff:192.0.2.7").await;
    let said = machine.says(&["block", "::ffff:192.0.2.7"]).await;
    assert!(said.starts_with("192.0.2.7 is blocked"), "{said}");
    assert_eq!(last_word(&mut mapped).await, (1008, "blocked".to_owned()));
    assert_soon(start);
    for address in ["192.0.2.7", "::ffff:192.0.2.7"] {
        assert_eq!(status(&relay, address).await, 403, "{address}");
    }
}

#[tokio::test]
async fn a_limit_is_lifted_at_once_however_low_it_is() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let flood = Flood::start(&relay, "192.0.2.7").await;
    let limit = |bytes| ["limit", "192.0.2.7", "--bytes-per-sec", bytes];
    machine.says(&limit("1")).await;
    let still = async { while flood.rate(SOON / 4).await > 0 {} };
    within("a flood that is stopped", still).await;
    let start = Instant::now();
    machine.says(&limit("0")).await;
    while flood.rate(SOON / 50).await == 0 {
        assert_soon(start);
    }

    let none = machine.complains(&limit("0")).await;
    assert!(none.contains("192.0.2.7 has no limit"), "{none}");
    machine
        .says(&["limit", "192.0.2.0/24", "--bytes-per-sec", "64KiB"])
        .await;
    let none = machine.complains(&limit("0")).await;
    let wider = "but 192.0.2.0/24 is read at 64 KiB a second, and 192.0.2.7 with it";
    assert!(none.contains(&format!("has no limit; {wider}")), "{none}");
    machine.says(&limit("100kB")).await;
    let lifted = machine.says(&limit("0")).await;
    assert_eq!(
        lifted,
        format!("192.0.2.7 has no limit of its own any more; {wider}\n")
    );
}

#[tokio::test]
async fn a_block_ends_sessions_at_once_and_outlives_a_restart() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let mut quiet = client(&relay, "192.0.2.7").await;
    let flood = Flood::start(&relay, "192.0.2.9").await;
    let (mut other, mut peer, _) = pair(&relay, "192.0.3.1", "192.0.3.2").await;
    let flows = async { while flood.rate(SOON / 10).await == 0 {} };
    within("a flood", flows).await;

    let start = Instant::now();
    let done = machine.json(&["block", "192.0.2.0/24"]).await;
    assert_eq!(last_word(&mut quiet).await, (1008, "blocked".to_owned()));
    flood.until_over().await;
    assert_soon(start);
    assert_eq!((&done["ended"], &done["kept"]), (&3.into(), &true.into()));
    assert!(done["until"].is_null(), "{done}");
    assert_eq!(status(&relay, "192.0.2.200").await, 403);
    other.send(frame(BINARY, [1, 2, 3])).await;
    assert_eq!(&peer.next_but_pings("data").await.payload[..], [1, 2, 3]);
    for (metric, count) in [
        (
            r#"relay_handshakes_refused_total{reason="address_blocked"}"#,
            1,
        ),
        (r#"relay_sessions_ended_total{reason="blocked"}"#, 3),
    ] {
        relay.until(metric, |now| now == count).await;
    }
    let who = machine.says(&["who"]).await;
    assert!(who.contains("blocked"), "{who}");
    drop((other, peer, relay));

    let mut relay = machine.relay().run();
    assert_eq!(status(&relay, "192.0.2.7").await, 403);
    let one = machine.complains(&["unblock", "192.0.2.7"]).await;
    assert!(
        one.contains("192.0.2.0/24 is blocked, and 192.0.2.7 with it"),
        "{one}"
    );
    let said = machine.says(&["unblock", "192.0.2.0/24"]).await;
    assert_eq!(said, "192.0.2.0/24 is not blocked any more\n");
    assert_eq!(status(&relay, "192.0.2.7").await, 101);
    relay.stop().await;
    let said = relay.said().join("\n");
    assert!(!said.contains("192.0.2."), "an address in the log: {said}");
    let relay = machine.relay().run();
    assert_eq!(status(&relay, "192.0.2.7").await, 101);
}

#[tokio::test]
async fn a_block_may_end_by_itself() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let said = machine.says(&["block", "2001:db8::7", "--for", "1s"]).await;
    assert_eq!(said, "2001:db8::/64 is blocked for 1 s; 0 sessions ended\n");
    let again = async { while status(&relay, "2001:db8::8").await != 101 {} };
    within("the end of a block", again).await;
    assert_eq!(
        machine.says(&["block"]).await,
        "Nobody is blocked or limited.\n"
    );

    machine.says(&["block", "192.0.2.7", "--for", "1h"]).await;
    let listed = machine.json(&["block"]).await;
    let until: jiff::Timestamp = listed["blocks"][0]["until"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((3590..=3600).contains(&left), "{listed}");
}

#[tokio::test]
async fn a_limit_slows_live_sessions_down_together_and_outlives_a_restart() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let floods = [
        Flood::start(&relay, "192.0.2.7").await,
        Flood::start(&relay, "192.0.2.7").await,
    ];
    let other = Flood::start(&relay, "192.0.2.8").await;
    let rates = async |time| {
        let [first, second] = &floods;
        let (first, second) = tokio::join!(first.rate(time), second.rate(time));
        first + second
    };
    let (limit, second) = (200_000, Duration::from_secs(1));
    let fast = async { while rates(second / 4).await < 5 * limit {} };
    within("floods", fast).await;

    let said = machine
        .says(&["limit", "192.0.2.7", "--bytes-per-sec", "200kB"])
        .await;
    assert_eq!(
        said,
        "192.0.2.7 is read at 195 KiB a second, all its sessions together\n"
    );
    // What was read before is still on its way to its receivers: a second at most.
    tokio::time::sleep(SOON).await;
    let [first, other_one] = &floods;
    // In one second of several, as the machine may stand still at either end of one.
    let range = limit / 3..limit * 5 / 4;
    let limited = async {
        loop {
            let (first, other_one, who) = tokio::join!(
                first.rate(second),
                other_one.rate(second),
                machine.json(&["who"])
            );
            let rate = first + other_one;
            // Messages arrive whole pieces at a time, so that shares over a second are not quite the same.
            let share = rate / 4..rate * 3 / 4;
            let client = row(&who["clients"], "address", "192.0.2.7");
            assert_eq!(client["decided"], "limited");
            let seen = client["received_bytes_per_sec"].as_u64().unwrap();
            println!("{first} and {other_one}, seen as {seen}");
            if range.contains(&rate) && share.contains(&first) && range.contains(&seen) {
                return;
            }
        }
    };
    // What has waited somewhere in between is little of what comes in some seconds.
    let (mean, ()) = tokio::join!(rates(4 * second), within("a limited rate", limited));
    assert!(mean < limit * 5 / 4, "{mean}");
    let fast = async { while other.rate(second / 4).await < 5 * limit {} };
    within("a flood that is not limited", fast).await;
    drop(relay);

    let relay = machine.relay().run();
    let listed = machine.json(&["limit"]).await;
    let kept = row(&listed["limits"], "network", "192.0.2.7");
    assert_eq!(kept["bytes_per_sec"], limit, "{listed:#}");
    let flood = Flood::start(&relay, "192.0.2.7").await;
    let limited = async { while !range.contains(&flood.rate(second).await) {} };
    let limited = within("a limited rate after a restart", limited);
    let (mean, ()) = tokio::join!(flood.rate(4 * second), limited);
    assert!(mean < limit * 5 / 4, "{mean}");
    let said = machine
        .says(&["limit", "192.0.2.7", "--bytes-per-sec", "0"])
        .await;
    assert_eq!(said, "192.0.2.7 is read as fast as it sends\n");
    let fast = async { while flood.rate(second / 4).await < 5 * limit {} };
    within("a flood without a limit", fast).await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_said_to_be_lost_with_the_process() {
    let machine = Machine::new();
    let relay = machine.relay().env("RELAY_STATE_DIR", "").run();
    let said = machine.says(&["block", "192.0.2.7"]).await;
    assert!(
        said.ends_with("; not beyond a restart, as there is no RELAY_STATE_DIR\n"),
        "{said}"
    );
    assert_eq!(status(&relay, "192.0.2.7").await, 403);
    assert_eq!(machine.json(&["status"]).await["kept"], false);
    drop(relay);

    // A disk that takes no more, as far as anybody can see from here.
    fs::create_dir(machine.state().join("rules.json.new")).unwrap();
    let mut relay = machine.relay().run();
    let done = machine.json(&["block", "192.0.2.7"]).await;
    assert_eq!(done["kept"], false, "{done}");
    relay.line_with("cannot be written down");
    let now = machine.json(&["status"]).await;
    assert_eq!(now["kept"], false, "{now}");
    let trouble = now["troubles"][0].as_str().unwrap();
    assert!(
        trouble.starts_with("blocks and limits are not kept"),
        "{trouble}"
    );
    assert_eq!(status(&relay, "192.0.2.7").await, 403);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_put_aside_and_told_of() {
    let machine = Machine::new();
    fs::write(machine.state().join("rules.json"), "{").unwrap();
    let mut relay = machine.relay().run();
    let line = relay.line_with("blocks and limits are lost");
    assert!(
        line.contains(" ERROR ") && line.contains("rules.json.unreadable"),
        "{line}"
    );
    assert_eq!(machine.json(&["status"]).await["kept"], false);
    machine.says(&["block", "192.0.2.7"]).await;
    assert_eq!(machine.json(&["status"]).await["kept"], true);
    drop(relay);
    let relay = machine.relay().run();
    assert_eq!(status(&relay, "192.0.2.7").await, 403);
}
