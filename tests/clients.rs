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
use tempfile::TempDir;

use self::{
    browser::Page,
    double::{Double, Mode},
    libraries::Library,
    share::{Kind, Share, Text},
};

/// The extension that a library offers, and that the relay then accepts.
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
        } else {
            assert_eq!(heard.extension, EXTENSION, "{}: {from}", double.name);
        }
    }
}

/// What is installed, and tungstenite.
fn libraries(installed: &[&Library]) -> Vec<Double> {
    let installed = installed.iter().map(|library| library.double());
    installed.chain([tungstenite::double()]).collect()
}

/// Each library shares with each, itself included, or in the small form of the test with the next.
async fn every_library_with_every_other(mode: Mode, kinds: &[Kind]) {
    let folder = TempDir::new().unwrap();
    let installed = Library::installed();
    let doubles = libraries(&installed);
    let whole = size(false, true);
    let others = libraries(if whole { &installed } else { &[] });
    let pairs: Vec<_> = if whole {
        let with_others = |sender| others.iter().map(move |receiver| (sender, receiver));
        doubles.iter().flat_map(with_others).collect()
    } else {
        let ring = || doubles.iter().chain(&others);
        ring().zip(ring().cycle().skip(1)).collect()
    };
    for &kind in kinds {
        let share = Share::new(folder.path(), kind, size(SIZES.0, SIZES.1));
        let relay = TestRelay::start(|_| {});
        for (sender, receiver) in &pairs {
            round(&relay, mode, &share, sender, receiver);
        }
        relay.settled().await;
        if mode == Mode::Deflate && kind == Kind::Hex {
            let received = relay.metrics().get("relay_received_bytes_total");
            let most = pairs.iter().map(|pair| most_on_the_wire(pair, &share));
            assert!(received < most.sum::<usize>() as u64, "{received} bytes");
        }
    }
}

/// How many bytes of a share of hex reach the relay at most, in a pair that offers to compress it.
fn most_on_the_wire((sender, receiver): &(&Double, &Double), share: &Share) -> usize {
    let of = |double: &Double, text: &Text| match double.offers {
        true => text.length * 3 / 5,
        false => text.length * 21 / 20,
    };
    of(sender, &share.payload) + of(receiver, &share.answer)
}

#[tokio::test]
async fn libraries_that_offer_to_compress_share_hex_with_each_other() {
    every_library_with_every_other(Mode::Deflate, &[Kind::Hex]).await;
}

#[tokio::test]
async fn libraries_that_offer_to_compress_share_any_text_with_each_other() {
    every_library_with_every_other(Mode::Deflate, &[Kind::Unicode]).await;
}

#[tokio::test]
async fn libraries_that_do_not_offer_it_share_with_each_other() {
    every_library_with_every_other(Mode::Plain, &Kind::ALL).await;
}

/// A page shares with each library, and each with it, while they offer to compress.
#[tokio::test]
async fn a_page_in_a_browser_shares_with_them() {
    let folder = TempDir::new().unwrap();
    let Some(opened) = Page::open(folder.path()) else {
        return;
    };
    let page = opened.double();
    let mut installed = Library::installed();
    installed.truncate(size(1, installed.len()));
    let doubles = libraries(&installed);
    for kind in Kind::ALL {
        let share = Share::new(folder.path(), kind, size(SIZES.0, SIZES.1));
        let origins = Sites::parse(opened.origin()).unwrap();
        let relay = TestRelay::start(|config| config.allowed_origins = origins);
        for double in &doubles {
            round(&relay, Mode::Deflate, &share, &page, double);
            round(&relay, Mode::Deflate, &share, double, &page);
        }
        relay.settled().await;
    }
}
