//! How the relay serves the page: to whom, under which paths, and with which headers.

use std::io::Read;

use claude_distill_relay::config::{Config, Sites};
use flate2::read::GzDecoder;
use relay_testing::{Raw, TestRelay, http::Response, http::UPGRADE, raw_pair};

/// What a browser says where somebody goes to an address.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

/// What is answered to a request with these further lines, and its body.
async fn ask(relay: &TestRelay, request: &str, lines: &str) -> (Response, Vec<u8>) {
    let mut client = Raw::dial(relay).await;
    let request = format!(
        "{request} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n",
        relay.addr()
    );
    client.write(request.as_bytes()).await;
    let answer = client.response().await;
    let length = answer
        .header("content-length")
        .map_or(0, |it| it.parse().unwrap());
    let has_body = !request.starts_with("HEAD") && answer.status != 304;
    let length = if has_body { length } else { 0 };
    let body = client.take(length, "the body").await;
    (answer, body.into())
}

/// What `GET` of a path gets.
async fn get(relay: &TestRelay, path: &str, lines: &str) -> (Response, Vec<u8>) {
    ask(relay, &format!("GET {path}"), lines).await
}

/// The file of this name as it was built.
fn built(name: &str, coding: &str) -> Option<Vec<u8>> {
    relay_page::file(name, coding).map(|file| file.bytes.into_owned())
}

/// The names of files that have a hash in them, and those of the others.
fn by_hash() -> (Vec<String>, Vec<String>) {
    relay_page::names().partition(|name| relay_page::is_immutable(name))
}

#[tokio::test]
async fn a_browser_is_shown_the_page_and_a_program_is_told_to_upgrade() {
    let relay = TestRelay::start(|_| {});
    for path in ["/", "/relay/", "/a/b/", "/?x=y"] {
        let (answer, body) = get(&relay, path, BROWSER).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(Some(body) == built("index.html", "identity"), "{path}");
    }
    for (path, lines) in [
        ("/", ""),
        ("/", "Accept: */*\r\n"),
        ("/", "Accept: application/json\r\n"),
        ("/", "Accept: text/html;q=0, */*\r\n"),
        ("/rooms", BROWSER),
        ("/page", BROWSER),
    ] {
        let (answer, body) = get(&relay, path, lines).await;
        assert_eq!(answer.status, 426, "{path} {lines}: {answer:?}");
        assert_eq!(answer.header("upgrade"), Some("websocket"), "{answer:?}");
        assert!(body.contains(&b' '), "nothing for a person to read");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let (answer, _) = ask(&relay, &format!("{method} /"), BROWSER).await;
        assert_eq!(answer.status, 426, "{method}: {answer:?}");
    }
}

#[tokio::test]
async fn a_relay_without_the_page_has_a_word_for_everybody() {
    let relay = TestRelay::start(|config| config.page = false);
    let names = relay_page::names().map(|name| format!("/{name}"));
    for path in names.chain(["/".to_owned(), "/page/config".to_owned()]) {
        let (answer, _) = get(&relay, &path, BROWSER).await;
        assert_eq!(answer.status, 426, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn there_is_no_page_where_none_could_connect_and_a_browser_is_told_why() {
    let own = |relay: &TestRelay| format!("http://{}", relay.addr());
    for (sites, status) in [
        ("", 403),
        ("https://app.example", 403),
        ("*", 200),
        ("own,https://app.example", 200),
    ] {
        let relay =
            TestRelay::start(|config| config.allowed_origins = Sites::parse(sites).unwrap());
        let (answer, body) = get(&relay, "/", BROWSER).await;
        assert_eq!(answer.status, status, "{sites}: {answer:?}");
        let told = String::from_utf8_lossy(&body);
        assert_eq!(
            told.contains("RELAY_ALLOWED_ORIGINS"),
            status == 403,
            "{told}"
        );
        let (answer, _) = get(&relay, "/", "").await;
        assert_eq!(answer.status, 426, "{sites}: {answer:?}");
        let (answer, _) = get(&relay, "/index.html", BROWSER).await;
        assert_eq!(answer.status == 200, status == 200, "{sites}: {answer:?}");
        // As a handshake of such a page is answered.
        let origin = format!("Origin: {}\r\n", own(&relay));
        let host = format!("Host: {}\r\n", relay.addr());
        let request = UPGRADE.replace("Host: relay.example\r\n", &host) + &origin + "\r\n";
        let opens = Raw::ask(&relay, &request).await.status == 101;
        assert_eq!(opens, status == 200, "{sites}");
    }
}

#[tokio::test]
async fn every_file_is_served_as_it_was_built_in_the_coding_that_is_liked_best() {
    let relay = TestRelay::start(|_| {});
    for name in relay_page::names() {
        for (accepted, coding) in [
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, deflate", "gzip"),
            ("br;q=0.5, gzip", "gzip"),
            ("br;q=0, gzip;q=0.1, *", "gzip"),
            ("*", "identity"),
            ("identity", "identity"),
            ("", "identity"),
            (";;;", "identity"),
        ] {
            // What compression does not make shorter is there as it is alone.
            let (coding, expected) = match built(&name, coding) {
                Some(bytes) => (coding, bytes),
                None => ("identity", built(&name, "identity").unwrap()),
            };
            let lines = format!("Accept-Encoding: {accepted}\r\n");
            let path = format!("/under/any/path/{name}");
            let (answer, body) = get(&relay, &path, &lines).await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            let said = answer.header("content-encoding").unwrap_or("identity");
            assert_eq!(said, coding, "{name}, where {accepted:?} is accepted");
            assert!(body == expected, "{name} in {coding}");
        }
    }
    let mut plain = Vec::new();
    let packed = built("index.html", "gzip").unwrap();
    GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
    assert!(Some(plain) == built("index.html", "identity"));
}

#[tokio::test]
async fn the_published_digests_are_those_of_all_that_is_served() {
    let relay = TestRelay::start(|_| {});
    let published = include_str!("../../web/dist/DIGESTS");
    let (_, served) = get(&relay, "/DIGESTS", "").await;
    assert!(served == published.as_bytes());
    let mut listed = Vec::new();
    for line in published.lines() {
        let (expected, name) = line.split_once("  ").unwrap();
        let (_, body) = get(&relay, &format!("/{name}"), "").await;
        let digest = ring::digest::digest(&ring::digest::SHA256, &body);
        let digest: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, expected, "{name}");
        listed.push(name.to_owned());
    }
    let mut names: Vec<_> = relay_page::names()
        .filter(|name| name != "DIGESTS")
        .collect();
    names.sort();
    assert_eq!(listed, names);
}

#[tokio::test]
async fn a_browser_keeps_what_stays_the_same_and_asks_for_the_rest_again() {
    let relay = TestRelay::start(|_| {});
    let (immutable, others) = by_hash();
    assert!(!immutable.is_empty() && others.contains(&"index.html".to_owned()));
    let for_ever = immutable
        .iter()
        .map(|it| (it, "public, max-age=31536000, immutable"));
    let for_now = others.iter().map(|it| (it, "no-cache"));
    for (name, kept) in for_ever.chain(for_now) {
        let path = format!("/{name}");
        let mut tags = Vec::new();
        for coding in ["br", "gzip", "identity"] {
            let lines = format!("Accept-Encoding: {coding}\r\n");
            let (answer, _) = get(&relay, &path, &lines).await;
            assert_eq!(answer.header("cache-control"), Some(kept), "{name}");
            assert!(answer.header("vary").unwrap().contains("Accept-Encoding"));
            let tag = answer.header("etag").unwrap().to_owned();
            for known in [&tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
                let lines = format!("{lines}If-None-Match: {known}\r\n");
                let (again, body) = get(&relay, &path, &lines).await;
                assert_eq!((again.status, body.len()), (304, 0), "{name} {known}");
                assert_eq!(again.header("etag"), Some(tag.as_str()));
                assert_eq!(again.header("cache-control"), Some(kept));
            }
            let other = format!("{lines}If-None-Match: \"{}\"\r\n", "0".repeat(64));
            assert_eq!(get(&relay, &path, &other).await.0.status, 200);
            tags.push((built(name, coding).is_some(), tag));
        }
        // Each form has a tag of its own.
        let own: Vec<_> = tags.iter().filter(|(own, _)| *own).collect();
        let distinct: std::collections::HashSet<_> = own.iter().collect();
        assert_eq!(own.len(), distinct.len(), "{name}: {tags:?}");
    }
}

#[tokio::test]
async fn a_browser_is_told_to_run_nothing_of_anybody_else() {
    let relay = TestRelay::start(|_| {});
    let names = relay_page::names().map(|name| format!("/{name}"));
    for path in names.chain(["/".to_owned(), "/page/config".to_owned()]) {
        let (answer, _) = get(&relay, &path, BROWSER).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; "),
            "{path}: {policy}"
        );
        for loose in ["unsafe", "*", "http:", "https:", "ws:"] {
            assert!(!policy.contains(loose), "{path}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn a_head_says_what_the_file_would() {
    let relay = TestRelay::start(|_| {});
    let (asked, body) = ask(&relay, "HEAD /", BROWSER).await;
    let (got, file) = get(&relay, "/", BROWSER).await;
    assert_eq!((asked.status, body.len()), (200, 0));
    assert_eq!(
        got.header("content-length"),
        Some(file.len().to_string().as_str())
    );
    for name in ["etag", "content-type", "content-length", "cache-control"] {
        assert_eq!(asked.header(name), got.header(name), "{name}");
    }
}

#[tokio::test]
async fn a_download_that_no_service_worker_answers_leaves_the_page_where_it_is() {
    let relay = TestRelay::start(|_| {});
    let (answer, body) = get(&relay, "/relay/download/0123abcd", BROWSER).await;
    assert_eq!((answer.status, body.len()), (204, 0), "{answer:?}");
}

#[tokio::test]
async fn nothing_else_is_found_whatever_is_asked_for() {
    let relay = TestRelay::start(|_| {});
    for path in [
        "/br/index.html/",
        "/index.html.br",
        "/%69ndex.html",
        "/..%2findex.html",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/br%2findex.html",
        "/.",
        "/..",
        "/Cargo.toml",
        "/index.html%00",
        "/INDEX.HTML",
        "/page/config/x",
    ] {
        let (answer, body) = get(&relay, path, "").await;
        assert_eq!(answer.status, 426, "{path}: {answer:?}");
        assert!(body.len() < 200, "{path}");
    }
}

/// What the page is told that asks with this query and these further lines.
async fn told(relay: &TestRelay, query: &str, lines: &str) -> serde_json::Value {
    let path = format!("/relay/page/config{query}");
    let (answer, body) = get(relay, &path, lines).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn the_page_is_told_what_holds_and_what_it_would_be_refused_for() {
    let relay = TestRelay::start(|config| {
        config.max_sessions = 2;
        config.max_msg_size = 1_000_000;
    });
    let expected = serde_json::json!({
        "access_key": false,
        "max_message": 1_000_000,
        "refused": null,
    });
    assert_eq!(told(&relay, "", "").await, expected);
    let pair = raw_pair(&relay).await;
    assert_eq!(told(&relay, "", "").await["refused"], "relay_full");
    let (answer, _) = get(&relay, "/", BROWSER).await;
    assert_eq!(answer.status, 200, "the page itself is for everybody");
    drop(pair);
    relay.settled().await;
    assert_eq!(
        told(&relay, "", "").await["refused"],
        serde_json::Value::Null
    );
}

#[tokio::test]
async fn the_page_is_for_everybody_and_a_session_for_who_has_a_key() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let with_key = |config: &mut Config| {
        let keys = format!("alice:{KEY}");
        config.access_keys = claude_distill_relay::config::AccessKeys::parse(&keys).unwrap();
    };
    let relay = TestRelay::start(with_key);
    assert_eq!(get(&relay, "/", BROWSER).await.0.status, 200);
    let origin = format!("Origin: http://{}\r\n", relay.addr());
    let host = format!("Host: {}\r\n", relay.addr());
    let upgrade = |path: &str| {
        let request = UPGRADE.replace("GET / ", &format!("GET {path} "));
        format!(
            "{}{origin}\r\n",
            request.replace("Host: relay.example\r\n", &host)
        )
    };
    assert_eq!(Raw::ask(&relay, &upgrade("/")).await.status, 401);
    let with_key = Raw::ask(&relay, &upgrade(&format!("/?key={KEY}"))).await;
    assert_eq!(with_key.status, 101, "{with_key:?}");
    let refused = r#"relay_handshakes_refused_total{reason="access_key_required"}"#;
    let required = Some("access_key_required");
    let bearer = |key: &str| format!("Authorization: Bearer {key}\r\n");
    for (query, lines, word, counted) in [
        (String::new(), String::new(), required, 1),
        (String::new(), bearer(KEY), None, 1),
        (format!("?key={KEY}"), String::new(), None, 1),
        // Who tries keys is counted.
        (String::new(), bearer("wrong"), required, 2),
        ("?key=wrong".to_owned(), String::new(), required, 3),
    ] {
        let told = told(&relay, &query, &lines).await;
        assert_eq!(
            (told["access_key"].as_bool(), told["refused"].as_str()),
            (Some(true), word)
        );
        assert_eq!(relay.metrics().get(refused), counted, "{query} {lines}");
    }
}

#[tokio::test]
async fn a_page_behind_a_proxy_that_hides_its_host_is_told_why_it_cannot_connect() {
    let relay = TestRelay::start(|_| {});
    let own = format!("?origin=http://{}", relay.addr());
    for (query, lines, word) in [
        (own.as_str(), "", None),
        ("", "", None),
        ("?origin=https://a.example", "", Some("origin_not_allowed")),
        (
            "?origin=https://a.example",
            "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a.example\r\n",
            None,
        ),
    ] {
        let told = told(&relay, query, lines).await;
        assert_eq!(told["refused"].as_str(), word, "{query} {lines}");
    }
}

#[tokio::test]
async fn the_handshake_of_a_browser_is_never_offered_compression() {
    let relay = TestRelay::start(|_| {});
    let origin = format!("Origin: http://{}\r\n", relay.addr());
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let host = format!("Host: {}\r\n", relay.addr());
    let request = UPGRADE.replace("Host: relay.example\r\n", &host) + offer;
    let (_client, program) = Raw::upgrade_by(&relay, &request).await;
    assert!(program.header("sec-websocket-extensions").is_some());
    let (_client, browser) = Raw::upgrade_by(&relay, &(request + &origin)).await;
    assert_eq!(browser.header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn who_asks_for_the_page_and_stays_gives_the_place_back() {
    let relay = TestRelay::start(|_| {});
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut client = Raw::dial(&relay).await;
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{BROWSER}\r\n");
        client.write(request.as_bytes()).await;
        idle.push(client);
    }
    // None of them reads or hangs up.
    relay.settled().await;
    assert_eq!(get(&relay, "/", BROWSER).await.0.status, 200);
}
