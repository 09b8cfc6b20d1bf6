//! Whether the relay's costs grow with the number of its rooms.
//!
//! A burst goes through one room after the other, and each is received before the next is sent,
//! so that the traffic has the same shape whatever the number of rooms. The same goes through a
//! forwarder, to tell what of it is the kernel's: the sockets it has not touched for long.

use std::{
    fmt::Write,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    failure::Result,
    figures::{figure, median, section},
    loads::{GIB, micros, used},
    options::Options,
    pair::Pair,
    peers::Peer,
    server::Server,
    wire::message,
};

/// How many rooms are compared.
const ROOMS: [usize; 5] = [1, 10, 100, 1_000, 5_000];

/// What goes through a room at a time.
struct Burst {
    messages: usize,
    len: usize,
}

const SMALL: Burst = Burst {
    messages: 256,
    len: 64,
};
const LARGE: Burst = Burst {
    messages: 4,
    len: 64 << 10,
};

/// The costs by number of rooms, of each peer measured.
#[derive(Default)]
pub(crate) struct Growth {
    pub(crate) series: Vec<Series>,
}

/// The costs of one peer.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) points: Vec<Point>,
}

/// The costs with so many rooms open and in use.
pub(crate) struct Point {
    pub(crate) rooms: usize,
    /// CPU µs per 64-byte message.
    pub(crate) message: f64,
    /// CPU s per GiB, in messages of 64 KiB.
    pub(crate) gib: f64,
    /// KiB per session before it has carried anything.
    pub(crate) idle: f64,
    /// KiB per session after all have carried both.
    pub(crate) used: f64,
}

impl Point {
    fn median(points: &[Self]) -> Self {
        let of = |cost: fn(&Self) -> f64| median(&points.iter().map(cost).collect::<Vec<_>>());
        Self {
            rooms: points[0].rooms,
            message: of(|point| point.message),
            gib: of(|point| point.gib),
            idle: of(|point| point.idle),
            used: of(|point| point.used),
        }
    }

    /// Whether its memory is more than what is lost in the rounding to pages.
    pub(crate) fn has_memory(&self) -> bool {
        self.rooms >= 100
    }
}

/// Measures the relay and the forwarder, each time on a fresh process.
pub(crate) fn measure(peers: &[Peer], options: &Options) -> Result<Growth> {
    let peers = peers
        .iter()
        .filter(|peer| ["relay", "haproxy"].contains(&peer.name));
    let mut rounds: Vec<_> = peers
        .map(|peer| (peer, [const { Vec::new() }; ROOMS.len()]))
        .collect();
    for round in 1..=options.rounds {
        for (index, rooms) in ROOMS.into_iter().enumerate() {
            for (peer, points) in &mut rounds {
                points[index].push(measure_once(peer, rooms, options)?);
            }
        }
        eprintln!("growth: round {round} of {}", options.rounds);
    }
    let series = rounds.into_iter().map(|(peer, points)| Series {
        name: peer.name,
        title: peer.title,
        points: points.iter().map(|points| Point::median(points)).collect(),
    });
    Ok(Growth {
        series: series.collect(),
    })
}

fn measure_once(peer: &Peer, rooms: usize, options: &Options) -> Result<Point> {
    let server = Server::start(peer)?;
    drop(Pair::open(&server)?);

    let before = server.memory_kib()?;
    let mut pairs = Pair::open_many(&server, rooms)?;
    thread::sleep(Duration::from_millis(200));
    let idle = server.memory_kib()? - before;

    send_laps(&mut pairs, &SMALL, options.warm_up)?;
    let (messages, small) = used(&server, || send_laps(&mut pairs, &SMALL, options.time))?;
    send_laps(&mut pairs, &LARGE, options.warm_up)?;
    let (messages_large, large) = used(&server, || send_laps(&mut pairs, &LARGE, options.time))?;
    let after = server.memory_kib()? - before;

    let sessions = (2 * rooms) as f64;
    Ok(Point {
        rooms,
        message: micros(small.cpu) / messages,
        gib: large.cpu.as_secs_f64() * GIB / (messages_large * LARGE.len as f64),
        idle: idle / sessions,
        used: after / sessions,
    })
}

/// Sends bursts through all rooms in turn, lap after lap, at least once through each; returns the
/// number of messages.
fn send_laps(pairs: &mut [Pair], burst: &Burst, time: Duration) -> Result<f64> {
    let frames = message(burst.len).repeat(burst.messages);
    let start = Instant::now();
    let mut messages = 0;
    while start.elapsed() < time {
        for pair in &mut *pairs {
            pair.sender.send(&frames)?;
            for _ in 0..burst.messages {
                pair.receiver.receive()?;
            }
            messages += burst.messages;
        }
    }
    Ok(messages as f64)
}

impl Growth {
    pub(crate) fn markdown(&self) -> String {
        let mut rows = String::new();
        for Series { title, points, .. } in &self.series {
            for point in points {
                let memory = |kib| {
                    if point.has_memory() {
                        figure(kib)
                    } else {
                        "–".into()
                    }
                };
                _ = writeln!(
                    rows,
                    "| {title} | {} | {} | {} | {} | {} |",
                    point.rooms,
                    figure(point.message),
                    figure(point.gib),
                    memory(point.idle),
                    memory(point.used),
                );
            }
        }
        if !rows.is_empty() {
            rows.insert_str(
                0,
                "| | rooms | CPU µs/message, 64 B | CPU s/GiB, 64 KiB | KiB/session, idle | \
                 KiB/session, after use |\n|---|--:|--:|--:|--:|--:|\n",
            );
        }
        section(
            "Growth",
            "So many rooms open (or connections, of a forwarder), all of them carrying bursts in \
             turn.",
            &rows,
        )
    }

    pub(crate) fn json(&self) -> Value {
        let series = self.series.iter().map(|series| {
            let points = series.points.iter().map(|point| {
                json!({
                    "rooms": point.rooms,
                    "cpu_us_per_message": point.message,
                    "cpu_s_per_gib": point.gib,
                    "kib_per_idle_session": point.idle,
                    "kib_per_used_session": point.used,
                })
            });
            (series.name.to_owned(), points.collect())
        });
        Value::Object(series.collect())
    }
}
