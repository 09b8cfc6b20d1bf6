//! Shares over lines that drop, by the program itself: cuts at random moments, kills of either end, and restarts of
//! the relay, in the midst of one file, which arrives as it was, with little of it sent twice.
#![cfg(feature = "distill")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use relay_testing::{
    distill::Distill,
    line::{Forwarder, Line},
    noise::noise,
    process::{Relay, Start},
    seeded,
    skip::size,
};
use ring::digest::{Context, Digest, SHA256};
use tempfile::TempDir;

/// Bytes a second that a line carries.
const RATE: u64 = 16_000_000;
/// How long any of these may take.
const LIMIT: Duration = Duration::from_secs(240);
const MIB: u64 = 1 << 20;

/// What may happen to a share.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    CutOfSender,
    CutOfReceiver,
    KillOfSender,
    KillOfReceiver,
    RestartOfRelay(Signal),
}

/// A share between two programs, each on a line of its own.
struct Scene {
    folder: TempDir,
    relay: Option<Relay>,
    lines: [Forwarder; 2],
    sender: Option<Distill>,
    receiver: Option<Distill>,
    code: String,
    /// The most memory that either program has had, in bytes.
    peak: usize,
}

impl Scene {
    /// Begins to share `bytes` of noise.
    fn begin(rng: &mut StdRng, bytes: u64) -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["relay", "sender", "receiver", "there"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut file = File::create(folder.path().join("a.bin")).unwrap();
        for _ in 0..bytes / MIB {
            file.write_all(&noise(rng, MIB as usize)).unwrap();
        }
        let relay = relay(folder.path()).run();
        let line = || {
            Line {
                buffer: 64 << 10,
                ..Line::of(RATE)
            }
            .lay(relay.addr())
        };
        let mut scene = Self {
            lines: [line(), line()],
            folder,
            relay: Some(relay),
            sender: None,
            receiver: None,
            code: String::new(),
            peak: 0,
        };
        scene.start_sender();
        scene.start_receiver();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start_sender(&mut self) {
        let args = ["share".into(), self.path("a.bin")];
        let mut sender = Distill::start(self.lines[0].addr(), &self.path("sender"), args);
        if self.code.is_empty() {
            let opened = sender.event("opened", LIMIT);
            self.code = opened["code"].as_str().unwrap().to_owned();
        } else {
            assert_eq!(sender.event("resumed", LIMIT)["code"], self.code);
        }
        self.sender = Some(sender);
    }

    fn start_receiver(&mut self) {
        let (code, there) = (PathBuf::from(&self.code), self.path("there"));
        let args = ["receive".into(), code, "-o".into(), there];
        let receiver = Distill::start(self.lines[1].addr(), &self.path("receiver"), args);
        self.receiver = Some(receiver);
    }

    /// Bytes of the file that are there.
    fn arrived(&self) -> u64 {
        let part = fs::metadata(self.path("there/a.bin.part"));
        part.map_or(0, |it| it.len())
    }

    fn look_at_memory(&mut self) {
        for it in [&self.sender, &self.receiver].into_iter().flatten() {
            self.peak = self.peak.max(it.peak());
        }
    }

    /// Waits until so many bytes are there; whether they come before the end.
    async fn until(&mut self, bytes: u64) -> bool {
        let deadline = Instant::now() + LIMIT;
        while self.arrived() < bytes {
            self.look_at_memory();
            if self.path("there/a.bin").exists() {
                return false;
            }
            assert!(
                Instant::now() < deadline,
                "{} bytes of {bytes}",
                self.arrived()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    async fn suffer(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::CutOfSender => self.lines[0].cut(),
            Mishap::CutOfReceiver => self.lines[1].cut(),
            Mishap::KillOfSender => {
                self.sender.take().unwrap().kill().await;
                self.start_sender();
            }
            Mishap::KillOfReceiver => {
                self.receiver.take().unwrap().kill().await;
                self.start_receiver();
            }
            Mishap::RestartOfRelay(signal) => {
                let mut old = self.relay.take().unwrap();
                old.signal(signal);
                old.ended().await;
                let again = relay(self.folder.path()).env("RELAY_PORT", old.addr().port());
                self.relay = Some(again.run_at(old.addr()));
            }
        }
    }

    /// Waits until both have ended well, and the file is there, and nothing else of it; returns the bytes of content
    /// that the sender, as it was last started, has put on its line.
    async fn end(&mut self) -> u64 {
        let mut receiver = self.receiver.take().unwrap();
        receiver.event("delivered", LIMIT);
        let mut sender = self.sender.take().unwrap();
        let sent = sender.event("delivered", LIMIT)["sent"].as_u64().unwrap();
        for program in [&mut receiver, &mut sender] {
            let status = program.process.ended().await;
            assert!(status.success(), "{status}");
        }
        let (here, there) = (self.path("a.bin"), self.path("there/a.bin"));
        assert_eq!(digest(&here).as_ref(), digest(&there).as_ref());
        assert_eq!(names(&self.path("there")), ["a.bin"]);
        sent
    }
}

/// A relay that keeps what outlives it in `folder`.
fn relay(folder: &Path) -> Start {
    Start::new()
        .env("RELAY_STATE_DIR", folder.join("relay").display())
        .env("RELAY_DRAIN_TIMEOUT", 1)
}

fn digest(path: &Path) -> Digest {
    struct Hash(Context);
    impl Write for Hash {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Hash(Context::new(&SHA256));
    io::copy(&mut File::open(path).unwrap(), &mut hash).unwrap();
    hash.0.finish()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// What a share has cost.
struct Cost {
    /// Bytes of content that the sender, as it was last started, has put on its line.
    sent: u64,
    /// Bytes that its line has carried.
    carried: u64,
    /// The most memory that either program has had, in bytes.
    peak: usize,
}

/// Has `bytes` arrive through all of `mishaps`, each at a random moment.
async fn share_through(seed: u64, bytes: u64, mut mishaps: Vec<Mishap>) -> Cost {
    let mut rng = seeded(seed);
    mishaps.shuffle(&mut rng);
    // The line takes a second for what comes after the last of them, and whoever waits for it may be late.
    let last = bytes - 16 * MIB;
    let mut moments: Vec<_> = mishaps.iter().map(|_| rng.random_range(1..last)).collect();
    moments.sort_unstable();
    let mut scene = Scene::begin(&mut rng, bytes);
    for (moment, mishap) in moments.into_iter().zip(mishaps) {
        assert!(scene.until(moment).await, "it is there before {mishap:?}");
        scene.suffer(mishap).await;
    }
    let sent = scene.end().await;
    let (carried, peak) = (scene.lines[0].up(), scene.peak);
    println!("{bytes} bytes: {sent} sent, {carried} carried, {peak} bytes of memory");
    Cost {
        sent,
        carried,
        peak,
    }
}

#[tokio::test]
async fn a_hundred_cuts_cost_less_than_a_hundredth() {
    let (bytes, cuts) = size((100 * MIB, 5), (1000 * MIB, 100));
    let one_of_each = [Mishap::CutOfSender, Mishap::CutOfReceiver];
    let mishaps = one_of_each.into_iter().cycle().take(cuts).collect();
    let cost = share_through(1, bytes, mishaps).await;
    let most = bytes + bytes / 100;
    assert!(cost.sent < most, "{} for {bytes}", cost.sent);
    // Heads, seals and words take two thousandths.
    assert!(cost.carried < cost.sent + bytes / 400, "{}", cost.carried);
    assert!(cost.peak < 32 * MIB as usize, "{} of memory", cost.peak);
}

#[tokio::test]
async fn who_is_killed_goes_on_when_started_again() {
    let (bytes, kills) = size((100 * MIB, 2), (300 * MIB, 6));
    let one_of_each = [Mishap::KillOfSender, Mishap::KillOfReceiver];
    let mishaps = one_of_each.into_iter().cycle().take(kills).collect();
    let cost = share_through(2, bytes, mishaps).await;
    let most = bytes + bytes / 100 + kills as u64 * MIB;
    assert!(cost.carried < most, "{} for {bytes}", cost.carried);
}

#[tokio::test]
async fn a_relay_that_restarts_is_waited_for() {
    let restarts = [Signal::SIGTERM, Signal::SIGKILL].map(Mishap::RestartOfRelay);
    let bytes = 100 * MIB;
    let cost = share_through(3, bytes, restarts.into()).await;
    let most = bytes + 2 * MIB;
    assert!(cost.sent < most, "{} for {bytes}", cost.sent);
}
