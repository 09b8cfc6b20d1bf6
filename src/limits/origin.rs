//! Whether a web page may use the relay.
//!
//! A browser lets any page open a WebSocket to anywhere, and says whose page it is in `Origin` (RFC 6455
//! §10.2), which the page cannot change. So pages of strangers could have their visitors open rooms
//! and guess codes, each from an address of its own. Programs send no `Origin`, or any that they like:
//! nothing here holds them off.
//!
//! That the page is of the host that was asked for is only as good as that name: a page whose own name
//! leads to the relay's address, by DNS, is taken for one of ours. `RELAY_ALLOWED_ORIGINS` that names
//! sites, or nothing, is not fooled.

use std::str;

use crate::config::{Site, Sites};

/// Whether a request may become a session: one with the `Origin` lines `origins`, which asked for one of
/// `hosts`. Of several lines nobody knows which counts.
pub fn may_connect<'a>(
    sites: &Sites,
    mut origins: impl Iterator<Item = &'a [u8]>,
    mut hosts: impl Iterator<Item = &'a [u8]>,
) -> bool {
    let Some(origin) = origins.next() else {
        return true;
    };
    if sites.any {
        return true;
    }
    let site = str::from_utf8(origin).ok().and_then(Site::parse);
    let Some(site) = site.filter(|_| origins.next().is_none()) else {
        return false;
    };
    let is_at = |host: &[u8]| str::from_utf8(host).is_ok_and(|host| site.is_at(host.trim()));
    sites.named.contains(&site) || (sites.own && hosts.any(is_at))
}

/// Whether a page of the relay's own could connect that was asked for by one of `hosts`.
pub fn may_have_a_page<'a>(sites: &Sites, mut hosts: impl Iterator<Item = &'a [u8]>) -> bool {
    let is_named = |host: &[u8]| {
        let host = str::from_utf8(host).unwrap_or_default().trim();
        sites.named.iter().any(|site| site.is_at(host))
    };
    sites.any || sites.own || hosts.any(is_named)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Whether it may, where `allowed` is the setting.
    fn may(allowed: &str, origin: &str, host: &str) -> bool {
        let sites = Sites::parse(allowed).unwrap();
        may_connect(
            &sites,
            [origin.as_bytes()].into_iter(),
            [host.as_bytes()].into_iter(),
        )
    }

    #[test]
    fn a_page_of_the_host_that_was_asked_for_is_our_own() {
        for (origin, host) in [
            ("https://relay.example", "relay.example"),
            ("http://relay.example", "relay.example"),
            ("https://relay.example", "relay.example:443"),
            ("http://relay.example", "relay.example:80"),
            ("https://relay.example:443", "relay.example"),
            ("http://relay.example:9784", "relay.example:9784"),
            ("HTTPS://Relay.Example", "relay.EXAMPLE"),
            ("https://relay.example.", "relay.example"),
            ("https://relay.example", "relay.example.:443"),
            ("http://127.0.0.1:9784", "127.0.0.1:9784"),
            ("http://[::1]:9784", "[0:0::1]:9784"),
            ("https://[2001:DB8::1]", "[2001:db8:0::1]"),
            ("http://localhost:9784", "localhost:9784"),
            ("wss://relay.example", "relay.example"),
        ] {
            assert!(may("own", origin, host), "{origin} at {host}");
            assert!(!may("", origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn a_page_of_anybody_else_is_not() {
        for (origin, host) in [
            ("https://other.example", "relay.example"),
            ("https://relay.example.other.example", "relay.example"),
            ("https://notrelay.example", "relay.example"),
            ("https://a.relay.example", "relay.example"),
            ("http://relay.example:3000", "relay.example:9784"),
            ("http://relay.example", "relay.example:9784"),
            ("http://relay.example:9784", "relay.example"),
            ("https://relay.example", "relay.example:80"),
            ("http://localhost:9784", "127.0.0.1:9784"),
            ("http://[::1]:9784", "[::2]:9784"),
            ("null", "relay.example"),
            ("null", "null"),
            ("", ""),
            ("file://", ""),
            ("relay.example", "relay.example"),
            ("//relay.example", "relay.example"),
            ("://relay.example", "relay.example"),
            ("https://relay.example/", "relay.example"),
            ("https://relay.example@other.example", "relay.example"),
            (
                "https://relay.example https://other.example",
                "relay.example",
            ),
            (
                "https://relay.example, https://other.example",
                "relay.example",
            ),
            ("https://relay.example:x", "relay.example"),
            ("https://relay.example:99999", "relay.example"),
            ("https://[::1", "[::1"),
            ("chrome-extension://abcdef", "relay.example"),
        ] {
            assert!(!may("own", origin, host), "{origin} at {host}");
            assert!(may("*", origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn sites_that_are_named_may_and_then_no_other() {
        let allowed = "https://app.example, http://localhost:3000,chrome-extension://abcdef";
        for origin in [
            "https://app.example",
            "https://APP.example:443",
            "http://localhost:3000",
            "chrome-extension://abcdef",
        ] {
            assert!(may(allowed, origin, "relay.example"), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "http://localhost",
            "https://relay.example",
            "null",
        ] {
            assert!(!may(allowed, origin, "relay.example"), "{origin}");
        }
        let both = format!("own,{allowed}");
        assert!(may(&both, "https://relay.example", "relay.example"));
    }

    #[test]
    fn who_names_no_page_is_none_and_who_names_two_is_refused() {
        let own = Sites::parse("own").unwrap();
        let ask = |sites: &Sites, origins: &[&'static str]| {
            let origins = origins.iter().map(|origin| origin.as_bytes());
            may_connect(sites, origins, [&b"relay.example"[..]].into_iter())
        };
        assert!(ask(&Sites::default(), &[]) && ask(&own, &[]));
        let same = "https://relay.example";
        assert!(ask(&own, &[same]) && !ask(&own, &[same, same]));
    }

    #[test]
    fn a_page_is_had_where_it_could_connect() {
        for (allowed, host, may) in [
            ("own", "relay.example", true),
            ("*", "relay.example", true),
            ("https://relay.example", "relay.example", true),
            (
                "https://app.example,https://relay.example:8443",
                "relay.example:8443",
                true,
            ),
            ("https://app.example", "relay.example", false),
            ("", "relay.example", false),
        ] {
            let sites = Sites::parse(allowed).unwrap();
            let hosts = [host.as_bytes()].into_iter();
            assert_eq!(may_have_a_page(&sites, hosts), may, "{allowed} at {host}");
        }
    }
}
