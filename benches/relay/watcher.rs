//! Somebody who looks at a relay that is under load: at its pages, and at its operator's socket.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use relay_testing::http;

use crate::failure::Result;

/// The name of the operator's socket.
pub(crate) const SOCKET: &str = "admin.sock";
/// How often it is looked at: fifteen times as often as Prometheus does, twice as often as the page in a
/// browser does, and as often as `top`.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Of the answers that are due, how many have to come, in percent: looks drift where the machine is busy.
const ENOUGH: u64 = 80;
/// How long the socket has for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks a relay again and again, until it is finished or dropped.
pub(crate) struct Watcher {
    began: Instant,
    /// Answers that are due at each look.
    due: u64,
    asks: Sender<()>,
    answered: JoinHandle<u64>,
}

impl Watcher {
    /// Looks at the pages of the relay there, and at its socket if it has one.
    pub(crate) fn of(relay: SocketAddr, socket: Option<PathBuf>) -> Self {
        let due = 2 + u64::from(socket.is_some());
        let (asks, dropped) = channel::<()>();
        let began = Instant::now();
        let answered = thread::spawn(move || {
            let (mut answered, mut next) = (0, began + LOOK_AGAIN);
            let wait = |until: Instant| {
                dropped.recv_timeout(until.saturating_duration_since(Instant::now()))
            };
            while wait(next) == Err(RecvTimeoutError::Timeout) {
                // What an answer takes is no part of the pause.
                next += LOOK_AGAIN;
                for path in ["/metrics", "/status"] {
                    let answer = http::get_with(relay, path, "Accept: application/json\r\n");
                    answered += u64::from(answer.is_ok_and(|answer| answer.status == 200));
                }
                let looked = socket.as_deref().map(top);
                answered += u64::from(looked.is_some_and(|shown| shown.unwrap_or(false)));
            }
            answered
        });
        Self {
            began,
            due,
            asks,
            answered,
        }
    }

    /// Ends it. That too few of its questions were answered with 200 is an error.
    pub(crate) fn finish(self) -> Result<()> {
        let due = self.due * (self.began.elapsed().as_secs() / LOOK_AGAIN.as_secs());
        drop(self.asks);
        let answered = self.answered.join().map_err(|_| "the watcher panicked")?;
        eprintln!("watched: {answered} answers of {due}");
        match answered * 100 >= due * ENOUGH {
            true => Ok(()),
            false => Err(format!("only {answered} of {due} looks were answered").into()),
        }
    }
}

/// Asks for what `top` shows, and tells whether that comes.
fn top(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream
        .write_all(b"GET /status?rows=60 HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}
