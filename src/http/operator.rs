//! Which requests are of the relay's operator, for whom the pages are.
//!
//! They come directly, from an address of `RELAY_METRICS_ALLOW`. What comes through a proxy comes from the
//! proxy's address, which is this machine's own more often than not, and may be anybody's. A proxy is told
//! by what it writes into a request, by how it writes requests where it is told nothing else, or by the name
//! for the relay that it passes on. One that shows none of these looks like a program beside the relay; of
//! that one, `check` tells. A web page that leads its visitor's browser here under a name of its own (DNS
//! rebinding) is told by that name as well.

use std::net::IpAddr;

use actix_http::RequestHead;
use actix_web::http::Version;

use super::{proxy, upgrade};
use crate::state::Live;

/// Why a request for a page, from the TCP peer `peer`, may be of another than the operator, in one sentence;
/// nothing where it is the operator's.
pub(super) fn doubt(head: &RequestHead, peer: IpAddr, live: &Live) -> Option<&'static str> {
    let peer = peer.to_canonical();
    let mut allowed = live.config.metrics_allow.iter();
    if !allowed.any(|range| range.contains(&peer)) {
        return Some("This request comes from another address.");
    }
    // On the machine itself, others than its proxies have that address, too.
    if !peer.is_loopback() && live.trust.covers(peer) {
        return Some("This request comes from a proxy of RELAY_TRUSTED_PROXIES.");
    }
    if proxy::writes_in(head, live) {
        return Some("This request has a header that proxies write.");
    }
    // As nginx asks where it is told to pass on and nothing else. No browser does, nor curl or Prometheus.
    if head.version != Version::HTTP_11 {
        return Some("This request is not of HTTP/1.1, as is what some proxies send.");
    }
    if upgrade::is_announced(head) || upgrade::closes(head) {
        return Some(
            "This request has \"Connection: close\" or \"Connection: upgrade\", as proxies write it.",
        );
    }
    let mut hosts = proxy::hosts(head).peekable();
    let believed = hosts.peek().is_some() && hosts.all(|host| is_believed(host, peer, live));
    (!believed).then_some(
        "This request names no host, or one that may be anybody's: ask for localhost, or by an address.",
    )
}

/// Whether whoever asks for this host from there can be the operator. A name with a dot may be the public
/// one, which a proxy passes on, even where the machine calls itself so. From another machine it can be the
/// name that the relay listens on, or else an address, or a name that no stranger can have.
fn is_believed(host: &str, peer: IpAddr, live: &Live) -> bool {
    let elsewhere = !peer.is_loopback();
    let host = host.trim_end_matches('.');
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_local = host.to_ascii_lowercase().ends_with(".localhost");
    if host.contains('.') && !is_address && !is_local {
        return elsewhere && host.eq_ignore_ascii_case(&live.config.host);
    }
    !host.is_empty() && (elsewhere || proxy::is_own_name(host, peer, live))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::{
        Uri,
        header::{HeaderName, HeaderValue},
    };

    use super::*;
    use crate::config::Config;

    /// A head with these lines, the first of which is its target.
    fn head(lines: &[&str]) -> RequestHead {
        let mut head = RequestHead::default();
        head.uri = Uri::try_from(lines[0]).unwrap();
        for line in &lines[1..] {
            let (name, value) = line.split_once(": ").unwrap();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            head.headers_mut()
                .append(name.parse::<HeaderName>().unwrap(), value);
        }
        head
    }

    fn is_operator(allowed: &str, peer: &str, lines: &[&str]) -> bool {
        let allowed = allowed
            .split_whitespace()
            .map(|range| range.parse().unwrap());
        let live = Live::new(Config {
            host: "relay.lan".to_owned(),
            metrics_allow: allowed.collect(),
            trusted_proxies: vec![
                "127.0.0.0/8".parse().unwrap(),
                "10.0.0.80/32".parse().unwrap(),
            ],
            client_ip_header: Some("Client-Address".to_owned()),
            ..Config::default()
        });
        doubt(&head(lines), peer.parse().unwrap(), &live).is_none()
    }

    const LOOPBACK: &str = "127.0.0.0/8 ::1/128";

    #[test]
    fn who_asks_directly_from_an_allowed_address_is_the_operator() {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            for host in ["localhost:9784", "127.0.0.1:9000", "[::1]", "a.localhost."] {
                let lines = ["/metrics", &format!("Host: {host}")];
                assert!(is_operator(LOOPBACK, peer, &lines), "{peer} {host}");
                assert!(!is_operator("", peer, &lines), "{peer} {host}");
                assert!(!is_operator("10.0.0.0/8", peer, &lines), "{peer} {host}");
            }
        }
        assert!(!is_operator(
            LOOPBACK,
            "192.0.2.1",
            &["/", "Host: localhost"]
        ));
    }

    #[test]
    fn nobody_is_who_comes_through_a_proxy_or_is_led_here_by_a_page() {
        for line in [
            "Via: 1.1 proxy",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: https",
            "CF-Ray: 1",
            "Client-Address: 127.0.0.1",
            "Connection: upgrade",
            "Connection: keep-alive, Upgrade",
            "Connection: close",
            "Connection: Keep-Alive, Close",
            "Host: relay.example.com",
            "Host: 192.0.2.7:9784",
            "Host: localhost.example.com",
            "Host: b\u{fc}cher",
        ] {
            for (allowed, peer) in [(LOOPBACK, "127.0.0.1"), ("10.0.0.0/8", "10.0.0.9")] {
                let lines = ["/metrics", "Host: localhost", line];
                let by_address = line.ends_with(":9784") && peer != "127.0.0.1";
                assert_eq!(
                    is_operator(allowed, peer, &lines),
                    by_address,
                    "{peer} {line}"
                );
            }
        }
        // The machine listens on its public name, which stands in its own table of hosts.
        assert!(!is_operator(
            LOOPBACK,
            "127.0.1.1",
            &["/metrics", "Host: relay.lan"]
        ));
        for lines in [&["/metrics"][..], &["/metrics", "Host: "]] {
            assert!(!is_operator(LOOPBACK, "127.0.0.1", lines), "{lines:?}");
        }
        let mut old = head(&["/metrics", "Host: localhost"]);
        old.version = Version::HTTP_10;
        let live = Live::new(Config::default());
        let why = doubt(&old, IpAddr::from([127, 0, 0, 1]), &live);
        assert!(why.is_some_and(|why| why.contains("HTTP/1.1")), "{why:?}");
        let target = ["http://relay.example.com/metrics", "Host: localhost"];
        assert!(!is_operator(LOOPBACK, "127.0.0.1", &target));
    }

    #[test]
    fn another_machine_asks_by_an_address_or_a_name_that_no_stranger_has() {
        let asks = |host: &str| {
            let lines = ["/metrics", &format!("Host: {host}")];
            is_operator("10.0.0.0/8 fd00::/8", "10.0.0.9", &lines)
        };
        for host in [
            "10.0.0.1:9784",
            "[fd00::1]:9784",
            "relay:9784",
            "relay.lan:9784",
        ] {
            assert!(asks(host), "{host}");
        }
        let lines = ["/metrics", "Host: relay"];
        assert!(!is_operator("10.0.0.0/8", "10.0.0.80", &lines), "a proxy");
        for host in [
            "relay.example.com",
            "relay.lan.example.com",
            "10.0.0.1.example.com",
        ] {
            assert!(!asks(host), "{host}");
        }
    }
}
