//! Which requests are of the relay's operator, for whom the pages are.
//!
//! They come directly, from an address of `RELAY_METRICS_ALLOW`. What comes through a proxy comes from the
//! proxy's address, which is this machine's own more often than not, and may be anybody's. A proxy is told
//! by what it writes into a request, or by the name for the relay that it passes on; one that shows neither
//! looks like a program beside the relay. A web page that leads its visitor's browser here under a name of
//! its own (DNS rebinding) is told by that name as well.

use std::net::IpAddr;

use actix_http::RequestHead;

use super::{proxy, upgrade};
use crate::state::Live;

/// Whether the operator has sent this request, which asks for a page, from the TCP peer `peer`.
pub(super) fn has_sent(head: &RequestHead, peer: IpAddr, live: &Live) -> bool {
    let peer = peer.to_canonical();
    let allowed = live.config.metrics_allow.iter();
    let mut allowed = allowed.filter(|range| range.contains(&peer));
    allowed.next().is_some()
        && !proxy::writes_in(head, live)
        // As nginx does for every request, where it is set up for WebSockets and nothing else.
        && !upgrade::is_announced(head)
        && proxy::hosts(head).all(|host| is_believed(host, peer, live))
}

/// Whether whoever asks for this host from there can be the operator. From another machine that is the
/// relay's own name or address, or a name without a dot, which no stranger can have.
fn is_believed(host: &str, peer: IpAddr, live: &Live) -> bool {
    let elsewhere = !peer.is_loopback();
    let of_nobody = || host.parse::<IpAddr>().is_ok() || !host.contains('.');
    proxy::is_own_name(host, peer, live) || (elsewhere && of_nobody())
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
            client_ip_header: Some("Client-Address".to_owned()),
            ..Config::default()
        });
        has_sent(&head(lines), peer.parse().unwrap(), &live)
    }

    const LOOPBACK: &str = "127.0.0.0/8 ::1/128";

    #[test]
    fn who_asks_directly_from_an_allowed_address_is_the_operator() {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            for host in ["localhost:9784", "127.0.0.1:9000", "[::1]", "relay.lan", ""] {
                let lines = ["/metrics", &format!("Host: {host}")];
                assert!(is_operator(LOOPBACK, peer, &lines), "{peer} {host}");
                assert!(!is_operator("", peer, &lines), "{peer} {host}");
                assert!(!is_operator("10.0.0.0/8", peer, &lines), "{peer} {host}");
            }
            assert!(is_operator(LOOPBACK, peer, &["/"]), "{peer}");
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
        for host in [
            "relay.example.com",
            "relay.lan.example.com",
            "10.0.0.1.example.com",
        ] {
            assert!(!asks(host), "{host}");
        }
    }
}
