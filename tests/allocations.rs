//! What a message costs the relay in allocations, whatever is counted of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{net::SocketAddr, sync::mpsc, thread};

use claude_distill_relay::{
    config::{AccessKeys, Config},
    process::{Relay, worker},
};
use relay_testing::{Raw, frame, http::UPGRADE, pairs::paired, wire::BINARY};
use tempfile::TempDir;
use tokio::{net::TcpStream, runtime::Builder, sync::oneshot};

/// Messages each way that are compared with twice as many.
const MESSAGES: u64 = 1000;
/// What two relays may differ by for a message, as a busy machine has some of them read two at a time. An allocation
/// for every message would be one more.
const NOISE: f64 = 0.3;
const KEY: &str = "0123456789abcdef";

/// Messages there and back, one at a time, so that each is read, passed on and written by itself.
async fn exchange(relay: SocketAddr, messages: u64) {
    let mut ends = Vec::new();
    for _ in 0..2 {
        let mut client = Raw::over(TcpStream::connect(relay).await.unwrap());
        let head = format!("{UPGRADE}Authorization: Bearer {KEY}\r\n");
        client.upgrade(&head).await;
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

/// Allocations of such a relay on this thread through all its life, in which there are so many messages each way.
fn allocations(config: Config, messages: u64) -> u64 {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let clients = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(exchange(told.recv().unwrap(), messages));
        stop.send(()).unwrap();
    });
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

/// Allocations of such a relay for one message. Some tenths are the runtime's.
fn of_a_message(config: &Config) -> f64 {
    let [few, many] = [1, 2].map(|times| allocations(config.clone(), times * MESSAGES));
    (many - few) as f64 / (2 * MESSAGES) as f64
}

/// It takes five to read, pass on and write a message by itself: buffers, and its places in two mailboxes. None
/// is for what is counted, sampled or told, whatever of that is wanted.
#[test]
fn nothing_that_tells_of_a_message_allocates_for_it() {
    let folder = TempDir::new().unwrap();
    let bare = Config {
        port: 0,
        ..Config::default()
    };
    let all = Config {
        access_keys: AccessKeys::parse(&format!("alice:{KEY}")).unwrap(),
        log_dir: Some(folder.path().to_owned()),
        admin_socket: Some(folder.path().join("admin.sock")),
        state_dir: Some(folder.path().to_owned()),
        ..bare.clone()
    };
    let [bare, all] = [bare, all].map(|config| of_a_message(&config));
    assert!(
        bare < 5.5 && (all - bare).abs() < NOISE,
        "{bare} allocations for a message, and {all} with everything on"
    );
}
