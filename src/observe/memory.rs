//! The memory of the process: what it has now, what clients can make of it at most, and what there is for it.

use std::{fs, path::Path};

use nix::sys::sysinfo::sysinfo;
use procfs::process::Process;

use crate::{
    config::Config,
    limits::{admission::MAX_ADDRESSES, callers::MOST_GONE},
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What the process has before anybody comes.
const ITSELF: u64 = 15 * MIB;
/// A session at its worst, beside its window: itself, the read that filled the window, little reads before
/// they are a fragment, what is read ahead, and what inflates a message.
const SESSION: u64 = (4 + 64 + 64 + 4 + 80) * KIB;
/// The last part of a message for a sender, and its growth by doubling, for each receiver in mid-message.
const MESSAGE: u64 = 128 * KIB;
/// An address with a budget.
const ADDRESS: u64 = 600;
/// What an address has done that has no session now.
const CALLER: u64 = 200;
/// Events that wait for the disk, where they are written.
const EVENTS: u64 = 4 * MIB;
/// For a worker: connections that are no sessions yet, with half a head each, and what the allocator rounds
/// up and keeps apart.
const WORKER: u64 = 1024 * 20 * KIB + 2 * MIB;

/// Bytes of memory that clients of a relay with these settings can make it take, whatever they send. README
/// explains the sum ("Memory").
pub fn ceiling(config: &Config) -> u64 {
    let sessions = config.max_sessions as u64;
    // Each has a sender beside it.
    let receivers = sessions / 2;
    ITSELF
        + sessions * (SESSION + config.window as u64)
        + config.max_buffered as u64
        + receivers * MESSAGE
        + MAX_ADDRESSES as u64 * ADDRESS
        + MOST_GONE as u64 * CALLER
        + config.log_dir.as_ref().map_or(0, |_| EVENTS)
        + config.workers as u64 * WORKER
}

/// Bytes of memory that a relay with these settings can have: its ceiling, or less where its control group or
/// the machine has less.
pub fn limit(config: &Config) -> u64 {
    // Not from /proc/meminfo, which the sandbox of the unit hides.
    let machine = sysinfo().map_or(u64::MAX, |it| it.ram_total());
    ceiling(config).min(machine).min(of_group())
}

/// What this process's control group lets it have (cgroups v2), if there is a bound.
fn of_group() -> u64 {
    let groups = Process::myself().and_then(|it| it.cgroups());
    let groups = groups.map_or(Vec::new(), |groups| groups.0);
    let unified = groups.into_iter().find(|group| group.hierarchy == 0);
    unified.map_or(u64::MAX, |group| {
        least_of(Path::new("/sys/fs/cgroup"), &group.pathname)
    })
}

/// The least of the bounds of this group and those around it, in the folder of all groups.
fn least_of(all: &Path, group: &str) -> u64 {
    let group = Path::new(group.trim_start_matches('/'));
    let bounds = group.ancestors().filter_map(|group| {
        let bound = fs::read_to_string(all.join(group).join("memory.max")).ok()?;
        // Or the word max.
        bound.trim().parse().ok()
    });
    bounds.min().unwrap_or(u64::MAX)
}

/// Bytes of memory that the process has now; 0 where the system does not tell.
pub fn resident() -> u64 {
    let pages = Process::myself().and_then(|it| it.statm());
    pages.map_or(0, |pages| pages.resident * procfs::page_size())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_ceiling_is_the_sum_that_the_readme_has() {
        let sum = ceiling(&Config::default());
        // 4.5 GiB + 256 MiB + 625 MiB + 38 MiB + 20 MiB, and the 15 and 2 MiB that are always there.
        let shown = 4_609 + 256 + 625 + 38 + 20 + 15 + 2;
        assert!((sum / MIB).abs_diff(shown) <= 2, "{} MiB", sum / MIB);
        let with_events = Config {
            log_dir: Some("/var/log/relay".into()),
            ..Config::default()
        };
        assert_eq!(ceiling(&with_events), sum + 4 * MIB);
    }

    #[test]
    fn a_limit_is_no_more_than_the_machine_has() {
        let few = Config {
            max_sessions: 10,
            max_buffered: 0,
            ..Config::default()
        };
        let machine = sysinfo().unwrap().ram_total();
        assert_eq!(limit(&few), ceiling(&few).min(machine).min(of_group()));
        let many = Config {
            max_buffered: 1 << 60,
            ..Config::default()
        };
        assert!(limit(&many) <= machine);
    }

    #[test]
    fn a_group_is_bound_by_those_around_it() {
        let folder = TempDir::new().unwrap();
        let all = folder.path();
        fs::create_dir_all(all.join("system.slice/relay.service")).unwrap();
        assert_eq!(least_of(all, "/system.slice/relay.service"), u64::MAX);
        let bound = |group: &str, text| {
            fs::write(all.join(group).join("memory.max"), text).unwrap();
        };
        bound("system.slice/relay.service", "max\n");
        bound("system.slice", "3000\n");
        assert_eq!(least_of(all, "/system.slice/relay.service"), 3000);
        bound("system.slice/relay.service", "2000\n");
        assert_eq!(least_of(all, "/system.slice/relay.service"), 2000);
        // In a container its own group is the root.
        bound("", "1000\n");
        assert_eq!(least_of(all, "/"), 1000);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(resident() > MIB / 4, "{}", resident());
    }
}
