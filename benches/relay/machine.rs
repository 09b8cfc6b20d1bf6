//! The machine the benchmark runs on.

use std::{fs, process::Command, thread};

use crate::failure::Result;

/// Open files a run needs: a forwarder has both ends of 5,000 connections, and keeps some to spare.
const SOCKETS: u64 = 16_000;

/// Raises this process's limit of open files; the servers it starts inherit it.
pub(crate) fn allow_many_sockets() -> Result<()> {
    match rlimit::increase_nofile_limit(SOCKETS)? {
        SOCKETS.. => Ok(()),
        few => Err(format!("{SOCKETS} open files are needed, {few} allowed (ulimit -n)").into()),
    }
}

/// One line about the processor, the memory and the system.
pub(crate) fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> Option<String> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown CPU".into());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kib: u64 = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|size| size.split(' ').next()?.parse().ok())
        .unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores of {processor}, {} GiB, Linux {}, loopback",
        (kib + (1 << 19)) >> 20,
        kernel.trim().split('-').next().unwrap_or_default(),
    )
}

/// How many threads of others want a core now, if that is enough to be seen in the figures.
pub(crate) fn others_at_work() -> Option<f64> {
    let averages = fs::read_to_string("/proc/loadavg").ok()?;
    let last_minute: f64 = averages.split(' ').next()?.parse().ok()?;
    (last_minute > 0.5).then_some(last_minute)
}

/// Today, as `2026-01-31`.
pub(crate) fn today() -> String {
    output_of(Command::new("date").args(["-u", "+%F"])).unwrap_or_default()
}

/// The first line a command prints, if it runs at all.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}
