//! The loads, each put on a server that has just been started.
//!
//! Threads that block, and nothing cleverer: a sender and a receiver are on different threads
//! only where both are busy at once.

use std::{
    io::{ErrorKind, Write},
    thread,
    time::{Duration, Instant},
};

use crate::{
    failure::Result,
    options::Options,
    pair::Pair,
    server::Server,
    wire::{End, message},
};

const MIB: usize = 1 << 20;
pub(crate) const GIB: f64 = (1 << 30) as f64;
/// Small messages are written this many bytes at a time.
const BATCH: usize = 256 << 10;
/// Says that a stream is over: a length no load sends.
const END_LEN: usize = 1;

/// What the server used for a load.
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// Runs a load and returns its result with what the server used for it.
pub(crate) fn used<T>(server: &Server, load: impl FnOnce() -> Result<T>) -> Result<(T, Used)> {
    let (cpu, start) = (server.cpu()?, Instant::now());
    let result = load()?;
    let wall = start.elapsed();
    Ok((
        result,
        Used {
            cpu: server.cpu()? - cpu,
            wall,
        },
    ))
}

/// Small messages from sender to receiver: CPU µs per message, messages per second.
pub(crate) fn small_messages(server: &Server, options: &Options, len: usize) -> Result<Vec<f64>> {
    let (messages, used) = stream(server, options, 1, len)?;
    Ok(vec![
        micros(used.cpu) / messages,
        messages / used.wall.as_secs_f64(),
    ])
}

/// Large messages, through one or more pairs at once: CPU s per GiB, MiB per second.
pub(crate) fn large_messages(
    server: &Server,
    options: &Options,
    pairs: usize,
    len: usize,
) -> Result<Vec<f64>> {
    let (messages, used) = stream(server, options, pairs, len)?;
    let bytes = messages * len as f64;
    Ok(vec![
        used.cpu.as_secs_f64() * GIB / bytes,
        bytes / MIB as f64 / used.wall.as_secs_f64(),
    ])
}

/// Every sender sends as fast as it may, every receiver receives; returns the messages and their
/// cost, once warm.
fn stream(server: &Server, options: &Options, pairs: usize, len: usize) -> Result<(f64, Used)> {
    stream_through(Pair::open_many(server, pairs)?, server, options, len)
}

/// The same through these pairs, of which `server` is on the way.
pub(crate) fn stream_through(
    pairs: Vec<Pair>,
    server: &Server,
    options: &Options,
    len: usize,
) -> Result<(f64, Used)> {
    let mut pairs: Vec<_> = pairs
        .into_iter()
        .map(|pair| Pair {
            receiver: pair.receiver.with_large_buffer(),
            ..pair
        })
        .collect();
    let in_batch = (BATCH / len).max(1);
    let batch = message(len).repeat(in_batch);

    let mut stream_for = |time: Duration| -> Result<u64> {
        let until = Instant::now() + time;
        thread::scope(|scope| {
            let mut ends = Vec::new();
            for Pair { sender, receiver } in &mut pairs {
                let batch = &batch;
                ends.push((
                    scope.spawn(move || send_until(until, sender, batch, in_batch)),
                    scope.spawn(move || receive_all(receiver, len)),
                ));
            }
            let mut total = 0;
            for (sender, receiver) in ends {
                let (sent, received) = (joined(sender)?, joined(receiver)?);
                if sent != received {
                    return Err(format!("{sent} messages sent, {received} received").into());
                }
                total += received;
            }
            Ok(total)
        })
    };
    stream_for(options.warm_up)?;
    let (messages, used) = used(server, || stream_for(options.time))?;
    Ok((messages as f64, used))
}

fn send_until(until: Instant, sender: &mut End, batch: &[u8], in_batch: usize) -> Result<u64> {
    let mut sent = 0;
    while Instant::now() < until {
        sender.send(batch)?;
        sent += in_batch as u64;
    }
    sender.send(&message(END_LEN))?;
    Ok(sent)
}

fn receive_all(receiver: &mut End, len: usize) -> Result<u64> {
    let mut received = 0;
    loop {
        match receiver.receive()? as usize {
            END_LEN => return Ok(received),
            whole if whole == len => received += 1,
            other => return Err(format!("a message of {len} bytes came as {other}").into()),
        }
    }
}

pub(crate) fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| "a thread of the load panicked")?
}

/// 1,000 rooms, all of which send a message of 64 KiB at once: CPU s per GiB, peak MiB.
pub(crate) fn busy_rooms(server: &Server, options: &Options) -> Result<Vec<f64>> {
    const ROOMS: usize = 1_000;
    const LEN: usize = 64 << 10;
    let mut pairs = Pair::open_many(server, ROOMS)?;
    let message = message(LEN);
    let mut run_for = |time: Duration| -> Result<f64> {
        let until = Instant::now() + time;
        let mut messages = 0;
        while Instant::now() < until {
            let ends = pairs
                .iter_mut()
                .map(|pair| (&mut pair.sender, &mut pair.receiver));
            let (senders, receivers): (Vec<_>, Vec<_>) = ends.unzip();
            thread::scope(|scope| {
                let message = &message;
                let sending =
                    scope.spawn(move || senders.into_iter().try_for_each(|end| end.send(message)));
                for receiver in receivers {
                    receiver.receive()?;
                }
                joined(sending)
            })?;
            messages += ROOMS;
        }
        Ok(messages as f64)
    };
    run_for(options.warm_up)?;
    let (messages, used) = used(server, || run_for(options.time))?;
    Ok(vec![
        used.cpu.as_secs_f64() * GIB / (messages * LEN as f64),
        server.peak_memory_kib()? / 1024.0,
    ])
}

/// 64 bytes there and 64 bytes back, one at a time: CPU µs, p50 µs, p99 µs.
pub(crate) fn round_trips(server: &Server, options: &Options) -> Result<Vec<f64>> {
    round_trips_through(Pair::open(server)?, server, options)
}

/// The same through this pair, of which `server` is on the way.
pub(crate) fn round_trips_through(
    mut pair: Pair,
    server: &Server,
    options: &Options,
) -> Result<Vec<f64>> {
    let message = message(64);
    let mut run_for = |time| -> Result<Vec<f64>> {
        let until = Instant::now() + time;
        let mut times = Vec::new();
        let mut start = Instant::now();
        while start < until {
            pair.sender.send(&message)?;
            pair.receiver.receive()?;
            pair.receiver.send(&message)?;
            pair.sender.receive()?;
            let end = Instant::now();
            times.push(micros(end - start));
            start = end;
        }
        Ok(times)
    };
    run_for(options.warm_up)?;
    let (mut times, used) = used(server, || run_for(options.time))?;
    times.sort_by(f64::total_cmp);
    let percentile = |share: usize| times[(times.len() - 1) * share / 100];
    Ok(vec![
        micros(used.cpu) / times.len() as f64,
        percentile(50),
        percentile(99),
    ])
}

/// Rooms opened, used for one message each way, and closed, by eight threads: CPU µs per room,
/// rooms per second.
pub(crate) fn rooms(server: &Server, options: &Options) -> Result<Vec<f64>> {
    let run_for = |time| rooms_for(time, |_| Pair::open(server));
    run_for(options.warm_up)?;
    let (rooms, used) = used(server, || run_for(options.time))?;
    Ok(vec![
        micros(used.cpu) / rooms as f64,
        rooms as f64 / used.wall.as_secs_f64(),
    ])
}

/// Has eight threads open rooms by `open`, which is told the thread, use and close them for so long; returns how many.
pub(crate) fn rooms_for(
    time: Duration,
    open: impl Fn(usize) -> Result<Pair> + Sync,
) -> Result<u64> {
    let message = message(64);
    let one_room = |thread| -> Result<()> {
        let mut pair = open(thread)?;
        pair.sender.send(&message)?;
        pair.receiver.receive()?;
        pair.receiver.send(&message)?;
        pair.sender.receive()?;
        pair.close()
    };
    let until = Instant::now() + time;
    let until_then = |thread| -> Result<u64> {
        let mut rooms = 0;
        while Instant::now() < until {
            one_room(thread)?;
            rooms += 1;
        }
        Ok(rooms)
    };
    let until_then = &until_then;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|it| scope.spawn(move || until_then(it)))
            .collect();
        threads.into_iter().map(joined).sum()
    })
}

/// 8,000 sessions, two to a room, that do nothing: KiB per session.
pub(crate) fn idle_sessions(server: &Server, _: &Options) -> Result<Vec<f64>> {
    const SESSIONS: usize = 8_000;
    // What the first sessions allocate for all that follow is not the 8,000's.
    Pair::open(server)?.close()?;
    let before = server.memory_kib()?;
    let pairs = Pair::open_many(server, SESSIONS / 2)?;
    thread::sleep(Duration::from_millis(500));
    let grown = server.memory_kib()? - before;
    drop(pairs);
    Ok(vec![grown / SESSIONS as f64])
}

/// A 10 MB message uploaded at 20 MiB/s: the time until its first byte came out, as a share of
/// the time its upload took.
pub(crate) fn first_byte(server: &Server, _: &Options) -> Result<Vec<f64>> {
    const SLICE: usize = 16 << 10;
    const RATE: f64 = (20 * MIB) as f64;
    let Pair {
        mut sender,
        mut receiver,
    } = Pair::open(server)?;
    let message = message(10_000_000);
    let start = Instant::now();
    let (uploaded, came_out) = thread::scope(|scope| -> Result<(Instant, Instant)> {
        let receiver = scope.spawn(move || receiver.receive_and_time());
        for (index, slice) in message.chunks(SLICE).enumerate() {
            let due = start + Duration::from_secs_f64((index * SLICE) as f64 / RATE);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            sender.send(slice)?;
        }
        Ok((Instant::now(), joined(receiver)?))
    })?;
    Ok(vec![
        (came_out - start).as_secs_f64() / (uploaded - start).as_secs_f64(),
    ])
}

/// 16 pairs whose receivers read nothing while their senders push 64 MiB each, as far as they
/// are let: peak MiB of the server.
pub(crate) fn stalled_receivers(server: &Server, _: &Options) -> Result<Vec<f64>> {
    const PAIRS: usize = 16;
    const PUSHED: usize = 64 * MIB;
    const PATIENCE: Duration = Duration::from_secs(2);
    let message = message(10_000_000);
    let pairs = Pair::open_many(server, PAIRS)?;
    for pair in &pairs {
        pair.sender.socket().set_nonblocking(true)?;
    }
    let mut written = [0; PAIRS];
    let mut last_progress = Instant::now();
    while last_progress.elapsed() < PATIENCE {
        for (pair, written) in pairs.iter().zip(&mut written) {
            if *written >= PUSHED {
                continue;
            }
            match pair
                .sender
                .socket()
                .write(&message[*written % message.len()..])
            {
                Ok(len) => {
                    *written += len;
                    last_progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(vec![server.peak_memory_kib()? / 1024.0])
}

/// As a figure of a table.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
