//! Shares between two of today's clients over lines that carry little: what one takes, and which arrive.
//!
//! Both ends are real clients, on Python's `websockets` with its defaults, each behind a forwarder that
//! stands for its line. Waiting for a line costs the machine nothing: long shares go side by side.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use relay_testing::{
    line::{Line, mbit},
    python::{End, Share},
};

use crate::{
    failure::Result,
    figures::median,
    options::Options,
    peers::{self, Peer},
    server::Server,
};

/// The relays compared: this one, and the one that today's clients were made for.
pub(crate) const PEERS: [&str; 2] = ["relay", "python"];
/// Plaintext of the share that is timed, in MB. Its message has twice as many, as it is hex.
pub(crate) const TIMED: f64 = 4.0;
/// The lines of both ends of that, in Mbit/s.
const BOTH: [f64; 4] = [1.0, 5.0, 20.0, 100.0];
/// On slower lines a share takes long and varies little: once is enough.
const OFTEN: f64 = 20.0;
/// Plaintext of the shares of which it is asked whether they arrive, in MB.
pub(crate) const SIZES: [f64; 3] = [0.5, 5.0, 24.0];
/// Lines of their receivers, in Mbit/s.
pub(crate) const RECEIVERS: [f64; 4] = [0.25, 1.0, 5.0, 20.0];
/// Lines of their senders, in Mbit/s.
pub(crate) const SENDERS: [f64; 3] = [5.0, 20.0, 100.0];

/// What each line holds of its own, each way, and how long a byte is under way.
const BUFFER: usize = 2 << 20;
const DELAY: Duration = Duration::from_millis(10);
/// How long a share may go on, before it counts as under way.
const PATIENCE: Duration = Duration::from_secs(540);
/// Shares side by side.
const AT_ONCE: usize = 12;
/// A client's first seconds are compression and little else: they begin one after another.
const APART: Duration = Duration::from_secs(2);

/// All that was measured.
#[derive(Default)]
pub(crate) struct ThinLines {
    pub(crate) costs: Vec<Cost>,
    pub(crate) arrivals: Vec<Arrival>,
}

/// What a share took over one relay, with the same line at both ends: medians.
pub(crate) struct Cost {
    pub(crate) peer: &'static str,
    /// Of both lines.
    pub(crate) mbit: f64,
    /// From the first byte of the message to its ACK.
    pub(crate) seconds: f64,
    /// In both directions of both lines, in MB.
    pub(crate) wire: f64,
    /// The relay's own, in seconds.
    pub(crate) cpu: f64,
}

/// What became of a share over one relay.
pub(crate) struct Arrival {
    pub(crate) peer: &'static str,
    /// Plaintext, in MB.
    pub(crate) size: f64,
    /// The line of the receiver, in Mbit/s.
    pub(crate) receiver: f64,
    /// The line of the sender, in Mbit/s.
    pub(crate) sender: f64,
    pub(crate) fate: Fate,
    /// After how long.
    pub(crate) seconds: f64,
}

/// How a share ended.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The receiver has it to the byte, and the sender knows.
    Arrived,
    /// It goes on when nobody waits any longer.
    UnderWay,
    /// One side's connection has ended, for this reason.
    Died(String),
}

/// One share that was made.
struct Shared {
    /// The sender's end, and the receiver's.
    ends: [End; 2],
    wire: u64,
    cpu: Duration,
}

/// Makes all the shares that are asked for.
pub(crate) fn measure(found: &[Peer], options: &Options) -> ThinLines {
    let found: Vec<_> = PEERS
        .into_iter()
        .filter_map(|name| found.iter().find(|peer| peer.name == name))
        .collect();
    ThinLines {
        costs: costs(&found, options),
        arrivals: arrivals(&found, options),
    }
}

fn costs(found: &[&Peer], options: &Options) -> Vec<Cost> {
    if !options.wants_size(TIMED) {
        return Vec::new();
    }
    let rates = BOTH.iter().filter(|&&rate| options.wants_receiver(rate));
    let (often, once): (Vec<f64>, Vec<f64>) = rates.partition(|&&rate| rate >= OFTEN);
    // These take next to no time of the processor.
    let mut costs = side_by_side(&cross(found, &once), |&(peer, rate)| cost(peer, rate, 1));
    for (peer, rate) in cross(found, &often) {
        costs.extend(told(cost(peer, rate, options.heavy_rounds)));
    }
    costs
}

fn cross<'a>(found: &[&'a Peer], rates: &[f64]) -> Vec<(&'a Peer, f64)> {
    let each = rates.iter();
    each.flat_map(|&rate| found.iter().map(move |&peer| (peer, rate)))
        .collect()
}

/// The medians of so many rounds.
fn cost(peer: &Peer, rate: f64, rounds: usize) -> Result<Cost> {
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let shared = share(peer, TIMED, rate, rate)?;
        if let Some(end) = shared.ends.iter().find(|end| !end.is_done()) {
            return Err(format!("{TIMED} MB at {rate} Mbit/s, {}: {}", peer.name, end.end).into());
        }
        let [sender, _] = &shared.ends;
        let round = [
            sender.seconds,
            shared.wire as f64 / 1e6,
            shared.cpu.as_secs_f64(),
        ];
        for (figures, figure) in figures.iter_mut().zip(round) {
            figures.push(figure);
        }
    }
    eprintln!("thin-lines: {TIMED} MB at {rate} Mbit/s, {}", peer.name);
    let [seconds, wire, cpu] = figures.map(|figures| median(&figures));
    Ok(Cost {
        peer: peer.name,
        mbit: rate,
        seconds,
        wire,
        cpu,
    })
}

fn arrivals(found: &[&Peer], options: &Options) -> Vec<Arrival> {
    let mut asked = Vec::new();
    for &peer in found {
        for size in SIZES.into_iter().filter(|&size| options.wants_size(size)) {
            for receiver in RECEIVERS {
                for sender in SENDERS {
                    if options.wants_receiver(receiver) && options.wants_sender(sender) {
                        asked.push((peer, size, receiver, sender));
                    }
                }
            }
        }
    }
    // The longest first, so that none of them is the last.
    asked.sort_by(|a, b| (b.1 / b.2).total_cmp(&(a.1 / a.2)));
    side_by_side(&asked, |&(peer, size, receiver, sender)| {
        let shared = share(peer, size, sender, receiver)?;
        let (fate, seconds) = Fate::of(&shared.ends);
        eprintln!(
            "thin-lines: {size} MB, receiver at {receiver}, sender at {sender} Mbit/s, {}: {} \
             after {seconds:.0} s",
            peer.name,
            fate.told(),
        );
        Ok(Arrival {
            peer: peer.name,
            size,
            receiver,
            sender,
            fate,
            seconds,
        })
    })
}

/// One share, over a relay that has just been started.
fn share(peer: &Peer, megabytes: f64, sender: f64, receiver: f64) -> Result<Shared> {
    let server = Server::start(peer)?;
    let before = server.cpu()?;
    let lines = [sender, receiver].map(|rate| {
        let line = Line {
            delay: DELAY,
            buffer: BUFFER,
            ..Line::of(mbit(rate))
        };
        line.lay(server.address)
    });
    let share = Share {
        python: peers::python().to_string_lossy().into_owned(),
        bytes: (megabytes * 1e6) as usize,
        patience: PATIENCE,
        compression: true,
    };
    let (sender, code) = share.send(&lines[0].url()).ok_or("no room")?;
    let receiver = share.receive(&lines[1].url(), &code);
    let ends = [sender.end(), receiver.end()];
    Ok(Shared {
        ends,
        wire: lines.iter().map(|line| line.down() + line.up()).sum(),
        cpu: server.cpu()? - before,
    })
}

/// What was measured, or nothing, and said so.
fn told<R>(result: Result<R>) -> Option<R> {
    let error = |error| eprintln!("thin-lines: {error}");
    result.map_err(error).ok()
}

/// Does the same with each of these, several at once; in their order, without those that fail.
fn side_by_side<T: Sync, R: Send>(each: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Vec<R> {
    let waiting = Mutex::new(each.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let (waiting, done, work) = (&waiting, &done, &work);
    thread::scope(|scope| {
        for worker in 0..AT_ONCE.min(each.len()) as u32 {
            scope.spawn(move || {
                thread::sleep(APART * worker);
                let next = || locked(waiting).next();
                while let Some((index, it)) = next() {
                    if let Some(result) = told(work(it)) {
                        locked(done).push((index, result));
                    }
                }
            });
        }
    });
    let mut done = mem::take(&mut *locked(done));
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, it)| it).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fate {
    /// And after how long it was decided.
    fn of(ends: &[End; 2]) -> (Self, f64) {
        let [sender, receiver] = ends;
        if sender.is_done() && receiver.is_done() {
            return (Self::Arrived, sender.seconds);
        }
        let sides = [("sender", sender), ("receiver", receiver)];
        let broken = sides.into_iter().filter(|(_, end)| !end.is_done());
        // Whoever only hears of the other's end is not why. Of two that fail, the first is.
        let first = broken.min_by(|(_, a), (_, b)| {
            let hears = |end: &End| end.end.to_lowercase().contains("_disconnected");
            let order = hears(a).cmp(&hears(b));
            order.then(a.seconds.total_cmp(&b.seconds))
        });
        let (side, end) = first.unwrap_or(sides[0]);
        let why = match end.end.as_str() {
            "under way" => return (Self::UnderWay, end.seconds),
            told if told.contains("keepalive") => "its keep-alive",
            told if told.contains("1009") => "too big",
            told => told,
        };
        (Self::Died(format!("{side}, {why}")), end.seconds)
    }

    /// In words.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Arrived => "arrived".into(),
            Self::UnderWay => "under way".into(),
            Self::Died(why) => format!("died ({why})"),
        }
    }
}
