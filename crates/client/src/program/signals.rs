//! What ends the program from outside: the first signal asks it to, the second ends it at once.

use std::{fs, io, process, thread};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// The status that a shell reports of a program which SIGINT has ended, and ours for all of them.
const STOPPED: i32 = 130;

/// Becomes true with the first signal.
pub(super) type Stop = watch::Receiver<bool>;

/// Begins to wait for SIGINT, SIGTERM and SIGHUP, but for those that whoever started us has told us to
/// ignore (`nohup`, a shell's background job). A thread of its own wakes whoever waits for the [`Stop`], and ends the
/// process with the second signal, also while all else waits for a terminal or a program that does not read.
///
/// # Errors
///
/// Where the system does not let us.
pub(super) fn watch() -> io::Result<Stop> {
    let ignored = ignored();
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let heeded = kinds
        .into_iter()
        .filter(|kind| ignored & (1 << (kind.as_raw_value() - 1)) == 0);
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    let mut signals = heeded.map(signal).collect::<io::Result<Vec<_>>>()?;
    drop(inside);
    let (stop, stopped) = watch::channel(false);
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        runtime.block_on(async {
            any(&mut signals).await;
            stop.send_replace(true);
            any(&mut signals).await;
            process::exit(STOPPED)
        })
    })?;
    Ok(stopped)
}

/// Waits until we are told to stop.
pub(super) async fn came(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // The thread that would tell is gone only with the process.
        std::future::pending().await
    }
}

/// Waits for one of these.
async fn any(signals: &mut [Signal]) {
    std::future::poll_fn(|cx| {
        // Each is asked, as each has to wake this task.
        let came = signals
            .iter_mut()
            .map(|signal| signal.poll_recv(cx).is_ready());
        match came.fold(false, |any, came| any | came) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

/// The signals that this process was started to ignore, a bit each (proc_pid_status(5), SigIgn).
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
