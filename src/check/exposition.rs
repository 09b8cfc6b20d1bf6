//! Findings as metrics, for a scraper that reads files, such as the textfile collector of Prometheus's node
//! exporter. It knows the classic format alone.

use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::note::{Finding, Status};
use crate::observe::metrics::classic;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

/// The page of a check that ends at `now` with this status.
pub(super) fn page(status: Status, findings: &[Finding], now: SystemTime) -> String {
    let mut all = Registry::default();
    let registry = all.sub_registry_with_prefix("relay_check");
    let worst: Gauge = Gauge::default();
    worst.set(status.exit().into());
    registry.register(
        "status",
        "The worst that a check has found: 0 nothing, 1 a warning, 2 a failure",
        worst,
    );
    let steps: Family<Step, Gauge> = Family::default();
    for Finding { step, note, .. } in findings {
        let status = i64::from(note.status.exit());
        let worst = steps.get_or_create(&Step { step });
        // One of several ways, of which each has such a step.
        worst.set(worst.get().max(status));
    }
    registry.register("step_status", "The same of each step", steps);
    let ended = Gauge::<f64, AtomicU64>::default();
    ended.set(seconds(now));
    registry.register_with_unit(
        "timestamp",
        "When it ended, since 1970",
        Unit::Seconds,
        ended,
    );
    let certificates = findings.iter().filter_map(|it| it.note.expires);
    if let Some(first) = certificates.min() {
        let expires = Gauge::<f64, AtomicU64>::default();
        expires.set(seconds(first));
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate ends that clients are shown, or the first of several, since 1970",
            Unit::Seconds,
            expires,
        );
    }
    let mut page = String::new();
    // Writing to a string does not fail.
    let written = text::encode(&mut page, &all).and_then(|()| classic(&page));
    written.unwrap_or_default()
}

fn seconds(moment: SystemTime) -> f64 {
    let since = moment.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::note::Note;

    #[test]
    fn each_step_has_its_worst_finding_and_the_first_certificate_counts() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let finding = |step, note| Finding {
            step,
            note,
            milliseconds: 3,
        };
        let findings = [
            finding("room", Note::ok("opened")),
            finding("site", Note::warn("well, nearly").expires(Some(at(5000)))),
            finding("site", Note::ok("here it is").expires(Some(at(4000)))),
            finding("public", Note::skip("not tried")),
        ];
        let page = page(Status::Warn, &findings, at(1000));
        for line in [
            "# TYPE relay_check_status gauge",
            "relay_check_status 1",
            "relay_check_step_status{step=\"room\"} 0",
            "relay_check_step_status{step=\"site\"} 1",
            "relay_check_step_status{step=\"public\"} 0",
            "relay_check_timestamp_seconds 1000.0",
            "relay_check_certificate_expiry_timestamp_seconds 4000.0",
        ] {
            assert!(page.lines().any(|it| it == line), "no {line} in\n{page}");
        }
        assert!(!page.contains("EOF"), "{page}");
    }
}
