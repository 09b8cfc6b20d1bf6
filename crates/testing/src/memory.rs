//! What the system tells of a process's memory. Only Linux does, in `/proc/PID/status`.

use std::{fs, io};

/// Resident now.
pub const RESIDENT: &str = "VmRSS:";
/// The most that was ever resident, or that has been since [`forget_peak`].
pub const PEAK: &str = "VmHWM:";

/// What is a process's own and in no file, of what is resident.
pub const OWN: &str = "RssAnon:";

/// The processes that this one has started, and those that they have, and so on. Some may have ended meanwhile.
///
/// # Errors
///
/// Where this one has ended, or the system does not tell.
pub fn descendants(process: u32) -> io::Result<Vec<u32>> {
    let mut found = children(process)?;
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(children(parent).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

fn children(process: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    // A thread's children are its own (proc(5)).
    for thread in fs::read_dir(format!("/proc/{process}/task"))?.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().flat_map(str::parse::<u32>));
    }
    Ok(found)
}

/// Bytes in use by the process of this id, by the field's name.
///
/// # Errors
///
/// Where the process has ended, or the system does not tell.
pub fn of(process: u32, field: &str) -> io::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    let kib = kib.ok_or_else(|| io::Error::other(format!("no {field} in the status")))?;
    Ok(kib * 1024)
}

/// Has the peak counted from here on.
///
/// # Errors
///
/// As above.
pub fn forget_peak(process: u32) -> io::Result<()> {
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}
