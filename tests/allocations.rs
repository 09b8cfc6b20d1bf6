//! What a message costs the relay in allocations, whatever is counted of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{net::SocketAddr, sync::mpsc, thread};

use claude_distill_relay::{
    config::Config,
    process::{Relay, worker},
};
use relay_testing::{Raw, frame, http::UPGRADE, pairs::paired, wire::BINARY};
use tokio::{net::TcpStream, runtime::Builder, sync::oneshot};

/// Messages each way that are compared with twice as many.
const MESSAGES: u64 = 500;

/// Messages there and back, one at a time, so that each is read, passed on and written by itself.
async fn exchange(relay: SocketAddr, messages: u64) {
    let mut ends = Vec::new();
    for _ in 0..2 {
        let mut client = Raw::over(TcpStream::connect(relay).await.unwrap());
        assert_eq!(client.upgrade(UPGRADE).await.status, 101);
        ends.push(client);
    }
    let (receiver, sender) = (ends.pop().unwrap(), ends.pop().unwrap());
    let (mut sender, mut receiver) = paired(sender, receiver).await;
    for _ in 0..messages {
        sender.send(frame(BINARY, vec![7; 64])).await;
        receiver.data(64, "a message").await;
        receiver.send(frame(BINARY, vec![7; 64])).await;
        sender.data(64, "its answer").await;
    }
}

/// Allocations of a relay on this thread through all its life, in which there are so many messages each way.
fn allocations(messages: u64) -> u64 {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let clients = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(exchange(told.recv().unwrap(), messages));
        stop.send(()).unwrap();
    });
    let config = Config {
        port: 0,
        ..Config::default()
    };
    let counted = allocation_counter::measure(|| {
        let relay = async {
            let relay = Relay::bind(config).unwrap();
            tell.send(relay.local_addrs()[0]).unwrap();
            relay.run(async { stopped.await.unwrap() }).await.unwrap();
        };
        worker::system().unwrap().block_on(relay);
    });
    clients.join().unwrap();
    counted.count_total
}

/// What it takes to read, pass on and write a message by itself: buffers, and its places in two mailboxes.
/// None of it is for what is counted, sampled or told, whatever of that is wanted.
#[test]
fn a_message_takes_five_allocations() {
    let of_messages = allocations(2 * MESSAGES) - allocations(MESSAGES);
    let of_one = of_messages as f64 / (2 * MESSAGES) as f64;
    // Some hundredths are the runtime's.
    assert!(of_one < 5.5, "{of_one} allocations for a message");
}
