//! How the processes of the service before this one have ended, as systemd saw it.
//!
//! The unit has a line that counts them in the service's state directory (`ExecStopPost=`), which outlives
//! each of them. So a restart by the watchdog is seen that nothing else would tell of.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

/// Systemd's words for how a service ends (systemd.exec(5), `SERVICE_RESULT`).
const RESULTS: [&str; 9] = [
    "success",
    "exit-code",
    "signal",
    "core-dump",
    "watchdog",
    "timeout",
    "oom-kill",
    "protocol",
    "resources",
];

/// How many ended in which way, since they are counted.
#[derive(Debug)]
pub(super) struct Ends([u64; RESULTS.len()]);

impl Ends {
    /// As they are counted in the state directory of this service, if it has one.
    pub(super) fn before() -> Self {
        let folder = env::var_os("STATE_DIRECTORY").map(first);
        Self::counted_in(&folder.unwrap_or_default())
    }

    fn counted_in(folder: &Path) -> Self {
        let count = |result| {
            let file = folder.join(format!("ends.{result}"));
            let text = fs::read_to_string(file).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        Self(RESULTS.map(count))
    }
}

/// The first of the folders in this list (systemd.exec(5), `STATE_DIRECTORY`).
fn first(folders: OsString) -> PathBuf {
    env::split_paths(&folders).next().unwrap_or_default()
}

impl Collector for Ends {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut ends = encoder.encode_descriptor(
            "process_ends",
            "Processes of the service that ended before this one began, by systemd's word for how; \
             none where systemd does not run it",
            None,
            MetricType::Counter,
        )?;
        for (result, count) in RESULTS.into_iter().zip(self.0) {
            let label = [("result", result)];
            ConstCounter::new(count).encode(ends.encode_family(&label)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_unit_has_counted_is_read_and_what_is_no_count_is_none() {
        let folder = tempfile::TempDir::new().unwrap();
        for (result, text) in [("watchdog", "2\n"), ("success", "17"), ("signal", "many")] {
            let file = folder.path().join(format!("ends.{result}"));
            fs::write(file, text).unwrap();
        }
        let Ends(counts) = Ends::counted_in(folder.path());
        let counted: Vec<_> = RESULTS
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(counted, [("success", 17), ("watchdog", 2)]);
        let Ends(none) = Ends::counted_in(&folder.path().join("gone"));
        assert_eq!(none, [0; RESULTS.len()]);
    }

    #[test]
    fn of_several_folders_the_first_is_the_relays_own() {
        assert_eq!(first("/lib/a:/lib/b".into()), Path::new("/lib/a"));
        assert_eq!(first("/lib/a".into()), Path::new("/lib/a"));
    }
}
