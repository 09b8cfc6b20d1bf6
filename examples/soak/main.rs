//! A soak: hundreds of rooms at once, whose clients send messages of all sizes at all speeds and
//! leave in every way there is, for as long as one likes.
//!
//! ```text
//! cargo run --release --example soak -- --minutes 5
//! ```
//!
//! Every message is hashed where it is sent and where it is received, and the two accounts of each
//! pair are held against each other. What came must be a prefix of what was sent: the same
//! messages, in the same order, of the same kind, whole, and nobody else's. It must be all of it
//! where PROTOCOL.md promises that, and a byte is *lost* if it did not come although it was
//! promised. A message is promised when the socket of the one who sent it has taken all of it, and
//!
//! - from a sender: its sender then left with a Close, by ending its stream, or for a breach of the
//!   protocol, and the receiver read on until the relay told it so;
//! - from a receiver: it then left in one of these ways, it knew that it was paired, since its
//!   sender had greeted it, and the sender stayed to hear of it.
//!
//! Nothing is promised to who leaves first, nor by who resets the connection or stalls: what is
//! under way goes with it. A receiver that leaves when all is said has everything its sender
//! announced, or it would not leave.
//!
//! It fails for a byte lost, for one that was not sent, for a session that ends otherwise than its
//! client or the protocol meant it to, and for anything the relay still holds when all have left.

mod client;
mod ledger;
mod plan;
mod receiver;
mod relay;
mod sender;
mod times;

use std::{
    env,
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Arg, Command, value_parser};
use futures_util::future::{join, join_all};
use relay_testing::memory::{self, PEAK};
use tokio::{
    runtime,
    sync::oneshot,
    task::LocalSet,
    time::{sleep, timeout},
};

use self::{
    ledger::{RoomAccount, Totals},
    plan::{Random, RoomPlan},
    times::LONGEST_ROOM,
};

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(relay::AS_RELAY) {
        return match relay::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("relay: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match soak(&Options::read()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What one may choose.
struct Options {
    /// Time in which new rooms are opened; those that are open may finish.
    time: Duration,
    /// Rooms open at once.
    rooms: u64,
    seed: u64,
}

impl Options {
    fn read() -> Self {
        let option = |name: &'static str, help: &'static str| {
            let arg = Arg::new(name).long(name).help(help);
            arg.value_parser(value_parser!(u64).range(1..))
        };
        let arguments = [
            option("minutes", "How long new rooms are opened").default_value("1"),
            option("rooms", "Rooms open at once").default_value("200"),
            option(
                "seed",
                "Where everything random comes from [default: a new one]",
            ),
        ];
        let chosen = Command::new("soak").args(arguments).get_matches();
        let number = |name: &str| chosen.get_one::<u64>(name).copied();
        Self {
            time: Duration::from_secs(60 * number("minutes").unwrap_or(1)),
            rooms: number("rooms").unwrap_or(200),
            seed: number("seed").unwrap_or_else(|| rand::random_range(1..1 << 32)),
        }
    }
}

/// Runs it all and says what came of it; whether that is good.
fn soak(options: &Options) -> Result<bool, Box<dyn Error>> {
    println!("seed: {}", options.seed);
    // Each session has a socket here and one in the relay, which inherits the limit.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut relay = relay::start()?;
    let mut random = Random::new(options.seed);
    let deadline = Instant::now() + options.time;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let slots = (0..options.rooms).map(|_| open_rooms(relay.addr(), random.fork(), deadline));
    let totals: Totals = LocalSet::new()
        .block_on(&runtime, join_all(slots))
        .into_iter()
        .sum();
    let left = runtime.block_on(relay::settle(&relay));
    report(&totals, memory::of(relay.pid(), PEAK).ok(), &left);
    runtime.block_on(relay.stop());
    Ok(totals.lost == 0 && totals.wrong.is_empty() && left.is_empty())
}

/// Opens one room after another, until the deadline.
async fn open_rooms(relay: SocketAddr, mut random: Random, deadline: Instant) -> Totals {
    let mut totals = Totals::default();
    while Instant::now() < deadline {
        match timeout(LONGEST_ROOM, run_room(relay, random.room())).await {
            Ok(account) => totals += account.judge(),
            Err(_) => {
                totals.wrong("a room did not come to an end");
                break;
            }
        }
    }
    totals
}

async fn run_room(relay: SocketAddr, plan: RoomPlan) -> RoomAccount {
    let (tell, code) = oneshot::channel();
    let (leave, all_left) = oneshot::channel();
    let sender = sender::run(relay, plan.sender, tell, all_left);
    let receivers = async {
        // There is no code if the sender has failed; it says why.
        let Ok(code) = &code.await else {
            return Vec::new();
        };
        let receivers = plan.receivers.into_iter().enumerate();
        let visits = join_all(receivers.map(|(number, (comes_after, plan))| async move {
            sleep(comes_after).await;
            receiver::run(relay, code, number, plan).await
        }))
        .await;
        let _ = leave.send(());
        visits
    };
    let ((segments, end), visits) = join(sender, receivers).await;
    RoomAccount {
        segments,
        end,
        visits,
    }
}

fn report(totals: &Totals, peak_memory: Option<usize>, left: &[String]) {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("sessions: {} in {} rooms", totals.sessions, totals.rooms);
    println!(
        "delivered and verified: {} messages, {:.0} MiB, between {} pairs",
        totals.messages,
        mebibytes(totals.bytes),
        totals.pairs,
    );
    println!("ends:");
    for (name, count) in &totals.ends {
        println!("  {name}: {count}");
    }
    println!("faults injected: {}", totals.faults());
    match peak_memory {
        Some(bytes) => println!(
            "peak memory of the relay: {:.1} MiB",
            mebibytes(bytes as u64)
        ),
        None => println!("peak memory of the relay: unknown here"),
    }
    for (what, count) in &totals.wrong {
        println!("wrong, {count} times: {what}");
    }
    for what in left {
        println!("still held: {what}");
    }
    println!("bytes lost: {}", totals.lost);
}
