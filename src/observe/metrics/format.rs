//! The two text formats in which scrapers read metrics.
//!
//! The client library writes OpenMetrics. The classic format is made of that: it names counters by their
//! samples, has no word for what merely informs, and no units.

use std::fmt::{self, Write};

/// How a page of metrics is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own text format, which every scraper reads.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page of OpenMetrics in the classic format.
///
/// # Errors
///
/// None that the formatter of a `String` could cause.
pub fn classic(page: &str) -> Result<String, fmt::Error> {
    let mut classic = String::with_capacity(page.len());
    let mut help = "";
    for line in page.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", _, text] => help = text,
            ["#", "TYPE", name, kind] => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                writeln!(classic, "# HELP {name}{ending} {help}")?;
                writeln!(classic, "# TYPE {name}{ending} {kind}")?;
            }
            // The unit, which stands in the name, and the end.
            ["#", ..] => {}
            _ => writeln!(classic, "{line}")?,
        }
    }
    Ok(classic)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_format_names_a_metric_as_its_samples_are_named() {
        let page = "# HELP relay_build Which relay.\n\
            # TYPE relay_build info\n\
            relay_build_info{version=\"1\"} 1\n\
            # HELP relay_sent_bytes Bytes written.\n\
            # TYPE relay_sent_bytes counter\n\
            # UNIT relay_sent_bytes bytes\n\
            relay_sent_bytes_total 7\n\
            # HELP relay_rooms Rooms.\n\
            # TYPE relay_rooms gauge\n\
            relay_rooms 3\n\
            # EOF\n";
        let expected = "# HELP relay_build_info Which relay.\n\
            # TYPE relay_build_info gauge\n\
            relay_build_info{version=\"1\"} 1\n\
            # HELP relay_sent_bytes_total Bytes written.\n\
            # TYPE relay_sent_bytes_total counter\n\
            relay_sent_bytes_total 7\n\
            # HELP relay_rooms Rooms.\n\
            # TYPE relay_rooms gauge\n\
            relay_rooms 3\n";
        assert_eq!(classic(page).unwrap(), expected);
    }
}
