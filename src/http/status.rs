//! The page that shows the relay to its operator's browser, and the figures that it asks for again and
//! again, at the same path.
//!
//! It is one file, which asks nobody else for anything. Its browser is told to run and to apply only what
//! is in it, by the hashes of its script and its style (CSP Level 3 §2.3.1), so that nothing which could
//! slip into a figure does more than stand there.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, Accept, Header, Quality},
};

use crate::state::State;

/// The page.
const PAGE: &str = include_str!("status.html");
/// What a browser may do with it. A test says what the hashes are.
const POLICY: &str = concat!(
    "default-src 'none'; ",
    "script-src 'sha256-OCXI54Y0oVsNWrpOoA4mV0Ouaw8GVYJE+D0OtD8isy0='; ",
    "style-src 'sha256-9tk7m7X5w2PwmSEAXnrMhJcylGnxwhEfF1AbzB2zVWk='; ",
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; ",
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);
/// The page, or for who asks for JSON its figures.
pub(super) fn answer(request: &HttpRequest, state: &State) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "Accept"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    if wants_figures(request) {
        return response.json(state.status());
    }
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .content_type("text/html; charset=utf-8")
        .body(PAGE)
}

/// Whether JSON is asked for, and no less than a page (RFC 9110 §12.5.1). Browsers name a page, and no JSON.
fn wants_figures(request: &HttpRequest) -> bool {
    let accepted = Accept::parse(request).map_or_else(|_| Vec::new(), |accept| accept.0);
    let liking = |kind: &str| {
        let named = accepted.iter().filter(|it| it.item.essence_str() == kind);
        named.map(|it| it.quality).max().unwrap_or(Quality::ZERO)
    };
    let figures = liking("application/json");
    figures > Quality::ZERO && figures >= liking("text/html")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::test::TestRequest;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ring::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn the_figures_are_for_whoever_likes_json_no_less_than_a_page() {
        for (accept, figures) in [
            (&["application/json"][..], true),
            (&["Application/JSON;q=0.5, */*;q=0.1"], true),
            (&["text/html;q=0.5", "application/json"], true),
            (&["application/json, text/html"], true),
            (&["text/html, application/json;q=0.9"], false),
            (&["application/json;q=0"], false),
            (&["application/json-seq"], false),
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                false,
            ),
            (&["*/*"], false),
            (&[";;;"], false),
            (&[], false),
        ] {
            let lines = accept.iter().map(|line| (header::ACCEPT, *line));
            let request = lines.fold(TestRequest::default(), TestRequest::append_header);
            assert_eq!(
                wants_figures(&request.to_http_request()),
                figures,
                "{accept:?}"
            );
        }
    }

    #[test]
    fn the_policy_lets_the_browser_run_what_is_in_the_page_and_nothing_else() {
        for element in ["script", "style"] {
            let (opening, closing) = (format!("<{element}>"), format!("</{element}>"));
            let parts: Vec<_> = PAGE.split(&opening).collect();
            assert_eq!(parts.len(), 2, "one {element} in the page");
            let (text, _) = parts[1].split_once(&closing).unwrap();
            let hash = STANDARD.encode(digest(&SHA256, text.as_bytes()));
            let source = format!("{element}-src 'sha256-{hash}';");
            assert!(POLICY.contains(&source), "it has to be {source}");
        }
        assert!(!POLICY.contains("unsafe"), "{POLICY}");
    }

    #[test]
    fn the_page_has_nothing_of_anybody_else() {
        for foreign in ["://", "\"//", "@import", "url(", "style="] {
            let found = PAGE.lines().find(|line| line.contains(foreign));
            // A namespace is a name, of which nothing is fetched.
            let found = found.filter(|line| !line.contains("http://www.w3.org/2000/svg"));
            assert_eq!(found, None, "{foreign}");
        }
    }
}
