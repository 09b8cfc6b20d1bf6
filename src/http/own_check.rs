//! Which handshakes are those of `claude-distill-relay check`, run beside its relay: rooms of theirs are
//! a part of the relay's own upkeep, which its log and its counts tell from what users do.
//!
//! A mark is a claim that anybody can make. It is believed of a TCP peer on this machine that speaks for
//! nobody else, so never through a proxy that names its clients. Who makes it falsely all the same, from
//! behind something on this machine that says nothing, has the lines of a room moved to `debug` and the
//! room itself to another counter. Limits, budgets and all other counts know of no mark.

use std::net::IpAddr;

use actix_http::RequestHead;
use actix_web::http::header;

use crate::limits::address::Trust;

/// The header that says so, whatever its value.
pub const MARK: &str = "x-relay-check";

/// Whether the request is that of a check on this machine.
pub(super) fn is_ours(head: &RequestHead, peer: IpAddr, trust: &Trust) -> bool {
    let headers = &head.headers;
    let own = trust.header.as_deref();
    peer.to_canonical().is_loopback()
        && headers.contains_key(MARK)
        && !headers.contains_key(header::X_FORWARDED_FOR)
        && !headers.contains_key(header::FORWARDED)
        && !headers.contains_key(header::VIA)
        && own.is_none_or(|name| !headers.contains_key(name))
}
