//! A crowd that floods the relay costs others no more than a crowd that uses it.
//!
//! Both are measured in one run, one after the other, against the same process, so that what the
//! machine is busy with beside them hardly matters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{
    Raw, frame,
    process::Relay,
    skip::size,
    wire::{BINARY, CONTINUATION, PING, PONG, TEXT},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

/// As many in each crowd.
const CROWD: usize = 20;
/// How long each crowd is looked at.
fn span() -> Duration {
    Duration::from_secs(size(1, 3))
}

/// What somebody else has while a crowd is there.
#[derive(Debug)]
struct Left {
    /// Bytes that one transfer brings over in [`span`].
    transfer: usize,
    /// The median of the time to a Pong.
    pong: Duration,
}

async fn measure(relay: &Relay) -> Left {
    let (sender, receiver) = relay.wide_pair().await;
    // A half that is dropped would end the session.
    let ((_answers, mut writer), (mut reader, _silent)) = (sender.split(), receiver.split());
    let mut transfer = JoinSet::new();
    transfer.spawn(async move {
        let message = frame(BINARY, vec![7; 64 << 10]).encode();
        while writer.write_all(&message).await.is_ok() {}
    });
    let mut pinger = relay.connect().await;
    pinger.create_room().await;
    let (mut bytes, mut pongs) = (0, Vec::new());
    let mut buffer = vec![0; 256 << 10];
    let taking = async {
        while let Ok(count) = reader.read(&mut buffer).await {
            bytes += count;
        }
    };
    let pinging = async {
        loop {
            let asked = Instant::now();
            pinger.send(frame(PING, "?")).await;
            while pinger.next("a pong").await.opcode != PONG {}
            pongs.push(asked.elapsed());
            // Not more than anybody may.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(span(), async { tokio::join!(taking, pinging) }).await;
    pongs.sort();
    Left {
        transfer: bytes,
        pong: pongs[pongs.len() / 2],
    }
}

/// What is left by the better of two measures, where one is not good enough: what else goes on in the machine takes
/// from it.
async fn measure_again_unless(relay: &Relay, is_enough: impl Fn(&Left) -> bool) -> Left {
    let left = measure(relay).await;
    match is_enough(&left) {
        true => left,
        false => measure(relay).await,
    }
}

/// Pairs that transfer as fast as they can.
async fn users(relay: &Relay) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (sender, receiver) = relay.wide_pair().await;
        let ((answers, mut writer), (mut reader, silent)) = (sender.split(), receiver.split());
        crowd.spawn(async move {
            let _answers = answers;
            let message = frame(BINARY, vec![7; 64 << 10]).encode();
            while writer.write_all(&message).await.is_ok() {}
        });
        crowd.spawn(async move {
            let _silent = silent;
            let mut buffer = vec![0; 256 << 10];
            while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        });
    }
    crowd
}

/// Clients that send this over and over, after a beginning, and come back when they are thrown out.
async fn flood(relay: &Relay, begin: &[u8], unit: &[u8]) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let addr = relay.addr();
        let (begin, unit) = (begin.to_vec(), unit.repeat((64 << 10) / unit.len()));
        crowd.spawn(async move {
            loop {
                let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
                let mut client = Raw::over(stream);
                client.upgrade(relay_testing::http::UPGRADE).await;
                client.create_room().await;
                if client.try_write(&begin).await.is_ok() {
                    while client.try_write(&unit).await.is_ok() {}
                }
            }
        });
    }
    crowd
}

#[tokio::test]
async fn floods_cost_others_no_more_than_users_do() {
    let relay = Relay::start(&[("RELAY_ADDRESS_RATE_LIMIT_MAX", 1_000_000)]);
    let crowd = users(&relay).await;
    let users = measure(&relay).await;
    drop(crowd);
    // A relay that is not optimised takes many times as long over a frame, and no longer over bytes.
    let (slower, bound) = match cfg!(debug_assertions) {
        true => (2, Duration::from_millis(100)),
        false => (1, Duration::from_millis(10)),
    };
    println!("{CROWD} pairs that transfer leave {users:?}");
    for (what, begin, unit) in [
        ("pongs", vec![], frame(PONG, "")),
        ("pings", vec![], frame(PING, vec![7; 125])),
        (
            "empty fragments",
            frame(TEXT, "").more().encode(),
            frame(CONTINUATION, "").more(),
        ),
        ("empty messages", vec![], frame(TEXT, "")),
        (
            "tiny fragments",
            frame(TEXT, "").more().encode(),
            frame(CONTINUATION, "x").more(),
        ),
    ] {
        let crowd = flood(&relay, &begin, &unit.encode()).await;
        let is_enough =
            |left: &Left| left.transfer >= users.transfer / slower && left.pong <= bound;
        let left = measure_again_unless(&relay, is_enough).await;
        drop(crowd);
        println!("{CROWD} floods of {what} leave {left:?}");
        assert!(is_enough(&left), "{what}: {left:?} for {users:?}");
    }
}
