//! Whether a request from a trusted address that names no client has come through a proxy: a program on
//! this machine may have connected directly, as `check` does and whoever tries the relay out.

use std::{fs, net::IpAddr, sync::LazyLock};

use actix_http::{RequestHead, header};

use crate::state::Live;

/// What the machine calls itself.
static HOST_NAME: LazyLock<String> = LazyLock::new(|| {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_ascii_lowercase()
});

/// Headers that proxies and content delivery networks write, and clients do not.
const OF_PROXIES: [&str; 6] = [
    "via",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cdn-loop",
];
/// How others of them begin: Cloudflare's, and what goes with `X-Forwarded-For`.
const FAMILIES: [&str; 2] = ["cf-", "x-forwarded-"];

/// Whether there is a sign of a proxy: an address that an operator has named as one, since it is not
/// this machine; or what [`is_named_in`] sees. A proxy that gives no sign at all is not told from a client
/// beside us.
pub(super) fn shows_itself(head: &RequestHead, peer: IpAddr, live: &Live) -> bool {
    !peer.to_canonical().is_loopback() || is_named_in(head, peer, live)
}

/// Whether a request is a proxy's, as far as its head tells: by a header that only proxies write, or by a
/// name for the relay under which nobody on this machine, whose address is `peer`, would look for it.
pub(super) fn is_named_in(head: &RequestHead, peer: IpAddr, live: &Live) -> bool {
    writes_in(head, live) || hosts(head).any(|host| !is_own_name(host, peer, live))
}

/// Whether a request has a header that only proxies write.
pub(super) fn writes_in(head: &RequestHead, live: &Live) -> bool {
    let own = live.trust.header.as_deref();
    let of_proxy = |name: &str| {
        OF_PROXIES.contains(&name)
            || FAMILIES.iter().any(|family| name.starts_with(family))
            || own.is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    head.headers.keys().any(|name| of_proxy(name.as_str()))
}

/// The hosts that a request is for, without their ports: that of its target (RFC 9112 §3.2.2), and those
/// of its `Host` (RFC 9110 §7.2). One that is no text is nobody's name.
pub(super) fn hosts(head: &RequestHead) -> impl Iterator<Item = &str> {
    let lines = head.headers.get_all(header::HOST);
    let named = lines.map(|line| line.to_str().map_or("not.text", without_port));
    head.uri.host().into_iter().map(without_port).chain(named)
}

/// Whether this is a name under which somebody at `peer`, on this machine, looks for the relay.
pub(super) fn is_own_name(host: &str, peer: IpAddr, live: &Live) -> bool {
    is_here(host, peer) || host.eq_ignore_ascii_case(&live.config.host)
}

/// A host without its port, and without brackets.
fn without_port(host: &str) -> &str {
    let host = host.trim();
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether this is a name of the machine, whose address is `peer`, for itself (RFC 6761 §6.3); nobody at
/// all, where it is empty.
fn is_here(host: &str, peer: IpAddr) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let address = name.parse::<IpAddr>();
    name.is_empty()
        || name == "localhost"
        || name.ends_with(".localhost")
        || name == *HOST_NAME
        || address.is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || address == peer.to_canonical()
        })
}
