//! Web sites as browsers tell them apart: by scheme, host and port (RFC 6454 §4).

use std::{fmt, net::Ipv6Addr};

/// What a web page is of: the value of its requests' `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    scheme: String,
    host: String,
    /// None where the scheme has no port of its own and none is given.
    port: Option<u16>,
}

impl Site {
    /// Reads `scheme://host` or `scheme://host:port` (RFC 6454 §6.2). `null`, which every page can make
    /// its browser say, is no site.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        if !begins || !scheme.bytes().all(known) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = host_and_port(authority)?;
        let port = port.or(match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        });
        Some(Self { scheme, host, port })
    }

    /// Whether it is at this host, as a `Host` header names it (RFC 9110 §7.2); without a port that is at
    /// the one of the site's scheme. The scheme does not count: whoever ends TLS in front of the relay
    /// often does not tell.
    pub fn is_at(&self, host: &str) -> bool {
        let port_of_scheme = match self.scheme.as_str() {
            "https" | "wss" => 443,
            _ => 80,
        };
        host_and_port(host).is_some_and(|(host, port)| {
            host == self.host && Some(port.unwrap_or(port_of_scheme)) == self.port
        })
    }
}

/// A host, in the one way to write it, and its port (RFC 3986 §3.2.2, §3.2.3).
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // A colon in brackets is one of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some(address) = address {
        return Some((address.parse::<Ipv6Addr>().ok()?.to_string(), port));
    }
    // A dot at the end of a name changes nothing of what it names.
    let name = host.strip_suffix('.').unwrap_or(host);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let valid = !name.is_empty() && name.bytes().all(known);
    valid.then(|| (name.to_ascii_lowercase(), port))
}

/// Whose web pages may use the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    /// Everybody's.
    pub any: bool,
    /// Those of the host that the relay is asked for by.
    pub own: bool,
    /// Those of these sites.
    pub named: Vec<Site>,
}

impl Sites {
    /// Reads a list of `own`, `*` and sites, with commas between them; an empty one allows none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut sites = Self::default();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match entry {
                "*" => sites.any = true,
                "own" => sites.own = true,
                named => sites.named.push(Site::parse(named)?),
            }
        }
        Some(sites)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]")?,
            false => write!(f, "{scheme}://{host}")?,
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for Sites {
    /// As [`Sites::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [("*", self.any), ("own", self.own)].into_iter();
        let words = words.filter(|(_, chosen)| *chosen);
        let words = words.map(|(word, _)| word.to_owned());
        let all: Vec<_> = words
            .chain(self.named.iter().map(Site::to_string))
            .collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole_and_nothing_more() {
        let sites = Sites::parse(" HTTPS://App.example:443 ,own,, http://[::1]:3000,").unwrap();
        assert!(sites.own && !sites.any);
        let named = ["https://app.example", "http://[0::1]:3000"];
        assert_eq!(sites.named, named.map(|text| Site::parse(text).unwrap()));
        assert_eq!(Sites::parse(""), Some(Sites::default()));
        assert!(Sites::parse("*").unwrap().any);
        let shown = sites.to_string();
        assert_eq!(shown, "own,https://app.example:443,http://[::1]:3000");
        assert_eq!(Sites::parse(&shown), Some(sites));
        for bad in [
            "null",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example:0x50",
            "https://user@app.example",
            "https://*.example",
            "https://b\u{fc}cher.example",
            "https://a.example https://b.example",
            "Own",
        ] {
            assert_eq!(Sites::parse(bad), None, "{bad}");
            assert_eq!(Sites::parse(&format!("own,{bad}")), None, "{bad}");
        }
    }
}
