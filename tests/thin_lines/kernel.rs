//! The same with the system's own limit of a rate, and with the library of today's clients itself.

use std::time::Duration;

use relay_testing::{
    netns::{NEAR, Network},
    process::Start,
    python::{self, Share},
    skip::is_too_long,
};
use tokio::task::spawn_blocking;

/// A share of so many bytes of plaintext to a receiver behind such a limit, whose message has twice as many.
fn share(kbit: u32, share: &Share) {
    let what = format!("{share:?} at {kbit} kbit/s");
    let Some(network) = Network::new().filter(|network| network.throttle(kbit)) else {
        return;
    };
    let relay = network.run(Start::new());
    let port = relay.addr().port();
    let side = share.clone();
    let (sender, code) = network
        .near(move || side.send(&format!("ws://127.0.0.1:{port}/")))
        .unwrap();
    let side = share.clone();
    let receiver = network.far(move || side.receive(&format!("ws://{NEAR}:{port}/"), &code));
    let ends = [sender.end(), receiver.end()];
    println!("{what}: {ends:#?}");
    assert!(ends.iter().all(python::End::is_done), "{what}: {ends:#?}");
}

#[tokio::test]
async fn shares_of_todays_clients_arrive_behind_the_systems_own_limit() {
    if is_too_long() {
        return;
    }
    let Some(python) = python::with_websockets() else {
        return;
    };
    // The one takes twice the time of a keep-alive, and the other as long as one.
    let shares = [(1000, 5_200_000, false), (512, 3_000_000, true)];
    let shares = shares.map(|(kbit, bytes, compression)| {
        let it = Share {
            python: python.clone(),
            bytes,
            patience: Duration::from_secs(150),
            compression,
        };
        spawn_blocking(move || share(kbit, &it))
    });
    for share in shares {
        share.await.unwrap();
    }
}
