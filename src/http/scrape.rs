//! In which format whoever asks for the metrics wants them: pure.

use actix_web::http::header::{Accept, Quality};

use crate::observe::metrics::Format;

/// Versions of OpenMetrics that the one we write is read as.
const VERSIONS: [&str; 2] = ["1.0.0", "0.0.1"];
/// That of the classic format.
const CLASSIC: &str = "0.0.4";

/// The format that an `Accept` asks for before others (RFC 9110 §12.5.1); the classic one for whoever does
/// not care, or wants what there is not.
pub(super) fn format(accept: Option<&Accept>) -> Format {
    let taken = accept.into_iter().flat_map(|accept| accept.iter());
    let taken = taken.filter(|kind| kind.quality > Quality::ZERO);
    let ranked = Accept(taken.cloned().collect()).ranked();
    let mut wanted = ranked.iter().filter_map(|kind| {
        let version = kind.get_param("version").map(|version| version.as_str());
        let is_one_of = |known: &[&str]| version.is_none_or(|version| known.contains(&version));
        match (kind.type_().as_str(), kind.subtype().as_str()) {
            ("application", "openmetrics-text") if is_one_of(&VERSIONS) => {
                Some(Format::OpenMetrics)
            }
            ("text", "plain" | "*") | ("*", "*") if is_one_of(&[CLASSIC]) => Some(Format::Classic),
            _ => None,
        }
    });
    wanted.next().unwrap_or(Format::Classic)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::{
        http::header::{ACCEPT, Header},
        test::TestRequest,
    };

    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        use Format::{Classic, OpenMetrics};
        for (accept, expected) in [
            // Prometheus 2, and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                 q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                 escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4", Classic),
            (
                "text/plain;q=0.5,application/openmetrics-text;q=0.4",
                Classic,
            ),
            (
                "application/openmetrics-text;q=0.4,text/plain;q=0.3",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=2.0.0,*/*;q=0.1",
                Classic,
            ),
            ("application/openmetrics-text;q=0,*/*", Classic),
            ("application/openmetrics-text;q=0", Classic),
            ("text/html,application/openmetrics-text;q=0.0", Classic),
            ("*/*", Classic),
            ("text/html", Classic),
            (
                "application/vnd.google.protobuf,application/openmetrics-text",
                OpenMetrics,
            ),
            (";;;", Classic),
            ("", Classic),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT, accept));
            let parsed = Accept::parse(&request.to_http_request()).unwrap();
            assert_eq!(format(Some(&parsed)), expected, "{accept}");
        }
        assert_eq!(format(None), Classic);
    }
}
