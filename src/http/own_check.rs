//! Which handshakes are those of `claude-distill-relay check`, run beside its relay: rooms of theirs are
//! a part of the relay's own upkeep, which its log and its counts tell from what users do.
//!
//! A mark is a claim that anybody can make. It is believed of a TCP peer on this machine that speaks for
//! nobody else, so never through a proxy that names its clients. Who makes it falsely all the same, from
//! behind something on this machine that says nothing, has the lines of a room moved to `debug` and the
//! room itself to another counter, and is let in where the operator has blocked that address. Budgets, shares
//! and all other counts know of no mark.

use std::net::IpAddr;

use actix_http::RequestHead;

use super::proxy;
use crate::state::Live;

/// The header that says so, whatever its value.
pub const MARK: &str = "x-relay-check";

/// Whether the request is that of a check on this machine, which comes from the loopback address, or from
/// the one it has connected to, `local`, and shows no sign of a proxy.
pub(super) fn is_ours(
    head: &RequestHead,
    peer: IpAddr,
    local: Option<IpAddr>,
    live: &Live,
) -> bool {
    (peer.to_canonical().is_loopback() || Some(peer) == local)
        && head.headers.contains_key(MARK)
        && !proxy::is_named_in(head, peer, live)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::Config;

    #[test]
    fn only_this_machine_is_believed_and_only_for_itself() {
        let live = Live::new(Config {
            client_ip_header: Some("Client-Address".to_owned()),
            ..Config::default()
        });
        let is_ours = |peer: &str, local: &str, headers: &[&'static str]| {
            let mut head = RequestHead::default();
            for name in headers {
                let name = HeaderName::from_static(name);
                head.headers_mut()
                    .insert(name, HeaderValue::from_static("1"));
            }
            let (peer, local) = (peer.parse(), local.parse());
            peer.is_ok_and(|peer| super::is_ours(&head, peer, local.ok(), &live))
        };
        for (peer, local) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:127.0.0.1", ""),
            ("10.0.0.5", "10.0.0.5"),
        ] {
            assert!(is_ours(peer, local, &[MARK]), "{peer}");
            assert!(!is_ours(peer, local, &[]), "{peer}");
            for other in [
                "x-forwarded-for",
                "forwarded",
                "via",
                "x-real-ip",
                "client-address",
            ] {
                assert!(!is_ours(peer, local, &[MARK, other]), "{peer} {other}");
            }
        }
        assert!(!is_ours("10.0.0.5", "10.0.0.6", &[MARK]));
        assert!(!is_ours("192.0.2.1", "", &[MARK]));
    }
}
