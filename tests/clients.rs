//! What people's clients are made of: WebSocket libraries that are not ours, and a browser. Each is the
//! sender and the receiver of each other, and what arrives is what was said, byte for byte.
//! `tests/clients/README.md` says which they are, and how to install them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "clients/browser.rs"]
mod browser;
#[path = "clients/double.rs"]
mod double;
#[path = "clients/libraries.rs"]
mod libraries;
#[path = "clients/share.rs"]
mod share;
#[path = "clients/tungstenite.rs"]
mod tungstenite;

use claude_distill_relay::config::Sites;
use relay_testing::{TestRelay, skip::size};

use self::{
    browser::Driver,
    double::{Double, Mode},
    libraries::Library,
    share::{Kind, Share},
};

/// Whether the relay takes up every offer to compress. While it does not, its answers are not looked at.
const COMPRESSES: bool = false;
const EXTENSION: &str = "permessage-deflate";

/// Bytes of a share in the small form of a test, and in the whole.
const SIZES: (usize, usize) = (256 << 10, 8_000_000);

/// One sender shares with one receiver, which answers.
fn round(relay: &TestRelay, mode: Mode, share: &Share, sender: &Double, receiver: &Double) {
    let url = relay.url();
    sender.begin(format!("send {url} {mode} {}", share.payload.path));
    let code = sender.room();
    receiver.begin(format!("receive {url} {mode} {} {code}", share.answer.path));
    for (double, hash) in [
        (receiver, &share.payload.hash),
        (sender, &share.answer.hash),
    ] {
        let heard = double.heard();
        let from = format!("{} to {}, {mode}", sender.name, receiver.name);
        assert_eq!(
            &heard.hash, hash,
            "{} got something else: {from}",
            double.name
        );
        if mode == Mode::Plain || !double.offers {
            assert_eq!(heard.extension, "none", "{}: {from}", double.name);
        } else if COMPRESSES {
            assert_eq!(heard.extension, EXTENSION, "{}: {from}", double.name);
        }
    }
}

/// What is installed, and tungstenite: each as a sender and as a receiver.
fn libraries(installed: &[&Library]) -> Vec<(Double, Double)> {
    let mut doubles: Vec<_> = installed
        .iter()
        .map(|it| (it.double(), it.double()))
        .collect();
    doubles.push((tungstenite::double(), tungstenite::double()));
    doubles
}

/// Each library shares with each, or in the small form of the test with one.
async fn every_library_with_every_other(kind: Kind, mode: Mode) {
    let doubles = libraries(&Library::installed());
    let receivers = size(1, doubles.len());
    let share = Share::new(kind, size(SIZES.0, SIZES.1));
    let relay = TestRelay::start(|_| {});
    for (index, (sender, _)) in doubles.iter().enumerate() {
        for (_, receiver) in doubles.iter().cycle().skip(index + 1).take(receivers) {
            round(&relay, mode, &share, sender, receiver);
        }
    }
    relay.settled().await;
}

#[tokio::test]
async fn hex_passes_between_libraries_that_offer_to_compress() {
    every_library_with_every_other(Kind::Hex, Mode::Deflate).await;
}

#[tokio::test]
async fn hex_passes_between_libraries_that_do_not() {
    every_library_with_every_other(Kind::Hex, Mode::Plain).await;
}

#[tokio::test]
async fn any_text_passes_between_libraries_that_offer_to_compress() {
    every_library_with_every_other(Kind::Unicode, Mode::Deflate).await;
}

#[tokio::test]
async fn any_text_passes_between_libraries_that_do_not() {
    every_library_with_every_other(Kind::Unicode, Mode::Plain).await;
}

/// A page shares with another, and with each library, and each with it; the libraries offer to compress.
#[tokio::test]
async fn a_browser_is_a_client_beside_them() {
    for kind in [Kind::Hex, Kind::Unicode] {
        let share = Share::new(kind, size(SIZES.0, SIZES.1));
        let Some(driver) = Driver::start(share.folder.path()) else {
            return;
        };
        let origins = Sites::parse(driver.origin()).unwrap();
        let relay = TestRelay::start(|config| config.allowed_origins = origins);
        let (sender, receiver) = (driver.double(), driver.double());
        round(&relay, Mode::Deflate, &share, &sender, &receiver);
        for library in libraries(&Library::installed()) {
            round(&relay, Mode::Deflate, &share, &sender, &library.1);
            round(&relay, Mode::Deflate, &share, &library.0, &receiver);
        }
        relay.settled().await;
    }
}
