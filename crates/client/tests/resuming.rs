//! Lines that are cut and ends that are killed: what was received is not sent again.
#![cfg(feature = "distill")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ends;

use std::fs;

use relay_client::engine::event::Event;
use relay_testing::{
    line::{Line, mbit},
    process::Relay,
};

use self::ends::{Folders, noise, receiving, sharing, start_receive, start_share};

/// Bytes confirmed, once they are more than `least`.
fn more_than(least: u64) -> impl Fn(&Event) -> Option<u64> {
    move |event| match event {
        Event::Progress { confirmed, .. } if *confirmed > least => Some(*confirmed),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_line_is_cut_again_and_again() {
    const BYTES: u64 = 16 << 20;
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = noise(BYTES as usize);
    let share = start_share(sharing(
        &format!("ws://{}/", relay.addr()),
        &folders.file("noise", &content),
    ));
    let code = share.code().await;
    let line = Line::of(mbit(100.0)).lay(relay.addr());
    let receiver = start_receive(receiving(&line.url(), &code, &folders.there));
    for cut in 1..=5 {
        receiver
            .told
            .until("progress", more_than(cut * BYTES / 7))
            .await;
        line.cut();
    }
    let received = receiver.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    let sent = share.end().await.unwrap().sent;
    println!("{} bytes sent twice", sent - BYTES);
    assert!(sent - BYTES <= 5 * (8 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_killed_goes_on_when_it_is_started_again() {
    const BYTES: u64 = 16 << 20;
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = noise(BYTES as usize);
    let share = start_share(sharing(
        &format!("ws://{}/", relay.addr()),
        &folders.file("noise", &content),
    ));
    let code = share.code().await;
    let line = Line::of(mbit(100.0)).lay(relay.addr());
    let options = receiving(&line.url(), &code, &folders.there);
    let first = start_receive(options.clone());
    let before = first.told.until("progress", more_than(BYTES / 2)).await;
    first.kill().await;
    let second = start_receive(options);
    let begun = |event: &Event| match event {
        Event::Begun { from, .. } => Some(*from),
        _ => None,
    };
    assert!(second.told.until("begin", begun).await >= before);
    let received = second.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    share.end().await.unwrap();
}
