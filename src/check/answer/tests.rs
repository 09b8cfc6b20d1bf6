use relay_wire::ending::{Retry, Told};
use tokio_tungstenite::tungstenite::http::Response;

use super::*;

fn answer(url: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Note {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let target = Target::parse(url).unwrap_or_else(|why| unreachable!("{why}"));
    let response = response.body(Some(body.as_bytes().to_vec()));
    explain(&target, &Answer::from(&response.unwrap_or_default()))
}

#[test]
fn pages_of_proxies_are_known_for_what_they_are() {
    let page = "<html><head><title>502 Bad Gateway</title></head></html>";
    for (status, server, body, detail, means) in [
        (
            502,
            "nginx/1.22.1",
            page,
            "HTTP 502 Bad Gateway from nginx/1.22.1, an HTML page titled \"502 Bad Gateway\"",
            "the relay behind it",
        ),
        (
            502,
            "cloudflare",
            page,
            "from cloudflare",
            "the tunnel is up",
        ),
        (503, "nginx", "", "HTTP 503", "nobody to hand this to"),
        (504, "nginx", page, "HTTP 504", "hangs"),
        (
            530,
            "cloudflare",
            "error code: 1033",
            "HTTP 530 from cloudflare, error 1033",
            "no cloudflared is connected",
        ),
        (
            530,
            "cloudflare",
            "error code: 1016",
            "error 1016",
            "does not resolve",
        ),
        (530, "cloudflare", "", "HTTP 530", "the tunnel is down"),
        (
            200,
            "nginx",
            "<!DOCTYPE html><TITLE> Welcome </TITLE>",
            "titled \"Welcome\"",
            "passes no WebSocket on",
        ),
        (
            404,
            "nginx",
            "",
            "HTTP 404 Not Found from nginx",
            "does not know this name",
        ),
        (403, "cloudflare", "", "HTTP 403", "in front of the relay"),
        (403, "nginx/1.22.1", page, "HTTP 403", "auth_basic"),
        (401, "", "", "HTTP 401", "auth_basic"),
        (418, "", "", "HTTP 418 I'm a teapot", "in front of it"),
    ] {
        let note = answer("wss://relay.example", status, &[("server", server)], body);
        assert_eq!(note.status, Status::Fail);
        assert!(note.detail.contains(detail), "{}", note.detail);
        let said = note.means.unwrap_or_default();
        assert!(said.contains(means), "{status} {server}: {said}");
        assert!(note.next.is_some(), "{status} {server}");
    }
}

#[test]
fn the_relays_own_words_are_told_from_a_proxys() {
    for (status, body, severity, part) in [
        (
            503,
            "The relay is full; try again in a moment.\n",
            Status::Warn,
            "full",
        ),
        (
            429,
            "Your address has too many connections here; try again in a moment.\n",
            Status::Warn,
            "RELAY_ADDRESS_SESSIONS",
        ),
        (
            503,
            "The relay is restarting; try again",
            Status::Warn,
            "restarting",
        ),
        (
            403,
            "The relay's operator has blocked this address.\n",
            Status::Warn,
            "has blocked",
        ),
        (
            426,
            "This is claude-distill-relay. Connect",
            Status::Fail,
            "as plain HTTP",
        ),
    ] {
        let note = answer("ws://relay.example", status, &[], body);
        assert_eq!(note.status, severity);
        assert!(note.detail.contains(part), "{}", note.detail);
    }
}

/// Where the relay is asked directly, a stranger's page would mean that another program has its
/// port; and a check that fails may have the relay restarted.
#[test]
fn every_answer_of_the_relays_is_known() {
    let handshakes = Ending::ALL.iter().filter(|it| it.is_of_handshake());
    for &ending in handshakes {
        let Told::Http(status) = ending.told() else {
            unreachable!("{ending:?} answers a handshake");
        };
        let body = ending.sentence().unwrap_or_default();
        let note = answer("ws://127.0.0.1:9784", status, &[], body);
        let means = note.means.unwrap_or_default();
        assert!(!means.contains("another program"), "{ending:?}: {means}");
        assert!(note.next.is_some(), "{ending:?}");
        if ending.retry() == Retry::Later {
            assert_eq!(note.status, Status::Warn, "{ending:?}");
        }
    }
}

#[test]
fn a_redirect_says_what_to_do_instead() {
    let to = |url, location| answer(url, 302, &[("location", location)], "");
    let next = to("ws://relay.example", "https://relay.example/").next;
    assert_eq!(
        next.as_deref(),
        Some("claude-distill-relay check wss://relay.example")
    );
    let access = to(
        "wss://relay.example",
        "https://x.cloudflareaccess.com/login",
    );
    assert!(access.means.unwrap_or_default().contains("wants a login"));
    let other = to("wss://relay.example", "https://elsewhere.example/");
    assert!(
        other
            .means
            .unwrap_or_default()
            .contains("elsewhere.example")
    );
}

/// Each as a proxy may repeat it.
#[test]
fn a_key_of_the_url_is_in_no_note() {
    const KEY: &str = "alice-0123456789abcdef";
    let page = format!("<html><title>No /?key={KEY} here</title></html>");
    for url in [
        format!("ws://relay.example/?key={KEY}"),
        format!("ws://alice:{KEY}@relay.example/"),
    ] {
        for (location, to) in [
            (format!("https://relay.example/?key={KEY}"), ""),
            (format!("https://alice:{KEY}@relay.example/a"), ""),
            (
                format!("//alice:{KEY}@relay.example/a#{KEY}"),
                "//relay.example/a",
            ),
            (
                format!("http://relay.example/b?key={KEY}"),
                "http://relay.example/b",
            ),
            (format!("/c?key={KEY}"), "/c"),
            (
                "http://relay.example/at/@home".to_owned(),
                "http://relay.example/at/@home",
            ),
            (format!("?key={KEY}"), ""),
        ] {
            for status in [301, 404] {
                let headers = [("location", location.as_str()), ("server", KEY)];
                let note = answer(&url, status, &headers, &page);
                let shown = format!("{note:?}");
                assert!(!shown.contains("0123456789"), "{shown}");
                if status == 301 {
                    assert!(shown.contains(to), "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_port_that_wants_tls_is_known_by_what_it_says() {
    let page = "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>";
    let note = answer("ws://relay.example", 400, &[("server", "nginx")], page);
    assert!(note.next.unwrap_or_default().contains("wss://"));
    let note = answer("wss://relay.example", 400, &[("server", "nginx")], page);
    assert!(!note.next.unwrap_or_default().contains("wss://"));
}

#[test]
fn on_the_way_through_nginx_it_is_nginxs_site_that_is_wrong() {
    let target = Target::nginx("relay.example", "/", ([127, 0, 0, 1], 80).into(), false);
    for (status, part) in [
        (502, "finds nobody on the port"),
        (404, "another site of nginx's answers to relay.example"),
        (200, "another site of nginx's answers to relay.example"),
        (301, "another site of nginx's answers to relay.example"),
        (403, "auth_basic"),
    ] {
        let response = Response::builder().status(status).body(None);
        let note = explain(&target, &Answer::from(&response.unwrap_or_default()));
        assert_eq!(note.status, Status::Fail);
        let means = note.means.unwrap_or_default();
        assert!(means.contains(part), "{status}: {means}");
    }
}

#[test]
fn a_strangers_words_are_cut_between_characters() {
    assert_eq!(cut(&"é".repeat(100)).chars().count(), 40);
}
