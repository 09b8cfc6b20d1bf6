//! The process itself, under the names that Prometheus's client libraries have for it.

use std::{
    fmt, fs, io,
    time::{SystemTime, UNIX_EPOCH},
};

use procfs::{ProcError, process};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::observe::memory;

/// Asks the system for each page; what it does not tell is left out.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: f64,
}

impl Process {
    /// That of a relay which starts now.
    pub(super) fn starting() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: since.unwrap_or_default().as_secs_f64(),
        }
    }
}

/// What the system tells.
struct Told {
    /// Seconds.
    cpu: f64,
    resident: u64,
    virtual_memory: u64,
    files: u64,
    most_files: u64,
}

impl Told {
    fn now() -> Result<Self, ProcError> {
        // Before the next line opens one.
        let files = open_files()?;
        let this = process::Process::myself()?;
        let stat = this.stat()?;
        let most_files = match this.limits()?.max_open_files.soft_limit {
            process::LimitValue::Value(most) => most,
            process::LimitValue::Unlimited => u64::MAX,
        };
        Ok(Self {
            cpu: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            resident: memory::resident(),
            virtual_memory: stat.vsize,
            files,
            most_files,
        })
    }
}

/// How many files it has open.
fn open_files() -> io::Result<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER)?.len() {
        // Before Linux 6.2 that is all it says. The folder itself is open while it is read.
        0 => Ok(fs::read_dir(FOLDER)?.count() as u64 - 1),
        count => Ok(count),
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let started = encoder.encode_descriptor(
            "process_start_time",
            "When the process started, since 1970",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.started).encode(started)?;
        let Ok(told) = Told::now() else {
            return Ok(());
        };
        let cpu = encoder.encode_descriptor(
            "process_cpu",
            "Time that its threads were running, for it and for the system",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        ConstCounter::new(told.cpu).encode(cpu)?;
        for (name, help, unit, value) in [
            (
                "process_resident_memory",
                "Memory that it has",
                Some(&Unit::Bytes),
                told.resident,
            ),
            (
                "process_virtual_memory",
                "Addresses that it has taken, with memory or without",
                Some(&Unit::Bytes),
                told.virtual_memory,
            ),
            (
                "process_open_fds",
                "Files that it has open; a connection is one",
                None,
                told.files,
            ),
            (
                "process_max_fds",
                "Files that it may have open",
                None,
                told.most_files,
            ),
        ] {
            let gauge = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        Ok(())
    }
}
