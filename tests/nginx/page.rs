//! The page for everybody behind nginx's site, and behind sites that have the relay under a path.

use relay_testing::TestRelay;

use crate::server::{Nginx, Start};

/// What a browser says where somebody goes to an address.
const BROWSER: &str =
    "Connection: close\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Encoding: identity\r\n";

/// The lines of a header in an answer.
fn lines<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let named = head.lines().filter_map(|line| line.split_once(": "));
    let named = named.filter(|(it, _)| it.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}

/// A browser gets the page as the relay has it, from this folder on.
async fn is_whole_under(nginx: &Nginx, folder: &str) {
    let page = nginx.ask(folder, BROWSER).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{folder}: {page}");
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(lines(&page, name), [value], "{page}");
    }
    // Once: of two a browser keeps to both.
    assert_eq!(lines(&page, "content-security-policy").len(), 1, "{page}");
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    let built = relay_page::file(relay_page::INDEX, "identity").unwrap();
    assert!(body.as_bytes() == &*built.bytes);
    let known = format!("{BROWSER}If-None-Match: {}\r\n", lines(&page, "etag")[0]);
    let again = nginx.ask(folder, &known).await;
    assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
    for name in relay_page::names().chain(["page/config".to_owned()]) {
        let file = nginx.ask(&format!("{folder}{name}"), BROWSER).await;
        assert!(file.starts_with("HTTP/1.1 200 "), "{folder}{name}: {file}");
    }
}

#[tokio::test]
async fn a_browser_gets_the_page_as_the_relay_has_it() {
    let relay = TestRelay::start(|_| {});
    let Some(nginx) = Nginx::start(&relay).await else {
        return;
    };
    is_whole_under(&nginx, "/").await;
}

#[tokio::test]
async fn a_relay_under_a_path_has_its_page_there() {
    let relay = TestRelay::start(|_| {});
    // nginx takes the path off where its own address for the relay ends in a slash.
    for target in ["/", ""] {
        let Some(nginx) = Start::before(relay.port()) else {
            return;
        };
        let site = |port| {
            format!(
                "server {{ listen 127.0.0.1:{port}; location /relay/ {{
                    proxy_pass http://127.0.0.1:{}{target};
                }} }}",
                relay.port()
            )
        };
        let nginx = nginx.with_site(site).run().listening().await;
        is_whole_under(&nginx, "/relay/").await;
        let elsewhere = nginx.ask("/", BROWSER).await;
        assert!(elsewhere.starts_with("HTTP/1.1 404 "), "{elsewhere}");
    }
}
