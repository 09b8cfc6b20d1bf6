//! Counts the instructions a frame costs on its way from one socket's bytes to another's, and
//! fails when that grows: `cargo bench --bench frame_path`.
//!
//! Everything of ours a frame meets is in it (reader, unmasking, UTF-8, rooms, assembly, outbox)
//! and nothing that is timed: callgrind counts, so the figure is the same however busy the machine
//! is. Mailboxes, system calls and the runtime are not in it; `relay` measures those. After a
//! change that is worth its price, `cargo bench --bench frame_path -- --record` records the figure.
//!
//! What tests are built as has a figure of its own: `cargo bench --profile dev --bench frame_path`. It is higher by a third,
//! and grows with the same work; and it is there sooner, as all that it needs is built for the tests.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    env, fs,
    hint::black_box,
    process::{Command, exit},
    sync::Arc,
    time::{Duration, Instant},
};

use claude_distill_relay::{
    flow::{
        credit::{Pool, Window},
        outbox::Outbox,
        reader::{Event, FrameReader},
    },
    rooms::{Effect, Limits, Receiver, Rooms, SessionId, Terms},
};
use relay_testing::skip;
use relay_wire::{
    code::RoomCode,
    frame::{Opcode, encode_masked},
    reply::PeerId,
};

const SENDER: SessionId = SessionId(1);
const RECEIVER: SessionId = SessionId(2);
/// Bytes in one read, as in the relay.
const READ: usize = 64 * 1024;
/// Chunks given to the system in one call, as in the relay.
const MAX_SLICES: usize = 32;
/// Turns of the script in one count.
const TURNS: u64 = 20;
/// How much more than recorded is too much, in percent.
const TOLERANCE: u64 = 10;
const RECORD: &str = if cfg!(debug_assertions) {
    concat!(env!("CARGO_MANIFEST_DIR"), "/benches/frame_path_dev.txt")
} else {
    concat!(env!("CARGO_MANIFEST_DIR"), "/benches/frame_path.txt")
};

/// Sender and receiver in one room, each with its reader.
struct Pair {
    rooms: Rooms,
    readers: [(SessionId, FrameReader); 2],
    effects: Vec<Effect>,
    outbox: Outbox,
}

impl Pair {
    fn new() -> Self {
        let mut rooms = Rooms::new(Limits {
            max_queue: 1,
            pair_idle: Duration::from_secs(1800),
        });
        let (slots, buffers) = (Pool::new(1), Pool::new(1 << 28));
        let code = RoomCode::from_typed("a7f3k2").unwrap();
        let mut effects = Vec::new();
        let now = Instant::now();
        let terms = Terms::plain(Duration::from_secs(1800));
        rooms
            .create(now, SENDER, &slots, Some(code), &terms, &mut effects)
            .unwrap();
        let receiver = Receiver::new(RECEIVER, PeerId::random(), buffers, now);
        rooms.join(&code, receiver, &mut effects).unwrap();
        effects.clear();
        let readers = [SENDER, RECEIVER].map(|id| {
            let window: Arc<Window> = Window::new(1 << 30);
            let mut reader = FrameReader::new(10 << 20, window);
            reader.join_messages();
            (id, reader)
        });
        Self {
            rooms,
            readers,
            effects,
            outbox: Outbox::default(),
        }
    }

    /// What becomes of these bytes, from one of the two, in reads of the usual size.
    fn pass(&mut self, from: usize, bytes: &[u8]) {
        let (id, reader) = &mut self.readers[from];
        for mut read in bytes.chunks(READ) {
            while let Some(event) = reader.next(&mut read) {
                match event {
                    Event::Data(data) => self.rooms.forward(*id, data, &mut self.effects),
                    other => panic!("{other:?}"),
                }
            }
            for effect in self.effects.drain(..) {
                if let Effect::Deliver(_, delivery) = effect {
                    self.outbox.push(delivery);
                }
            }
            while !self.outbox.is_empty() {
                let slices = self.outbox.slices(usize::MAX).take(MAX_SLICES);
                let taken = slices.map(|bytes| black_box(bytes).len()).sum();
                self.outbox.written(taken);
            }
        }
    }
}

fn masked(opcode: Opcode, size: usize, count: usize) -> Vec<u8> {
    encode_masked(opcode, true, &vec![b'a'; size], [1, 2, 3, 4]).repeat(count)
}

/// A fixed script of frames: many small ones, few large ones, text, one at a time, and both ways.
fn script(turns: u64) {
    let small = masked(Opcode::Binary, 64, 4000);
    let middle = masked(Opcode::Text, 1024, 400);
    let large = masked(Opcode::Binary, 1 << 20, 2);
    let single = masked(Opcode::Binary, 64, 1);
    let mut pair = Pair::new();
    for _ in 0..turns {
        for from in [0, 1] {
            pair.pass(from, &small);
            pair.pass(from, &middle);
            pair.pass(from, &large);
            for _ in 0..500 {
                pair.pass(from, &single);
            }
        }
    }
}

/// Instructions of the script, without those of the start and the end.
fn count() -> Option<u64> {
    let run = |turns: u64| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(env::current_exe().unwrap())
            .args(["--turns", &turns.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("Collected"));
        line?.rsplit(' ').next()?.parse::<u64>().ok()
    };
    Some((run(TURNS + 1)? - run(1)?) / TURNS)
}

fn main() {
    let args: Vec<String> = env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--turns") {
        script(args[at + 1].parse().unwrap());
        return;
    }
    let Some(now) = count() else {
        return skip("valgrind");
    };
    if args.iter().any(|arg| arg == "--record") {
        fs::write(RECORD, format!("{now}\n")).unwrap();
    }
    let recorded: u64 = fs::read_to_string(RECORD).unwrap().trim().parse().unwrap();
    println!("frame path: {now} instructions a turn, {recorded} recorded");
    if now * 100 > recorded * (100 + TOLERANCE) {
        println!("that is over {TOLERANCE} % more: find out why, or record it with --record");
        exit(1);
    }
}
