//! A long file from page to page: how much memory the two tabs take, and that it arrives as it was.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use relay_testing::{
    TestRelay,
    browser::Kind,
    memory::{OWN, of},
    skip::is_too_long,
};
use ring::digest::{Context, SHA256};
use tempfile::TempDir;

use crate::peer::{PASSPHRASE, Peer, page_at};

/// Bytes that a tab may take, whatever the file's size.
const MOST: usize = 128 * 1024 * 1024;
/// Bytes of a file: more than a tab may take, so that one which held it would be seen.
const LENGTH: u64 = 200_000_000;
/// Bytes of a file as people have them.
const WHOLE: u64 = 2_000_000_000;
/// How often to look at what a tab takes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The most that a tab has taken of memory of its own.
fn watch(tab: &Peer, over: &AtomicBool, peak: &AtomicUsize) {
    let renderers = tab.browser().renderers();
    while !over.load(Relaxed) {
        // One that ends meanwhile takes nothing.
        let each = renderers.iter().map(|&id| of(id, OWN).unwrap_or(0));
        let now = each.max();
        peak.fetch_max(now.unwrap_or(0), Relaxed);
        thread::sleep(LOOK_AGAIN);
    }
}

/// Ends the watches, also where what they watch fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A file of this size with something of its own in each MiB, and holes between.
fn lay_out(path: &Path, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.set_len(size)?;
    for place in (0..size).step_by(1 << 20) {
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&place.to_be_bytes())?;
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<Vec<u8>> {
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
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hash.0.finish().as_ref().to_vec())
}

#[test]
fn a_longer_file_than_that_takes_less_than_128_mib_of_each_tab() {
    if !is_too_long() {
        moves_within_bounds(LENGTH);
    }
}

#[test]
#[ignore = "it takes minutes, and 6 GB of disk"]
fn so_does_a_file_of_2_gb() {
    moves_within_bounds(WHOLE);
}

/// A file of so many bytes goes from one tab to another, and neither takes more than it may.
fn moves_within_bounds(length: u64) {
    let relay = TestRelay::start(|_| {});
    let page = page_at(relay.addr());
    let Some(sender) = Peer::open(Kind::Chromium, &page) else {
        return;
    };
    let Some(receiver) = Peer::open(Kind::Chromium, &page) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("film.mp4");
    lay_out(&file, length).unwrap();
    let (over, began) = (AtomicBool::new(false), Instant::now());
    let peaks = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let saved = thread::scope(|threads| {
        let _over = Over(&over);
        threads.spawn(|| watch(&sender, &over, &peaks[0]));
        threads.spawn(|| watch(&receiver, &over, &peaks[1]));
        let code = sender.share(file.to_str().unwrap(), PASSPHRASE);
        receiver.receive(&code, PASSPHRASE);
        receiver.saved_file(length)
    });
    let took = began.elapsed();
    let saved = receiver.browser().downloads().join(saved);
    assert!(digest(&saved).unwrap() == digest(&file).unwrap());
    fs::remove_file(saved).unwrap();
    for (side, peak) in ["sender", "receiver"].iter().zip(peaks) {
        let peak = peak.into_inner();
        println!(
            "{length} bytes in {took:?}: the {side}'s tab took {} MiB",
            peak >> 20
        );
        assert!(peak > 0 && peak < MOST, "{side}: {peak} bytes");
    }
}
