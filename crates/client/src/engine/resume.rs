//! Whatever is cut, killed or started again: in the end the same bytes are there. Both sides' attempts run
//! against each other here, over lines in memory that end after so many bytes.
#![allow(clippy::unwrap_used)]

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{
    event::Tell,
    fault::Fault,
    home::Home,
    hostile::keys,
    line::{Heard, testing::line},
    options::{Received, Where},
    pairing::Parting,
    receiving::Receiving,
    sending::Sending,
    trouble::Trouble,
};
use crate::{
    disk::source::Source,
    stream::Bounded,
    transfer::{hex::Hex, note::Manifest, window::Holds},
};

/// How one attempt goes.
#[derive(Debug, Clone)]
struct Attempt {
    /// Bytes that reach the receiver before its line is cut.
    down: usize,
    /// Bytes that reach the sender before its line is cut.
    up: usize,
    /// Whether the receiver's process is another than the one before.
    receiver_is_new: bool,
    /// Whether the sender's is.
    sender_is_new: bool,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let attempt = (
        0..400_000_usize,
        0..4000_usize,
        any::<bool>(),
        any::<bool>(),
    );
    let attempt = attempt.prop_map(|(down, up, receiver_is_new, sender_is_new)| Attempt {
        down,
        up,
        receiver_is_new,
        sender_is_new,
    });
    vec(attempt, 0..8)
}

/// One attempt; what the receiver makes of it, and how much content the sender has sent.
async fn run(
    source: &Source,
    manifest: &Manifest,
    home: &mut Home,
    attempt: &Attempt,
) -> (Result<Received, Parting>, u64) {
    let tell: Tell = Arc::new(|_| {});
    let (here, there) = tokio::io::duplex(16 << 10);
    let (of_sender, of_receiver) = keys();
    let sending = async {
        let mut line = line(Box::new(Bounded::new(here, attempt.up)), Role::Client).await;
        let mut keys = of_sender.of_sender();
        let mut sending = Sending::new(&mut line, &mut keys, source, Holds::default());
        // How it ends for the sender follows from what the receiver has.
        drop(sending.run(manifest, &tell).await);
        sending.sent
    };
    let receiving = async {
        let mut line = line(Box::new(Bounded::new(there, attempt.down)), Role::Server).await;
        let first = match line.hear().await? {
            Heard::Binary(first) => first,
            Heard::Text(_) => return Err(Parting::Misbehaved("a text")),
        };
        let mut keys = of_receiver.of_receiver();
        let mut receiving = Receiving::new(&mut line, &mut keys);
        let received = receiving.run(first, home, &tell).await?;
        line.close().await;
        Ok(received)
    };
    let (sent, received) = tokio::join!(sending, receiving);
    (received, sent)
}

const UNCUT: Attempt = Attempt {
    down: usize::MAX,
    up: usize::MAX,
    receiver_is_new: false,
    sender_is_new: false,
};

/// Runs through all attempts and one that is not cut; the path that was received, and the content that was sent.
async fn play(path: &Path, there: &Path, attempts: &[Attempt]) -> (Received, u64) {
    let mut source = Source::open(path).unwrap();
    let manifest = source.manifest(Hex([7; 16]));
    let mut home = Home::new(Where::Path(there.to_owned()));
    let mut all = 0;
    for attempt in attempts.iter().chain([&UNCUT]) {
        if attempt.sender_is_new {
            source = Source::open(path).unwrap();
        }
        // Also where it was killed between the last byte and its word that all is there.
        if attempt.receiver_is_new {
            home = Home::new(Where::Path(there.to_owned()));
        }
        let (_, sent) = run(&source, &manifest, &mut home, attempt).await;
        all += sent;
    }
    let received = home.received().unwrap();
    home.forget();
    (received, all)
}

fn content(bytes: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Half of it can be packed.
        (state >> 24) as u8 & if state & 0x8000 == 0 { 0xff } else { 0x03 }
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_file_is_the_same_in_the_end(bytes in 0..1_500_000_usize, seed: u8, attempts in attempts()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, there) = (folder.path().join("file"), folder.path().join("there"));
        fs::create_dir(&there).unwrap();
        let content = content(bytes, seed);
        fs::write(&path, &content).unwrap();
        let (received, sent) = block_on(play(&path, &there, &attempts));
        prop_assert!(fs::read(received.path.unwrap()).unwrap() == content);
        prop_assert_eq!(received.bytes, bytes as u64);
        prop_assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
        // No more is sent twice than was on its way when a line was cut.
        let twice = (attempts.len() * (8 << 20)) as u64;
        prop_assert!(sent <= bytes as u64 + twice);
    }

    #[test]
    fn a_folder_is_the_same_in_the_end(sizes in vec(0..90_000_usize, 1..12), attempts in attempts()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, there) = (folder.path().join("folder"), folder.path().join("there"));
        fs::create_dir(&there).unwrap();
        for (number, &bytes) in sizes.iter().enumerate() {
            let inner = path.join(format!("{}", number % 3));
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join(format!("{number}")), content(bytes, number as u8)).unwrap();
        }
        let (received, _) = block_on(play(&path, &there, &attempts));
        prop_assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
        let there = received.path.unwrap();
        for (number, &bytes) in sizes.iter().enumerate() {
            let file = there.join(format!("{}/{number}", number % 3));
            prop_assert!(fs::read(file).unwrap() == content(bytes, number as u8));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_as_the_line_is_lost_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let [there, away] = ["there", "away"].map(|name| folder.path().join(name));
    fs::create_dir(&there).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'a'; 1000]).unwrap();
    let source = Source::stream("a", reader);
    let manifest = source.manifest(Hex([7; 16]));
    let (tell, (of_sender, of_receiver)): (Tell, _) = (Arc::new(|_| {}), keys());
    let (here, other) = tokio::io::duplex(64 << 10);
    let sending = async {
        let mut line = line(Box::new(here), Role::Client).await;
        let mut keys = of_sender.of_sender();
        let mut sending = Sending::new(&mut line, &mut keys, &source, Holds::default());
        let part = there.join("a.part");
        let written = async {
            while fs::metadata(&part).map_or(0, |it| it.len()) < 1000 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            end = sending.run(&manifest, &tell) => unreachable!("{end:?}"),
            () = written => {}
        }
        // Now it cannot be made durable, and the line is dropped.
        fs::rename(&there, &away).unwrap();
    };
    let receiving = async {
        let mut line = line(Box::new(other), Role::Server).await;
        let Heard::Binary(first) = line.hear().await.unwrap() else {
            unreachable!("a manifest");
        };
        let mut home = Home::new(Where::Path(there.clone()));
        let mut keys = of_receiver.of_receiver();
        let mut receiving = Receiving::new(&mut line, &mut keys);
        receiving.run(first, &mut home, &tell).await
    };
    let ((), end) = tokio::join!(sending, receiving);
    assert!(
        matches!(end, Err(Parting::Trouble(Trouble::Over(Fault::Disk(_))))),
        "{end:?}"
    );
}
