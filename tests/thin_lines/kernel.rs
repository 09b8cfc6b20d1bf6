//! The same with the system's own limit of a rate, and with the library of today's clients itself.
//!
//! Two shares: at 1 Mbit/s without compression, at 512 kbit/s with it. The library is the version that is
//! installed, in CI the current one. Its version 10.4 is among `tests/clients`, without a thin line; and nothing
//! here takes three minutes, as 6 MB without compression would at 512 kbit/s.

use std::time::Duration;

use relay_testing::{
    netns::{NEAR, Network},
    process::{Relay, Start},
    python::{self, End, Share},
    skip::is_too_long,
};
use tokio::task::spawn_blocking;

/// A relay, and a host of clients that is behind such a limit.
struct Site {
    network: Network,
    relay: Relay,
}

impl Site {
    fn new(kbit: u32) -> Option<Self> {
        let network = Network::new().filter(|network| network.throttle(kbit))?;
        let relay = network.run(Start::new());
        Some(Self { network, relay })
    }

    /// A share from the relay's own host. Returns how it ended for the sender and for the receiver.
    fn share(&self, share: &Share) -> [End; 2] {
        let port = self.relay.addr().port();
        let side = share.clone();
        let sending = move || side.send(&format!("ws://127.0.0.1:{port}/"));
        let (sender, code) = self.network.near(sending).expect("a room");
        let side = share.clone();
        let receiving = move || side.receive(&format!("ws://{NEAR}:{port}/"), &code);
        let receiver = self.network.far(receiving);
        [sender.end(), receiver.end()]
    }
}

#[tokio::test]
async fn shares_of_todays_clients_arrive_behind_the_systems_own_limit() {
    if is_too_long() {
        return;
    }
    let Some(python) = python::with_websockets() else {
        return;
    };
    let mut shares = Vec::new();
    // The message is twice as long: the one takes longer than both times of a keep-alive, and so would the
    // other if nobody compressed it.
    for (kbit, bytes, compression) in [(1000, 5_200_000, false), (512, 3_000_000, true)] {
        let share = Share {
            python: python.clone(),
            bytes,
            patience: Duration::from_secs(150),
            compression,
        };
        let Some(site) = Site::new(kbit) else { return };
        shares.push(spawn_blocking(move || {
            let what = format!("{share:?} at {kbit} kbit/s");
            (what, site.share(&share))
        }));
    }
    for share in shares {
        let (what, ends) = share.await.unwrap();
        println!("{what}: {ends:?}");
        assert!(ends.iter().all(End::is_done), "{what}: {ends:?}");
    }
}
