//! A clock that goes on while the machine is suspended, as that of `Instant` does not (clock_gettime(2)).

use std::time::Duration;

use nix::time::ClockId;

/// How long ago the machine was started.
pub fn since_boot() -> Duration {
    // Every Linux that tokio runs on has this clock.
    let now = ClockId::CLOCK_BOOTTIME.now();
    now.map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_system_says_with_the_time_asleep_in_it() {
        let before = since_boot();
        let said = std::fs::read_to_string("/proc/uptime").unwrap();
        let said: f64 = said.split(' ').next().unwrap().parse().unwrap();
        let after = since_boot();
        // The system says it in hundredths.
        assert!(before.as_secs_f64() - 0.01 <= said, "{before:?} {said}");
        assert!(said <= after.as_secs_f64(), "{said} {after:?}");
    }
}
